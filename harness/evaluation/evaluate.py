"""One run: a model on tasks with one decoding configuration, through lm-eval, to graded samples on disk.

Samples are graded while the model generates: grading waits on worker processes, generation on the model.
"""

from __future__ import annotations

import json
import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from harness.evaluation.bridge import Generated, HarnessLM
from harness.evaluation.metrics import of_response, stated_text
from harness.evaluation.plan import EvalPlan, Progress, Selection, nltk_data
from harness.evaluation.rows import row
from harness.grading.grade import FAMILIES, Grader
from harness.grading.thinking import split
from harness.journal import write_rows, write_whole
from harness.models.base import Completer
from harness.problems.load import DataError, process_results
from harness.problems.registry import include_paths
from harness.records import Grade, Sample


def evaluate(
    completer: Completer, tokenizer: Any, plan: EvalPlan, folder: Path,
    progress: Progress = lambda done, total, tokens: None,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Run ``plan`` and write ``samples.jsonl``, ``problems.jsonl`` and ``metrics.json`` into ``folder``.

    Returns the rows by task. A killed run goes on from its journal, ``generated.jsonl``. Raises SamplesMissing when
    model calls failed for good.
    """
    from lm_eval import evaluator

    started = time.monotonic()
    tasks = load_tasks(plan)
    with Grader(workers=2, nltk_data=nltk_data(plan.settings)) as grader, ThreadPoolExecutor(2) as threads:
        work: dict[str, Future[Sample]] = {}
        foreign = {task.lm_eval_name for task in plan.tasks if task.file is None}
        lm = HarnessLM(
            completer, tokenizer, plan.decoding, folder / "generated.jsonl", plan.prompting, progress=progress,
            each=lambda g: None if _is_foreign(g) else _submit(work, threads, g, lm, grader),
            raw=lambda name: name not in foreign,
        )  # fmt: skip
        families = sorted({doc["family"] for task in tasks.values() for doc in task.eval_docs if _ours(doc)})
        grader.load([family for family in families if family in FAMILIES])
        for name, task in tasks.items():
            if name not in foreign:  # lm-eval scores with this run's grader, which has seen the texts already
                task.set_config("process_results", partial(process_results, grader=grader))
        results = evaluator.evaluate(
            lm, {"tasks": tasks, "groups": {}}, bootstrap_iters=0, log_samples=True,
            samples=_chosen(tasks, plan.selection), apply_chat_template=lm.chat,
            system_instruction=plan.prompting.system,
        )  # fmt: skip
        assert results is not None
        names = {task.lm_eval_name: task.name for task in plan.tasks}
        samples: list[Sample] = []
        for name, logged in results["samples"].items():
            scored = {entry["doc_id"]: entry for entry in logged}
            for generated in _in_order(lm, name):
                if _is_foreign(generated):
                    samples.append(_foreign_sample(generated, scored[generated.doc_id], lm))
                else:
                    samples.append(work[_place(generated)].result())
        samples = [sample.model_copy(update={"task": names[sample.task]}) for sample in samples]
    cap = plan.decoding.max_tokens
    rows = {t.name: row([s for s in samples if s.task == t.name], cap) for t in plan.tasks}
    write_rows(folder / "problems.jsonl", _problems(lm, names))
    write_rows(folder / "samples.jsonl", (sample.model_dump() for sample in samples))
    # lm-eval's own score, from text alone: a cross-check of ours, which also knows why a generation ended.
    theirs = {names[name]: _their_score(values) for name, values in results["results"].items()}
    seconds = round(time.monotonic() - started, 2)
    figures = {"rows": rows, "lm_eval": theirs, "decoding": asdict(plan.decoding), "seconds": seconds}
    write_whole(folder / "metrics.json", json.dumps(figures, indent=1) + "\n")
    return rows


def load_tasks(plan: EvalPlan) -> dict[str, Any]:
    """lm-eval's task objects by their lm-eval names, set to this run's number of samples. Raises DataError."""
    from lm_eval import evaluator
    from lm_eval.api import task
    from lm_eval.tasks import TaskManager

    for name in ("lm_eval", "lm-eval"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # lm-eval asks git for the commit of the current folder, which complains on our stderr outside a repository, and
    # draws bars of its own through our progress line.
    evaluator.get_git_commit_hash = lambda: None
    task.tqdm = lambda items, **_: items
    manager = TaskManager(
        include_path=[str(path) for path in include_paths(plan.task_paths)],
        include_defaults=any(task.file is None for task in plan.tasks), metadata=plan.settings,
    )  # fmt: skip
    found = dict(manager.load([task.lm_eval_name for task in plan.tasks])["tasks"])
    for name, loaded in found.items():
        if loaded.OUTPUT_TYPE != "generate_until":
            raise DataError(f"{name}: scores log-likelihoods ({loaded.OUTPUT_TYPE}); harness evaluates generated text")
        loaded.set_config("repeats", plan.decoding.samples)
    return found


def _chosen(tasks: dict[str, Any], selection: Selection) -> dict[str, list[int]] | None:
    if selection.ids:
        chosen = {}
        for name, task in tasks.items():
            docs = list(task.eval_docs)
            picked = [
                i
                for i, doc in enumerate(docs)
                if {str(doc.get("id", "")), str(doc.get("native_id", "")), str(i)} & set(selection.ids)
            ]
            if not picked:
                raise DataError(
                    f"{name}: no problem has an id of {', '.join(selection.ids)}; first id: {_first_id(docs)}"
                )
            chosen[name] = picked
        return chosen
    if selection.limit:
        return {name: list(range(min(selection.limit, len(task.eval_docs)))) for name, task in tasks.items()}
    return None


def _first_id(docs: list[dict[str, Any]]) -> str:
    return str(docs[0].get("id", 0)) if docs else "none"


def _ours(doc: dict[str, Any]) -> bool:
    return "family" in doc and "gold" in doc


def _is_foreign(generated: Generated) -> bool:
    return not _ours(generated.doc)


def _place(generated: Generated) -> str:
    return f"{generated.task}\x1f{generated.doc_id}\x1f{generated.index}"


def _submit(
    work: dict[str, Future[Sample]], threads: ThreadPoolExecutor, generated: Generated, lm: HarnessLM, grader: Grader
) -> None:
    work[_place(generated)] = threads.submit(sample_of, generated, lm, grader)


def _in_order(lm: HarnessLM, task: str) -> list[Generated]:
    return [lm.generated[place] for place in sorted(p for p in lm.generated if p[0] == task)]


def sample_of(generated: Generated, lm: HarnessLM, grader: Grader) -> Sample:
    """Grade and measure one generation."""
    doc, completion = generated.doc, generated.completion
    gold = json.loads(doc["gold"])
    grade = grader.grade(doc["family"], gold, completion.text, completion.finish, generated.prefilled, lm.tags)
    parts = split(completion.text, lm.tags, generated.prefilled)
    statements = grader.statements(doc["family"], gold, stated_text(parts))
    ids = [i for i in completion.token_ids if i != lm.tokenizer.eos_token_id]
    measured = of_response(parts, grade.verdict, completion.finish, lm.tokenizer, ids, statements)
    return _sample(generated, str(doc["id"]), grade, measured)


def _foreign_sample(generated: Generated, entry: dict[str, Any], lm: HarnessLM) -> Sample:
    """A sample of lm-eval's own task: its metric decides, on the visible answer; an unfinished thought has none."""
    completion = generated.completion
    parts = split(completion.text, lm.tags, generated.prefilled)
    cut = completion.finish in ("length", "context")
    names = [name for name in entry.get("metrics", []) if isinstance(entry.get(name), int | float)]
    if completion.finish == "error":
        grade = Grade(verdict="infra_error", reason="the model call failed")
    elif parts.state == "unclosed" or (cut and not parts.answer.strip()):
        grade = Grade(verdict="unfinished", reason="no answer before the end", think_state=parts.state)
    elif not parts.answer.strip():
        grade = Grade(verdict="no_answer", reason="the answer is empty", think_state=parts.state)
    elif not names:
        grade = Grade(verdict="infra_error", reason="lm-eval gave no number for this item", think_state=parts.state)
    else:
        right = float(entry[names[0]]) >= 1.0
        reason = f"lm-eval's {names[0]} is {float(entry[names[0]]):g}"
        grade = Grade(verdict="correct" if right else "wrong", reason=reason, think_state=parts.state)
    ids = [i for i in completion.token_ids if i != lm.tokenizer.eos_token_id]
    measured = of_response(parts, grade.verdict, completion.finish, lm.tokenizer, ids)
    return _sample(generated, f"{generated.task}-{generated.doc_id}", grade, measured)


def _sample(generated: Generated, problem_id: str, grade: Grade, measured: dict[str, Any]) -> Sample:
    completion = generated.completion
    return Sample(
        key=generated.key, task=generated.task, problem_id=problem_id, index=generated.index, seed=generated.seed,
        prompt_ids_hash=generated.prompt_hash, text=completion.text, token_ids=list(completion.token_ids),
        finish=completion.finish, thinking_tokens=measured.pop("thinking_tokens"),
        answer_tokens=measured.pop("answer_tokens"), prefilled=generated.prefilled,
        # Without its wall time, so that the samples of equal runs are equal files.
        grade=grade.model_copy(update={"seconds": 0.0}), metrics=measured,
    )  # fmt: skip


def _problems(lm: HarnessLM, names: dict[str, str]) -> list[dict[str, Any]]:
    """Every problem with its gold answer, so that a stored run can be graded again without its data set."""
    out = {}
    for (task, number, _), generated in sorted(lm.generated.items()):
        if not _is_foreign(generated):
            doc = {key: generated.doc[key] for key in ("id", "family", "prompt", "gold")}
            out[task, number] = {"task": names[task], **doc}
    return list(out.values())


def _their_score(values: dict[str, Any]) -> Any:
    return next((v for k, v in values.items() if k.split(",")[0] in ("acc", "exact_match")), None)
