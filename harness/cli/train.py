"""``harness train``: training of any causal language model on searched chains, or on its own answers to problems."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import JsonValue
from typer import Argument, Option

from harness.cli import options
from harness.cli.options import Json, complain, show
from harness.cli.specs import Options
from harness.files import read_record
from harness.models.loading import context_length, resolve
from harness.models.places import trainable
from harness.problems.load import Problems, Source
from harness.processes import follow_launcher
from harness.spec import Spec, knob
from harness.training.data import Kind, TrainingRows, asked_rows, read_rows
from harness.training.spec import (
    AnyObjective,
    GrpoObjective,
    KtoObjective,
    Objective,
    OpdObjective,
    SftObjective,
    TrainingJob,
    TrainingSpec,
    TrainingTask,
)
from harness.view import recipes as view

# Threads that spin while they wait stand still where others use the machine, too. Set before torch is loaded; not for
# generation: its steps are so short that waiting without spinning halves its speed.
_PASSIVE = ("OMP_WAIT_POLICY", "PASSIVE")
_FIRST = os.environ.get("RANK", "0") == "0"  # of the processes of a training; it alone reports


_OF_CHAINS = ("term_norms", "trees", "layout")  # knobs of trainings on chains
_NO_DATA = {"data": Path("-")}  # problems are given instead


class Reading(Spec):
    """What becomes of rows that do not fit."""

    too_long: Literal["drop", "stop"] = knob("drop", "Longer rows")


def sft(
    task: TrainingTask,
    training: Annotated[TrainingSpec, Options(skip=("term_norms",))],
    objective: SftObjective,
    reading: Reading,
    as_json: Json = False,
) -> None:
    """Supervised fine-tuning on completions. Under 'accelerate launch -m harness train sft ...' on many devices."""
    _train(task, "sft", objective, training, reading, as_json)


def dpo(
    task: TrainingTask,
    training: Annotated[TrainingSpec, Options(defaults={"learning_rate": 5e-7})],
    objective: Objective,
    reading: Reading,
    as_json: Json = False,
) -> None:
    """DPO and its kin (cDPO, SimPO, LD-DPO); the reference is the model itself."""
    _train(task, "pairs", objective, training, reading, as_json)


def kto(
    task: TrainingTask,
    training: Annotated[TrainingSpec, Options(skip=_OF_CHAINS, defaults={"learning_rate": 1e-6})],
    objective: KtoObjective,
    reading: Reading,
    as_json: Json = False,
) -> None:
    """KTO on chains that are desirable or not, each by itself: an export's 'verified', or TRL's unpaired format."""
    _train(task, "verified", objective, training, reading, as_json)


def grpo(
    task: Annotated[TrainingTask, Options(skip=("data",), defaults=_NO_DATA)],
    training: Annotated[TrainingSpec, Options(skip=_OF_CHAINS, defaults={"learning_rate": 1e-6})],
    objective: GrpoObjective,
    source: Annotated[Source, Options(panel="Problems")],
    as_json: Json = False,
) -> None:
    """GRPO on the model's own answers: the graders' verdicts are the reward; --batch-size counts problems."""
    _train_online(task, objective, training, source, as_json)


def opd(
    task: Annotated[TrainingTask, Options(skip=("data",), defaults=_NO_DATA)],
    teacher: Annotated[str, Option(help="A model of the same vocabulary.")],
    training: Annotated[TrainingSpec, Options(skip=_OF_CHAINS, defaults={"learning_rate": 1e-6})],
    objective: OpdObjective,
    source: Annotated[Source, Options(panel="Problems")],
    as_json: Json = False,
) -> None:
    """On-policy distillation: a teacher's distribution at every token of the model's own answers (reverse KL)."""
    _train_online(task, objective, training, source, as_json, resolve(teacher))


def job(file: Annotated[Path, Argument(help="A training as JSON, as a recipe with 'launch' writes it.")]) -> None:
    """Train as a file says; the figures stand in training.json of the model's folder."""
    follow_launcher()
    work = read_record(file, TrainingJob)
    os.environ.setdefault(*_PASSIVE)
    from harness.training.makers import maker_of
    from harness.training.train import run

    run(work, _progress, maker_of(work.objective))


