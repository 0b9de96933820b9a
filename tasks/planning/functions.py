"""What the task files of this folder name with ``!function``."""

from functools import partial

from harness.problems.load import benchmark, process_results

blocksworld = partial(benchmark, "blocksworld")
blocksworld_zero = partial(benchmark, "blocksworld_zero")
mystery_blocksworld = partial(benchmark, "mystery_blocksworld")
blocksworld_hard = partial(benchmark, "blocksworld_hard")

__all__ = ["blocksworld", "blocksworld_hard", "blocksworld_zero", "mystery_blocksworld", "process_results"]
