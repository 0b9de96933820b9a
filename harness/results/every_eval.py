"""A run in the form of Every Eval Ever (schema 0.3.0, arXiv 2606.14516): one record, and one line for each sample.

Figures that hide failures are not written: every result has the share of samples without an answer beside its accuracy.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.errors import Usage
from harness.files import file_digest
from harness.grading.thinking import split
from harness.journal import write_rows, write_whole
from harness.problems.registry import tasks
from harness.records import Sample
from harness.results.hub_results import HUB_ID
from harness.results.records import AskedProblem, Summary
from harness.results.runs import Run
from harness.results.summary import row
from harness.thoughts import THINK_TAGS

VERSION = "0.3.0"
Fields = dict[str, Any]  # of a JSON object
# name: (what it is, kind, unit, whether less is better, highest value)
_FIGURES: dict[str, tuple[str, str, str, bool, float | None]] = {
    "accuracy": ("share of right answers, an item without an answer not right", "accuracy", "proportion", False, 1.0),
    "no_answer": ("share of samples without an answer that could be graded", "failure_rate", "proportion", True, 1.0),
    "median_thinking_tokens": ("median length of thoughts", "length", "tokens", True, None),
}


def export(run: Run, out: Path, model: str, organization: str) -> tuple[Path, Path]:
    """Write a run under ``out`` as ``data/harness/DEVELOPER/NAME/ID.json`` with ``ID_samples.jsonl``; both paths.

    ``model``: its id on the Hub, ``DEVELOPER/NAME``; ``organization``: who publishes this. The same run gives the same
    files. Raises Usage for another form of id.
    """
    if not HUB_ID.fullmatch(model):
        raise Usage(f"--model-id {model[:80]}: write DEVELOPER/NAME, as on the Hub")
    # The schema wants the form of a random id (version 4); a digest makes it the same for the same run.
    name = uuid.UUID(bytes=hashlib.sha256(f"{run.manifest.run}/{model}".encode()).digest()[:16], version=4)
    folder = out / "data" / "harness" / model
    record, samples = folder / f"{name}.json", folder / f"{name}_samples.jsonl"
    ident = f"harness/{model}/{_seconds(run)}"
    folder.mkdir(parents=True, exist_ok=True)
    lines = list(_lines(run, ident, model))
    write_rows(samples, lines)
    whole = _record(run, ident, model, organization) | {
        "detailed_evaluation_results": {
            "format": "jsonl", "file_path": str(samples.relative_to(out)), "hash_algorithm": "sha256",
            "checksum": file_digest(samples, 64), "total_rows": len(lines),
        },
    }  # fmt: skip
    write_whole(record, json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    return record, samples


def _seconds(run: Run) -> str:
    """When the run began, in seconds since 1970; 0: not known."""
    date = run.manifest.date
    return str(int(datetime.fromisoformat(date).timestamp())) if date else "0"


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """What is known of some values, as texts: the schema takes no others."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items() if value}


def _record(run: Run, ident: str, model: str, organization: str) -> Fields:
    manifest = run.manifest
    packages = manifest.packages or {}
    engine = {"hf": "transformers"}.get(manifest.backend or "", manifest.backend or "unknown")
    return {
        "schema_version": VERSION, "evaluation_id": ident, "retrieved_timestamp": _seconds(run),
        **({"evaluation_timestamp": manifest.date} if manifest.date else {}),
        "source_metadata": {
            "source_name": "harness", "source_type": "evaluation_run", "source_organization_name": organization,
            "evaluator_relationship": "other",
        },
        "eval_library": {
            "name": "harness", "version": packages.get("harness", "unknown"),
            "additional_details": _texts({"run": manifest.run, "grader": manifest.grader, "packages": packages}),
        },
        "model_info": {
            "name": model.partition("/")[2], "id": model, "developer": model.partition("/")[0],
            "inference_engine": {"name": engine, "version": packages.get(engine, "unknown")},
            "additional_details": {
                "deployment_type": "self_deployed", "model_availability": "unknown",
                **_texts({"weights_digest": manifest.model_digest, "computed": manifest.computed}),
            },
        },
        "evaluation_results": [result for task in run.tasks for result in _results(run, task)],
    }  # fmt: skip


