"""The score of an arm: a model's answers to every task of the suite, each drawn alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.evaluation.spec import Decoding, Selection
from harness.models.spec import ModelSpec, Serving
from harness.pipeline.kind import Kind, Planner, Spent
from harness.pipeline.sources import loaded
from harness.spec import Spec, knob

if TYPE_CHECKING:
    from harness.models.sampling import Sampler
    from harness.pipeline.job import Graph, Job, Params, Report


class EvalScale(Decoding, Selection, Serving):
    """How arms are scored. A model that is a server of its own is asked there, whatever the backend."""

    count: int = knob(300, "Problems of each embedded family.", ge=1)
    split: Literal["eval", "dev", "search"] = knob("eval", "Split of the embedded families.")
    max_tokens: int | None = knob(512, "Cap on thinking and answer together; null: the task's.", ge=1)
    samples: int = knob(1, "Answers a problem, for arms that name no number.", ge=1)
    backend: Literal["hf", "vllm"] = knob("hf", "What runs the models.")
    data_dir: str | None = knob(None, "Folder of benchmark files.", how=True)


class Evaluate(Kind):
    name: ClassVar[str] = "eval"
    scale: ClassVar[type[Spec] | None] = EvalScale

    def arm(
        self, plan: Planner, name: str, inputs: dict[str, str], models: dict[str, ModelSpec], samples: int | None
    ) -> str:
        """Add the evaluation of a model; the digest of its job."""
        scale = plan.scale(EvalScale)
        if samples is not None:
            scale = scale.model_copy(update={"samples": samples})
        params = {"suite": plan.suite, **scale.identity(), **self.more(plan)}
        how = {key: value for key, value in scale.model_dump(mode="json").items() if key not in params}
        tasks = [task.file for task in plan.tasks if task.file is not None]
        code = {file for task in tasks for file in task.parent.glob("*.py")}
        reads: list[str | Path] = [*tasks, *sorted(code), *self.reads(plan)]
        return plan.add(self.name, name, params=params, inputs=inputs, models=models, how=how, reads=reads)

    def more(self, plan: Planner) -> Params:
        """Parameters beside those of plain sampling."""
        return {}

    def reads(self, plan: Planner) -> list[str]:
        """Digests of what is read beside the tasks."""
        return []

    def sampler(self, job: Job) -> Sampler:
        """How answers are drawn."""
        from harness.models.sampling import Plain

        return Plain()

    def run(self, job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> Params:
        from harness.evaluation.plan import EvalPlan
        from harness.problems.registry import select
        from harness.results.runs import evaluate_and_summarise

        scale = _scale(job)
        settings: Params = {"split": scale.split, "count": scale.count}
        if scale.data_dir:
            settings["data_dir"] = scale.data_dir
        plan = EvalPlan(
            tasks=select([], job.params["suite"]),
            decoding=Decoding(**_part(scale, Decoding)),
            selection=Selection(**_part(scale, Selection)),
            settings=settings,
            sampler=self.sampler(job),
        )
        with loaded(_model(job, inputs, scale), folder) as (completer, tokenizer):
            summaries = evaluate_and_summarise(completer, tokenizer, plan, folder, report)
            tokens = completer.generated_tokens
        rows = {task: summary.model_dump() for task, summary in summaries.items()}
        return {"rows": rows, "model_digest": completer.digest, "generated_tokens": tokens}

    def summary(self, figures: Params) -> str:
        return ", ".join(f"{100 * row['accuracy']:.1f}" for row in figures["rows"].values()) + " % right"

    def spent(self, figures: Params) -> Spent:
        return Spent(figures.get("generated_tokens") or 0, sum(row["samples"] for row in figures["rows"].values()))

    def items(self, graph: Graph, job: Job, of: Callable[[str], int | None]) -> int | None:
        from harness.problems.registry import select

        scale, total = _scale(job), 0
        for task in select([], job.params["suite"]):
            size = scale.count if task.group == "embedded" else _size(task.items)
            if size is None:
                return None
            total += min(size, scale.limit or size)
        return total * scale.samples

    def most(self, job: Job) -> int | None:
        return job.params.get("max_tokens")


def _scale(job: Job) -> EvalScale:
    fields = {key: value for key, value in (job.params | job.how).items() if key in EvalScale.model_fields}
    return EvalScale.model_validate(fields)


def _model(job: Job, inputs: dict[str, Path], scale: EvalScale) -> ModelSpec:
    """The model to ask: as it is where it is a server, else run as the scale says."""
    model = ModelSpec(model=str(inputs["model"] / "model")) if "model" in inputs else job.models["model"]
    if model.backend != "hf":
        return model
    return model.model_copy(update=_part(scale, Serving))


def _part(scale: EvalScale, of: type[Spec]) -> Params:
    """The fields of a scale that a room declares."""
    return {field: getattr(scale, field) for field in of.model_fields}


def _size(text: str) -> int | None:
    number = re.search(r"\d[\d,]*", text)
    return int(number.group().replace(",", "")) if number else None


KIND = Evaluate()
