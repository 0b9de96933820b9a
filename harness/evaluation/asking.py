"""What a model is asked: each problem's prompt as it is sent, with examples before it and stop strings after."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from harness.errors import DataError
from harness.evaluation.plan import Document, Documents, EvalPlan, has_grader
from harness.evaluation.spec import Selection
from harness.models.prompts import prompt_text, render, uses_chat
from harness.problems.examples import examples, solution
from harness.problems.load import is_ours, load
from harness.problems.registry import Task
from harness.records import Problem

SEED = 1234  # of the choice of examples, as in lm-eval; no option, so that runs with other --seed show the same ones
_NEXT = "\nQuestion:"  # where a model goes on with a question of its own


class _Shown:
    """lm-eval's sampler of examples: the first of one order for every problem, without the problem itself."""

    def __init__(self, task: str, pool: Sequence[Document], shown: Callable[[Document], str],
                 asked: Callable[[Document], str]) -> None:  # fmt: skip
        self._task, self._pool, self._shown, self._asked = task, pool, shown, asked

    def sample(self, n: int, eval_doc: Document, **_: Any) -> list[Document]:
        question = self._asked(eval_doc)
        found = list(islice((one for one in self._pool if self._shown(one) != question), n))
        if len(found) < n:
            raise DataError(f"{self._task}: has {len(found)} examples, no {n}: lower --few-shot (num_fewshot)")
        return found


def prepare(tasks: Mapping[str, Any], plan: EvalPlan, chat: bool) -> None:
    """Give lm-eval's tasks the examples and stop strings of a plan. Raises DataError for a task without examples."""
    files = {task.lm_eval_name: task.file for task in plan.tasks}
    for name, task in tasks.items():
        given = plan.prompting.few_shot
        shots = int(task.config.num_fewshot or 0) if given is None else given
        task.set_config("num_fewshot", shots)
        stops = [*_stops(task, files.get(name)), *plan.decoding.stop]
        if shots:
            stops += _show(task, name.removeprefix("harness_"), plan, chat)
        task.set_config(
            "generation_kwargs", {**(task.config.generation_kwargs or {}), "until": list(dict.fromkeys(stops))}
        )


def _stops(task: Any, file: Any) -> list[str]:
    """The stop strings of a task. Where our graders judge, only what its file says: not lm-eval's default, "\\n\\n"."""
    from lm_eval.tasks._yaml_loader import load_yaml

    settings = task.config.generation_kwargs or {}
    if file is not None and any(map(has_grader, islice(task.eval_docs, 1))):
        settings = load_yaml(file, resolve_func=False).get("generation_kwargs") or {}
    stops = settings.get("until") or []
    return [stop for stop in ([stops] if isinstance(stops, str) else stops) if stop]


def _show(task: Any, name: str, plan: EvalPlan, chat: bool) -> list[str]:
    """Let lm-eval put examples before a task's problems. Returns stop strings of the form they are given.

    Documents of ours get their worked answers; where the prompt is a bare column and no template makes turns, it
    becomes a question with its answer, and the next question is a stop.
    """
    cfg, more = task.fewshot_cfg, list[str]()
    if is_ours(name):
        pool = [problem.document() for problem in examples(name, plan.data.data_dir, plan.data.count)]
    else:
        pool = list(task.fewshot_docs() or [])
    if not pool:
        raise DataError(f"{name}: has no examples to show; its file needs a fewshot_split")
    if has_grader(pool[0]) and cfg.doc_to_target == "gold":
        cfg.doc_to_target = _solution
        if not chat and task.config.doc_to_text == cfg.doc_to_text == "prompt":
            cfg.doc_to_text = _question
            task.set_config("doc_to_text", _question)
            more.append(_NEXT)
    task.set_fewshot_seed(SEED)
    if cfg.sampler in ("default", "first_n"):  # else a sampler that the task brings
        if cfg.sampler == "default":
            pool = random.Random(SEED).sample(pool, len(pool))
        task.sampler = _Shown(name, pool, lambda one: str(task.doc_to_text(one, cfg.doc_to_text)), task.doc_to_text)
    cfg.split = task.config.test_split  # so that lm-eval names the problem to its sampler
    return more


