"""The data card of a file of problems, and what ``harness data`` prints: what it holds, what it was compared with."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from harness.errors import BadFile
from harness.files import about
from harness.journal import write_whole
from harness.problems.dataset import FILE, DataFigures
from harness.problems.overlap import WORDING
from harness.view.page import Block, Page, Table, Text, texts
from harness.view.render import markdown
from harness.view.text import one_line

_HEAD = f"---\nconfigs:\n- config_name: default\n  data_files: {FILE}\n---\n"
_SHOWN = 20  # overlapping pairs


def check_place(out: Path) -> None:
    """Raises BadFile where the folder has a README.md that is no card of problems."""
    file = out / "README.md"
    with about(file):
        if file.exists() and not file.read_text(errors="replace").startswith(_HEAD):
            raise BadFile(f"{file}: is there already, and is no card of problems; give the data a folder of its own")


def write(figures: DataFigures, out: Path) -> None:
    """README.md beside the problems; its header makes ``datasets.load_dataset(FOLDER)`` work."""
    write_whole(out / "README.md", _HEAD + markdown.render(_card(figures)))


def page(figures: DataFigures, out: Path) -> Page:
    """What was written."""
    blocks: list[Block] = [
        *texts(*_holds(figures)), _compared(figures), *texts(_verdict(figures), style="strong"),
        *texts(*_pairs(figures)[:3]), Text(text=f"{out / FILE}; data card: {out / 'README.md'}", wrap=False),
    ]  # fmt: skip
    return Page(title=f"problems in {out}", blocks=blocks, data=figures.model_dump(mode="json"))


def _card(figures: DataFigures) -> Page:
    rules = figures.rules
    how = f"--count {rules.count} --seed {rules.seed} --share {rules.share:g}" + (" --drop" if rules.drop else "")
    blocks: list[Block] = [
        Text(text="Problems with gold answers to search for training data. In each row, gold is JSON text."),
        *texts(*_holds(figures), f"Made by harness data {figures.source} {how}. sha256 of {FILE}: {figures.digest}..."),
        _compared(figures), *texts(_verdict(figures), style="strong"), *texts(*_pairs(figures)[:_SHOWN]),
        Text(text=(
            "Compared by words alone, without case, punctuation and spacing: a problem overlaps with one of a suite "
            f"when their whole text is the same, or when at least {100 * rules.share:g} % of the runs of 13 words "
            "of the suite's problem are in it (8 to 12 words: its only run). Runs that more than "
            f"{WORDING} problems of a task share do not count. Problems made by rule are compared whole. A question "
            "in other words, or with other names and numbers throughout, is not found."
        )),
    ]  # fmt: skip
    return Page(title=f"Problems: {figures.source}", blocks=blocks)


def _holds(figures: DataFigures) -> list[str]:
    parts = [f"{number:,} {family}" for family, number in figures.families.items()]
    levels = ", ".join(f"{level}: {number:,}" for level, number in figures.levels.items() if level)
    shortest, median, longest = figures.words
    holds = f"{figures.problems:,} problems by grader: {', '.join(parts)}" + (f"; by level: {levels}" if levels else "")
    left_out = [f"left out: {number:,} {why}" for why, number in figures.left_out.items()]
    return [f"{holds}; words of a prompt: {shortest:,} to {longest:,}, median {median:,}", *left_out]


def _compared(figures: DataFigures) -> Table:
    pairs = Counter(task for task, _ in {(each.task, each.ours) for each in figures.overlaps})
    records = [
        {"task": task, "problems": number, "overlapping": pairs[task]} for task, number in figures.compared.items()
    ]
    rows = [[str(row["task"]), f"{row['problems']:,}", f"{row['overlapping']:,}"] for row in records]
    notes = [f"not compared with {task}: {one_line(why, 300)}" for task, why in figures.missing.items()]
    return Table(columns=("suite's task", "its problems", "ours in it"), rows=rows, records=records, notes=notes)


def _verdict(figures: DataFigures) -> str:
    if figures.failing:
        found = ", ".join(f"{number:,} with {task}" for task, number in figures.failing.items())
        return f"OVERLAP: {found}; leave them out with --drop, or allow it by name with --allow TASK"
    allowed = sorted({each.task for each in figures.overlaps})
    clean = f"no overlap but what was allowed ({', '.join(allowed)})" if allowed else "no overlap"
    if figures.unseen:
        names = ", ".join(figures.unseen)
        return f"{clean}, but NOT COMPARED with {names}: give --data-dir, name others with --against, or --allow them"
    return f"{clean} with these tasks"


def _pairs(figures: DataFigures) -> list[str]:
    return [
        f"{each.ours} with {each.task} {each.problem} ({100 * each.share:.0f} % of it): {one_line(each.shown, 120)}"
        for each in sorted(figures.overlaps, key=lambda each: -each.share)
    ]  # fmt: skip
