"""``harness probe``: a stored run's thoughts cut short and answered, kept beside it, and what they sum up to."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import Field

from harness.errors import NoRuns, NotComparable, Usage
from harness.evaluation.plan import Progress
from harness.evaluation.probing import Left, Probed, Probing, probe
from harness.grading import grader_version
from harness.grading.grade import Grader
from harness.journal import check_writable, write_rows, write_whole
from harness.models.backends import opened
from harness.models.spec import ModelSpec, Prompting
from harness.records import Record, Sample
from harness.results.records import Manifest
from harness.results.runs import Run
from harness.results.statistics import bootstrap, item_interval, mean
from harness.thoughts import THINK_TAGS

_DRAWS = 1000  # of a bootstrap
_WHY: dict[Left, str] = {
    "no thought": "none of its samples holds a thought",
    "failed": "all its model calls failed",
    "no token ids": "its samples hold no token ids, so their thoughts cannot be cut by tokens",
    "another prompt": "its prompts cannot be built again from its problems (examples, later turns or another template)",
    "no grader": "its problems are not kept with their gold answers (tasks of lm-eval's own)",
}


class Rate(Record):
    """A share or mean with its 95% interval over ``n`` items; None: of nothing."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0


class ProbeSummary(Record):
    """Forced answers on one task; docs/metrics.md defines each figure."""

    task: str
    n: int = Field(description="items")
    samples: int
    cut: int = Field(description="samples whose thought had no end of its own")
    right_at: list[float] = Field(description="share of samples that are right, by cut")
    start: Rate = Field(description="right without the thought")
    end: Rate = Field(description="right after the whole thought")
    first: Rate = Field(description="share of the thought at the first right answer, where there is one")
    stable: Rate = Field(description="F*/N: from which on every answer is right, where that of the whole is")
    redundant: Rate = Field(description="1 - F*/N")
    lost: Rate = Field(description="right at some cut, not right at the end")
    gained: Rate = Field(description="not right without the thought, right at the end")
    own_agrees: Rate = Field(description="at the end right just where the run's own answer is")
    stated_within: Rate = Field(
        description="of samples with both: first right within a cut of the first right statement"
    )
    stated_later: Rate = Field(description="of the same, right first more than one cut before it is stated")


def located(spec: ModelSpec, run: Run) -> ModelSpec:
    """The model to probe with: as named, else the run's own with its serving settings. Raises Usage."""
    if spec.model:
        return spec
    if run.manifest.backend is None or ((run.folder / "done.json").exists() and not run.weights):
        raise Usage(f"{run.folder}: does not say where its model is; name it with --model")
    kept = {name: getattr(run.manifest, name, None) for name in ModelSpec.model_fields}
    kept |= {"model": run.weights} if run.weights else {}
    marks = ModelSpec(model="any").identity()
    return spec.model_copy(update={name: kept[name] for name in marks if kept[name] is not None})


def execute(
    run: Run, spec: ModelSpec, grader: Grader, folder: Path, *, tasks: Sequence[str] = (), limit: int | None = None,
    cuts: int = 10, answer_tokens: int = 512, progress: Progress = lambda done, total, tokens: None,
) -> tuple[list[ProbeSummary], dict[Left, int]]:  # fmt: skip
    """Probe a run's first ``limit`` problems of each task (default: all); writes ``probe.jsonl`` and ``probe.json``.

    Goes on from ``forced.jsonl`` in ``folder``. Gives figures by task, and how many samples were left out, by reason.
    Raises Usage for a task that the run has not, NotComparable for another model, NoRuns where nothing can be probed.
    """
    manifest = run.manifest
    if unknown := sorted(set(tasks) - set(run.tasks)):
        raise Usage(f"--tasks {', '.join(unknown)}: the run holds {', '.join(run.tasks)}")
    if manifest.model_digest is None:
        raise NoRuns(f"{run.folder}: does not say which weights drew it; evaluate its model again")
    check_writable(folder)
    problems = {(asked.task, asked.id): asked.problem() for asked in run.problems()}
    samples: list[Sample] = []
    for task in tasks or run.tasks:
        of_task = run.of(task)
        ids = {*list(dict.fromkeys(sample.problem_id for sample in of_task))[:limit]}
        samples += [sample for sample in of_task if sample.problem_id in ids]
    how = Probing(
        tags=manifest.think_tags or THINK_TAGS, prompting=Prompting(**(manifest.prompting or {})), cuts=cuts,
        answer_tokens=answer_tokens, stop=tuple(manifest.decoding.stop),
        repetition_penalty=manifest.decoding.repetition_penalty,
    )  # fmt: skip
    with opened(spec, folder) as (completer, tokenizer):
        if completer.digest != manifest.model_digest:
            raise NotComparable(
                f"{run.folder}: was drawn by a model with digest {manifest.model_digest}, {spec.model} here has "
                f"{completer.digest}; name the run's own ({manifest.model}) with --model, --backend and --dtype"
            )
        probed, left = probe(completer, tokenizer, samples, problems, how, grader, folder / "forced.jsonl", progress)
    if not probed:
        [(reason, _)] = left.most_common(1)
        raise NoRuns(f"{run.folder}: cannot be probed: {_WHY[reason]}")
    rows = [summary([one for one in probed if one.task == task]) for task in dict.fromkeys(p.task for p in probed)]
    write_rows(folder / "probe.jsonl", (one.model_dump() for one in probed))
    asked = {"cuts": cuts, "answer_tokens": answer_tokens, "limit": limit}
    record = as_data(run.name, manifest, rows, left) | asked
    write_whole(folder / "probe.json", json.dumps(record, indent=1) + "\n")
    return rows, dict(left)


