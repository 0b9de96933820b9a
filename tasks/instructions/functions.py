"""What the task files of this folder name with ``!function``."""

from functools import partial

from harness.problems.load import dataset, process_results

ifeval = partial(dataset, "ifeval")
multi_if_en = partial(dataset, "multi_if_en")
multi_if_zh = partial(dataset, "multi_if_zh")
multi_if_other = partial(dataset, "multi_if_other")
multi_if_en_turns = partial(dataset, "multi_if_en_turns")

__all__ = ["ifeval", "multi_if_en", "multi_if_en_turns", "multi_if_other", "multi_if_zh", "process_results"]
