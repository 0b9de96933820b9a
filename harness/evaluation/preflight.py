"""Before a model is loaded: what must hold (data, gold answers, prompts, context, output), and what would run."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from harness.errors import DataError, GraderBroken, ModelError, NoGrader, Usage
from harness.evaluation.asking import as_sent
from harness.evaluation.plan import EvalPlan, has_grader
from harness.evaluation.spec import ProblemData
from harness.grading.families import kind_of
from harness.grading.grade import Grader
from harness.journal import read
from harness.models.prompts import encode, end_of_turn, is_prefilled, think_tags, uses_chat
from harness.models.spec import ModelSpec, Prompting
from harness.problems.embedded import FAMILIES, worked
from harness.problems.load import is_ours, load
from harness.problems.registry import select
from harness.records import Problem
from harness.thoughts import render

Status = Literal["ok", "failed", "missing", "note"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of a check. ``missing``: could not be looked at, which is no pass."""

    what: str
    status: Status
    text: str


def dependencies() -> Finding:
    """Libraries without which a run fails, by their versions."""
    from harness.grading import grader_version

    versions = grader_version()
    if absent := [name for name, version in versions.items() if version == "missing"]:
        return Finding(what="libraries", status="failed", text=f"not installed: {', '.join(absent)}")
    named = ", ".join(f"{name} {version}" for name, version in versions.items() if name != "code")
    return Finding(what="libraries", status="ok", text=named)


def server(spec: ModelSpec) -> tuple[list[Finding], Any, int]:
    """Ask a server who it is: findings, the model's tokenizer, and the tokens of its context (0: not told).

    Without a model's name, the only one that it lists. Raises ServerError when it cannot be asked, ModelError.
    """
    from harness.models.backends.openai import client, served

    url = spec.base_url.rstrip("/")
    names = asyncio.run(served(spec, url))
    if not spec.model:
        if len(names) != 1:
            raise Usage(f"{url}: lists {', '.join(names[:9]) or 'no models'}; name one with --model")
        spec = spec.model_copy(update={"model": names[0]})
    with (
        tempfile.TemporaryDirectory() as folder,
        client(spec, url, spec.model, Path(folder), retries=1) as (model, tokenizer),
    ):
        said = asyncio.run(model.greet())
    speaks, entry = said.dialect, said.listed
    as_what = "chat messages" if speaks.api == "chat" else "token ids" if speaks.prompts == "ids" else "text"
    root = f" (root {entry['root']})" if entry.get("root") not in (None, entry.get("id")) else ""
    answers = f", answers as {said.answered_as}" if said.answered_as else ""
    is_named = spec.model in (*names, entry.get("root"))
    rows: list[tuple[str, Status, str]] = [
        ("server", "ok", url),
        ("model", "ok" if is_named else "note",
         f"{spec.model}{root}{answers}" + ("" if is_named else f"; the server lists {', '.join(names[:9]) or 'none'}")),
        ("api", "ok", f"{speaks.api}; prompts as {as_what}"),
        ("served context", "ok" if said.context else "note", f"{said.context} tokens" if said.context else "not told"),
    ]  # fmt: skip
    if refused := sorted(speaks.dropped):
        rows.append(("sampling", "note", f"takes no {', '.join(refused)}: its own defaults apply"))
    return [Finding(what=what, status=status, text=text) for what, status, text in rows], tokenizer, said.context


def writable(store: Path) -> Finding:
    try:
        store.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=store) as probe:
            probe.write(b"writable")
    except OSError as error:
        text = f"{store} cannot be written ({error.strerror}); choose another --store"
        return Finding(what="output", status="failed", text=text)
    return Finding(what="output", status="ok", text=f"{store} can be written")


def gold_answers(
    task: str, data: ProblemData, grader: Grader, limit: int | None = None,
    report: Callable[[int, int], None] = lambda done, total: None, task_paths: Sequence[Path] = (),
) -> Finding:  # fmt: skip
    """Every gold answer through the real grader. Instructions have no gold answers: their checkers are run instead."""
    started = time.monotonic()
    wrong: list[str] = []
    graded = 0
    try:
        problems = problems_of(task, data, task_paths)[:limit]
        if not problems:
            return Finding(what=task, status="note", text="graded by its own file: no gold answers of ours to look at")
        kind = kind_of(problems[0].family)
        right = ("correct", "wrong") if kind == "instructions" else ("correct",)
        for number, problem in enumerate(problems, 1):
            if (answer := reference(problem, kind)) is not None:
                graded += 1
                grade = grader.grade(problem.family, problem.gold, answer)
                if grade.verdict not in right:
                    wrong.append(f"{problem.id}: {grade.verdict}, {grade.reason}")
            report(number, len(problems))
    except DataError as error:
        return Finding(what=task, status="missing", text=str(error))
    except GraderBroken as error:
        return Finding(what=task, status="failed", text=str(error))
    except (KeyError, ValueError, IndexError, NoGrader) as error:
        return Finding(what=task, status="failed", text=f"no problems with id, family, prompt and gold ({error})")
    what = "checkers ran" if kind == "instructions" else "gold answers correct"
    text = f"{graded - len(wrong)}/{graded} {what} in {time.monotonic() - started:.1f} s"
    if graded < len(problems):
        text += f"; {len(problems) - graded} without a reference"
    if wrong:
        return Finding(what=task, status="failed", text=f"{text}; first: {wrong[0]}")
    return Finding(what=task, status="ok" if graded else "note", text=text)


