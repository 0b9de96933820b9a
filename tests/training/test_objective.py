"""The objective against an independent NumPy computation, switch by switch, and what masking the prefix changes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from harness.training.objective import Objective, dpo_mask, loss, sequence_scores, shared_prefix_mask

SWITCHES = list(itertools.product((0.0, 0.1), (0.0, 1.5), (False, True), (False, True), (False, True)))


def batch(seed: int = 0, pairs: int = 3, width: int = 12):
    """Random ids with a shared prompt of 2 and shared prefixes of 0, 1, 2 ... completion tokens; ragged lengths."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(3, 50, (2 * pairs, width))
    completion = np.zeros((2 * pairs, width), dtype=int)
    for i in range(pairs):
        fork = 2 + i
        ids[pairs + i, :fork] = ids[i, :fork]
        ids[pairs + i, fork] = 1
        ids[i, fork] = 2
        for row, length in ((i, width - i), (pairs + i, width - 2 * i)):
            completion[row, 2:length] = 1
    return ids, completion, rng.normal(-1, 0.5, (2 * pairs, width)), rng.normal(-1, 0.5, (2 * pairs, width))


def numpy_loss(ids, completion, policy, reference, beta, e, alpha, mask_dpo, mask_sft, normalized) -> float:
    pairs = len(ids) // 2
    total = 0.0
    for i in range(pairs):
        rows = {}
        shared = 0
        while ids[i, shared] == ids[pairs + i, shared]:
            shared += 1
        for name, r in (("chosen", i), ("rejected", pairs + i)):
            at = [t for t in range(ids.shape[1]) if completion[r, t]]
            kept = [t for t in at if not mask_dpo or t >= shared]
            scale = len(kept) if normalized else 1
            rows[name] = sum(policy[r, t] - reference[r, t] for t in kept) / scale
        margin = beta * (rows["chosen"] - rows["rejected"])
        total += -(1 - e) * np.log(1 / (1 + np.exp(-margin))) - e * np.log(1 / (1 + np.exp(margin)))
        kept = [t for t in range(ids.shape[1]) if completion[i, t] and (not mask_sft or t >= shared)]
        total += alpha * -sum(policy[i, t] for t in kept) / len(kept)
    return total / pairs


def run(ids, completion, policy, reference, objective):
    ids, completion = torch.tensor(ids), torch.tensor(completion)
    shared = shared_prefix_mask(ids, completion)
    mask = dpo_mask(objective, completion, shared)
    scores = sequence_scores(torch.tensor(reference), mask, objective.length_normalized)
    logps = torch.tensor(policy, requires_grad=True)
    value, terms = loss(logps, scores, completion, shared, objective)
    value.backward()
    return float(value.detach()), logps.grad.numpy(), terms


@pytest.mark.parametrize(("e", "alpha", "mask_dpo", "mask_sft", "normalized"), SWITCHES)
def test_equals_numpy_in_every_combination(e, alpha, mask_dpo, mask_sft, normalized):
    for seed in range(3):
        data = batch(seed)
        objective = Objective(0.3, e, alpha, "sequence", mask_dpo, mask_sft, normalized)
        assert run(*data, objective)[0] == pytest.approx(
            numpy_loss(*data, 0.3, e, alpha, mask_dpo, mask_sft, normalized), abs=1e-9
        )


def test_token_mean_weighs_tokens_not_sequences():
    ids, completion, policy, reference = batch()
    objective = Objective(sft_weight=1.0, sft_mean="token")
    _, _, terms = run(ids, completion, policy, reference, objective)
    chosen = completion[:3].astype(bool)
    assert float(terms["sft"]) == pytest.approx(-policy[:3][chosen].mean())


def test_shared_prefix_mask_covers_completion_tokens_alone():
    ids, completion, _, _ = batch()
    mask = shared_prefix_mask(torch.tensor(ids), torch.tensor(completion)).numpy()
    assert mask.sum(1).tolist() == [0, 1, 2, 0, 1, 2]
    assert not (mask & (completion == 0)).any()


def test_masking_the_prefix_cancels_in_summed_dpo_and_acts_elsewhere():
    """Through a causal model the shared tokens have equal log-probs in both rows; then their gradients cancel."""
    ids, completion, policy, reference = batch()
    for i in range(3):
        shared = 2 + i
        policy[3 + i, :shared], reference[3 + i, :shared] = policy[i, :shared], reference[i, :shared]
    plain, masked = Objective(label_smoothing=0.1), Objective(label_smoothing=0.1, mask_prefix_dpo=True)
    a, b = run(ids, completion, policy, reference, plain), run(ids, completion, policy, reference, masked)
    assert a[0] == pytest.approx(b[0], abs=1e-12)
    # What the shared parameters see is the sum of both rows' gradients at a shared position.
    assert np.abs((a[1][:3] + a[1][3:])[:, :3] - (b[1][:3] + b[1][3:])[:, :3])[0:1].max() < 1e-12
    for switch in ({"length_normalized": True}, {"sft_weight": 1.0, "mask_prefix_sft": True}):
        changed = run(
            ids, completion, policy, reference, Objective(label_smoothing=0.1, mask_prefix_dpo=True, **switch)
        )
        kept = {k: v for k, v in switch.items() if k != "mask_prefix_sft"}
        plain_too = run(ids, completion, policy, reference, Objective(label_smoothing=0.1, **kept))
        assert abs(changed[0] - plain_too[0]) > 1e-4


@pytest.mark.parametrize(
    "bad", [{"label_smoothing": 0.5}, {"label_smoothing": -0.1}, {"beta": 0.0}, {"sft_weight": -1.0}]
)
def test_impossible_objectives_are_refused(bad):
    with pytest.raises(ValueError, match="must be"):
        Objective(**bad)