def _results(run: Run, task: str) -> Iterator[Fields]:
    summary, decoding = row(run.of(task)), run.manifest.decoding
    arguments = {
        "temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": decoding.top_k or None,
        **({"max_tokens": decoding.max_tokens} if decoding.max_tokens else {}),
        "reasoning": bool(summary.mean_thinking_tokens),
    }  # fmt: skip
    for figure, (about, kind, unit, lower, highest) in _FIGURES.items():
        yield {
            "evaluation_result_id": f"{task}/{figure}", "evaluation_name": task, "source_data": _source(task, summary),
            "metric_config": {
                "evaluation_description": about, "metric_id": figure, "metric_name": figure.replace("_", " "),
                "metric_kind": kind, "metric_unit": unit, "lower_is_better": lower, "score_type": "continuous",
                "min_score": 0.0, "max_score": "Infinity" if highest is None else highest,
            },
            "score_details": {"score": getattr(summary, figure)} | _uncertainty(figure, summary),
            "generation_config": {
                "generation_args": arguments,
                "additional_details": _texts(decoding.model_dump(mode="json", exclude={*arguments})),
            },
        }  # fmt: skip


def _uncertainty(figure: str, summary: Summary) -> Fields:
    if figure != "accuracy":
        return {"details": _texts({"samples": summary.samples})}
    interval = {"lower": summary.low, "upper": summary.high, "confidence_level": 0.95, "method": "over items"}
    return {
        "uncertainty": {"confidence_interval": interval, "num_samples": summary.n},
        "details": _texts({"samples": summary.samples, "accuracy_answered": summary.accuracy_answered}),
    }


def _source(task: str, summary: Summary) -> Fields:
    known = tasks().get(task)
    if known and HUB_ID.fullmatch(known.source):
        return {"dataset_name": known.title or task, "source_type": "hf_dataset", "hf_repo": known.source,
                "samples_number": summary.n}  # fmt: skip
    details = _texts({"source": known.source if known else "lm-eval", "items": summary.n})
    return {"dataset_name": (known and known.title) or task, "source_type": "other", "additional_details": details}


def _lines(run: Run, ident: str, model: str) -> Iterator[Fields]:
    """A line for each sample. A turn of a conversation is one of its own, without the turns before it."""
    problems = {(one.task, one.id): one for one in run.problems()}
    several = max(sample.index for sample in run.samples) > 0
    tags = run.manifest.think_tags or THINK_TAGS
    for sample in run.samples:
        problem = problems.get((sample.task, sample.problem_id))
        parts = split(sample.text, tags, sample.prefilled)
        asked, wanted = (problem.prompt, _wanted(problem)) if problem else ("", [])
        grade = sample.grade
        output: Fields = {"raw": [sample.text]}
        if parts.thinking:
            output["reasoning_trace"] = [parts.thinking]
        failed = grade.verdict not in ("correct", "wrong", "no_answer", "unfinished")
        yield {
            "schema_version": VERSION, "evaluation_id": ident, "model_id": model, "evaluation_name": sample.task,
            "evaluation_result_id": f"{sample.task}/accuracy",
            "sample_id": f"{sample.problem_id}#{sample.index}" if several else sample.problem_id,
            "sample_hash": hashlib.sha256("".join((asked, *wanted)).encode()).hexdigest(),
            "interaction_type": "single_turn", "input": {"raw": asked, "reference": wanted}, "output": output,
            "answer_attribution": [{
                "turn_idx": 0, "source": "output.raw", "extracted_value": grade.answer,
                "extraction_method": grade.how or "custom", "is_terminal": True,
            }],
            "evaluation": {"score": float(grade.correct), "is_correct": grade.correct},
            "metadata": _texts(_about(sample)),
            **({"error": f"{grade.verdict}: {grade.reason}"} if failed else {}),
        }  # fmt: skip


def _wanted(problem: AskedProblem) -> list[str]:
    """The gold answer as text, where a problem has one; else all that the grader knows, as JSON."""
    gold = json.loads(problem.gold)
    return [str(gold["answer"])] if "answer" in gold else [problem.gold]


def _about(sample: Sample) -> Fields:
    return {
        "verdict": sample.grade.verdict, "finish": sample.finish, "thinking_tokens": str(sample.thinking_tokens),
        "answer_tokens": str(sample.answer_tokens), "seed": str(sample.seed),
    }  # fmt: skip
