"""One run: a model on tasks with one decoding configuration, through lm-eval, to graded samples on disk.

Samples are graded while the model generates, in another process (``measure``).
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.evaluation.bridge import Generated, HarnessLM
from harness.evaluation.measuring import Measurer
from harness.evaluation.plan import EvalPlan, Progress, Selection, nltk_data
from harness.grading.families import FAMILIES
from harness.journal import write_rows, write_whole
from harness.models.base import Completer
from harness.problems.documents import check_documents
from harness.problems.load import is_ours, process_results
from harness.problems.registry import include_paths
from harness.records import Sample, Verdict
from harness.results.summary import row


def evaluate(
    completer: Completer, tokenizer: Any, plan: EvalPlan, folder: Path,
    progress: Progress = lambda done, total, tokens: None, measurer: Measurer | None = None,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Run ``plan`` and write ``samples.jsonl``, ``problems.jsonl`` and ``metrics.json`` into ``folder``.

    Returns the rows by task. A killed run goes on from its journal, ``generated.jsonl``. Raises SamplesMissing when
    model calls failed for good. ``measurer``: one that outlives this run, for callers with many.
    """
    started = time.monotonic()
    tasks = load_tasks(plan)
    with contextlib.ExitStack() as stack:
        measurer = measurer or stack.enter_context(Measurer(tokenizer, nltk_data(plan.settings)))
        samples, lm, results = _run(completer, tokenizer, plan, folder, progress, tasks, measurer)
    names = {task.lm_eval_name: task.name for task in plan.tasks}
    samples = [sample.model_copy(update={"task": names[sample.task]}) for sample in samples]
    rows = {t.name: row([s for s in samples if s.task == t.name], plan.decoding.max_tokens) for t in plan.tasks}
    write_rows(folder / "problems.jsonl", _problems(lm, names))
    write_rows(folder / "samples.jsonl", (sample.model_dump() for sample in samples))
    theirs = {names[name]: _their_score(values) for name, values in results["results"].items()}
    seconds = round(time.monotonic() - started, 2)
    figures = {"rows": rows, "lm_eval": theirs, "decoding": asdict(plan.decoding), "seconds": seconds}
    write_whole(folder / "metrics.json", json.dumps(figures, indent=1) + "\n")
    return rows


