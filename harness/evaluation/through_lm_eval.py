"""Tasks that lm-eval has to read: its own, and the user's task files. It builds their prompts and scores them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lm_eval import evaluator
from lm_eval.api.model import LM

from harness.evaluation.asking import prepare
from harness.evaluation.bridge import Bridge
from harness.evaluation.plan import Document, Documents, has_grader
from harness.evaluation.tasks import quiet_lm_eval
from harness.models.base import Place
from harness.records import Grade


class HarnessLM(Bridge, LM):
    """The bridge as lm-eval's model. ``tasks``: lm-eval's task objects."""

    tokenizer_name = ""  # names a cache of requests, which is not used

    def __init__(self, tasks: dict[str, Any], **settings: Any) -> None:
        super().__init__(**settings)
        self.tasks = tasks
        prepare(tasks, self.plan, self.chat)

    def ask(
        self, documents: Documents, picked: dict[str, list[int]] | None, is_correct: Callable[[str, str], bool]
    ) -> tuple[dict[str, float | None], dict[Place, Grade]]:
        """As ``Bridge.ask``, but lm-eval builds the prompts, scores its own tasks and sums up."""

        def scored(document: Document, results: list[str]) -> dict[str, float]:
            """lm-eval's scoring hook: the verdict on this text (its own hook would grade it again)."""
            return {"acc": float(is_correct(document["id"], results[0]))}

        for name, task in self.tasks.items():
            if name not in self.visible:
                task.set_config("process_results", scored)
        with quiet_lm_eval():
            results = evaluator.evaluate(
                self, {"tasks": self.tasks, "groups": {}}, bootstrap_iters=0, log_samples=True, samples=picked,
                apply_chat_template=self.chat, system_instruction=self.prompting.system,
                fewshot_as_multiturn=True,
            )  # fmt: skip
        assert results is not None
        logged = {(name, entry["doc_id"]): entry for name, entries in results["samples"].items() for entry in entries}
        foreign = (place for place, each in self.generated.items() if not has_grader(each.document))
        scores = {
            name: next((v for k, v in values.items() if k.split(",")[0] in ("acc", "exact_match")), None)
            for name, values in results["results"].items()
        }
        return scores, {place: _verdict(logged[place.task, place.document]) for place in foreign}

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
        raise NotImplementedError("harness scores generated text; this task asks for log-likelihoods")

    loglikelihood_rolling = loglikelihood


def _verdict(entry: Mapping[str, Any]) -> Grade:
    """lm-eval's first number for an item of its own task, as a verdict."""
    names = [name for name in entry.get("metrics", []) if isinstance(entry.get(name), int | float)]
    if not names:
        return Grade(verdict="infra_error", reason="lm-eval gave no number for this item")
    value = float(entry[names[0]])
    return Grade(verdict="correct" if value >= 1.0 else "wrong", reason=f"lm-eval's {names[0]} is {value:g}")
