"""The objectives and their gradients against NumPy and TRL, switch by switch, and what masking the prefix changes."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.training.objective import Masks, Totals, preference_loss, sft_loss
from harness.training.spec import Objective
from tests.training.trained import changed

switches = st.builds(
    Objective,
    beta=st.floats(0.01, 2),
    label_smoothing=st.sampled_from((0.0, 0.1, 0.4)),
    sft_weight=st.sampled_from((0.0, 0.5, 1.5)),
    sft_normalization=st.sampled_from(("sequence_mean", "token_mean")),
    mask_prefix=st.sampled_from(("none", "dpo", "sft", "both")),
    length_normalized=st.booleans(),
)
free = st.builds(  # log-probs in the place of log-ratios, and a margin to exceed
    lambda objective, gamma: changed(objective, reference_free=True, gamma=gamma), switches, st.floats(0, 3)
)
lengthy = st.builds(  # tokens past the shorter length count less
    lambda objective, weight, gamma: changed(objective, length_normalized=False, ld_alpha=weight, gamma=gamma),
    switches | free, st.sampled_from((0.0, 0.3, 0.9)), st.sampled_from((0.0, 1.5)),
)  # fmt: skip
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
        reference = None if objective.reference_free else torch.tensor(self.reference)
        value, parts = preference_loss(logps, reference, masks, objective, totals)
        value.backward()
        return float(value.detach()), logps.grad.numpy(), parts


def by_hand(b: Batch, o: Objective) -> float:
    """The papers' formulas, one pair and one token at a time."""
    preference, nlls = 0.0, []
    for i in range(b.pairs):
        ratio, starts = {}, {}
        shorter = min(b.completion[i].sum(), b.completion[b.pairs + i].sum())
        for side, row in (("chosen", i), ("rejected", b.pairs + i)):
            at = [
                t for t in range(b.policy.shape[1])
                if b.completion[row, t] and not (o.masks_dpo and b.shared[row, t])
            ]  # fmt: skip
            starts[side] = int(np.argmax(b.completion[row]))
            ratio[side] = sum(
                (o.ld_alpha if t - starts[side] >= shorter else 1)
                * (b.policy[row, t] - (0 if o.reference_free else b.reference[row, t]))
                for t in at
            )
            if o.length_normalized:
                ratio[side] /= max(len(at), 1)
        m = o.beta * (ratio["chosen"] - ratio["rejected"]) - o.gamma
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


@given(switches | free | lengthy, st.integers(0, 10_000))
def test_equals_numpy_for_any_weights(objective, seed):
    batch = Batch(seed)
    assert batch.loss(objective)[0] == pytest.approx(by_hand(batch, objective), abs=1e-9)


@settings(max_examples=15)
@given(switches | free | lengthy, st.integers(0, 10_000))
def test_the_gradient_is_the_slope_of_the_formula(objective, seed):
    batch, step = Batch(seed, pairs=2, width=8), 1e-5
    _, gradient, _ = batch.loss(objective)
    for at in np.ndindex(*batch.policy.shape):
        ends = []
        for sign in (1, -1):
            batch.policy[at] += sign * step
            ends.append(by_hand(batch, objective))
            batch.policy[at] -= sign * step
        assert gradient[at] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-8)


@given(st.floats(0.5, 3), st.floats(0, 2), st.sampled_from((0.0, 0.1)), st.integers(0, 10_000))
def test_simpo_is_what_trl_has(beta, gamma, epsilon, seed):
    from trl.experimental.cpo import CPOTrainer

    batch, trainer = Batch(seed), SimpleNamespace(
        loss_type="simpo", beta=beta, simpo_gamma=gamma, label_smoothing=epsilon, alpha=0.0,
        accelerator=SimpleNamespace(device="cpu"),
    )  # fmt: skip
    logps = torch.tensor(batch.policy, requires_grad=True)
    mask = torch.tensor(batch.completion)
    theirs, _, _ = CPOTrainer.cpo_loss(trainer, *((logps * mask).sum(1) / mask.sum(1)).chunk(2))
    theirs.mean().backward()
    simpo = Objective(
        beta=beta, gamma=gamma, label_smoothing=epsilon, reference_free=True, length_normalized=True
    )  # fmt: skip
    value, gradient, parts = batch.loss(simpo)
    assert value == pytest.approx(float(theirs.mean().detach()), abs=1e-9)
    assert np.allclose(gradient, logps.grad.numpy(), atol=1e-9)
    assert not {"chosen_change", "rejected_change"} & set(parts)  # there is nothing that they could have moved from


@given(lengthy, st.integers(0, 10_000))
def test_where_tokens_past_the_shorter_length_count_less_the_log_still_tells_of_whole_chains(objective, seed):
    batch = Batch(seed)
    objective = changed(objective, reference_free=False)
    counted, plain = (batch.loss(changed(objective, ld_alpha=weight))[2] for weight in (objective.ld_alpha, 1))
    for name in ("chosen_change", "rejected_change", "logps/chosen", "logps/rejected"):
        assert float(counted[name]) == pytest.approx(float(plain[name]), abs=1e-9)


@given(st.integers(0, 10_000), st.sampled_from(("token_mean", "sequence_mean")))
def test_dft_and_its_gradient_on_the_logits(seed, mean):
    """By hand from random logits: a token with probability p learns p times what SFT gives it (arXiv 2508.05629)."""
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(3, 6, 5)), rng.integers(0, 5, (3, 6))
    mask = np.arange(6) < rng.integers(1, 7, (3, 1))
    raw = torch.tensor(logits, requires_grad=True)
    logps = raw.log_softmax(-1).gather(-1, torch.tensor(labels)[..., None])[..., 0]
    value = sft_loss(logps, torch.tensor(mask), mean, dft=True)
    value.backward()
    softmax = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    loss, slope = 0.0, np.zeros_like(logits)
    for row, at in zip(*np.nonzero(mask), strict=True):
        p = softmax[row, at, labels[row, at]]
        weight = p / (mask.sum() if mean == "token_mean" else mask[row].sum() * len(mask))
        loss -= weight * math.log(p)
        slope[row, at] = weight * (softmax[row, at] - np.eye(5)[labels[row, at]])
    assert float(value.detach()) == pytest.approx(loss, abs=1e-9)
    assert np.allclose(raw.grad.numpy(), slope, atol=1e-9)


@given(switches | free | lengthy, st.integers(0, 10_000), st.integers(1, 3))
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
@given(switches | free | lengthy, st.integers(0, 10_000))
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
    with pytest.raises(ValueError, match="gamma"):
        Objective(gamma=-1)
    with pytest.raises(ValueError, match="ld_alpha weighs sums and length_normalized takes means: use one of the two"):
        Objective(ld_alpha=0.5, length_normalized=True)


def test_a_missing_reference_is_no_reference_free_objective():
    batch = Batch(0)
    masks = Masks(completion=torch.tensor(batch.completion), shared=torch.tensor(batch.shared))
    with pytest.raises(ValueError, match="a reference is needed"):
        preference_loss(torch.tensor(batch.policy), None, masks, Objective())
