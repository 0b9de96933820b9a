"""What ``tasks``, ``eval`` and ``score`` show: tasks, a problem, rows by task, verdicts, trees beside sampling."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from harness.evaluation.preflight import Preview
from harness.problems.registry import Task
from harness.records import Sample
from harness.results.compare import AtBudget
from harness.results.records import Gap, Summary
from harness.view.page import Block, Page, Table, Text, texts
from harness.view.text import hanging, interval, number, one_line, percent, points, thinking

_NAMES = ("task", "n", "acc % [95%]", "|ans", "guess", "na", "unf", "emp", "think", "loop", "switch/1k")
_LEGEND = (
    "in %: acc, |ans (accuracy given an answer), guess (verdicts on an answer that nothing marks | accuracy without "
    "them), na (no answer; the rest is wrong), of it unf (unfinished) and emp (empty), loop "
    "(ends in a repetition loop)",
    "think: median thinking tokens (>: half the thoughts or more were cut); switch/1k: phrases that open another line "
    "of thought, per 1,000 of them",
)
_AT_K = (
    "@k: % of problems that one of the first k answers solves; tokens: generated, a problem",
    "plain: independent samples, as many answers as the tree's, or for as many tokens",
    "a tree's answers stand in a drawn order",
)
_WORTH = (
    "tokens/right: all tokens per right answer; AUC: mean of what right answers are worth, 1 - thinking tokens / 1,000 "
    "(or / 100)",
    "F1: of AUC on easy and accuracy on hard problems (by level); hard/easy: ratio of their median thinking tokens",
)
_2 = "{:.2f}"  # the form of a figure with two digits


def page(model: str, folders: Sequence[Path], rows: Mapping[str, Summary], left_to_server: Sequence[str] = ()) -> Page:
    """The rows of one evaluation, or of several that differ in their thinking budget ("TASK @N").

    ``left_to_server``: sampling settings that the server does not take.
    """
    shown: dict[str, list[list[str]]] = {}
    for name, f in rows.items():
        task, _, budget = name.partition(" ")
        shares = [percent(share, 0) for share in (f.no_answer, f.unfinished, f.empty)]
        shown.setdefault(task if budget else "", []).append([
            budget or task, str(f.n), f"{percent(f.accuracy)} {interval(f.low, f.high)}",
            percent(f.accuracy_answered), _guessed(f), *shares, thinking(f),
            percent(f.loops, 0), number(f.switches_per_1000, "{:.1f}"),
        ])  # fmt: skip
    records = [{"task": name, **f.model_dump()} for name, f in rows.items()]
    blocks: list[Block] = []
    for task, lines in shown.items():
        names = (task, *_NAMES[1:]) if task else _NAMES
        notes = _LEGEND if task == list(shown)[-1] else ()
        blocks.append(Table(columns=names, wrap=[0], rows=lines, notes=notes, records=[] if blocks else records))
    blocks += _worth(rows)
    for what, field in (("cut by --max-tokens", "cut"), ("grader or model call failed", "failed")):
        named = ", ".join(f"{row['task']} {percent(row[field])} %" for row in records if row[field] > 0)
        blocks += texts(f"{what}: {named}") if named else []
    closed = [f"{name} {percent(f.forced, 0)} %{_longer(f.relocated)}" for name, f in rows.items() if f.forced]
    blocks += texts(f"thoughts closed at the thinking budget: {', '.join(closed)}") if closed else []
    for name, f in rows.items():
        blocks += texts(*_twins(name, f), *_translated(name, f))
    if left_to_server:
        blocks += texts(f"the server takes no {', '.join(left_to_server)}: its own defaults apply")
    where = folders[0] if len(folders) == 1 else f"{folders[0].parent}/{{{','.join(each.name for each in folders)}}}"
    blocks += texts(f"{model}: samples and manifest in {where}", wrap=False)
    data = {"run": folders[0].name, "runs": [folder.name for folder in folders], "rows": records,
            "left_to_server": list(left_to_server)}  # fmt: skip
    return Page(title=f"evaluation of {model}", blocks=blocks, data=data)


def _guessed(f: Summary) -> str:
    return percent(None) if f.guessed is None else f"{percent(f.guessed, 0)}|{percent(f.accuracy_marked, 0)}"


def _worth(rows: Mapping[str, Summary]) -> list[Table]:
    """What thinking is worth, and whether it follows difficulty; of tasks on which anything was thought."""
    cells, records = [], []
    for name, f in rows.items():
        found = f.model_extra or {}
        figures = {
            "tokens_per_correct": f.tokens_per_correct, "auc": f.auc, "auc_100": f.auc_100, "f1": found.get("f1"),
            "f1_100": found.get("f1_100"), "hard_to_easy": found.get("hard_to_easy"),
        }  # fmt: skip
        if f.mean_thinking_tokens:
            each, *others = figures.values()
            cells.append([name, number(each), *(number(value, _2) for value in others)])
            records.append({"task": name, **figures})
    columns = ("task", "tokens/right", "AUC", "AUC 100", "F1", "F1 100", "hard/easy")
    title = "what thinking is worth"
    return [Table(title=title, columns=columns, wrap=[0], rows=cells, notes=_WORTH, records=records)] if cells else []


def _twins(task: str, f: Summary) -> list[str]:
    """What questions without a needed premise, and their complete twins, show."""
    found = f.model_extra or {}
    if "abstention" not in found:
        return []
    ratios = (number(found[key], "{:.2f}") for key in ("thinking_ratio", "tokens_ratio"))
    return [
        f"{task}: abstains from {percent(found['abstention'])} % of the questions without a premise, from "
        f"{percent(found['false_abstention'])} % of the complete ones (right on {percent(found['accuracy_complete'])} "
        f"%); without the premise thoughts are {next(ratios)} times as long, responses {next(ratios)} times, over "
        f"{found['pairs']:.0f} pairs"
    ]


def _translated(task: str, f: Summary) -> list[str]:
    """Corpus scores of translations, as sacreBLEU gives them."""
    found = f.model_extra or {}
    if "chrf" not in found:
        return []
    scores = f"chrF {number(found['chrf'], '{:.1f}')}, BLEU {number(found['bleu'], '{:.1f}')}"
    return [f"{task}: {scores} of {found['translations']:.0f} translations; one that is missing or cut counts as empty"]


def _longer(tokens: float | None) -> str:
    """How much longer the answers after closed thoughts are: thinking that moved behind the tag."""
    return "" if tokens is None else f" (answers {tokens:+.0f} tokens)"


def scored(task: str, f: Summary, samples: Sequence[Sample], out: Path | None, missing: int, metrics: bool) -> Page:
    """One scored file: verdicts, and the commonest reasons of what is not right."""
    lines = [
        f"{task}: {percent(f.accuracy)} % right {interval(f.low, f.high)} of {f.samples} responses, "
        f"{percent(f.accuracy_answered)} % of the answered",
        f"  wrong {percent(f.wrong)} %, unfinished {percent(f.unfinished)} %, no answer {percent(f.empty)} %, "
        f"grader or input failed {percent(f.failed)} %",
    ]
    if f.guessed is not None:
        lines.append(
            f"  guessed {percent(f.guessed)} % of the verdicts, {percent(f.accuracy_marked)} % right without them"
        )
    if f.prompt_strict is not None:
        kinds = ("prompt_strict", "prompt_loose", "instruction_strict", "instruction_loose")
        lines.append("  " + ", ".join(f"{kind.replace('_', ' ')} {percent(getattr(f, kind), 2)} %" for kind in kinds))
    lines += [f"  {line.removeprefix(f'{task}: ')}" for line in (*_twins(task, f), *_translated(task, f))]
    sizes = f"median thinking {thinking(f)}, answer {f.median_answer_tokens:g} {samples[0].metrics.unit}"
    lines.append(f"  {sizes}; loops {percent(f.loops)} %, reflection words {f.reflection_per_1000:.1f} per 1,000")
    if metrics:
        extra = f.model_extra or {}
        lines += [
            f"  first correct at {number(f.first_correct, '{:g}')}, outcome efficiency {number(f.efficiency, _2)}, "
            f"under-thinking {number(f.underthinking, _2)}, redundant share {number(f.redundant, _2)}",
            f"  oscillations {number(f.oscillations, _2)}, right, then abandoned {number(f.abandoned, _2)} (for a "
            f"wrong answer {number(extra.get('right_then_wrong'), _2)}, for none "
            f"{number(extra.get('right_then_unanswered'), _2)})",
            f"  AUC to 1,000 thinking tokens {number(f.auc, _2)}, to 100 {number(f.auc_100, _2)}, seq-rep-4 "
            f"{number(f.seq_rep_4, _2)}, tokens per correct {number(f.tokens_per_correct, '{:.0f}')}",
        ]
    reasons = Counter((s.grade.verdict, s.grade.reason) for s in samples if s.grade.verdict not in ("correct", "wrong"))
    lines += [f"  {count} x {verdict}: {one_line(reason)}" for (verdict, reason), count in reasons.most_common(4)]
    blocks = texts(*lines) + texts(*([] if out is None else [f"verdicts in {out}"]), wrap=False)
    data = {"task": task, "missing": missing, "out": None if out is None else str(out), **f.model_dump()}
    return Page(title=f"scores of {task}", blocks=blocks, data=data)


def preview(seen: Preview) -> Page:
    """What an evaluation would do: sizes by task, what is sampled already, the first prompt."""
    lines = []
    for row in seen.rows:
        size = "{problems} problems, {samples} samples, {prompt_tokens:,} prompt tokens"
        lines.append(f"{row['task']}: {size.format(**row)}")
    blocks: list[Block] = [
        *texts(*lines),
        *texts(f"folder {seen.folder}; {seen.journalled} samples are there already", wrap=False),
        *texts(f"think tags {' '.join(seen.think_tags)}; first prompt:"),
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
        kept = [{"task": task, **row.model_dump()} for row in rows]
        records += kept
        ks, shown = sorted({k for row in rows for k in row.at}), []
        for row in rows:
            at = (percent(row.at[k]) if k in row.at else "" for k in ks)
            last = f"{percent(row.test)} {interval(row.low, row.high)}"
            shown.append([row.name, str(row.guesses), f"{row.tokens:,.0f}", *at, last])
        difference = f"{points(gap.difference)} [{points(gap.low)}…{points(gap.high)}]"
        names = [task, "answers", "tokens", *(f"@{k}" for k in ks), "at last N [95%]"]
        blocks.append(Table(columns=names, rows=shown, records=kept))
        blocks += texts(f"tree against plain at equal tokens: {difference} points, n = {gap.n}", "")
    blocks += texts(*_AT_K) + texts(f"samples, trees and manifests in {folder}", wrap=False)
    gaps = {task: gap.model_dump() for task, (_, gap) in compared.items()}
    data = {"run": folder.name, "rows": records, "tree_minus_plain_at_equal_tokens": gaps}
    return Page(title="tree search beside plain sampling", blocks=blocks, data=data)


def listing(known: Mapping[str, Task], suites: Mapping[str, Sequence[str]]) -> Page:
    """Tasks by their groups, the embedded ones first."""
    width = max(len(name) for name in known)
    lines: list[str] = []
    ordered = sorted(known.values(), key=lambda task: (task.group != "embedded", task.group))
    for group, tasks in groupby(ordered, key=lambda task: task.group):
        lines += ["", group]
        for task in tasks:
            size = f"{task.items} items" if task.items.isdigit() else task.items.removeprefix("of ")
            lines += [f"  {task.name:<{width}}  {task.title}", f"  {'':<{width}}  {size}; {task.source}"]
    blocks = texts(*lines[1:], "", wrap=False)
    blocks += [Text(text=hanging(f"suite {name}: ", ", ".join(of)), verbatim=True) for name, of in suites.items()]
    blocks += texts("and reasoning_gym:NAME, any data set of the package reasoning-gym (docs/evaluation.md)")
    keys = ("group", "title", "items", "source")
    rows = [{"task": task.name, **{key: getattr(task, key) for key in keys}} for task in known.values()]
    data = {"tasks": rows, "suites": {name: list(of) for name, of in suites.items()}}
    return Page(title="tasks", blocks=blocks, data=data)


def problem(
    task: Task, count: int, number: int, *, name: str, gold: Any, prompt: str, tokens: int, grader: str, model: str
) -> Page:
    """Problem ``number`` of ``count``, its prompt as rendered for ``model``."""
    head = f"{task.name}: {task.title}; {count} problems; graded as {grader}"
    about = f"problem {number}, {name}: {tokens} tokens with the template of {model}"
    answer = f"gold: {json.dumps(gold, ensure_ascii=False, default=str)[:600]}"
    asked = Text(text=prompt, verbatim=True)
    blocks = [*texts(head, about, "", wrap=False), asked, *texts("", answer, wrap=False)]
    data = {"task": task.name, "id": name, "prompt": prompt, "tokens": tokens, "gold": gold, "grader": grader}
    return Page(title=task.name, blocks=blocks, data=data)
