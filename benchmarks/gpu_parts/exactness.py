"""Loss and gradient of the objective, over each layout, against float64: how far off, in float32 and in bfloat16.

The float64 side shares nothing with ours but the weights: one row at a time without padding, log-softmax over all
logits, and the formulas of docs/training.md written out. Random weights, token ids and reference log-probs.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from accelerate.utils import send_to_device
from torch.nn.functional import logsigmoid
from transformers import Qwen2Config, Qwen2ForCausalLM
from trl.trainer.utils import add_fused_lm_head

from benchmarks.train_shared_prefix import synthetic, tree_cases
from harness.training.attention import batch_logps, register
from harness.training.batches import Collator, groups_of
from harness.training.objective import preference_loss, sft_loss
from harness.training.spec import Objective, SftObjective
from harness.training.trainer import pair_masks

BOUNDS = {"float32": 1e-4, "bfloat16": 5e-2}  # of relative errors; TF32 would give about 3e-4
SFT, DFT, DPO = SftObjective(), SftObjective(dft=True), Objective()
JOINT = Objective(label_smoothing=0.1, sft_weight=1.0, mask_prefix="both")
SIMPO = Objective(reference_free=True, length_normalized=True, beta=2.0, gamma=0.5)
LD_DPO = Objective(ld_alpha=0.5)


class Case(NamedTuple):
    """``rows``: of ``tree_cases``, or "apart"; ``trees``: whether a prompt's are one group."""

    rows: str
    trees: bool
    layout: str
    objective: Objective | SftObjective


CASES = {
    "sft, padded rows": Case("tree_sft", False, "rows", SFT),
    "sft, whole trees": Case("tree_sft", True, "shared", SFT),
    "sft with dft, whole trees": Case("tree_sft", True, "shared", DFT),
    "sft, unrelated rows packed": Case("apart", False, "shared", SFT),
    "dpo, pairs in padded rows": Case("pair", False, "rows", DPO),
    "dpo, pairs share their prefix": Case("pair", False, "shared", DPO),
    "dpo, whole trees": Case("tree_dpo", True, "shared", DPO),
    "cdpo + sft + masks, pairs in padded rows": Case("pair", False, "rows", JOINT),
    "cdpo + sft + masks, whole trees": Case("tree_dpo", True, "shared", JOINT),
    "simpo, whole trees": Case("tree_dpo", True, "shared", SIMPO),
    "ld-dpo, whole trees": Case("tree_dpo", True, "shared", LD_DPO),
}


class Model(NamedTuple):
    """``exact``: the same weights in float64, with the plain head and attention."""

    ours: Any
    exact: Any
    device: str
    vocabulary: int


def build(quick: bool) -> Model:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 128}
    if not quick:
        shape = {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 6, "vocab_size": 8192}
    torch.manual_seed(0)

    def model_with(attention: str, dtype: torch.dtype) -> Any:
        # A configuration of its own for each: it is what names the attention.
        config = Qwen2Config(**shape, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=4096)
        return Qwen2ForCausalLM._from_config(config, attn_implementation=attention, dtype=dtype).to(device).eval()

    ours, exact = model_with(register(), torch.float32), model_with("sdpa", torch.float64)
    exact.load_state_dict(ours.state_dict())
    add_fused_lm_head(ours)
    return Model(ours, exact, device, shape["vocab_size"])


def drawn(case: Case, seed: int, quick: bool, vocabulary: int) -> list[Any]:
    """Groups of random token ids."""
    rng = random.Random(seed)
    if case.rows != "apart":
        made = synthetic(1 if quick else 2, rng, vocabulary, 12 if quick else 150)
        return groups_of(tree_cases(made, 1)[case.rows][0][1], case.trees)

    def ids(least: int, most: int) -> list[int]:
        return [rng.randrange(vocabulary) for _ in range(rng.randint(least, most))]

    return groups_of([(ids(3, 40), ids(5, 30 if quick else 600)) for _ in range(8)])


def exact_logps(model: Model, groups: list[Any]) -> list[list[torch.Tensor]]:
    """[group][chain] (T,) log-probs of the chain's tokens, in float64."""
    out = []
    for group in groups:
        start = len(group["prompt"])
        logps = []
        for chain in group["chains"]:
            ids = torch.tensor([group["prompt"] + chain], device=model.device)
            scores = model.exact(input_ids=ids, use_cache=False).logits[0, start - 1 : -1].log_softmax(-1)
            logps.append(scores.gather(1, ids[0, start:, None])[:, 0])
        out.append(logps)
    return out


