"""What the task files of this folder name with ``!function``."""

from functools import partial

from harness.problems.load import embedded, process_results

mini_math = partial(embedded, "mini_math")
mini_blocks = partial(embedded, "mini_blocks")
mini_rules = partial(embedded, "mini_rules")

__all__ = ["mini_blocks", "mini_math", "mini_rules", "process_results"]
