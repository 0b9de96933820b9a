"""What the task files of this folder name with ``!function``."""

from functools import partial

from harness.problems.load import dataset, process_results

mini_translation = partial(dataset, "mini_translation")
ntrex_de = partial(dataset, "ntrex_de")
ntrex_zh = partial(dataset, "ntrex_zh")

__all__ = ["mini_translation", "ntrex_de", "ntrex_zh", "process_results"]