def exact_loss(logps: list[list[torch.Tensor]], groups: list[Any], objective: Any) -> torch.Tensor:
    """The formulas, one chain or pair at a time; the objective's SFT term as a mean of the chains' means."""
    if isinstance(objective, SftObjective):
        everything = torch.cat([one for chains in logps for one in chains])
        weights = everything.detach().exp() if objective.dft else torch.ones_like(everything)
        return -(weights * everything).sum() / len(everything)
    terms = []
    for chains, group in zip(logps, groups, strict=True):
        for chosen, rejected in group["pairs"]:
            sides = [group["chains"][chosen], group["chains"][rejected]]
            same = [a == b for a, b in zip(*sides, strict=False)]
            fork = same.index(False) if False in same else len(same)
            score = []
            for side in (chosen, rejected):
                known = chains[side].new_tensor([0.0] if objective.reference_free else group["reference"][side])
                counted = chains[side] - known
                shorter = min(map(len, sides))
                counted = torch.cat([counted[:shorter], objective.ld_alpha * counted[shorter:]])
                counted = counted[fork if objective.masks_dpo else 0 :]
                score.append(counted.mean() if objective.length_normalized else counted.sum())
            margin, e = objective.beta * (score[0] - score[1]) - objective.gamma, objective.label_smoothing
            learnt = chains[chosen][fork if objective.masks_sft else 0 :]
            sft = -learnt.sum() / max(len(learnt), 1)
            terms.append(-(1 - e) * logsigmoid(margin) - e * logsigmoid(-margin) + objective.sft_weight * sft)
    return torch.stack(terms).mean()


def our_loss(model: Model, groups: list[Any], case: Case, precision: str) -> torch.Tensor:
    """As a training step has it."""
    objective, preference = case.objective, case.objective if isinstance(case.objective, Objective) else None
    batch: Any = Collator(pad=0, choice=case.layout, objective=preference)(groups)  # type: ignore[arg-type]
    batch = send_to_device(batch, model.device)
    with torch.autocast(model.device, torch.bfloat16, enabled=precision == "bfloat16"):
        logps = batch_logps(model.ours, batch)
        if isinstance(objective, SftObjective):
            return sft_loss(logps, batch["completion"], "token_mean", dft=objective.dft)
        rows, masks = pair_masks(batch)
        reference = None if objective.reference_free else batch["reference"][rows]
        return preference_loss(logps[rows], reference, masks, objective)[0]


def gradient(model: Any, loss: torch.Tensor) -> torch.Tensor:
    """Of all parameters, as one float64 vector."""
    model.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    return torch.cat([p.grad.flatten().double() for p in model.parameters()])


def errors(model: Model, case: Case, quick: bool) -> dict[str, Any]:
    """The largest of several draws. Relative: of the loss, of the gradient's norm, of its largest element."""
    draws: dict[str, list[float]] = defaultdict(list)
    for seed in range(2 if quick else 3):
        groups = drawn(case, seed, quick, model.vocabulary)
        logps = exact_logps(model, groups)
        if isinstance(case.objective, Objective):
            noise = torch.Generator().manual_seed(seed)
            for group, chains in zip(groups, logps, strict=True):
                group["reference"] = [
                    (one.detach().cpu() + 0.1 * torch.randn(len(one), generator=noise)).float().tolist()
                    for one in chains
                ]
        loss = exact_loss(logps, groups, case.objective)
        exact = gradient(model.exact, loss)
        for precision in BOUNDS:
            ours = our_loss(model, groups, case, precision)
            off = gradient(model.ours, ours) - exact
            draws[f"{precision}_loss"].append(float(((ours.double() - loss) / loss).detach().abs()))
            draws[f"{precision}_gradient"].append(float(off.norm() / exact.norm()))
            draws[f"{precision}_element"].append(float(off.abs().max() / exact.abs().max()))
    bad = [key for key, each in draws.items() if not all(x <= BOUNDS[key.partition("_")[0]] for x in each)]
    largest = {key: max(each) if all(map(math.isfinite, each)) else None for key, each in draws.items()}
    return largest | ({"fault": f"further from float64 than it may be: {', '.join(bad)}"} if bad else {})


def measurements(quick: bool) -> dict[str, Callable[[], dict[str, Any]]]:
    model = build(quick)
    return {name: partial(errors, model, case, quick) for name, case in CASES.items()}
