"""What the task files of this folder name with ``!function``."""

from harness.problems.load import gsm8k, process_results

__all__ = ["gsm8k", "process_results"]