def _question(document: Document) -> str:
    return f"Question: {document['prompt']}\nAnswer:"


def _solution(document: Document) -> str:
    return solution(Problem.of_document(document))


def as_sent(plan: EvalPlan, tokenizer: Any) -> dict[str, list[tuple[Document, str]]]:
    """Of each task the chosen documents with their prompts as sent (of a conversation's later turns: without earlier).

    What lm-eval would render in seconds is rendered here where it is plain. Raises DataError, and ModelError for a
    conversation that the chat template refuses.
    """
    out: dict[str, list[tuple[Document, str]]] = {}
    slow: list[Task] = []
    for task in plan.tasks:
        out[task.name] = []
        if is_ours(task.name) and not plan.prompting.few_shot:
            problems = load(task.name, **plan.data.given())
            chosen = [problems[number] for number in plan.selection.numbers([problem.names for problem in problems])]
            out[task.name] = [(one.document(), prompt_text(tokenizer, one.prompt, plan.prompting)) for one in chosen]
        else:
            slow.append(task)
    for name, asked in _by_lm_eval(replace(plan, tasks=slow), tokenizer) if slow else ():
        out[name].append(asked)
    return out


def _by_lm_eval(plan: EvalPlan, tokenizer: Any) -> Iterator[tuple[str, tuple[Document, str]]]:
    from harness.evaluation.tasks import load_tasks, quiet_lm_eval

    chat, prompting = uses_chat(tokenizer, plan.prompting), plan.prompting
    tasks = load_tasks(plan)
    prepare(tasks, plan, chat)

    def rendered(messages: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return render(tokenizer, messages, prompting, add_generation_prompt)

    picked = chosen({name: list(task.eval_docs) for name, task in tasks.items()}, plan.selection)
    for task in plan.tasks:
        one = tasks[task.lm_eval_name]
        with quiet_lm_eval():
            one.build_all_requests(
                samples=picked and picked[task.lm_eval_name], system_instruction=prompting.system,
                apply_chat_template=chat, fewshot_as_multiturn=True, chat_template=rendered,
            )  # fmt: skip
        for instance in one.instances:
            yield task.name, (instance.doc, str(instance.args[0]))


def chosen(documents: Documents, selection: Selection) -> dict[str, list[int]] | None:
    """Numbers of the documents that a run asks about, by lm-eval's task name; None: all. Raises DataError."""
    if not selection.names:
        limited = {name: [*range(len(rows))[: selection.limit]] for name, rows in documents.items()}
        return limited if selection.limit else None
    picked, unknown = {}, set(selection.names)
    for name, rows in documents.items():
        ids = [{str(row.get("id", "")), str(row.get("native_id", ""))} for row in rows]
        if not (numbers := selection.numbers(ids)):
            first = rows[0].get("id", 0) if rows else "none"
            raise DataError(f"{name}: no problem has an id of {', '.join(selection.names)}; first id: {first}")
        unknown -= set(map(str, range(len(rows)))).union(*ids)
        picked[name] = _with_earlier_turns(rows, numbers)
    if unknown:
        raise DataError(f"no problem has an id of {', '.join(sorted(unknown))}")
    return picked


def _with_earlier_turns(documents: Sequence[Document], picked: list[int]) -> list[int]:
    """The picked documents and, of conversations, the turns before them, whose answers a later turn is given."""
    last: dict[str, int] = {}
    for document in (documents[i] for i in picked if "conversation" in documents[i]):
        last[document["conversation"]] = max(last.get(document["conversation"], 0), int(document["turn"]))
    earlier = {i for i, doc in enumerate(documents) if last and int(doc["turn"]) < last.get(doc["conversation"], 0)}
    return sorted(earlier.union(picked))


def gold_of(document: Document) -> Any:
    """What a document is graded by; of a task of lm-eval's own the whole row."""
    return json.loads(document["gold"]) if has_grader(document) else document