def masks(
    model: Annotated[str, Option(help="A path, hub name or shipped:NAME.")],
    data: Annotated[Path, Option(help="Preference pairs, as for dpo.")],
    objective: Annotated[Objective, Options(only=("beta",))],
    reference: Annotated[str | None, Option(help="The reference model; default: the model itself.")] = None,
    limit: Annotated[int, Option(help="Pairs, evenly spaced.", min=1)] = 64,
    markdown: Annotated[bool, Option("--markdown", help="A Markdown table.")] = False,
    as_json: Json = False,
) -> None:
    """When masking the prefix shared by chosen and rejected changes the gradient, and when it cancels."""
    from harness.training.masks import gradient_table

    path, rows = _read(model, data, "pairs", 0, "drop")
    _complain(rows)
    chosen = rows.rows[:: max(len(rows.rows) // limit, 1)][:limit]
    lines = gradient_table(path, resolve(reference or model), chosen, beta=objective.beta)
    show(view.masks(len(chosen), lines), "md" if markdown else "table", as_json)


def _train(
    task: TrainingTask, kind: Kind, objective: AnyObjective, training: TrainingSpec, reading: Reading, as_json: bool
) -> None:
    path, rows = _read(task.model, task.data, kind, training.max_tokens, reading.too_long)
    _finish(task, path, kind, rows, objective, training, as_json)


def _train_online(
    task: TrainingTask, objective: OpdObjective | GrpoObjective, training: TrainingSpec, source: Source, as_json: bool,
    teacher: str | None = None,
) -> None:  # fmt: skip
    os.environ.setdefault(*_PASSIVE)
    path, test = trainable(resolve(task.model)), "these are its test problems; do not train on what you will test on"
    problems = Problems(source, warn=lambda name: complain(f"{name}: {test}"))
    room = training.max_tokens or context_length(path)
    rows = asked_rows(problems, options.tokenizer_of(path), objective.answer_tokens, room)
    data = source.problems or Path(source.tasks)
    _finish(task.model_copy(update={"data": data}), path, "problems", rows, objective, training, as_json, teacher)


def _finish(
    task: TrainingTask, path: str, kind: str, rows: TrainingRows, objective: AnyObjective, training: TrainingSpec,
    as_json: bool, teacher: str | None = None,
) -> None:  # fmt: skip
    """Say what was left out, train, and show the figures."""
    _complain(rows)
    from harness.training.makers import maker_of
    from harness.training.train import train

    about: dict[str, JsonValue] = {"data": f"{task.data} ({kind}, digest {rows.digest})"}
    about["left_out"] = {**rows.left_out} if rows.left_out else "nothing"
    job = TrainingJob(
        **task.model_dump() | {"model": path}, training=training, objective=objective, about=about, teacher=teacher
    )
    figures = train(job, rows.rows, _progress, maker_of(objective))
    if _FIRST:
        shown = figures.model_dump(exclude_none=True) | objective.model_dump(include={"length_normalized"})
        show(view.trained(shown, task.out), as_json=as_json)


def _read(
    model: str, data: Path, kind: Kind, max_tokens: int, too_long: Literal["drop", "stop"]
) -> tuple[str, TrainingRows]:
    """The model's path and the rows."""
    os.environ.setdefault(*_PASSIVE)
    path = trainable(resolve(model))
    return path, read_rows(data, kind, options.tokenizer_of(path), max_tokens or context_length(path), too_long)


def _complain(rows: TrainingRows) -> None:
    if _FIRST:
        for text, number in (rows.left_out + rows.notes).items():
            complain(f"{number:,} {text}" + (" left out" if text in rows.left_out else ""))


def _progress(step: int, total: int) -> None:
    """A line on stderr about every twentieth of the steps; a terminal gets one line that is rewritten."""
    if sys.stderr.isatty():
        print(f"\rstep {step:,} of {total:,}", end="\n" if step == total else "", file=sys.stderr, flush=True)
    elif step == total or step % max(total // 20, 1) == 0:
        print(f"step {step:,} of {total:,}", file=sys.stderr, flush=True)


app = options.group(sft, dpo, kto, grpo, opd, masks)
app.command("job", hidden=True)(job)
