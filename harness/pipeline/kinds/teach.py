"""Outputs of a teacher, sampled or read from a file, and graded. No stage of a recipe by itself: see distil."""

from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import islice
from pathlib import Path

from harness.chains.distilled import Output, Taught, filtered, read_outputs
from harness.grading.grade import Grader
from harness.journal import Journal, read, write_rows
from harness.models.backends import opened
from harness.models.base import Asked, Completion, Conversation, Plain, Request, seed_of
from harness.models.prompts import is_prefilled, prompt_ids, think_tags, whole_text
from harness.models.spec import ModelSpec
from harness.pipeline.kind import Job, Kind, Params, Report
from harness.pipeline.sources import problem_count, problems_of


class Teach(Kind):
    """Writes ``taught.jsonl``: outputs that passed the filters, right or wrong, with verdicts where there is gold."""

    name = "teach"

    def run(self, job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> Params:
        if "file" in job.how:
            rows = read_outputs(Path(job.how["file"]), job.params["family"])
            outputs, tokens = list(islice(rows, job.params["problems"] or None)), 0
        else:
            teacher = job.models.get("model") or ModelSpec(model=str(inputs["model"] / "model"))
            outputs, tokens = _sampled(job, teacher, folder, report)
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
        return {
            "outputs": len(outputs), "left_out": dict(left_out), "verdicts": dict(verdicts), "generated_tokens": tokens,
        }  # fmt: skip

    def summary(self, figures: Params) -> str:
        verdicts = ", ".join(f"{n} {verdict}" for verdict, n in figures["verdicts"].items())
        return f"{figures['outputs']} outputs: {verdicts or 'none fit to train on'}"

    def spent(self, figures: Params) -> tuple[int, int]:
        return figures.get("generated_tokens") or 0, figures["outputs"]

    def items(self, job: Job, inputs: Mapping[str, int | None]) -> int | None:
        if "file" in job.how:
            return int(job.params["problems"]) or None
        return problem_count(job) * int(job.params["samples"])


def _sampled(job: Job, teacher: ModelSpec, folder: Path, report: Report) -> tuple[list[Output], int]:
    """The teacher's outputs to the plain prompts, and their tokens. A killed job goes on from its journal."""
    params, problems = job.params, [p for p in problems_of(job) for _ in range(job.params["samples"])]
    logs = folder / "teacher"
    logs.mkdir(exist_ok=True)
    with (
        opened(teacher.replicas()[0], logs) as (completer, tokenizer),
        Journal(folder / "outputs.journal.jsonl") as journal,
    ):
        requests = [
            Request(
                tuple(prompt_ids(tokenizer, problem.prompt)), params["max_tokens"], params["temperature"],
                seed=seed_of("teach", params["sampling_seed"], problem.id, i % params["samples"]),
                conversation=partial(Conversation, [{"role": "user", "content": problem.prompt}]),
            )
            for i, problem in enumerate(problems)
        ]  # fmt: skip
        known, tags = {row["index"]: row for row in read(journal.path)}, think_tags(tokenizer)

        def done(results: list[tuple[int, Completion]]) -> None:
            for i, c in results:
                text = whole_text(c, tokenizer.decode(requests[i].prompt_ids), tags)
                known[i] = {"index": i, "text": text, "finish": c.finish, "tokens": len(c.token_ids)}
            journal.append([known[i] for i, _ in results])
            report(len(known), len(requests), sum(row["tokens"] for row in known.values()))

        missing = [i for i in range(len(requests)) if i not in known]
        Plain()(Asked(
            completer=completer, tokenizer=tokenizer, tags=tags, seed=params["sampling_seed"], folder=folder,
            requests=requests, documents=problems, places=(), missing=missing, done=done,
        ))  # fmt: skip
        prefilled = bool(requests) and is_prefilled(tokenizer.decode(requests[0].prompt_ids), tags)
    head = tags[0] if prefilled else ""
    drawn = [(problem, known[i]) for i, problem in enumerate(problems)]
    outputs = [Output(problem=problem, text=head + row["text"], finish=row["finish"]) for problem, row in drawn]
    return outputs, sum(row["tokens"] for row in known.values())