def problems_of(task: str, data: ProblemData, task_paths: Sequence[Path] = ()) -> list[Problem]:
    """The problems of a task of ours, or (by lm-eval, which takes seconds) those of a user's own that we grade.

    Raises DataError when their data are not to be had.
    """
    if is_ours(task):
        return load(task, **data.given())
    import datasets

    from harness.evaluation.tasks import load_tasks

    datasets.disable_progress_bars()
    chosen = select([task], None, task_paths)
    try:
        loaded = load_tasks(EvalPlan(tasks=chosen, data=data, task_paths=task_paths))
        documents = loaded[chosen[0].lm_eval_name].eval_docs
        return [Problem.of_document(document) for document in documents if has_grader(document)]
    except (OSError, ValueError, ImportError, AttributeError) as error:
        raise DataError(f"{task}: cannot be loaded ({' '.join(str(error).split())[:200]})") from None


def reference(problem: Problem, kind: str) -> str | None:
    """A right response of a problem, where its data set has one; for instructions any text, to run the checkers on."""
    gold = problem.gold
    if gold.get("half") == "complete":  # as the complete question is answered in its own family
        family, own = gold["family"], gold["gold"]
        return reference(problem.model_copy(update={"family": family, "gold": own}), kind_of(family, own))
    if kind == "instructions" and "spec" not in gold:
        return "A plain first sentence. And a second one."
    if "reference" in gold:
        made = gold["reference"]
        if kind == "translation":  # any of them will do
            return str(made if isinstance(made, str) else made[0])
        return made if isinstance(made, str) else "\n".join(made) or None
    if kind in ("number", "math") and "answer" in gold:
        return f"\\boxed{{{gold['answer']}}}"
    if problem.family not in FAMILIES:
        return None
    return render(worked.chain(problem, random.Random(0), worked.Style(fault=0.0)))


def prompts(plan: EvalPlan, tokenizer: Any, max_tokens: int, context: int) -> Iterable[Finding]:
    """Rendered prompts of each task: template, one BOS, think tags, and whether prompt and budget fit the context.

    ``context``: in tokens; 0: not known.
    """
    chat, tags = uses_chat(tokenizer, plan.prompting), think_tags(tokenizer, plan.prompting)
    yield Finding(what="template", status="ok", text=_template(tokenizer, plan.prompting))
    for task in [task.name for task in plan.tasks]:
        status: Status = "failed"
        try:
            only = replace(plan, tasks=[each for each in plan.tasks if each.name == task])
            texts = [text for _, text in as_sent(only, tokenizer)[task]]
            ids = [encode(tokenizer, text, chat) for text in texts]
        except DataError as error:
            if not plan.prompting.few_shot:
                continue  # the gold answers say so
            text = str(error)
        except ModelError as error:
            text = str(error)
        else:
            bos, longest = tokenizer.bos_token_id, max(map(len, ids))
            starts = "no BOS token in this tokenizer" if bos is None else f"{int(ids[0][:1] == (bos,))} BOS"
            opened = "opened by the prompt" if is_prefilled(texts[0], tags) else "opened by the model"
            text = f"{starts}; {' '.join(tags)} {opened}; up to {longest} tokens"
            if context and longest + max_tokens > context:
                text += f", plus {max_tokens} to generate, is past the context of {context}; lower --max-tokens"
            else:
                status, text = "ok", f"{text} of {context or 'a context that is not known'}"
        yield Finding(what=f"{task} prompts", status=status, text=text)


def _template(tokenizer: Any, prompting: Prompting) -> str:
    """Which template makes prompts of messages."""
    known, shots = bool(getattr(tokenizer, "chat_template", None)), prompting.few_shot
    if uses_chat(tokenizer, prompting):
        turn = end_of_turn(tokenizer)
        ends = f"; a turn ends in {turn}" if turn else "; it writes no token at the end of a turn"
        if turn and turn != tokenizer.eos_token:
            ends += f", which is not the tokenizer's own end ({tokenizer.eos_token}): both count"
        return f"the tokenizer's chat template{ends}" + (
            f"; {shots} examples as turns before each problem" if shots else ""
        )
    why = "--no-chat-template sets the tokenizer's aside" if known else "the tokenizer has none"
    return f"none ({why}): " + (f"{shots} examples as text before each problem" if shots else "the bare prompt")


@dataclass(frozen=True, kw_only=True)
class Preview:
    """``rows``: each task with its numbers of problems, samples and prompt tokens.

    ``journalled``: how many samples the run's folder holds already.
    """

    folder: Path
    rows: list[dict[str, str | int]]
    journalled: int
    first_prompt: str
    think_tags: tuple[str, str]


def preview(spec: ModelSpec, plan: EvalPlan, folder: Path) -> Preview:
    """Tasks, numbers of samples, prompt tokens, what is sampled already, and the first rendered prompt."""
    from harness.models.backends import tokenizer_path
    from harness.models.loading import load_tokenizer

    tokenizer = load_tokenizer(tokenizer_path(spec))
    chat = uses_chat(tokenizer, plan.prompting)
    rows: list[dict[str, str | int]] = []
    first = ""
    for task, asked in as_sent(plan, tokenizer).items():
        first = first or (asked[0][1] if asked else "")
        tokens = sum(len(encode(tokenizer, text, chat)) for _, text in asked)
        each = plan.decoding.repeats(task)
        rows.append(
            {"task": task, "problems": len(asked), "samples": len(asked) * each, "prompt_tokens": tokens * each}
        )
    journalled = sum(1 for _ in read(folder / "generated.jsonl"))
    tags = think_tags(tokenizer, plan.prompting)
    return Preview(folder=folder, rows=rows, journalled=journalled, first_prompt=first, think_tags=tags)
