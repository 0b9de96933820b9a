"""``harness train``: SFT and preference training of any causal language model on searched chains."""

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
from harness.processes import follow_launcher
from harness.spec import Spec, knob
from harness.training.data import TrainingRows, read_rows
from harness.training.spec import Objective, SftObjective, TrainingJob, TrainingSpec, TrainingTask
from harness.view import recipes as view

# Threads that spin while they wait stand still where others use the machine, too. Set before torch is loaded; not for
# generation: its steps are so short that waiting without spinning halves its speed.
_PASSIVE = ("OMP_WAIT_POLICY", "PASSIVE")
_FIRST = os.environ.get("RANK", "0") == "0"  # of the processes of a training; it alone reports


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


def job(file: Annotated[Path, Argument(help="A training as JSON, as a recipe with 'launch' writes it.")]) -> None:
    """Train as a file says; the figures stand in training.json of the model's folder."""
    follow_launcher()
    work = read_record(file, TrainingJob)
    os.environ.setdefault(*_PASSIVE)
    from harness.training.train import run

    run(work, _progress)


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
    chosen = rows.rows[:: max(len(rows.rows) // limit, 1)][:limit]
    lines = gradient_table(path, resolve(reference or model), chosen, beta=objective.beta)
    show(view.masks(len(chosen), lines), "md" if markdown else "table", as_json)


def _train(
    task: TrainingTask, kind: Literal["sft", "pairs"], objective: Objective | SftObjective, training: TrainingSpec,
    reading: Reading, as_json: bool,
) -> None:  # fmt: skip
    path, rows = _read(task.model, task.data, kind, training.max_tokens, reading.too_long)
    from harness.training.train import train

    about: dict[str, JsonValue] = {"data": f"{task.data} ({kind}, digest {rows.digest})"}
    about["left_out"] = {**rows.left_out} if rows.left_out else "nothing"
    job = TrainingJob(**task.model_dump() | {"model": path}, training=training, objective=objective, about=about)
    figures = train(job, rows.rows, _progress)
    if _FIRST:
        shown = figures.model_dump(exclude_none=True) | objective.model_dump(include={"length_normalized"})
        show(view.trained(shown, task.out), as_json=as_json)


def _read(
    model: str, data: Path, kind: Literal["sft", "pairs"], max_tokens: int, too_long: Literal["drop", "stop"]
) -> tuple[str, TrainingRows]:
    """The model's path and the rows; what was left out is reported on stderr."""
    os.environ.setdefault(*_PASSIVE)
    path = trainable(resolve(model))
    rows = read_rows(data, kind, options.tokenizer_of(path), max_tokens or context_length(path), too_long)
    if _FIRST:
        for text, number in (rows.left_out + rows.notes).items():
            complain(f"{number:,} {text}" + (" left out" if text in rows.left_out else ""))
    return path, rows


def _progress(step: int, total: int) -> None:
    """A line on stderr about every twentieth of the steps; a terminal gets one line that is rewritten."""
    if sys.stderr.isatty():
        print(f"\rstep {step:,} of {total:,}", end="\n" if step == total else "", file=sys.stderr, flush=True)
    elif step == total or step % max(total // 20, 1) == 0:
        print(f"step {step:,} of {total:,}", file=sys.stderr, flush=True)


app = options.group(sft, dpo, masks)
app.command("job", hidden=True)(job)
