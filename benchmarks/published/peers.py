"""What the task files of this folder name with ``!function``: lm-eval's scoring, our prompts."""

import json
from functools import partial
from typing import Any

from lm_eval.tasks.ifeval.utils import agg_inst_level_acc, process_results

from harness.problems.load import dataset

gsm8k = partial(dataset, "gsm8k")


def answer(doc: dict[str, Any]) -> str:
    return str(json.loads(doc["gold"])["answer"])


__all__ = ["agg_inst_level_acc", "answer", "gsm8k", "process_results"]
