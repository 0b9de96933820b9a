"""What the task files of this folder name with ``!function``."""

from functools import partial

from harness.problems.load import benchmark, letters, process_results

gsm8k = partial(benchmark, "gsm8k")
math500 = partial(benchmark, "math500")
aime = partial(benchmark, "aime")
aime_2024 = partial(benchmark, "aime_2024")
aime_2025 = partial(benchmark, "aime_2025")
letter_count = letters

__all__ = ["aime", "aime_2024", "aime_2025", "gsm8k", "letter_count", "math500", "process_results"]
