"""Forced-answer early exit: what a model answers when its stored thought is cut short.

A thought is cut at several places, closed as a thinking budget closes it, and answered greedily by the same model with
the same prompt (after arXiv 2506.02536 and 2606.02835). The graders judge each answer, so plans and instructions are
probed as mathematics is, and no text is searched for statements. Nothing is generated twice: answers are journalled
under the identity of their request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from harness.errors import ModelError
from harness.evaluation.plan import Progress
from harness.grading.grade import Grader
from harness.grading.thinking import split, stopped
from harness.journal import Journal, read_records
from harness.models.base import Asked, Completer, Completion, Conversation, Place, Plain, Request, seed_of
from harness.models.prompts import encode, prompt_text, template_options, uses_chat
from harness.models.spec import Prompting
from harness.processes import in_threads
from harness.records import Drawn, Problem, Record, Sample, Verdict
from harness.thoughts import Tags

_AT_ONCE = 4  # answers that are graded at once
# Why a sample cannot be probed.
Left = Literal["no thought", "failed", "no token ids", "another prompt", "no grader"]


class Probed(Record):
    """The forced answers of one sample. ``positions``: tokens of thought that are kept, from none to all of them.

    ``cut``: the thought had no end of its own. ``stated``: tokens of thought up to the first right statement
    (``first_correct`` of the sample's metrics), None where there is none within the thought.
    """

    task: str
    problem_id: str
    index: int
    cut: bool
    positions: list[int]
    verdicts: list[Verdict]
    answers: list[str]
    own: Verdict
    stated: int | None = None

    @property
    def thought(self) -> int:
        """N: tokens of the whole thought."""
        return self.positions[-1]

    @property
    def right(self) -> list[bool]:
        return [verdict == "correct" for verdict in self.verdicts]

    @property
    def first(self) -> int | None:
        """Number of the first cut with a right answer."""
        return self.right.index(True) if any(self.right) else None

    @property
    def stable(self) -> int | None:
        """Number of the cut from which on every answer is right; None where that of the whole thought is not."""
        if not self.right[-1]:
            return None
        return next((i + 1 for i in reversed(range(len(self.right))) if not self.right[i]), 0)

    @property
    def redundant(self) -> float | None:
        """1 - F*/N, F* being the position of ``stable``."""
        return None if self.stable is None else 1 - self.positions[self.stable] / self.thought


class Thought(NamedTuple):
    """A stored thought: its token ids with what stands before it in the response, and how many ids that is."""

    ids: tuple[int, ...]
    before: int
    cut: bool

    def positions(self, cuts: int) -> list[int]:
        """0, 1/cuts, 2/cuts, ... and all of its tokens, rounded down."""
        length = len(self.ids) - self.before
        return [length * i // cuts for i in range(cuts + 1)]


@dataclass(frozen=True, kw_only=True)
class Probing:
    """How a run is probed. ``tags``, ``prompting``, ``stop`` and ``repetition_penalty`` are the run's own."""

    tags: Tags
    prompting: Prompting
    cuts: int = 10
    answer_tokens: int = 512
    stop: tuple[str, ...] = ()
    repetition_penalty: float = 1.0


def thought_of(sample: Sample, tokenizer: Any, tags: Tags) -> Thought | None:
    """The thought of a response in tokens; None where there is none (or an empty one)."""
    parts = split(sample.text, tags, sample.prefilled)
    if parts.state == "none" or not parts.thinking.strip():
        return None
    ids = sample.token_ids
    if not tokenizer.decode(ids).startswith(sample.text):  # a server put the thought together from two fields
        ids = tokenizer.encode(sample.text, add_special_tokens=False)
    end = parts.answer_start - (len(tags[1]) if parts.state != "unclosed" else 0)
    start = end - len(parts.thinking)
    before, last = (_tokens_within(tokenizer, ids, at) for at in (start, end))
    if before < len(ids) and len(tokenizer.decode(ids[:before])) < start:
        before += 1  # a token that ends the tag and begins the thought
    return Thought(tuple(ids[:last]), before, parts.state == "unclosed") if last > before else None


def _tokens_within(tokenizer: Any, ids: Sequence[int], characters: int) -> int:
    """How many of the first tokens say no more than so many characters."""
    low, high = 0, len(ids)
    while low < high:
        middle = (low + high + 1) // 2
        if len(tokenizer.decode(ids[:middle])) <= characters:
            low = middle
        else:
            high = middle - 1
    return low


class _Cut(NamedTuple):
    """One forced answer: of which sample, its request, and the response before the answer as text."""

    sample: int
    request: Request
    text: str


def probe(
    completer: Completer, tokenizer: Any, samples: Sequence[Sample], problems: Mapping[tuple[str, str], Problem],
    how: Probing, grader: Grader, journal: Path, progress: Progress = lambda done, total, tokens: None,
) -> tuple[list[Probed], Counter[Left]]:  # fmt: skip
    """Forced answers of ``samples`` at every cut, and how many samples could not be probed, by reason.

    ``problems``: by task and id. Goes on from ``journal``. Raises Incomplete when model calls failed for good and
    GraderBroken.
    """
    thoughts: list[tuple[Sample, Problem, Thought]] = []
    cuts: list[_Cut] = []
    left: Counter[Left] = Counter()
    for sample in samples:
        found = _usable(sample, problems.get((sample.task, sample.problem_id)), tokenizer, how)
        if isinstance(found, str):
            left[found] += 1
            continue
        problem, prompt, thought = found
        for position in thought.positions(how.cuts):
            cuts.append(_cut(len(thoughts), problem, prompt, thought.ids[: thought.before + position], tokenizer, how))
        thoughts.append((sample, problem, thought))
    completions = _answered(completer, tokenizer, [each.request for each in cuts], how.tags, journal, progress)

    def judge(work: tuple[_Cut, Completion]) -> tuple[Verdict, str]:
        (number, _, before), completion = work
        sample, problem, _ = thoughts[number]
        text = stopped(before + completion.text, how.stop, how.tags, sample.prefilled)
        grade = grader.grade(
            problem.family, problem.gold, text, completion.finish, prefilled=sample.prefilled, tags=how.tags
        )
        return grade.verdict, grade.answer

    judged = in_threads(judge, zip(cuts, completions, strict=True), _AT_ONCE)
    each = how.cuts + 1
    return [
        _probed(sample, thought, how.cuts, judged[number * each : (number + 1) * each])
        for number, (sample, _, thought) in enumerate(thoughts)
    ], left


def _usable(
    sample: Sample, problem: Problem | None, tokenizer: Any, how: Probing
) -> tuple[Problem, tuple[int, ...], Thought] | Left:
    """The problem, prompt ids and thought of a sample, or why it cannot be probed."""
    if problem is None:
        return "no grader"
    if sample.finish == "error":
        return "failed"
    if sample.text and not sample.token_ids:
        return "no token ids"
    try:
        prompt = encode(
            tokenizer, prompt_text(tokenizer, problem.prompt, how.prompting), uses_chat(tokenizer, how.prompting)
        )
    except ModelError:
        return "another prompt"
    if f"{seed_of(prompt):012x}" != sample.prompt_ids_hash:  # examples, earlier turns, another tokenizer
        return "another prompt"
    thought = thought_of(sample, tokenizer, how.tags)
    return "no thought" if thought is None else (problem, prompt, thought)


def _cut(
    number: int, problem: Problem, prompt: tuple[int, ...], kept: tuple[int, ...], tokenizer: Any, how: Probing
) -> _Cut:
    text = tokenizer.decode(kept) + how.tags[1]
    system = [{"role": "system", "content": how.prompting.system}] if how.prompting.system else []
    messages = [*system, {"role": "user", "content": problem.prompt}]
    request = Request(
        prompt + kept + tuple(tokenizer.encode(how.tags[1], add_special_tokens=False)), how.answer_tokens,
        stop=how.stop, repetition_penalty=how.repetition_penalty,
        conversation=lambda: Conversation(messages, template_options(how.prompting)).continued(text),
    )  # fmt: skip
    return _Cut(number, request, text)


def _answered(
    completer: Completer, tokenizer: Any, requests: Sequence[Request], tags: Tags, journal: Path, progress: Progress
) -> list[Completion]:
    """A completion of every request; equal ones are asked once, and known ones not at all."""
    distinct = {request.key(completer.digest): request for request in requests}
    keys, once = list(distinct), list(distinct.values())
    with Journal(journal) as file:
        known = {drawn.key: drawn for drawn in read_records(journal, Drawn)}
        of_these, tokens = len(distinct.keys() & known.keys()), 0

        def done(results: list[tuple[int, Completion]]) -> None:
            nonlocal of_these, tokens
            fresh = [
                Drawn(key=keys[i], text=c.thought + c.text, ids=list(c.token_ids), finish=c.finish) for i, c in results
            ]
            file.append(drawn.model_dump() for drawn in fresh)
            known.update((drawn.key, drawn) for drawn in fresh)
            of_these, tokens = of_these + len(fresh), tokens + sum(len(drawn.ids) for drawn in fresh)
            progress(of_these, len(once), tokens)

        missing = [number for number, key in enumerate(keys) if key not in known]
        if missing:
            place = partial(Place, "probe")
            Plain()(
                Asked(
                    completer=completer, tokenizer=tokenizer, tags=tags, seed=0, folder=journal.parent,
                    requests=once, documents=[None] * len(once),
                    places=[place(number, 0) for number in range(len(once))], missing=missing, done=done,
                )
            )  # fmt: skip
    drawn = (known[request.key(completer.digest)] for request in requests)
    return [Completion(one.text, tuple(one.ids), one.finish) for one in drawn]


def _probed(sample: Sample, thought: Thought, cuts: int, judged: Sequence[tuple[Verdict, str]]) -> Probed:
    positions, stated = thought.positions(cuts), sample.metrics.first_correct
    return Probed(
        task=sample.task, problem_id=sample.problem_id, index=sample.index, cut=thought.cut, positions=positions,
        verdicts=[verdict for verdict, _ in judged], answers=[answer[:200] for _, answer in judged],
        own=sample.grade.verdict, stated=stated if stated is not None and stated <= positions[-1] else None,
    )  # fmt: skip
