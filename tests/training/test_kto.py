"""KTO: the loss of the paper in float64, however a step is split; which completion estimates which divergence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import TrainingError
from harness.training.batches import passes
from harness.training.kto import kto_rows, trainer_of
from harness.training.spec import KtoObjective, TrainingJob, TrainingSpec
from harness.training.train import train
from tests.training.test_online import answer_to, float64, log_probs

ROWS = [([40 + n, 60, 61 + n], answer_to(n)[: 3 + n], n % 3 > 0) for n in range(8)]
OBJECTIVE = KtoObjective(beta=0.3, desirable=1.3, undesirable=0.8)


@given(st.integers(1, 40), st.floats(0.1, 4), st.integers(1, 9), st.integers(0, 5))
def test_passes_are_permutations_in_whole_batches(rows, epochs, batch, seed):
    order = passes(rows, epochs, batch, seed)
    assert len(order) % batch == 0
    assert rows * epochs <= len(order) + 1e-6 < max(rows * epochs, 1e-6) + batch + 1e-5
    for at in range(0, len(order), rows):
        part = order[at : at + rows]
        assert len({*part}) == len(part)
    assert order == passes(rows, epochs, batch, seed)


@given(st.integers(2, 6), st.floats(0.5, 3), st.integers(0, 3))
def test_completions_move_on_by_one_within_a_batch(batch, epochs, seed):
    rows = kto_rows(ROWS, epochs, batch, seed)
    for at in range(0, len(rows), batch):
        part = rows[at : at + batch]
        assert [row["KL_completion_ids"] for row in part[1:]] == [row["completion_ids"] for row in part[:-1]]
        assert part[0]["KL_completion_ids"] == part[-1]["completion_ids"]


def trained(student, out, micro, rows=ROWS):
    spec = TrainingSpec(learning_rate=1e-4, epochs=2, batch_size=8, micro_batch=micro, warmup=0)
    job = TrainingJob(model=student, data=Path("in memory"), out=out, training=spec, objective=OBJECTIVE, keep=[0.5])
    train(job, rows, maker=trainer_of)
    return [line for line in map(json.loads, (out / "training.jsonl").read_text().splitlines()) if "loss" in line]


def summed(model, prompt, completion):
    values = log_probs(model, prompt, completion)
    return values[np.arange(len(completion)), completion].sum()


def test_the_loss_is_the_papers_whatever_the_passes(student, tmp_path):
    """arXiv 2402.01306, equations 7 and 8: of the second step, before which the model has left the reference."""
    whole, split = trained(student, tmp_path / "whole", 0), trained(student, tmp_path / "split", 2)
    assert whole[0]["loss"] == pytest.approx(np.mean([1.3 if label else 0.8 for *_, label in ROWS]) / 2, rel=1e-5)
    policy, reference = float64(tmp_path / "whole@0.5"), float64(student)
    batch = kto_rows(ROWS, 2, 8, 0)[8:]

    def ratio(row, side):
        return summed(policy, row["prompt_ids"], row[side]) - summed(reference, row["prompt_ids"], row[side])

    z0 = max(0.0, np.mean([ratio(row, "KL_completion_ids") for row in batch]))
    assert z0 > 0.01  # else it would not matter here
    values = []
    for row in batch:
        margin = OBJECTIVE.beta * (ratio(row, "completion_ids") - z0)
        weight, side = (1.3, margin) if row["label"] else (0.8, -margin)
        values.append(weight * (1 - 1 / (1 + np.exp(-side))))
    assert whole[1]["loss"] == pytest.approx(np.mean(values), rel=1e-4)
    assert whole[1]["kl"] == pytest.approx(z0, rel=1e-3)
    for step, other in zip(whole, split, strict=True):
        assert step["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert step["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)
        assert step["tokens/rows"] == other["tokens/rows"]


def test_rows_that_kto_cannot_use_are_one_line(student, tmp_path):
    with pytest.raises(TrainingError, match="desirable and undesirable rows"):
        trained(student, tmp_path / "a", 0, [row for row in ROWS if row[2]])
    with pytest.raises(TrainingError, match="2 rows a pass or more"):
        trained(student, tmp_path / "b", 1)
