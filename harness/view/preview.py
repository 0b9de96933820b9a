"""``harness eval --dry-run``: what would run, from data and tokenizer alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.evaluation.plan import EvalPlan
from harness.models.spec import ModelSpec


def preview(spec: ModelSpec, plan: EvalPlan, folder: Path, as_json: bool) -> None:
    """Print tasks, numbers of samples, prompt tokens, what is sampled already, and the first rendered prompt."""
    from rich.console import Console

    from harness.cli import options
    from harness.journal import read
    from harness.models.loading import load_tokenizer
    from harness.models.prompts import encode, render, think_tags, uses_chat
    from harness.models.shipped import resolve
    from harness.problems.load import documents, is_ours

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
        found = documents(task.name, **plan.settings)
        found = [found[i] for i in plan.selection.numbers(found)]
        texts = [
            render(tokenizer, [*system, {"role": "user", "content": d["prompt"]}], plan.prompting)
            if chat
            else d["prompt"]
            for d in found
        ]
        first = first or (texts[0] if texts else "")
        tokens = sum(len(encode(tokenizer, text, chat)) for text in texts) * plan.decoding.samples
        rows.append({
            "task": task.name, "problems": len(found), "samples": len(found) * plan.decoding.samples,
            "prompt_tokens": tokens,
        })  # fmt: skip
    journalled = sum(1 for _ in read(folder / "generated.jsonl"))
    if as_json:
        options.print_json({"run": folder.name, "rows": rows, "journalled": journalled, "first_prompt": first})
        return
    console = Console(highlight=False)
    for row in rows:
        if row["problems"] is None:
            console.print(f"{row['task']}: size known once lm-eval loads it", markup=False)
        else:
            sizes = f"{row['problems']} problems, {row['samples']} samples, {row['prompt_tokens']:,} prompt tokens"
            console.print(f"{row['task']}: {sizes}", markup=False)
    console.print(f"folder {folder}; {journalled} samples are there already", markup=False, soft_wrap=True)
    console.print(f"think tags {' '.join(think_tags(tokenizer, plan.prompting))}; first prompt:", markup=False)
    console.print(first, markup=False, soft_wrap=True)
