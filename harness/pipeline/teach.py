"""Long chain-of-thought data from a teacher: its outputs sampled or read, graded, filtered, written as chains."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from harness.chains.distilled import Output, Taught, chains_of_outputs, filtered, read_outputs
from harness.grading.grade import Grader
from harness.journal import Journal, read, write_rows
from harness.models.base import Completion, Request, complete_all, complete_in_chunks, seed_of
from harness.models.prompts import is_prefilled, prompt_ids, think_tags
from harness.pipeline.graph import Job
from harness.pipeline.sources import loaded, problems_of
from harness.records import Problem
from harness.thoughts import THINK_CLOSE

Report = Callable[[int, int, int], None]


def teach(job: Job, folder: Path, report: Report) -> dict[str, Any]:
    """Write ``taught.jsonl``: every output that passed the filters, with its verdict where there is a gold answer.

    A wrong answer is kept with its verdict; nothing without an answer, cut, doubled or with foreign tags is.
    """
    if "file" in job.how:
        outputs = list(
            islice(read_outputs(Path(job.how["file"]), job.params["family"]), job.params["problems"] or None)
        )
        tokens = 0
    else:
        outputs, tokens = _sampled(job, folder, report)
    kept, left_out = filtered(outputs)
    taught = []
    with Grader() as grader:
        for output in kept:
            correct, reason = None, "no gold answer to grade by"
            if output.problem.gold:
                grade = grader.grade(output.problem.family, output.problem.gold, output.text, output.finish)
                correct, reason = grade.correct, grade.reason
            taught.append(Taught(problem=output.problem, text=output.text, correct=correct, reason=reason))
    write_rows(folder / "taught.jsonl", (each.model_dump() for each in taught))
    verdicts = Counter({True: "correct", False: "wrong", None: "ungraded"}[each.correct] for each in taught)
    return {"outputs": len(outputs), "left_out": dict(left_out), "verdicts": dict(verdicts), "generated_tokens": tokens}


def _sampled(job: Job, folder: Path, report: Report) -> tuple[list[Output], int]:
    """The teacher's own outputs to the plain prompts. A killed job goes on from its journal."""
    params, problems = job.params, problems_of(job)
    with (
        loaded(job.models["teacher"], folder / "teacher") as (completer, tokenizer),
        Journal(folder / "outputs.journal.jsonl") as journal,
    ):
        opening = think_tags(tokenizer)[0]
        requests = [_request(problem, tokenizer, params, i) for problem in problems for i in range(params["samples"])]
        known: dict[int, dict[str, Any]] = {row["index"]: row for row in read(journal.path)}
        tokens = [sum(row["tokens"] for row in known.values())]

        def done(results: list[tuple[int, Completion]]) -> None:
            rows: list[dict[str, Any]] = [
                {"index": i, "text": c.text, "finish": c.finish, "tokens": len(c.token_ids)} for i, c in results
            ]
            journal.append(rows)
            known.update({row["index"]: row for row in rows})
            tokens[0] += sum(row["tokens"] for row in rows)
            report(len(known), len(requests), tokens[0])

        if completer.lockstep:
            asyncio.run(complete_in_chunks(completer, requests, known.__contains__, done))
        else:
            failed = asyncio.run(
                complete_all(completer, requests, [i for i in range(len(requests)) if i not in known], done)
            )
            if failed:
                from harness.errors import ModelError

                raise ModelError(f"{len(failed)} of {len(requests)} calls of the teacher failed; first: {failed[0]}")
        prefilled = is_prefilled(tokenizer.decode(requests[0].prompt_ids), think_tags(tokenizer)) if requests else False
    head = opening if prefilled else ""
    outputs = [
        Output(
            problem=problems[i // params["samples"]], text=head + known[i]["text"], finish=known[i]["finish"],
        )
        for i in range(len(requests))
    ]  # fmt: skip
    return outputs, tokens[0]


def _request(problem: Problem, tokenizer: Any, params: dict[str, Any], index: int) -> Request:
    ids = tuple(prompt_ids(tokenizer, problem.prompt))
    seed = seed_of("teach", params["sampling_seed"], problem.id, index)
    return Request(ids, params["max_tokens"], params["temperature"], seed=seed)


def distil(job: Job, folder: Path, inputs: dict[str, Path]) -> dict[str, Any]:
    """Write ``chains.jsonl`` in the vocabulary of the model to be trained, padded if the job says so."""
    from harness.models.loading import load_tokenizer

    model = job.models["tokenizer"]
    tokenizer = load_tokenizer(str(model.get("tokenizer") or model["model"]))
    taught = [Taught.model_validate(row) for row in read(inputs["taught"] / "taught.jsonl")]
    if job.params["padding"]:
        rng = random.Random(f"padding/{job.params['seed']}")
        taught = [_padded(each, rng, job.params["padding"]) for each in taught]
    kept, left_out = filtered([Output(problem=t.problem, text=t.text) for t in taught], [tokenizer])
    passed = {(output.problem.id, output.text) for output in kept}
    chains = chains_of_outputs([t for t in taught if (t.problem.id, t.text) in passed], tokenizer)
    write_rows(folder / "chains.jsonl", (chain.model_dump() for chain in chains))
    correct = [chain for chain in chains if chain.correct]
    return {
        "correct_chains": len(correct), "wrong_chains": len(chains) - len(correct), "left_out": dict(left_out),
        "mean_tokens": round(sum(c.length for c in correct) / max(1, len(correct)), 1),
    }  # fmt: skip


def _padded(taught: Taught, rng: random.Random, least: int) -> Taught:
    """With formalistic re-checks before the answer: the long-time thinking of arXiv 2503.01461, section 2."""
    from harness.problems.embedded import worked

    spans = worked.padding(taught.problem, rng, least)
    extra = "".join(span.opening + span.text + span.closing for span in spans)
    head, _, tail = taught.text.rpartition(THINK_CLOSE)
    return taught.model_copy(update={"text": head + extra + THINK_CLOSE + tail})
