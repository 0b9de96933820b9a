"""The score of an arm under one decoding: a model's answers to every task of the suite, each drawn alone."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import ValidationInfo, field_serializer, field_validator

from harness.errors import nearest
from harness.evaluation.plan import EvalPlan
from harness.evaluation.spec import Decoding, ProblemData, Selection
from harness.models.backends import opened
from harness.models.base import Plain, Sampler
from harness.models.spec import ModelSpec, Serving
from harness.pipeline.kind import Job, Kind, Params, Planner, Report, part_of
from harness.problems.registry import SUITES, Task, select, tasks
from harness.results.records import MAIN
from harness.results.summary import evaluate_and_summarise
from harness.spec import Spec, knob

SEEDS = 2**32  # of training; so no two pairs of an evaluation's and a training's seed share random numbers


class EvalScale(Decoding, Selection, Serving):
    """How arms are scored: under the decoding of this section, and under further ones that differ from it.

    A model that is a server of its own is asked there, whatever the backend.
    """

    count: int = knob(300, "Problems of each embedded family.", ge=1)
    split: Literal["eval", "dev", "search"] = knob("eval", "Split of the embedded families.")
    max_tokens: int | None = knob(512, "Cap on thinking and answer together; null: the task's.", ge=1)
    samples: int = knob(1, "Answers a problem, for arms that name no number.", ge=1)
    backend: Literal["hf", "vllm"] = knob("hf", "What runs the models.")
    data_dir: str | None = knob(None, "Folder of benchmark files.", how=True)
    decodings: dict[str, Decoding] = knob({}, "Further decodings by name: keys of this section that differ.", how=True)
    curve: str = knob("", "Under which of them curves are scored; default: this section's, one answer.", how=True)

    @field_validator("decodings")
    @classmethod
    def _named(cls, value: dict[str, Decoding]) -> dict[str, Decoding]:
        if MAIN in value or "" in value:
            raise ValueError(f"{MAIN!r} is the main decoding, that of the section itself; give another name")
        return value

    @field_validator("samples_of")
    @classmethod
    def _tasks(cls, value: dict[str, int]) -> dict[str, int]:
        known = tasks() if value else {}
        for name in value:
            if name not in known:
                raise ValueError(f"no task {name!r}{nearest(name, known)}; 'harness tasks' lists all")
        return value

    @field_validator("curve")
    @classmethod
    def _known(cls, value: str, known: ValidationInfo) -> str:
        names = [MAIN, *known.data.get("decodings", {})]
        if value and "decodings" in known.data and value not in names:
            raise ValueError(f"no decoding {value!r}{nearest(value, names)}; there are {', '.join(names)}")
        return "" if value == MAIN else value

    @field_serializer("decodings")
    def _differing(self, value: dict[str, Decoding]) -> dict[str, Any]:
        return {name: each.model_dump(mode="json", exclude_unset=True) for name, each in value.items()}

    def under(self, decoding: str, samples: int | None, seed: int, budget: int | None = None) -> Self:
        """The section under one decoding (empty: the main one) for an arm of the training ``seed``.

        ``samples``: the arm's own number of answers, under the main decoding; ``budget``: its own thinking
        budget, under each. Arms of one training seed draw from the same random numbers, those of another seed from
        others; greedy answers depend on no seed.
        """
        changes: dict[str, Any] = {"samples": samples or self.samples, "decodings": {}, "curve": ""}
        changes |= self.decodings[decoding].model_dump(exclude_unset=True) if decoding else {}
        changes |= {"thinking_budget": budget} if budget else {}
        if samples or (decoding and "samples" in self.decodings[decoding].model_fields_set):
            changes.setdefault("samples_of", {})  # a number of answers that is named holds for all tasks
        changed = self.model_copy(update=changes)
        return changed.model_copy(update={"seed": changed.seed * SEEDS + seed if changed.temperature else 0})


class Evaluate(Kind):
    name = "eval"
    scale: ClassVar[type[Spec] | None] = EvalScale

    def arm(
        self, plan: Planner, name: str, inputs: dict[str, str], models: dict[str, ModelSpec], scale: EvalScale,
        at: str = "",
    ) -> str:  # fmt: skip
        """Add the evaluation of a model under one decoding; the digest of its job.

        ``at``: of a trained model, the folder of what it was on the way.
        """
        more, read = self.more(plan)
        params = {"suite": plan.suite, **scale.identity(), **more, **({"at": at} if at else {})}
        if [task.name for task in plan.tasks] != [*SUITES.get(plan.suite, ())]:
            params["tasks"] = [task.name for task in plan.tasks]
        if plan.retention:
            params["retention"] = [task.name for task in plan.retention]
        files = [task.file for task in (*plan.tasks, *plan.retention) if task.file is not None]
        code = {file for each in files for file in each.parent.glob("*.py")}
        how = scale.model_dump(mode="json", exclude={*params})
        job = Job(kind=self.name, name=name, params=params, inputs=inputs, models=models, how=how)
        return plan.add(job, [*files, *sorted(code), *read])

    def more(self, plan: Planner) -> tuple[Params, list[str]]:
        """Parameters beside those of plain sampling, and digests of what is read beside the tasks."""
        return {}, []

    def sampler(self, job: Job) -> Sampler:
        """How answers are drawn."""
        return Plain()

    def run(self, job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> Params:
        scale = part_of(EvalScale, job.params | job.how)
        model = job.models.get("model")
        if model is None:
            model = ModelSpec(model=str(inputs["model"] / job.params.get("at", "model")))
        if model.backend == "hf":  # else a server of its own
            model = model.model_copy(update=scale.model_dump(include={*Serving.model_fields}))
        plan = EvalPlan(
            tasks=_tasks(job),
            decoding=part_of(Decoding, vars(scale)),
            selection=part_of(Selection, vars(scale)),
            data=part_of(ProblemData, vars(scale) | {"data_dir": scale.data_dir or None}),
            sampler=self.sampler(job),
        )
        with opened(model.replicas()[0], folder) as (completer, tokenizer):
            summaries = evaluate_and_summarise(completer, tokenizer, plan, folder, report, several=True)
        rows = {task: summary.model_dump() for task, summary in summaries.items()}
        return {"rows": rows, "model_digest": completer.digest, "generated_tokens": completer.generated_tokens}

    def summary(self, figures: Params) -> str:
        return ", ".join(f"{100 * row['accuracy']:.1f}" for row in figures["rows"].values()) + " % right"

    def spent(self, figures: Params) -> tuple[int, int]:
        return figures.get("generated_tokens") or 0, sum(row["samples"] for row in figures["rows"].values())

    def items(self, job: Job, inputs: Mapping[str, int | None]) -> int | None:
        scale, total = part_of(EvalScale, job.params | job.how), 0
        for task in _tasks(job):
            number = re.search(r"\d+", task.items.replace(",", ""))
            size = scale.count if task.group == "embedded" else number and int(number[0])
            if size is None:
                return None
            total += min(size, scale.limit or size) * scale.repeats(task.name)
        return total


def _tasks(job: Job) -> list[Task]:
    """Those of the suite, then those beside it."""
    own, beside = job.params.get("tasks", []), job.params.get("retention", [])
    return [*select(own, None if own else job.params["suite"]), *(select(beside, None) if beside else ())]
