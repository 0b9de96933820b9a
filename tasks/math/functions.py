"""What the task files of this folder name with ``!function``."""

from functools import partial

from harness.problems.load import dataset, process_results

gsm8k = partial(dataset, "gsm8k")
math500 = partial(dataset, "math500")
aime = partial(dataset, "aime")
aime_2024 = partial(dataset, "aime_2024")
aime_2025 = partial(dataset, "aime_2025")
letter_count = partial(dataset, "letter_count")

__all__ = ["aime", "aime_2024", "aime_2025", "gsm8k", "letter_count", "math500", "process_results"]
