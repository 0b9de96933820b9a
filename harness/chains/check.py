"""One screen before a training: what the student is shown, what it learns to write, and whether it is worth learning.

Rows are read as ``harness train`` reads them and looked at as the token ids that would be trained on.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from harness.chains.framing import Framing
from harness.chains.solved import solved
from harness.errors import DataError, ModelError
from harness.evaluation.preflight import Finding, Status
from harness.grading.thinking import split
from harness.models.loading import context_length, load_tokenizer
from harness.models.prompts import end_of_turn, ends, is_prefilled, may_think, prompt_text, think_tags
from harness.models.spec import Prompting
from harness.problems import overlap
from harness.problems.file import Row
from harness.problems.file import read_rows as rows_of
from harness.training.data import SIDES, Kind, encoded_rows, file_of, unusable

TOLERATED = 0.01  # share of rows with a fault up to which it is a note
_FINISHES, _CUT = ("finish_reason", "finish", "stop_reason"), ("length", "max_tokens", "max_output_tokens", "context")
# How no answer ends.
_OPEN_END = re.compile(
    r"(?:[,:;=+(\[{]|\\boxed\{[^{}]*|\b(?:the|an|of|to|and|or|is|are|so|that|with|by|if|then|because))\Z"
)
# Control tokens of chat templates, which are text where the vocabulary does not hold them.
_CONTROL = re.compile(r"<\|[\w-]{1,40}\|>|<｜[^｜<>]{1,40}｜>|<(?:start|end)_of_turn>|\[/?INST\]")


def kinds_of(data: Path) -> list[Kind]:
    """What a file or folder of training data holds. Raises DataError, BadFile.

    The verified rows of an export hold the chains of its other files and wrong ones: they are looked at where they are
    alone.
    """
    if not data.is_dir():
        _, first = next(rows_of(data), ("", {}))
        pairs = {"chosen", "chosen_ids"} & first.keys()
        return ["pairs" if pairs else "verified" if isinstance(first.get("label"), bool) else "sft"]
    files: dict[Kind, Path] = {kind: file_of(data, kind) for kind in SIDES}
    if not (found := [kind for kind, file in files.items() if file.exists() and file.stat().st_size]):
        raise DataError(f"{data}: holds no rows in sft.jsonl or pairs.jsonl")
    return [kind for kind in found if kind != "verified"] or found


def training_data(
    data: Path, model: str, prompting: Prompting, max_tokens: int, samples: Path | None, data_dir: Path | None = None
) -> Iterator[Finding]:
    """All there is to say of training data for the student ``model``; ``max_tokens`` of a row, 0: what it takes.

    ``samples``: of the student, see ``solved``; ``data_dir``: where benchmarks' data lie. Raises DataError, BadFile and
    ModelError for what cannot be read.
    """
    tokenizer, limit = load_tokenizer(model), max_tokens or context_length(model)
    questions: list[tuple[str, str]] = []
    for kind in kinds_of(data):
        screen = Screen(tokenizer, prompting, limit)
        yield from screen.findings(data, kind)
        questions += screen.questions
    yield _overlap([question for _, question in questions], data_dir)
    if samples is None:
        yield Finding(what="solved", status="note", text="not looked at; --samples RUN: what the student solves")
    else:
        yield solved(samples, questions)


def _overlap(questions: Sequence[str], data_dir: Path | None) -> Finding:
    index = overlap.index_of("", data_dir)
    found = list(index.matches(questions))
    by_task = Counter(task for task, _ in {(match.task, match.text) for match in found})
    rows = len({match.text for match in found})
    said = [f"{rows:,} of {len(questions):,} rows ask what a suite asks: "] if found else []
    said += [", ".join(f"{task} {n:,}" for task, n in by_task.most_common())] if found else []
    said += [f"; the first: {found[0].problem} ({found[0].shown})"] if found else []
    text = "".join(said) or f"none with {len(index.counts)} tasks"
    text += f"; not compared with {', '.join(index.missing)}: no data (--data-dir)" if index.missing else ""
    return Finding(what="overlap", status="failed" if found else "note" if index.missing else "ok", text=text)


class Screen:
    """What is seen of the rows of one kind while they are read once.

    ``questions``: the problem of each row, where it names one, and what it asks. ``limit``: tokens of a row.
    """

    def __init__(self, tokenizer: Any, prompting: Prompting, limit: int) -> None:
        self.tokenizer, self.prompting, self.limit = tokenizer, prompting, limit
        self.questions: list[tuple[str, str]] = []
        self._framing, self._ends = Framing(tokenizer, prompting), ends(tokenizer)
        self._tags, self._thinks = think_tags(tokenizer, prompting), may_think(tokenizer, prompting)
        self._known = {*tokenizer.get_added_vocab(), *tokenizer.all_special_tokens}
        self._total, self._notes, self._left_out = 0, Counter[str](), Counter[str]()
        self._faults: dict[str, Counter[str]] = {what: Counter() for what in ("prompts", "thoughts", "answers", "ends")}
        self._lengths: dict[str, list[int]] = {}
        self._thoughts = self._opened = 0
        self._broken = self._first = ""  # rendered rows: the first with a fault, the first
        self._asked = ""

    def findings(self, data: Path, kind: Kind) -> Iterator[Finding]:
        """Read the rows of ``data`` and say what was seen."""
        file, sides, stopped = file_of(data, kind), SIDES[kind], ""
        try:
            for where, row, ids in encoded_rows(data, kind, self.tokenizer, self._notes):
                self._total += 1
                if why := unusable(ids, self.limit):
                    self._left_out[why] += 1
                else:
                    self._look(where, row, ids, sides)
        except DataError as error:
            stopped = str(error)
        yield self._rows(file, stopped)
        if kept := self._total - self._left_out.total():
            yield from self._contents(kept)

    def _look(self, where: str, row: Row, ids: Sequence[Sequence[int]], sides: Sequence[str]) -> None:
        prompt, *texts = (self.tokenizer.decode(list(each)) for each in ids)
        question = self._framing.question(row, prompt)
        self.questions.append((str(row.get("problem_id") or ""), question))
        faults = {("prompts", text) for text in self._framing.faults(row, prompt, texts[0])}
        for side, text, each in zip(sides, texts, ids[1:], strict=True):
            self._lengths.setdefault(side, []).append(len(each))
            faults |= set(self._of_side(row, side, is_prefilled(prompt, self._tags), text, each))
        for what, fault in faults:
            self._faults[what][fault] += 1
        shown = f"{_short(prompt, 100, 60)}▶{_short(texts[0], 120, 100)}◀"
        if not self._first or (faults and not self._broken):
            self._asked = question
        self._first = self._first or f"{where}: {shown}"
        self._broken = self._broken or (f"{where}: {shown}" if faults else "")

    def _of_side(
        self, row: Row, side: str, prefilled: bool, text: str, ids: Sequence[int]
    ) -> Iterator[tuple[str, str]]:
        """(what, fault) of a completion. A rejected one may be cut, or without a thought: that may be why."""
        of = " (rejected)" if side == "rejected" or row.get("label") is False else ""
        ended, (opening, closing) = ids[-1] in self._ends, self._tags
        body = self.tokenizer.decode(list(ids[:-1])) if ended else text
        if self._ends & {*ids[:-1]}:
            yield "ends", f"go on behind an end of turn, where the student will stop{of}"
        if foreign := sorted({*_CONTROL.findall(body)} - self._known):
            yield "prompts", f"hold {foreign[0]}, which is no token of this model: another template{of}"
        if body.count(opening) + prefilled > 1 or body.count(closing) > 1:
            yield "thoughts", f"open or close the thought twice{of}"
        state, thinking, answer, _ = split(body, self._tags, prefilled)
        if state == "orphan_close":
            yield "thoughts", f"close a thought ({closing}) that nothing opens{of}"
        self._thoughts += state == "closed" and not of
        self._opened += prefilled and not of
        if of:
            return
        if not ended:
            yield "ends", "have no end of turn in the loss: the student will not learn to stop"
        if state == "unclosed":
            by = "the prompt opens" if prefilled and opening not in body else "they open"
            yield "thoughts", f"never close the thought that {by}: no {closing} in the loss (cut?)"
        elif state == "none" and self._thinks:
            yield "thoughts", "have no thought before the answer (meant so? --thinking off)"
        elif state == "closed" and not thinking.strip() and self._thinks:
            yield "thoughts", "have an empty thought"
        if any(str(row.get(name)).lower() in _CUT for name in _FINISHES):
            yield "answers", "say themselves that they were cut at a limit"
        elif state != "unclosed" and not answer.strip():
            yield "answers", "have nothing behind the thought"
        elif state != "unclosed" and _OPEN_END.search(answer.rstrip()[-2000:]):
            yield "answers", "break off in the middle: cut?"

    def _rows(self, file: Path, stopped: str) -> Finding:
        kept = self._total - self._left_out.total()
        text = f"{kept:,} rows to train on"
        for side, lengths in self._lengths.items():
            text += f"; {side} of {min(lengths):,} to {max(lengths):,} tokens, median {median(lengths):,.0f}"
        found = [f"{n:,} of {self._total:,} left out: {why}" for why, n in self._left_out.items()]
        found += [f"{n:,} {text}" for text, n in self._notes.items() if "encoded anew" in text]
        is_bad = stopped or not kept or any(n > TOLERATED * self._total for n in self._left_out.values())
        text = "; ".join(filter(None, [stopped, *found, text]))
        return Finding(what=str(file.name), status="failed" if is_bad else "note" if found else "ok", text=text)

    def _contents(self, kept: int) -> Iterator[Finding]:
        untrained = "hold a thought in {} that is not trained on: name it reasoning_content, in the reply's message"
        for text, n in self._notes.items():
            name = text.removeprefix("rows whose ").removesuffix(" is not trained on")
            if name != text.removeprefix("rows whose "):
                self._faults["thoughts"][untrained.format(name)] += min(n, kept)
        opening, closing = self._tags
        by = "the prompt" if self._opened else "the student"
        turn = end_of_turn(self.tokenizer) or self.tokenizer.eos_token
        well = {
            "prompts": "framed as evaluation's",
            "thoughts": f"in {self._thoughts:,} of {kept:,} rows; {by} writes {opening}, {closing} is in the loss",
            "answers": "none is empty or breaks off",
            "ends": f"every completion ends its turn in the loss ({turn})",
        }
        for what, faults in self._faults.items():
            found = [f"{n:,} of {kept:,} rows {text}" for text, n in faults.most_common()]
            is_bad = any(n > TOLERATED * kept for n in faults.values())
            status: Status = "failed" if is_bad else "note" if found else "ok"
            yield Finding(what=what, status=status, text="; ".join(found) or well[what])
        yield Finding(what="a row, the loss ▶ to ◀", status="note", text=self._broken or self._first)
        try:
            text = _short(prompt_text(self.tokenizer, self._asked, self.prompting), 200, 100)
        except ModelError as error:
            text = str(error)
        yield Finding(what="evaluation asks", status="note", text=text)


def _short(text: str, head: int, tail: int) -> str:
    text = text.replace("\n", "⏎")
    return text if len(text) <= head + tail + 3 else f"{text[:head]} … {text[-tail:]}"
