"""What the task files of this folder name with ``!function``."""

from functools import partial

from harness.problems.load import benchmark, process_results

ifeval = partial(benchmark, "ifeval")
multi_if_en = partial(benchmark, "multi_if_en")
multi_if_zh = partial(benchmark, "multi_if_zh")
multi_if_other = partial(benchmark, "multi_if_other")
multi_if_en_turns = partial(benchmark, "multi_if_en_turns")

__all__ = ["ifeval", "multi_if_en", "multi_if_en_turns", "multi_if_other", "multi_if_zh", "process_results"]
