"""What the task files of this folder name with ``!function``."""

from functools import partial

from harness.problems.load import dataset, process_results

mini_math = partial(dataset, "mini_math")
mini_blocks = partial(dataset, "mini_blocks")
mini_rules = partial(dataset, "mini_rules")
mini_premise = partial(dataset, "mini_premise")

__all__ = ["mini_blocks", "mini_math", "mini_premise", "mini_rules", "process_results"]
