"""``harness eval --dry-run``: what would run, from data and tokenizer alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.evaluation.plan import EvalPlan
from harness.models.spec import ModelSpec


@dataclass(frozen=True, kw_only=True)
class Preview:
    """``rows``: task, problems, samples, prompt_tokens (None for tasks whose size only lm-eval knows)."""

    folder: Path
    rows: list[dict[str, Any]]
    journalled: int
    first_prompt: str
    think_tags: tuple[str, str]


def preview(spec: ModelSpec, plan: EvalPlan, folder: Path) -> Preview:
    """Tasks, numbers of samples, prompt tokens, what is sampled already, and the first rendered prompt."""
    from harness.journal import read
    from harness.models.loading import load_tokenizer
    from harness.models.prompts import encode, render, think_tags, uses_chat
    from harness.models.shipped import resolve
    from harness.problems.load import is_ours, load

    name = spec.tokenizer or ("shipped:student" if spec.backend == "mock" else spec.model)
    tokenizer = load_tokenizer(resolve(name))
    chat = uses_chat(tokenizer, plan.prompting)
    system = [{"role": "system", "content": plan.prompting.system}] if plan.prompting.system else []
    rows: list[dict[str, Any]] = []
    first = ""
    for task in plan.tasks:
        if not is_ours(task.name):
            rows.append({"task": task.name, "problems": None, "samples": None, "prompt_tokens": None})
            continue
        found = load(task.name, **plan.settings)
        found = [found[i] for i in plan.selection.numbers([p.names for p in found])]
        texts = [
            render(tokenizer, [*system, {"role": "user", "content": p.prompt}], plan.prompting) if chat else p.prompt
            for p in found
        ]
        first = first or (texts[0] if texts else "")
        tokens = sum(len(encode(tokenizer, text, chat)) for text in texts) * plan.decoding.samples
        rows.append({
            "task": task.name, "problems": len(found), "samples": len(found) * plan.decoding.samples,
            "prompt_tokens": tokens,
        })  # fmt: skip
    return Preview(
        folder=folder,
        rows=rows,
        journalled=sum(1 for _ in read(folder / "generated.jsonl")),
        first_prompt=first,
        think_tags=think_tags(tokenizer, plan.prompting),
    )
