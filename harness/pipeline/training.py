"""Training stages: chains in, a checkpoint out. In this process, or in the several that a launcher starts."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from harness.chains.select import pairs, sft_chains
from harness.chains.spec import PairRule, SftRule
from harness.errors import ModelError, TrainingError
from harness.journal import read_records, write_rows, write_whole
from harness.records import Chain
from harness.training.spec import Objective, SftObjective, TrainingFigures, TrainingJob, TrainingSpec

Progress = Callable[[int, int], None]  # (step, steps in all)


def train_sft(
    *, chains: Path, model: str, folder: Path, training: TrainingSpec, seed: int, rule: SftRule, launch: str = "",
    about: dict[str, JsonValue] | None = None, progress: Progress = lambda step, total: None,
) -> dict[str, JsonValue]:  # fmt: skip
    """SFT of ``model`` on the correct chains of the file ``chains`` that ``rule`` picks; the stage's figures.

    The model stands in ``folder/model``, its rows beside it. Raises ModelError where no chain is left.
    """
    chosen = sft_chains(read_records(chains, Chain), rule, seed)
    columns = ("prompt_ids", "completion_ids")
    rows = _fitting([(c.prompt_ids, c.token_ids) for c in chosen], training.max_tokens, "correct chains")
    write_rows(folder / "rows.jsonl", (dict(zip(columns, row, strict=True)) for row in rows))
    job = TrainingJob(
        model=model, data=folder / "rows.jsonl", out=folder / "model", seed=seed, training=training,
        objective=SftObjective(), about=about or {},
    )  # fmt: skip
    figures = _run(job, launch, folder, progress).model_dump(exclude_none=True)
    return figures | {"mean_tokens": round(sum(len(completion) for _, completion in rows) / len(rows), 1)}


def train_preference(
    *, chains: Path, model: str, folder: Path, training: TrainingSpec, objective: Objective, seed: int,
    rule: PairRule, reference: Path | None = None, launch: str = "", about: dict[str, JsonValue] | None = None,
    progress: Progress = lambda step, total: None,
) -> dict[str, JsonValue]:  # fmt: skip
    """Preference training on the pairs of the file ``chains`` that the rules pick; the stage's figures.

    ``reference``: where the reference's log-probs are kept, so that arms over the same pairs compute them once.
    """
    picked = pairs(read_records(chains, Chain), rule, seed)
    write_rows(folder / "pairs.jsonl", (pair.model_dump() for pair in picked))
    columns = ("prompt_ids", "chosen_ids", "rejected_ids")
    rows = _fitting([(p.prompt_ids, p.chosen_ids, p.rejected_ids) for p in picked], training.max_tokens, "pairs")
    write_rows(folder / "rows.jsonl", (dict(zip(columns, row, strict=True)) for row in rows))
    job = TrainingJob(
        model=model, data=folder / "rows.jsonl", out=folder / "model", seed=seed, training=training,
        objective=objective, reference=reference, about=about or {},
    )  # fmt: skip
    totals = {
        "chosen_tokens": sum(len(p.chosen_ids) for p in picked),
        "rejected_tokens": sum(len(p.rejected_ids) for p in picked),
        "shared_tokens": sum(p.fork for p in picked),
    }
    means = {name: round(total / len(picked), 1) for name, total in totals.items()}
    return _run(job, launch, folder, progress).model_dump(exclude_none=True) | means


def _fitting(rows: Sequence[Any], longest: int, what: str) -> list[Any]:
    """Rows of at most ``longest`` tokens (0: any). Raises ModelError when none is left."""
    kept = [row for row in rows if not longest or max(len(row[0]) + len(side) for side in row[1:]) <= longest]
    if not kept:
        limit = f" of at most {longest} tokens" if longest and rows else ""
        raise ModelError(f"no {what}{limit} to train on; search more problems, or look at the search's figures")
    return kept


def _run(job: TrainingJob, launch: str, folder: Path, progress: Progress) -> TrainingFigures:
    """The training in this process, or as ``LAUNCH -m harness train job FILE`` in those that the launcher starts.

    Launched or not, it goes on from its checkpoints, and ends with this process. Raises TrainingError, ModelError.
    """
    from harness.processes import run_kept
    from harness.training.checkpoints import finished
    from harness.training.train import run

    if not launch.strip():
        return run(job, progress)
    try:
        words = shlex.split(launch)
    except ValueError as error:
        raise ModelError(f"launch {launch!r}: {error}") from None
    if shutil.which(words[0]) is None:
        raise ModelError(f"launch {launch!r}: there is no program {words[0]}")
    file = folder / "job.json"
    write_whole(file, job.model_dump_json(indent=1))
    code = run_kept([*words, "-m", "harness", "train", "job", str(file)])
    figures = finished(job.out)
    if code or figures is None:
        raise TrainingError(f"launch {launch!r}: the training ended with {code}; its log says why")
    return figures