def as_data(name: str, manifest: Manifest, rows: Sequence[ProbeSummary], left: dict[Left, int]) -> dict[str, Any]:
    """What ``--json`` prints; ``probe.json`` holds it too."""
    named = {"run": name, "model": manifest.model, "model_digest": manifest.model_digest, "grader": grader_version()}
    return named | {"rows": [row.model_dump() for row in rows], "left_out": dict(left)}


def summary(probed: Sequence[Probed]) -> ProbeSummary:
    """The figures of one task. Raises ValueError on nothing."""
    if not probed:
        raise ValueError("no probed samples: there are no figures")
    right = [one.right for one in probed]
    return ProbeSummary(
        task=probed[0].task,
        n=len({one.problem_id for one in probed}),
        samples=len(probed),
        cut=sum(one.cut for one in probed),
        right_at=[fmean(column) for column in zip(*right, strict=True)],
        start=_rate(probed, lambda one: one.right[0]),
        end=_rate(probed, lambda one: one.right[-1]),
        first=_mean(probed, lambda one: None if one.first is None else one.positions[one.first] / one.thought),
        stable=_mean(probed, lambda one: None if one.redundant is None else 1 - one.redundant),
        redundant=_mean(probed, lambda one: one.redundant),
        lost=_rate(probed, lambda one: any(one.right) and not one.right[-1]),
        gained=_rate(probed, lambda one: not one.right[0] and one.right[-1]),
        own_agrees=_rate(probed, lambda one: one.right[-1] == (one.own == "correct")),
        stated_within=_rate(probed, lambda one: None if (gap := cuts_apart(one)) is None else abs(gap) <= 1),
        stated_later=_rate(probed, lambda one: None if (gap := cuts_apart(one)) is None else gap < -1),
    )


def cuts_apart(one: Probed) -> int | None:
    """Cuts from the first right statement to the first right forced answer; None unless there are both.

    A statement is at the first cut that keeps all of it; negative: the forced answer is right before it is stated.
    """
    if one.stated is None or one.first is None:
        return None
    return one.first - next(i for i, position in enumerate(one.positions) if position >= one.stated)


def _by_item(probed: Sequence[Probed], value: Callable[[Probed], float | None]) -> list[list[float]]:
    items: dict[str, list[float]] = {}
    for one in probed:
        if (found := value(one)) is not None:
            items.setdefault(one.problem_id, []).append(float(found))
    return list(items.values())


def _rate(probed: Sequence[Probed], value: Callable[[Probed], float | None]) -> Rate:
    """A share over items, with its Wilson interval."""
    if not (items := _by_item(probed, value)):
        return Rate()
    low, high = item_interval(items)
    return Rate(value=mean(items), low=low, high=high, n=len(items))


def _mean(probed: Sequence[Probed], value: Callable[[Probed], float | None]) -> Rate:
    """A mean over items, with its bootstrap interval."""
    if not (items := _by_item(probed, value)):
        return Rate()
    low, high = bootstrap(items, mean, _DRAWS)
    return Rate(value=mean(items), low=low, high=high, n=len(items))
