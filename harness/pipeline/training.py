"""Training jobs: chains in, a checkpoint out. In this process, or in the several that ``launch`` starts."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import ModelError
from harness.journal import read, write_rows
from harness.pipeline.graph import Job
from harness.records import Chain

Report = Callable[[int, int, int], None]


def sft(job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> dict[str, Any]:
    """SFT on the correct chains that the job's rule picks."""
    from harness.chains.select import sft_chains
    from harness.chains.spec import SftRule
    from harness.training.train import sft as train

    params = job.params
    chosen = sft_chains(
        _chains(inputs), SftRule(rule=params["rule"], per_problem=params["per_problem"]), params["seed"]
    )
    rows = _within([(c.prompt_ids, c.token_ids) for c in chosen], job, "correct chains")
    write_rows(folder / "rows.jsonl", ({"prompt_ids": p, "completion_ids": c} for p, c in rows))
    means = {"mean_tokens": round(sum(len(c) for _, c in rows) / len(rows), 1)}
    if job.how.get("launch"):
        return means | _launched("sft", folder / "rows.jsonl", [], job, inputs, folder)
    figures = train(
        _model(job, inputs), rows, _dose(job), params["seed"], folder / "model", lambda i, n: report(i, n, 0),
        how=_how(job), about=_about(job),
    )  # fmt: skip
    return figures | means


def preference(job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> dict[str, Any]:
    """DPO in the job's variant on the pairs that its rules pick."""
    from dataclasses import replace

    from harness.chains.select import pairs
    from harness.chains.spec import PairRule
    from harness.training.objective import Objective
    from harness.training.train import preference as train

    params = job.params
    rule = PairRule(chosen=params["chosen"], prefix=params["prefix"], per_problem=params["per_problem"])
    found = pairs(_chains(inputs), rule, params["seed"])
    write_rows(folder / "pairs.jsonl", (pair.model_dump() for pair in found))
    rows = _within([(p.prompt_ids, p.chosen_ids, p.rejected_ids) for p in found], job, "pairs")
    write_rows(folder / "rows.jsonl", (dict(zip(_SIDES, row, strict=True)) for row in rows))
    objective = _objective(job)
    means = {
        "chosen_tokens": sum(len(p.chosen_ids) for p in found),
        "rejected_tokens": sum(len(p.rejected_ids) for p in found),
        "shared_tokens": sum(p.fork for p in found),
    }
    about = {name: round(total / len(found), 1) for name, total in means.items()}
    if job.how.get("launch"):
        return about | _launched("dpo", folder / "rows.jsonl", _switches(objective), job, inputs, folder)
    # Arms over the same pairs differ in the objective alone: the first one's reference serves the others.
    how = replace(_how(job), reference=folder.parent.parent / "reference")
    figures = train(
        _model(job, inputs), rows, Objective(**objective), _dose(job), params["seed"], folder / "model",
        lambda i, n: report(i, n, 0), how, _about(job),
    )  # fmt: skip
    return figures | about


_SIDES = ("prompt_ids", "chosen_ids", "rejected_ids")


def _within(rows: list[Any], job: Job, what: str) -> list[Any]:
    """Rows that the dose's ``max_tokens`` has room for. Raises ModelError when none is left."""
    most = job.params["dose"]["max_tokens"]
    kept = [row for row in rows if not most or max(len(row[0]) + len(side) for side in row[1:]) <= most]
    if not kept:
        limit = f" of at most {most} tokens" if most and rows else ""
        raise ModelError(f"no {what}{limit} to train on; search more problems, or look at the search's figures")
    return kept


def _chains(inputs: dict[str, Path]) -> list[Chain]:
    return [Chain.model_validate(row) for row in read(inputs["chains"] / "chains.jsonl")]


def _model(job: Job, inputs: dict[str, Path]) -> str:
    return str(inputs["model"] / "model") if "model" in inputs else job.path("model")


def _objective(job: Job) -> dict[str, Any]:
    switches = dict(job.params["objective"])
    return {"beta": switches.pop("beta") or job.params["dose"]["beta"], **switches}


def _dose(job: Job) -> Any:
    from harness.training.train import Dose

    told = job.params["dose"] | job.how
    return Dose(**{key: told[key] for key in ("learning_rate", "epochs", "batch_size", "warmup", "save_steps")})


def _how(job: Job) -> Any:
    from harness.training.train import How

    return How(
        lora=job.params["dose"]["lora"], precision=job.params["dose"]["precision"], micro_batch=job.how["micro_batch"],
        activation_checkpointing=job.how["recompute"],
    )  # fmt: skip


def _about(job: Job) -> dict[str, Any]:
    """What a model card says of where the model comes from."""
    return {"stage": job.name, "digest of the stage and all before it": job.digest, "data": job.params}


def _switches(objective: dict[str, Any]) -> list[str]:
    """The options of ``harness train dpo`` that mean this objective."""
    masked = {(False, False): "none", (True, False): "dpo", (False, True): "sft", (True, True): "both"}
    words = [
        "--beta", str(objective["beta"]), "--label-smoothing", str(objective["label_smoothing"]),
        "--alpha", str(objective["sft_weight"]), "--mean", objective["sft_normalization"],
        "--mask-prefix", masked[objective["mask_prefix_dpo"], objective["mask_prefix_sft"]],
    ]  # fmt: skip
    return [*words, "--length-normalized"] if objective["length_normalized"] else words


def _launched(
    command: str, data: Path, switches: list[str], job: Job, inputs: dict[str, Path], folder: Path
) -> dict[str, Any]:
    """The same training as ``LAUNCH -m harness train ...``, which goes on from its checkpoints like any other.

    Raises ModelError when the program fails or is not there.
    """
    dose, how = job.params["dose"], job.how
    words = [
        *shlex.split(how["launch"]), "-m", "harness", "train", command, "--model", _model(job, inputs),
        "--data", str(data), "--out", str(folder / "model"), "--seed", str(job.params["seed"]),
        "--learning-rate", str(dose["learning_rate"]), "--epochs", str(dose["epochs"]),
        "--batch-size", str(dose["batch_size"]), "--warmup", str(dose["warmup"]), "--lora", str(dose["lora"]),
        "--precision", dose["precision"], "--micro-batch", str(how["micro_batch"]),
        "--save-steps", str(how["save_steps"]), "--json", *switches,
    ]  # fmt: skip
    if how["recompute"]:
        words.append("--recompute")
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=sys.stderr, text=True, check=False)  # noqa: S603
    except OSError as error:
        raise ModelError(f"launch {how['launch']!r}: {error}") from None
    if done.returncode:
        raise ModelError(f"launch {how['launch']!r}: the training ended with {done.returncode}")
    return dict(json.loads(done.stdout[done.stdout.index("{") :]))
