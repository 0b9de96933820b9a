"""What the task files of this folder name with ``!function``."""

from functools import partial

from harness.problems.load import dataset, process_results

blocksworld = partial(dataset, "blocksworld")
blocksworld_zero = partial(dataset, "blocksworld_zero")
mystery_blocksworld = partial(dataset, "mystery_blocksworld")
blocksworld_hard = partial(dataset, "blocksworld_hard")
logistics = partial(dataset, "logistics")

__all__ = ["blocksworld", "blocksworld_hard", "blocksworld_zero", "logistics", "mystery_blocksworld", "process_results"]