def _run(
    completer: Completer, tokenizer: Any, plan: EvalPlan, folder: Path, progress: Progress, tasks: dict[str, Any],
    measurer: Measurer,
) -> tuple[list[Sample], HarnessLM, dict[str, Any]]:  # fmt: skip
    """Everything that lm-eval does: prompts, our generation and grading beside it, its scoring."""
    from lm_eval import evaluator

    work: dict[tuple[str, int, int], Future[str]] = {}
    measured: dict[tuple[str, str], Sample] = {}

    def each(generated: Generated) -> None:
        if _ours(generated.doc):
            work[generated.task, generated.doc_id, generated.index] = measurer.submit(generated, lm.tags)

    def score(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
        """lm-eval's scoring hook: what was measured of this text (its own hook would grade it again)."""
        if not done:
            for place, future in work.items():
                sample = done[place] = measurer.sample(future)
                measured[sample.problem_id, sample.text] = sample
        return {"acc": float(measured[doc["id"], results[0]].grade.correct)}

    done: dict[tuple[str, int, int], Sample] = {}
    foreign = {name for name, task in tasks.items() if not all(map(_ours, task.eval_docs))}
    lm = HarnessLM(
        completer, tokenizer, plan.decoding, folder / "generated.jsonl", plan.prompting, progress=progress, each=each,
        raw=lambda name: name not in foreign, tree=plan.tree,
    )  # fmt: skip
    families = {doc["family"] for task in tasks.values() for doc in task.eval_docs if _ours(doc)}
    measurer.load(sorted(family for family in families if family in FAMILIES))
    for name, task in tasks.items():
        if name not in foreign:
            task.set_config("process_results", Uncopied(score))
    results = evaluator.evaluate(
        lm, {"tasks": tasks, "groups": {}}, bootstrap_iters=0, log_samples=True,
        samples=_chosen(tasks, plan.selection), apply_chat_template=lm.chat, system_instruction=plan.prompting.system,
    )  # fmt: skip
    assert results is not None
    samples: list[Sample] = []
    for name, logged in results["samples"].items():
        scored = {entry["doc_id"]: entry for entry in logged}
        for place in sorted(p for p in lm.generated if p[0] == name):
            if place in work:
                samples.append(done.get(place) or measurer.sample(work[place]))
            else:
                generated = lm.generated[place]
                samples.append(measurer.sample(measurer.submit(generated, lm.tags, _verdict(scored[place[1]]))))
    return samples, lm, dict(results)


class Uncopied:
    """A hook that stays itself when lm-eval copies the configuration it stands in."""

    def __init__(self, hook: Any) -> None:
        self.hook = hook

    def __call__(self, *arguments: Any) -> Any:
        return self.hook(*arguments)

    def __deepcopy__(self, memo: object) -> Uncopied:
        return self


def _verdict(entry: dict[str, Any]) -> tuple[Verdict, str]:
    """lm-eval's first number for an item of its own task, as a verdict."""
    names = [name for name in entry.get("metrics", []) if isinstance(entry.get(name), int | float)]
    if not names:
        return "infra_error", "lm-eval gave no number for this item"
    value = float(entry[names[0]])
    return "correct" if value >= 1.0 else "wrong", f"lm-eval's {names[0]} is {value:g}"


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
    try:
        found = dict(manager.load([task.lm_eval_name for task in plan.tasks])["tasks"])
        documents = {name: list(loaded.eval_docs) for name, loaded in found.items()}
    except DataError:
        raise
    except Exception as error:  # lm-eval and datasets fail in many ways at a task file or data that are not in order
        why = " ".join(str(error.__cause__ or error).split())[:200] or f"{type(error).__name__}; is its file empty?"
        raise DataError(f"{', '.join(task.name for task in plan.tasks)}: cannot be loaded ({why})") from error
    for name, loaded in found.items():
        graded_by_us = loaded.config.process_results is process_results or any(map(_ours, documents[name]))
        if graded_by_us and not is_ours(name.removeprefix("harness_")):
            check_documents(name, documents[name])
        if loaded.OUTPUT_TYPE != "generate_until":
            raise DataError(f"{name}: scores log-likelihoods ({loaded.OUTPUT_TYPE}); harness evaluates generated text")
        loaded.set_config("repeats", plan.decoding.samples)
    return found


def _chosen(tasks: dict[str, Any], selection: Selection) -> dict[str, list[int]] | None:
    if selection.ids:
        chosen, unknown = {}, set(selection.ids)
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
            for i in picked:
                unknown -= {str(docs[i].get("id", "")), str(docs[i].get("native_id", "")), str(i)}
            chosen[name] = _with_earlier_turns(docs, picked)
        if unknown:
            raise DataError(f"no problem has an id of {', '.join(sorted(unknown))}")
        return chosen
    if selection.limit:
        return {name: list(range(min(selection.limit, len(task.eval_docs)))) for name, task in tasks.items()}
    return None


def _with_earlier_turns(docs: list[dict[str, Any]], picked: list[int]) -> list[int]:
    """The picked documents and, of conversations, the turns before them, whose answers a later turn is given."""
    last: dict[str, int] = {}
    for i in picked:
        if "conversation" in docs[i]:
            name = docs[i]["conversation"]
            last[name] = max(last.get(name, 0), int(docs[i]["turn"]))
    if not last:
        return picked
    earlier = {i for i, doc in enumerate(docs) if int(doc["turn"]) < last.get(doc["conversation"], 0)}
    return sorted(earlier.union(picked))


def _first_id(docs: list[dict[str, Any]]) -> str:
    return str(docs[0].get("id", 0)) if docs else "none"


def _ours(doc: dict[str, Any]) -> bool:
    return "family" in doc and "gold" in doc


def _problems(lm: HarnessLM, names: dict[str, str]) -> list[dict[str, Any]]:
    """Every problem with its gold answer, so that a stored run can be graded again without its data set."""
    out = {}
    for (task, number, _), generated in sorted(lm.generated.items()):
        if _ours(generated.doc):
            doc = {key: generated.doc[key] for key in ("id", "family", "prompt", "gold")}
            out[task, number] = {"task": names[task], **doc}
    return list(out.values())


def _their_score(values: dict[str, Any]) -> Any:
    return next((v for k, v in values.items() if k.split(",")[0] in ("acc", "exact_match")), None)
