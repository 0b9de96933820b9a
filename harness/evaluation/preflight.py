"""What must hold before a model is loaded: data, gold answers, prompts, context, output. Takes seconds."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.errors import GraderBroken, NoGrader
from harness.grading.families import kind_of
from harness.grading.grade import Grader
from harness.models.spec import Prompting
from harness.records import Problem

Status = Literal["ok", "failed", "missing", "note"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of a check. ``missing``: could not be looked at, which is no pass."""

    what: str
    status: Status
    text: str


def dependencies() -> Iterable[Finding]:
    """Libraries without which a run fails, by their versions."""
    from harness.grading.version import grader_version

    versions = grader_version()
    absent = [name for name, version in versions.items() if version == "missing"]
    if absent:
        yield Finding(what="libraries", status="failed", text=f"not installed: {', '.join(absent)}")
    else:
        named = ", ".join(f"{name} {version}" for name, version in versions.items() if name != "code")
        yield Finding(what="libraries", status="ok", text=named)


def writable(store: Path) -> Iterable[Finding]:
    try:
        store.mkdir(parents=True, exist_ok=True)
        probe = store / ".probe"
        probe.write_text("writable")
        probe.unlink()
    except OSError as error:
        yield Finding(
            what="output", status="failed", text=f"{store} cannot be written ({error.strerror}); choose another --store"
        )
    else:
        yield Finding(what="output", status="ok", text=f"{store} can be written")


def gold_answers(
    task: str, settings: dict[str, Any], grader: Grader, limit: int | None = None,
    report: Callable[[int, int], None] = lambda done, total: None, task_paths: Sequence[Path] = (),
) -> Iterable[Finding]:  # fmt: skip
    """Every gold answer through the real grader. Instructions have no gold answers: their checkers are run instead."""
    from harness.errors import DataError

    started = time.monotonic()
    try:
        problems = problems_of(task, settings, task_paths)[:limit]
        kind = kind_of(problems[0].family)
    except DataError as error:
        yield Finding(what=task, status="missing", text=str(error))
        return
    except (KeyError, ValueError, IndexError, NoGrader) as error:
        yield Finding(what=task, status="failed", text=f"no problems with id, family, prompt and gold ({error})")
        return
    wrong: list[str] = []
    graded = 0
    try:
        for number, problem in enumerate(problems, 1):
            text = reference(problem, kind)
            if text is not None:
                graded += 1
                grade = grader.grade(problem.family, problem.gold, text)
                good = grade.verdict in ("correct", "wrong") if kind == "instructions" else grade.correct
                if not good:
                    wrong.append(f"{problem.id}: {grade.verdict}, {grade.reason}")
            report(number, len(problems))
    except GraderBroken as error:
        yield Finding(what=task, status="failed", text=str(error))
        return
    seconds = time.monotonic() - started
    what = "checkers ran" if kind == "instructions" else "gold answers correct"
    text = f"{graded - len(wrong)}/{graded} {what} in {seconds:.1f} s"
    if graded < len(problems):
        text += f"; {len(problems) - graded} without a reference"
    if wrong:
        yield Finding(what=task, status="failed", text=f"{text}; first: {wrong[0]}")
    else:
        yield Finding(what=task, status="ok" if graded else "note", text=text)


def problems_of(task: str, settings: dict[str, Any], task_paths: Sequence[Path] = ()) -> list[Problem]:
    """The problems of a task of ours, or (by lm-eval, which takes seconds) of a task of the user's own.

    Raises DataError when their data is not to be had.
    """
    from harness.errors import DataError
    from harness.problems.load import is_ours, load

    if is_ours(task):
        return load(task, **settings)
    import datasets

    from harness.evaluation.lm_eval_tasks import load_tasks
    from harness.evaluation.plan import EvalPlan
    from harness.problems.registry import select

    datasets.disable_progress_bars()
    chosen = select([task], None, task_paths)
    try:
        loaded = load_tasks(EvalPlan(tasks=chosen, settings=settings, task_paths=task_paths))
        return [Problem.of_document(document) for document in loaded[chosen[0].lm_eval_name].eval_docs]
    except DataError:
        raise
    except (OSError, ValueError, ImportError, AttributeError) as error:
        raise DataError(f"{task}: cannot be loaded ({' '.join(str(error).split())[:200]})") from None


def reference(problem: Problem, kind: str) -> str | None:
    """A right response of a problem, where its data set has one; for instructions any text, to run the checkers on."""
    gold = problem.gold
    if kind == "instructions" and "spec" not in gold:
        return "A plain first sentence. And a second one."
    if "reference" in gold:
        made = gold["reference"]
        return made if isinstance(made, str) else "\n".join(made) or None
    if kind in ("number", "math") and "answer" in gold:
        return f"\\boxed{{{gold['answer']}}}"
    from harness.problems.embedded import FAMILIES, worked
    from harness.thoughts import render

    if problem.family not in FAMILIES:
        return None
    return render(worked.chain(problem, random.Random(0), worked.Style(fault=0.0)))


def prompts(
    tasks: Iterable[str], settings: dict[str, Any], tokenizer: Any, prompting: Prompting, max_tokens: int, context: int
) -> Iterable[Finding]:
    """Rendered prompts of each task: template, one BOS, think tags, and whether prompt and budget fit the context."""
    from harness.errors import DataError, ModelError
    from harness.models.prompts import encode, is_prefilled, prompt_text, think_tags, uses_chat
    from harness.problems.load import load

    chat = uses_chat(tokenizer, prompting)
    yield Finding(
        what="template", status="ok", text="the tokenizer's chat template" if chat else "none: the bare prompt"
    )
    tags = think_tags(tokenizer, prompting)
    for task in tasks:
        try:
            asked = [problem.prompt for problem in load(task, **settings)]
        except DataError:
            continue  # the gold answers say so
        try:
            texts = [prompt_text(tokenizer, message, prompting) for message in asked]
            ids = [encode(tokenizer, text, chat) for text in texts]
        except ModelError as error:
            yield Finding(what=f"{task} prompts", status="failed", text=str(error))
            continue
        bos = tokenizer.bos_token_id
        starts = "no BOS token in this tokenizer" if bos is None else f"{int(ids[0][:1] == (bos,))} BOS"
        opened = "opened by the prompt" if is_prefilled(texts[0], tags) else "opened by the model"
        longest = max(map(len, ids))
        text = f"{starts}; {' '.join(tags)} {opened}; up to {longest} tokens"
        if longest + max_tokens > context:
            yield Finding(
                what=f"{task} prompts", status="failed",
                text=f"{text}, plus {max_tokens} to generate, is past the context of {context}; lower --max-tokens",
            )  # fmt: skip
        else:
            yield Finding(what=f"{task} prompts", status="ok", text=f"{text} of {context}")
