"""The tiny models of the embedded profile (recipe ``tiny_models``), trained from scratch on worked problems.

Documents are prompt, worked chain and end of turn, of problems of the ``pretrain`` split alone. Loss falls on the
chain, and never on a step that holds an error the chain goes on to notice: the model learns to notice errors, not to
make them. Muon trains the matrices (several times faster here than AdamW: docs/tiny-models.md), AdamW the rest.

Everything is a function of the spec: steps, not minutes, bound the run, and a resumed run sees the batches that an
uninterrupted one would.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import TrainingError
from harness.journal import read, write_rows
from harness.problems.embedded import FAMILIES, draw, worked
from harness.records import Problem
from harness.thoughts import THINK_OPEN

IGNORE = -100


@dataclass(frozen=True, kw_only=True)
class Mix:
    """Shares of the corpus: style of the chains (by weight), families, levels; ``pool`` problems per family."""

    styles: tuple[tuple[float, worked.Style], ...]
    families: tuple[tuple[str, float], ...] = (("mini_math", 0.42), ("mini_blocks", 0.33), ("mini_rules", 0.25))
    levels: tuple[tuple[int, float], ...] = ((1, 0.2), (2, 0.35), (3, 0.3), (4, 0.15))
    pool: int = 20000


GENERATOR_MIX = Mix(styles=((1.0, worked.GENERATOR),))
STUDENT_MIX = Mix(styles=((0.3, worked.GENERATOR), (0.7, worked.CARELESS)))


class Document(NamedTuple):
    input_ids: list[int]
    labels: list[int]


def encode(tokenizer: Any, problem: Problem, spans: list[Any]) -> Document:
    """Token ids of prompt and chain, labels with the prompt and noticed errors masked."""
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": problem.prompt}], add_generation_prompt=True, tokenize=True, return_dict=False
    )
    ids, labels = list(prompt), [IGNORE] * len(prompt)
    pieces = [(THINK_OPEN, False)]
    for span in spans:
        pieces += [(span.opening, False), (span.text + span.closing, span.faulty)]
    for text, masked in [*pieces, (tokenizer.eos_token, False)]:
        tokens = tokenizer.encode(text, add_special_tokens=False)
        ids += tokens
        labels += [IGNORE] * len(tokens) if masked else tokens
    return Document(input_ids=ids, labels=labels)


def batches(tokenizer: Any, mix: Mix, seed: int, tokens: int, first: int = 0) -> Iterator[list[Document]]:
    """Batches of about ``tokens`` padded tokens, similar lengths together, from batch ``first`` on."""
    rng = random.Random(f"pool/{seed}")
    pools = {
        family: [draw(family, rng, rng.choices(*zip(*mix.levels, strict=True))[0], "pretrain") for _ in range(mix.pool)]
        for family in FAMILIES
    }
    families, weights = zip(*mix.families, strict=True)
    shares, styles = zip(*mix.styles, strict=True)
    number = 0
    for block in count():
        rng = random.Random(f"block/{seed}/{block}")
        documents = []
        for _ in range(768):
            problem = rng.choice(pools[rng.choices(families, weights)[0]])
            documents.append(encode(tokenizer, problem, worked.chain(problem, rng, rng.choices(styles, shares)[0])))
        documents.sort(key=lambda document: len(document.input_ids))
        cut: list[list[Document]] = [[]]
        for document in documents:
            if cut[-1] and len(document.input_ids) * (len(cut[-1]) + 1) > tokens:
                cut.append([])
            cut[-1].append(document)
        rng.shuffle(cut)
        for batch in cut:
            if number >= first:
                yield batch
            number += 1


@dataclass(frozen=True, kw_only=True)
class TinySpec:
    """One tiny model: architecture, corpus and length of training (``tokens`` are padded tokens per step)."""

    name: str
    architecture: str
    mix: Mix
    hidden: int
    layers: int
    intermediate: int
    heads: int
    kv_heads: int
    steps: int
    seed: int
    tokens: int = 3200
    muon_lr: float = 5e-3
    adam_lr: float = 3e-3
    warmup: int = 50
    decay: float = 0.35


SPECS = {
    spec.name: spec
    for spec in (
        TinySpec(
            name="generator-qwen2", architecture="qwen2", mix=GENERATOR_MIX, hidden=128, layers=4, intermediate=512,
            heads=4, kv_heads=2, steps=4500, seed=1,
        ),
        TinySpec(
            name="generator-llama", architecture="llama", mix=GENERATOR_MIX, hidden=128, layers=5, intermediate=384,
            heads=4, kv_heads=2, steps=4500, seed=2,
        ),
        TinySpec(
            name="student", architecture="llama", mix=STUDENT_MIX, hidden=96, layers=3, intermediate=384, heads=3,
            kv_heads=3, steps=3000, seed=3,
        ),
    )
}  # fmt: skip


def build_model(spec: TinySpec, tokenizer: Any) -> Any:
    """A randomly initialised causal LM of the spec's size, weights in float32."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(spec.seed)
    config = AutoConfig.for_model(
        spec.architecture, vocab_size=len(tokenizer), hidden_size=spec.hidden, intermediate_size=spec.intermediate,
        num_hidden_layers=spec.layers, num_attention_heads=spec.heads, num_key_value_heads=spec.kv_heads,
        max_position_embeddings=2048, tie_word_embeddings=True, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, dtype="float32",
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config)


