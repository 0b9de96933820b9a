"""The shared-prefix layout against ordinary rows: the same log-probs, the same gradients, fewer positions."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.training.attention import batch_logps, register, why_not
from harness.training.batches import Collator, groups_of, plan, unique_positions
from harness.training.spec import Objective

VOCABULARY = 23


def tree(rng: random.Random, chains: int, prompt: int = 6, step: int = 5) -> list[list[int]]:
    """Completions that fork anywhere, some of them equal and some a prefix of another."""
    nodes: list[list[int]] = [[]]
    for _ in range(3 * chains):
        nodes.append(rng.choice(nodes) + [rng.randrange(VOCABULARY) for _ in range(rng.randint(1, step))])
    return rng.choices([node for node in nodes if node], k=chains)


@pytest.fixture(scope="module", params=["qwen2", "llama"])
def model(request):
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    torch.manual_seed(0)
    torch.set_num_threads(1)
    classes = {"qwen2": (Qwen2Config, Qwen2ForCausalLM), "llama": (LlamaConfig, LlamaForCausalLM)}
    config, kind = classes[request.param]
    built = kind._from_config(
        config(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
               num_key_value_heads=2, max_position_embeddings=256),
        attn_implementation=register(), dtype=torch.float32,
    )  # fmt: skip
    add_fused_lm_head(built)
    return built


def logps_and_gradient(model, batch, weights):
    model.zero_grad()
    logps = batch_logps(model, batch)
    (logps * weights).sum().backward()
    return logps.detach(), torch.cat([p.grad.flatten() for p in model.parameters()])


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), trees=st.integers(1, 3), chains=st.integers(1, 7))
def test_equals_ordinary_rows_in_value_and_gradient(model, seed, trees, chains):
    rng = random.Random(seed)
    rows = []
    for _ in range(trees):
        prompt = [rng.randrange(VOCABULARY) for _ in range(rng.randint(1, 6))]
        rows += [(prompt, chain) for chain in tree(rng, chains)]
    groups = groups_of(rows, trees=True)
    plain, shared = Collator(pad=0, choice="rows")(groups), Collator(pad=0, choice="shared")(groups)
    weights = torch.from_numpy(np.random.default_rng(seed).normal(size=plain["completion"].shape)).float()
    a, b = logps_and_gradient(model, plain, weights), logps_and_gradient(model, shared, weights)
    assert torch.allclose(a[0], b[0], atol=1e-5)
    assert float((a[1] - b[1]).norm()) <= 1e-5 * float(a[1].norm())


@given(seed=st.integers(0, 10_000), chains=st.integers(1, 8))
def test_every_distinct_transition_passes_once(seed, chains):
    rng = random.Random(seed)
    rows = [[1, 2, 3, *chain] for chain in tree(rng, chains)]
    distinct = {tuple(row[: i + 2]) for row in rows for i in range(len(row) - 1)}
    layout = plan(rows, [3] * len(rows))
    assert layout.ids.shape[1] == unique_positions(rows) == len(distinct)
    for r, row in enumerate(rows):  # each target of each row is predicted at its depth, from its token
        path = layout.gather[r, : len(row) - 1]
        assert layout.ids[0, path].tolist() == row[:-1]
        assert layout.positions[0, path].tolist() == list(range(len(row) - 1))
        assert layout.labels[0, path[2:]].tolist() == row[3:]


def test_rows_that_disagree_on_where_the_prompt_ends_keep_their_own_labels():
    layout = plan([[1, 2, 3, 4], [1, 2, 3, 5]], [3, 2])
    assert layout.labels[0, layout.gather[0]].tolist()[2] == 4
    assert layout.labels[0, layout.gather[1]].tolist()[1:] == [3, 5]


def test_auto_shares_only_where_it_pays():
    rng = random.Random(0)
    prompt = [rng.randrange(VOCABULARY) for _ in range(40)]
    alike = [(prompt, [*prompt[:30], i]) for i in range(4)]
    apart = [([i + 1, 2, 3], [rng.randrange(VOCABULARY) for _ in range(20)]) for i in range(4)]
    assert "layout" in Collator(pad=0, choice="auto")(groups_of(alike, trees=True))
    assert "layout" not in Collator(pad=0, choice="auto")(groups_of(apart))


def test_a_chain_in_several_pairs_stands_in_the_batch_once():
    pairs = [([1, 2], [3, 4], [3, 5]), ([1, 2], [3, 4], [6, 7]), ([8, 9], [3, 4], [5, 5])]
    batch = Collator(pad=0, choice="rows", objective=Objective())(groups_of(pairs, trees=True))
    assert batch["pairs"].tolist() == [[0, 1], [0, 2], [3, 4]]
    assert batch["fork"].tolist() == [1, 0, 0]
    assert len(batch["input_ids"]) == 5


def test_models_that_cannot_share_are_told_apart(model):
    assert why_not(model) == ""
    model.config.attention_dropout = 0.1
    assert "dropout" in why_not(model)
    model.config.attention_dropout = 0.0
    kinds, model.config.layer_types = getattr(model.config, "layer_types", None), ["sliding_attention"]
    assert "sliding_attention" in why_not(model)
    model.config.layer_types = kinds
