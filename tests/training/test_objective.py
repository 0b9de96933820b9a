"""The objectives against an independent NumPy computation, switch by switch, and what masking the prefix changes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.training.objective import Masks, Totals, preference_loss, sft_loss
from harness.training.spec import Objective

switches = st.builds(
    Objective,
    beta=st.floats(0.01, 2),
    label_smoothing=st.sampled_from((0.0, 0.1, 0.4)),
    sft_weight=st.sampled_from((0.0, 0.5, 1.5)),
    sft_normalization=st.sampled_from(("sequence_mean", "token_mean")),
    mask_prefix=st.sampled_from(("none", "dpo", "sft", "both")),
    length_normalized=st.booleans(),
)
ALL_32 = [
    Objective(beta=0.3, label_smoothing=e, sft_weight=alpha, mask_prefix=masked, length_normalized=normalized)
    for e in (0.0, 0.1) for alpha in (0.0, 1.5) for masked in ("none", "dpo", "sft", "both")
    for normalized in (False, True)
]  # fmt: skip


class Batch:
    """Random log-probs of pairs with ragged lengths and shared prefixes, as plain lists of what counts where."""

    def __init__(self, seed: int, pairs: int = 4, width: int = 14) -> None:
        rng = np.random.default_rng(seed)
        self.pairs, shape = pairs, (2 * pairs, width)
        self.policy, self.reference = rng.normal(-1, 0.5, shape), rng.normal(-1, 0.5, shape)
        self.completion, self.shared = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
        for i in range(pairs):
            start, fork = rng.integers(0, 4), rng.integers(0, 5)
            for row in (i, pairs + i):
                end = rng.integers(start + fork + 1, width + 1)
                self.completion[row, start:end] = True
                self.shared[row, start : start + fork] = True

    def rows(self, which: slice) -> Batch:
        """A micro-batch of some of the pairs."""
        part = Batch.__new__(Batch)
        index = np.r_[np.arange(self.pairs)[which], self.pairs + np.arange(self.pairs)[which]]
        part.pairs = len(index) // 2
        for name in ("policy", "reference", "completion", "shared"):
            setattr(part, name, getattr(self, name)[index])
        return part

    def loss(self, objective: Objective, totals: Totals | None = None):
        logps = torch.tensor(self.policy, requires_grad=True)
        masks = Masks(completion=torch.tensor(self.completion), shared=torch.tensor(self.shared))
        value, parts = preference_loss(logps, torch.tensor(self.reference), masks, objective, totals)
        value.backward()
        return float(value.detach()), logps.grad.numpy(), parts


def by_hand(b: Batch, o: Objective) -> float:
    """The paper's formula, one pair and one token at a time."""
    preference, nlls = 0.0, []
    for i in range(b.pairs):
        ratio = {}
        for side, row in (("chosen", i), ("rejected", b.pairs + i)):
            at = [
                t for t in range(b.policy.shape[1])
                if b.completion[row, t] and not (o.masks_dpo and b.shared[row, t])
            ]  # fmt: skip
            ratio[side] = sum(b.policy[row, t] - b.reference[row, t] for t in at)
            if o.length_normalized:
                ratio[side] /= max(len(at), 1)
        m = o.beta * (ratio["chosen"] - ratio["rejected"])
        preference += (1 - o.label_smoothing) * math.log1p(math.exp(-m)) + o.label_smoothing * math.log1p(math.exp(m))
        nlls.append([
            -b.policy[i, t] for t in range(b.policy.shape[1])
            if b.completion[i, t] and not (o.masks_sft and b.shared[i, t])
        ])  # fmt: skip
    if o.sft_normalization == "token_mean":
        sft = sum(map(sum, nlls)) / sum(map(len, nlls))
    else:
        sft = sum(sum(row) / len(row) for row in nlls) / b.pairs
    return preference / b.pairs + o.sft_weight * sft


@pytest.mark.parametrize("objective", ALL_32)
def test_equals_numpy_in_every_combination_of_switches(objective):
    for seed in range(3):
        batch = Batch(seed)
        assert batch.loss(objective)[0] == pytest.approx(by_hand(batch, objective), abs=1e-6)


@given(switches, st.integers(0, 10_000))
def test_equals_numpy_for_any_weights(objective, seed):
    batch = Batch(seed)
    assert batch.loss(objective)[0] == pytest.approx(by_hand(batch, objective), abs=1e-6)


@given(switches, st.integers(0, 10_000), st.integers(1, 3))
def test_any_split_into_micro_batches_adds_up_to_the_whole(objective, seed, cut):
    """Loss, gradient and every logged term of the parts sum to those of the whole batch."""
    whole = Batch(seed)
    masks = Masks(completion=torch.tensor(whole.completion), shared=torch.tensor(whole.shared))
    totals = Totals(sequences=whole.pairs, tokens=masks.sft(objective).sum())
    value, gradient, parts = whole.loss(objective)
    split = [whole.rows(slice(0, cut)).loss(objective, totals), whole.rows(slice(cut, None)).loss(objective, totals)]
    assert sum(part[0] for part in split) == pytest.approx(value, abs=1e-9)
    index = np.r_[0:cut, whole.pairs : whole.pairs + cut]
    assert np.allclose(split[0][1], gradient[index])
    for name, term in parts.items():
        assert sum(float(p[2][name].detach()) for p in split) == pytest.approx(float(term.detach()), abs=1e-6)


def test_sft_means_differ_in_what_a_long_chain_weighs():
    logps = torch.tensor([[-1.0, 0.0, 0.0, 0.0], [-2.0, -2.0, -2.0, -2.0]])
    mask = torch.tensor([[1, 0, 0, 0], [1, 1, 1, 1]]).bool()
    assert float(sft_loss(logps, mask, "sequence_mean")) == pytest.approx(1.5)
    assert float(sft_loss(logps, mask, "token_mean")) == pytest.approx(9 / 5)


@settings(max_examples=50)
@given(switches, st.integers(0, 10_000))
def test_masking_the_prefix_cancels_in_summed_dpo_alone(objective, seed):
    """In a causal model a shared token has one log-prob in both rows and learns from the sum of their gradients."""
    batch = Batch(seed)
    for i in range(batch.pairs):
        for name in ("policy", "reference"):
            values = getattr(batch, name)
            values[batch.pairs + i] = np.where(batch.shared[i], values[i], values[batch.pairs + i])

    def learnt(masked: bool):
        terms = {(False, False): "none", (True, False): "dpo", (False, True): "sft", (True, True): "both"}
        mask_prefix = terms[masked, objective.masks_sft]
        value, gradient, _ = batch.loss(objective.model_copy(update={"mask_prefix": mask_prefix}))
        both = np.where(batch.shared[: batch.pairs], gradient[: batch.pairs] + gradient[batch.pairs :], 0)
        own = np.where(batch.shared, 0, gradient)
        return value, np.concatenate([both.ravel(), own.ravel()])

    plain, masked = learnt(False), learnt(True)
    if not objective.length_normalized:
        assert plain[0] == pytest.approx(masked[0], abs=1e-9)
        assert np.abs(plain[1] - masked[1]).max() < 1e-9
    elif batch.shared.any():
        assert np.abs(plain[1] - masked[1]).max() > 1e-6


def test_switches_out_of_range_are_named():
    with pytest.raises(ValueError, match="label_smoothing"):
        Objective(label_smoothing=0.5)
    with pytest.raises(ValueError, match="beta"):
        Objective(beta=0)