def pretrain(
    spec: TinySpec, tokenizer: Any, folder: Path,
    report: Callable[[int, int, int], None] = lambda step, total, tokens: None, save_every: int = 500,
) -> dict[str, object]:  # fmt: skip
    """Train ``spec`` into ``folder`` (HF format), going on from its last checkpoint. Returns its figures."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    model = build_model(spec, tokenizer)
    matrices: list[Any] = []
    rest: list[Any] = []
    for name, p in model.named_parameters():
        (matrices if p.ndim == 2 and "embed" not in name and "lm_head" not in name else rest).append(p)
    optimizers: list[Any] = [
        torch.optim.Muon(matrices, lr=spec.muon_lr, adjust_lr_fn="match_rms_adamw", weight_decay=0.01),
        torch.optim.AdamW(rest, lr=spec.adam_lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    # Loss is a running mean in nats, ``trained`` counts targets.
    state: Any = {"step": 0, "tokens": 0, "trained": 0, "seconds": 0.0, "loss": 0.0}
    checkpoint = folder / "pretrain.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        for optimizer, old in zip(optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(old)
        state = saved["state"]
    model.train()
    stream = batches(tokenizer, spec.mix, spec.seed, spec.tokens, first=state["step"])
    started = time.monotonic() - state["seconds"]
    written = folder / "pretrain.jsonl"
    write_rows(written, [row for row in read(written) if row["step"] <= state["step"]])
    with written.open("a", encoding="utf-8") as log:
        for step in range(state["step"], spec.steps):
            documents = next(stream)
            width = max(len(d.input_ids) for d in documents)
            pad = tokenizer.pad_token_id
            ids = torch.tensor([d.input_ids + [pad] * (width - len(d.input_ids)) for d in documents])
            labels = torch.tensor([d.labels + [IGNORE] * (width - len(d.labels)) for d in documents])
            # Linear warm-up, constant, linear decay to zero over the last ``decay`` of the steps.
            scale = min((step + 1) / spec.warmup, 1.0, (spec.steps - step) / (spec.decay * spec.steps))
            for optimizer, rate in zip(optimizers, (spec.muon_lr, spec.adam_lr), strict=True):
                for group in optimizer.param_groups:
                    group["lr"] = rate * scale
            # Right padding under a causal mask reaches no real token, so no attention mask is needed.
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = model(input_ids=ids).logits
            targets = labels[:, 1:].reshape(-1)
            loss = torch.nn.functional.cross_entropy(
                logits[:, :-1].float().reshape(-1, logits.shape[-1]), targets, ignore_index=IGNORE
            )
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            if not torch.isfinite(loss):
                raise TrainingError(f"{spec.name}: loss is {loss.item()} at step {step}; lower muon_lr in its spec")
            state["loss"] = loss.item() if step == 0 else 0.98 * state["loss"] + 0.02 * loss.item()
            state["step"] = step + 1
            state["tokens"] += sum(len(d.input_ids) for d in documents)
            state["trained"] += int((targets != IGNORE).sum())
            state["seconds"] = time.monotonic() - started
            if (step + 1) % 50 == 0:
                log.write(json.dumps({**state, "loss": round(state["loss"], 4)}) + "\n")
                log.flush()
                report(state["step"], spec.steps, state["tokens"])
            if (step + 1) % save_every == 0 and step + 1 < spec.steps:
                moments = [optimizer.state_dict() for optimizer in optimizers]
                saved = {"model": model.state_dict(), "optimizers": moments, "state": state}
                torch.save(saved, checkpoint.with_suffix(".tmp"))
                os.replace(checkpoint.with_suffix(".tmp"), checkpoint)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    checkpoint.unlink(missing_ok=True)
    return {**state, "steps": spec.steps, "loss": round(state["loss"], 4), "spec": asdict(spec)}
