"""What ``eval`` and ``score`` show: rows by task, a file's verdicts, what would run, tree search beside sampling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from harness.evaluation.preflight import Preview
from harness.records import Sample
from harness.results.decodings import AtBudget
from harness.results.records import Gap, Summary
from harness.view.page import Block, Page, Table, Text, columns, texts
from harness.view.text import interval, number, one_line, percent, points

_NAMES = ("task", "n", "acc % [95%]", "|ans", "wrong", "na", "unf", "emp", "think", "loop", "refl/1k")
_LEGEND = (
    "in %: acc, |ans (accuracy given an answer), wrong, na (no answer), of it unf (unfinished) and emp (empty), loop "
    "(ends in a repetition loop)",
    "think: median thinking tokens; refl/1k: reflection words per 1,000 of them",
)
_2 = "{:.2f}"  # the form of a figure with two digits


def page(model: str, folder: Path, rows: Mapping[str, Summary]) -> Page:
    """The rows of one evaluation."""
    shown = []
    for task, f in rows.items():
        shares = [percent(share, 0) for share in (f.wrong, f.no_answer, f.unfinished, f.empty)]
        shown.append([
            task, str(f.n), f"{percent(f.accuracy)} {interval(f.low, f.high)}",
            percent(f.accuracy_answered), *shares, f"{f.median_thinking_tokens:.0f}", percent(f.loops, 0),
            f"{f.reflection_per_1000:.1f}",
        ])  # fmt: skip
    records = [{"task": task, **f.model_dump()} for task, f in rows.items()]
    blocks: list[Block] = [Table(columns=columns(*_NAMES, wrap=[0]), rows=shown, notes=_LEGEND, records=records)]
    for what, some in (
        ("cut by --max-tokens", {task: f.cut for task, f in rows.items()}),
        ("grader or model call failed", {task: f.failed for task, f in rows.items()}),
    ):
        named = ", ".join(f"{task} {percent(share)} %" for task, share in some.items() if share > 0)
        blocks += texts(f"{what}: {named}") if named else []
    blocks.append(Text(text=f"{model}: samples and manifest in {folder}", wrap=False))
    return Page(title=f"evaluation of {model}", blocks=blocks, data={"run": folder.name, "rows": records})


def scored(task: str, f: Summary, samples: Sequence[Sample], out: Path | None, missing: int, metrics: bool) -> Page:
    """One scored file: verdicts, and the commonest reasons of what is not right."""
    lines = [
        f"{task}: {percent(f.accuracy)} % right {interval(f.low, f.high)} of {f.samples} responses, "
        f"{percent(f.accuracy_answered)} % of the answered",
        f"  wrong {percent(f.wrong)} %, unfinished {percent(f.unfinished)} %, no answer {percent(f.empty)} %, "
        f"grader or input failed {percent(f.failed)} %",
    ]
    if f.prompt_strict is not None:
        lines.append(
            f"  prompt strict {percent(f.prompt_strict, 2)} %, prompt loose {percent(f.prompt_loose, 2)} %, "
            f"instruction strict {percent(f.instruction_strict, 2)} %, "
            f"instruction loose {percent(f.instruction_loose, 2)} %"
        )
    lines.append(
        f"  median thinking {f.median_thinking_tokens:g}, answer {f.median_answer_tokens:g} "
        f"{samples[0].metrics.unit}; loops {percent(f.loops)} %, reflection words {f.reflection_per_1000:.1f} "
        "per 1,000"
    )
    if metrics:
        lines += [
            f"  first correct at {number(f.first_correct, '{:g}')}, outcome efficiency {number(f.efficiency, _2)}, "
            f"under-thinking {number(f.underthinking, _2)}, redundant share {number(f.redundant, _2)}",
            f"  oscillations {number(f.oscillations, _2)}, right, then abandoned {number(f.abandoned, _2)}, seq-rep-4 "
            f"{number(f.seq_rep_4, _2)}, tokens per correct {number(f.tokens_per_correct, '{:.0f}')}",
        ]
    reasons = Counter((s.grade.verdict, s.grade.reason) for s in samples if s.grade.verdict not in ("correct", "wrong"))
    lines += [f"  {count} x {verdict}: {one_line(reason)}" for (verdict, reason), count in reasons.most_common(4)]
    blocks = texts(*lines) + texts(*([] if out is None else [f"verdicts in {out}"]), wrap=False)
    data = {"task": task, "missing": missing, "out": None if out is None else str(out), **f.model_dump()}
    return Page(title=f"scores of {task}", blocks=blocks, data=data)


def preview(seen: Preview) -> Page:
    """What an evaluation would do: sizes by task, what is sampled already, the first prompt."""
    lines = [
        f"{row['task']}: size known once lm-eval loads it"
        if row["problems"] is None
        else "{task}: {problems} problems, {samples} samples, {prompt_tokens:,} prompt tokens".format(**row)
        for row in seen.rows
    ]
    blocks: list[Block] = [
        *texts(*lines),
        Text(text=f"folder {seen.folder}; {seen.journalled} samples are there already", wrap=False),
        Text(text=f"think tags {' '.join(seen.think_tags)}; first prompt:"),
        Text(text=seen.first_prompt, verbatim=True),
    ]
    data = {"run": seen.folder.name, "rows": seen.rows, "journalled": seen.journalled,
            "first_prompt": seen.first_prompt}  # fmt: skip
    return Page(title="what would be evaluated", blocks=blocks, data=data)


def decodings(compared: Mapping[str, tuple[Sequence[AtBudget], Gap]], folder: Path) -> Page:
    """Test@N of tree search and of plain sampling (arXiv 2503.01461, Table 7)."""
    blocks: list[Block] = []
    records = []
    for task, (rows, gap) in compared.items():
        kept = [{"task": task, **asdict(row)} for row in rows]
        records += kept
        ks = sorted({k for row in rows for k in row.at})
        shown = [
            [row.name, str(row.guesses), f"{row.tokens:,.0f}",
             *(percent(row.at[k]) if k in row.at else "" for k in ks),
             f"{percent(row.test)} {interval(row.low, row.high)}"]
            for row in rows
        ]  # fmt: skip
        difference = f"{points(gap.difference)} [{points(gap.low)}…{points(gap.high)}]"
        names = columns(task, "answers", "tokens", *(f"@{k}" for k in ks), "at last N [95%]")
        blocks.append(Table(columns=names, rows=shown, records=kept))
        blocks += texts(f"tree against plain at equal tokens: {difference} points, n = {gap.n}", "")
    blocks += texts(
        "@k: % of problems that one of the first k answers solves; tokens: generated, a problem",
        "plain: independent samples, as many answers as the tree's, or for as many tokens",
        "a tree's answers stand in a drawn order",
    )
    blocks.append(Text(text=f"samples, trees and manifests in {folder}", wrap=False))
    gaps = {task: gap.model_dump() for task, (_, gap) in compared.items()}
    data = {"run": folder.name, "rows": records, "tree_minus_plain_at_equal_tokens": gaps}
    return Page(title="tree search beside plain sampling", blocks=blocks, data=data)
