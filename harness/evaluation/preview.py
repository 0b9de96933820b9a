"""``harness eval --dry-run``: what would run, from data and tokenizer alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.evaluation.plan import EvalPlan
from harness.models.spec import ModelSpec


@dataclass(frozen=True, kw_only=True)
class TaskSize:
    """How much a run asks of one task; None where only lm-eval knows."""

    task: str
    problems: int | None = None
    samples: int | None = None
    prompt_tokens: int | None = None


@dataclass(frozen=True, kw_only=True)
class Preview:
    """``journalled``: how many samples the run's folder holds already."""

    folder: Path
    rows: list[TaskSize]
    journalled: int
    first_prompt: str
    think_tags: tuple[str, str]


def preview(spec: ModelSpec, plan: EvalPlan, folder: Path) -> Preview:
    """Tasks, numbers of samples, prompt tokens, what is sampled already, and the first rendered prompt."""
    from harness.journal import read
    from harness.models.backends import tokenizer_path
    from harness.models.loading import load_tokenizer
    from harness.models.prompts import encode, prompt_text, think_tags, uses_chat
    from harness.problems.load import is_ours, load

    tokenizer = load_tokenizer(tokenizer_path(spec))
    chat = uses_chat(tokenizer, plan.prompting)
    rows: list[TaskSize] = []
    first = ""
    for task in plan.tasks:
        if not is_ours(task.name):
            rows.append(TaskSize(task=task.name))
            continue
        problems = load(task.name, **plan.settings)
        chosen = plan.selection.numbers([problem.names for problem in problems])
        texts = [prompt_text(tokenizer, problems[number].prompt, plan.prompting) for number in chosen]
        first = first or (texts[0] if texts else "")
        tokens = sum(len(encode(tokenizer, text, chat)) for text in texts) * plan.decoding.samples
        samples = len(chosen) * plan.decoding.samples
        rows.append(TaskSize(task=task.name, problems=len(chosen), samples=samples, prompt_tokens=tokens))
    return Preview(
        folder=folder,
        rows=rows,
        journalled=sum(1 for _ in read(folder / "generated.jsonl")),
        first_prompt=first,
        think_tags=think_tags(tokenizer, plan.prompting),
    )
