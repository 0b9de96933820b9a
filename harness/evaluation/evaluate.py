"""One run: a model on tasks with one decoding configuration, through lm-eval, to graded samples on disk."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.evaluation.bridge import Decoding, HarnessLM
from harness.evaluation.metrics import of_response, row
from harness.grading.grade import Grader, shared_grader
from harness.journal import read, write_rows, write_whole
from harness.models.base import Completer
from harness.problems.registry import Task, include_paths
from harness.records import Grade, Sample


def evaluate(
    completer: Completer, tokenizer: Any, tasks: Sequence[Task], decoding: Decoding, folder: Path,
    settings: dict[str, Any], limit: int | None = None, task_paths: Sequence[Path] = (),
    progress: Callable[[int, int, int], None] = lambda done, total, tokens: None,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Run ``tasks`` and write ``samples.jsonl`` and ``metrics.json`` into ``folder``; returns the rows by task.

    ``settings`` reach the tasks' loaders (``data_dir``, ``split``, ``count``). A killed run goes on from its journal.
    """
    from lm_eval import evaluator
    from lm_eval.api import task
    from lm_eval.tasks import TaskManager

    started = time.monotonic()
    for name in ("lm_eval", "lm-eval"):
        logging.getLogger(name).setLevel(logging.ERROR)
    lm = HarnessLM(completer, tokenizer, decoding, folder / "generated.jsonl", progress=progress)
    manager = TaskManager(
        include_path=[str(path) for path in include_paths(task_paths)], include_defaults=False, metadata=settings
    )
    # lm-eval asks git for the commit of the current folder, which complains on our stderr outside a repository, and
    # draws bars of its own through our progress line.
    evaluator.get_git_commit_hash = lambda: None
    task.tqdm = lambda items, **_: items
    results = evaluator.simple_evaluate(
        model=lm,
        tasks=[chosen.name for chosen in tasks],
        task_manager=manager,
        limit=limit,
        bootstrap_iters=0,
        apply_chat_template=tokenizer.chat_template is not None,
        log_samples=True,
        random_seed=None,
        numpy_random_seed=None,
        torch_random_seed=None,
    )
    assert results is not None
    grader = shared_grader()
    samples: list[Sample] = []
    for name, logged in results["samples"].items():
        for entry in sorted(logged, key=lambda entry: entry["doc_id"]):
            samples += _samples(lm, name, entry, tokenizer, grader)
    rows = {t.name: row([s for s in samples if s.task == t.name]) for t in tasks}
    write_rows(folder / "samples.jsonl", (sample.model_dump() for sample in samples))
    # lm-eval's own score, from text alone: a cross-check of ours, which also knows why a generation ended.
    theirs = {name: values.get("acc,none") for name, values in results["results"].items()}
    seconds = round(time.monotonic() - started, 2)
    figures = {"rows": rows, "lm_eval": theirs, "decoding": asdict(decoding), "seconds": seconds}
    write_whole(folder / "metrics.json", json.dumps(figures, indent=1) + "\n")
    return rows


def _samples(lm: HarnessLM, task: str, entry: dict[str, Any], tokenizer: Any, grader: Grader) -> list[Sample]:
    doc = entry["doc"]
    out = []
    for index in range(len(entry["resps"][0])):
        generated = lm.generated[task, entry["doc_id"], index]
        completion = generated.completion
        measured = of_response(completion.text, completion.token_ids, tokenizer, generated.prefilled)
        gold = json.loads(doc["gold"])
        grade = grader.grade(doc["family"], gold, completion.text, completion.finish, generated.prefilled)
        out.append(
            Sample(
                key=generated.key,
                task=task,
                problem_id=doc["id"],
                index=index,
                seed=generated.seed,
                prompt_ids_hash=generated.prompt_hash,
                text=completion.text,
                token_ids=list(completion.token_ids),
                finish=completion.finish,
                thinking_tokens=measured.pop("thinking_tokens"),
                answer_tokens=measured.pop("answer_tokens"),
                grade=_timeless(grade),
                metrics=measured,
            )
        )
    return out


def _timeless(grade: Grade) -> Grade:
    """A grade without its wall time, so that the samples of equal runs are equal files."""
    return grade.model_copy(update={"seconds": 0.0})


def load_samples(folder: Path) -> list[Sample]:
    return [Sample.model_validate(entry) for entry in read(folder / "samples.jsonl")]
