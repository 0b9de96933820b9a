"""The embedded family's student at 14 million parameters, trained from random weights by ``harness``'s own SFT.

The whole way of a training: worked chains of the embedded problems, batches, steps, the finished model's folder. The
loss must fall.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu_parts.training import peak_mib, start_peak
from harness.journal import read
from harness.models.loading import load_tokenizer, resolve
from harness.problems.embedded import FAMILIES, draw, worked
from harness.training.batches import Row
from harness.training.spec import SftObjective, TrainingJob, TrainingSpec
from harness.training.tiny import IGNORE, SPECS, build_model, encode
from harness.training.train import train


def rows_of(tokenizer: Any, count: int) -> list[Row]:
    """(prompt, chain): the chains' faults are trained on here, for the loss is all that is looked at."""
    rng, out = random.Random(0), list[Row]()
    for number in range(count):
        problem = draw(list(FAMILIES)[number % len(FAMILIES)], rng, rng.choice((1, 2, 3)), "pretrain")
        ids, labels = encode(tokenizer, problem, worked.chain(problem, rng, worked.GENERATOR))
        start = next(at for at, label in enumerate(labels) if label != IGNORE)
        out.append((ids[:start], ids[start:]))
    return out


def trained(quick: bool) -> dict[str, Any]:
    count, batch, epochs = (64, 16, 8) if quick else (6400, 64, 3)
    size = {"hidden": 32, "layers": 2, "intermediate": 64, "heads": 2, "kv_heads": 2}
    if not quick:
        size = {"hidden": 384, "layers": 6, "intermediate": 1536, "heads": 6, "kv_heads": 6}
    tokenizer, marks = load_tokenizer(resolve("shipped:student")), list[float]()
    model = build_model(replace(SPECS["student"], **size), tokenizer)  # type: ignore[arg-type]
    rows = rows_of(tokenizer, count)
    spec = TrainingSpec(learning_rate=3e-3 if quick else 1e-3, epochs=epochs, batch_size=batch, save_steps=10**6)
    start_peak()
    with tempfile.TemporaryDirectory() as folder:
        start, out = Path(folder) / "start", Path(folder) / "out"
        model.save_pretrained(start)
        tokenizer.save_pretrained(start)
        job = TrainingJob(model=str(start), data=start, out=out, seed=0, training=spec, objective=SftObjective())
        figures = train(job, rows, lambda step, total: marks.append(time.perf_counter()))
        losses = [row["loss"] for row in read(out / "training.jsonl") if "loss" in row]
    few = max(len(losses) // 20, 1)
    first, last = (sum(part) / few for part in (losses[:few], losses[-few:]))
    tokens = figures.tokens_in_rows * (len(marks) - 1) / figures.steps  # the first step is in no time
    out_of = {
        "parameters": model.num_parameters(), "steps": figures.steps, "first_loss": first, "last_loss": last,
        "tokens_per_second": tokens / (marks[-1] - marks[0]), "step_seconds": (marks[-1] - marks[0]) / (len(marks) - 1),
        "peak_mib": peak_mib(),
    }  # fmt: skip
    return out_of | ({} if last < 0.9 * first else {"fault": "the loss did not fall"})


def measurements(quick: bool) -> dict[str, Callable[[], dict[str, Any]]]:
    return {"sft of the student's shape": partial(trained, quick)}
