"""Tables of single commands: checks, scores, comparisons, gates, flips. Model text is made safe before it is shown."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.cli.options import print_json, safe
from harness.results.board import interval, percent


def table_of(*columns: str) -> Table:
    """An empty table in our style: the first column to the left, the others to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    return table


class Findings:
    """Lines of a check as they come; the worst one decides the exit code: 1 failed, 3 not looked at, 0 all holds."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.rows: list[Any] = []
        self._live = not as_json and sys.stderr.isatty()
        self._console = Console(highlight=False)

    def __enter__(self) -> Findings:
        return self

    def __exit__(self, kind: Any, *exc: object) -> None:
        if self.as_json and kind is None:
            print_json({"code": self.code, "findings": [vars(row) for row in self.rows]})
        elif kind is None:
            count = Counter(row.status for row in self.rows)
            print(", ".join(f"{count[s]} {s}" for s in ("ok", "failed", "missing", "note") if count[s]))

    def take(self, findings: Iterable[Any]) -> None:
        for finding in findings:
            self.rows.append(finding)
            if not self.as_json:
                if self._live:
                    print("\r\x1b[K", end="", file=sys.stderr, flush=True)
                self._console.print(f"{finding.status:<8}{finding.what}: {safe(finding.text, 600)}", markup=False)

    def report(self, task: str) -> Callable[[int, int], None]:
        def show(done: int, total: int) -> None:
            if self._live and (done % 20 == 0 or done == total):
                print(f"\r{task} {done}/{total} ", end="", file=sys.stderr, flush=True)

        return show

    @property
    def code(self) -> int:
        states = {row.status for row in self.rows}
        return 1 if "failed" in states else 3 if "missing" in states else 0


def score_table(task: str, figures: dict[str, Any], samples: Sequence[Any], out: Path | None, metrics: bool) -> None:
    """One scored file: verdicts, and the commonest reasons of what is not right."""
    console = Console(highlight=False)
    f = figures
    answered = percent(f["accuracy_answered"])
    console.print(
        f"{task}: {percent(f['accuracy'])} % right [{interval(f['low'], f['high'])}] of {f['samples']} responses, "
        f"{answered} % of the answered",
        markup=False,
    )
    parts = [
        ("wrong", "wrong"),
        ("unfinished", "unfinished"),
        ("empty", "no answer"),
        ("failed", "grader or input failed"),
    ]
    console.print("  " + ", ".join(f"{label} {percent(f[key])} %" for key, label in parts))
    if "prompt_strict" in f:
        names = ("prompt_strict", "prompt_loose", "instruction_strict", "instruction_loose")
        console.print("  " + ", ".join(f"{n.replace('_', ' ')} {percent(f[n], 2)} %" for n in names))
    unit = samples[0].metrics.unit
    console.print(
        f"  median thinking {f['median_thinking_tokens']:g}, answer {f['median_answer_tokens']:g} {unit}; "
        f"loops {percent(f['loops'])} %, reflection words {f['reflection_per_1000']:.1f} per 1,000"
    )
    if metrics:
        _overthinking(console, f)
    reasons = Counter(
        (s.grade.verdict, s.grade.reason) for s in samples if s.grade.verdict not in ("correct", "wrong")
    ).most_common(4)
    for (verdict, reason), count in reasons:
        console.print(f"  {count} x {verdict}: {safe(reason)}", markup=False)
    if out is not None:
        console.print(f"verdicts in {out}", markup=False, soft_wrap=True)


def _overthinking(console: Console, f: dict[str, Any]) -> None:
    def said(name: str, value: float | None, form: str = "{:.2f}") -> str:
        return f"{name} {'–' if value is None else form.format(value)}"

    first = [
        said("first correct at", f["first_correct"], "{:g}"),
        said("outcome efficiency", f["efficiency"]),
        said("under-thinking", f["underthinking"]),
        said("redundant share", f["redundant"]),
    ]
    second = [
        said("oscillations", f["oscillations"]),
        said("right, then abandoned", f["abandoned"]),
        said("seq-rep-4", f["seq_rep_4"]),
        said("tokens per correct", f["tokens_per_correct"], "{:.0f}"),
    ]
    console.print("  " + ", ".join(first))
    console.print("  " + ", ".join(second))


def comparison(
    ours: Any, theirs: Any, found: Sequence[Any], notes: Sequence[str], left_out: Sequence[str], flips: int
) -> None:
    """Paired differences by task, then the flipped items."""
    console = Console(highlight=False)
    console.print(f"A {ours.name}: {ours.manifest.get('model')}", markup=False)
    console.print(f"B {theirs.name}: {theirs.manifest.get('model')}", markup=False)
    for note in notes:
        console.print(f"  differs in {safe(note, 160)}", markup=False)
    table = table_of("task", "n", "A - B [95%]", "p", "flips", "na", "tokens", "sees", "needs")
    for one in found:
        gap, missing = one.accuracy, one.no_answer
        ratio = "–" if one.token_ratio is None else f"x{one.token_ratio[0]:.2f}"
        needs = "–" if one.needed is None else f"{one.needed:,}"
        table.add_row(
            one.task, str(gap.n), f"{100 * gap.difference:+.1f} [{interval(gap.low, gap.high, True)}]",
            f"{one.p_holm:.3f}", f"{gap.better}/{gap.worse}", f"{100 * missing.difference:+.1f}", ratio,
            f"{100 * gap.smallest:.1f}", needs,
        )  # fmt: skip
    console.print(table, markup=False)
    for line in (
        "A - B: accuracy in points, paired 95% interval; p: Holm over tasks; flips: items",
        "that A does better/worse; na: no answer, in points; tokens: A over B where both",
        "are right; sees: smallest true difference this n would show; needs: items that",
        "would show the observed one",
    ):
        console.print(line, style="dim")
    for one in found:
        same = f"{one.task}: {percent(one.same_texts)} % of the texts are equal"
        if one.first_divergence is not None:
            same += f"; the others part at token {one.first_divergence:g} (median)"
        console.print(same, markup=False)
        for flip in one.flips[:flips]:
            mark = "+" if flip.ours > flip.theirs else "-"
            console.print(f"  {mark} {flip.problem_id}", markup=False)
            console.print(f"      A: {safe(flip.reason, 70)}", markup=False, style="dim")
            console.print(f"      B: {safe(flip.their_reason, 70)}", markup=False, style="dim")
        if len(one.flips) > flips:
            console.print(f"  and {len(one.flips) - flips} more flips (--flips N)")
    if left_out:
        console.print(f"not compared, in one run only: {', '.join(left_out)}", markup=False)


def gate_table(run: str, baseline: Path, verdict: Any) -> None:
    """One line a test, the verdict last."""
    from harness.view.ci_reports import sentence

    console = Console(highlight=False)
    style = {"pass": "green", "regression": "red", "inconclusive": "yellow"}
    lines = Table.grid(padding=(0, 1))
    for check in verdict.checks:
        lines.add_row(Text(check.outcome, style[check.outcome]), Text(f"{check.task}: {sentence(check)}"))
    console.print(lines)
    console.print(
        f"{verdict.outcome}: {run} against {baseline}", style=style[verdict.outcome], markup=False, soft_wrap=True
    )


def flips(run: str, n: int, found: Sequence[Any], most: int, dry_run: bool) -> None:
    console = Console(highlight=False)
    kinds = Counter((flip.before, flip.after) for flip in found)
    console.print(f"{run}: {n} samples graded again, {len(found)} verdicts flip", markup=False)
    for (before, after), count in kinds.most_common():
        console.print(f"  {count} x {before} -> {after}")
    for flip in found[:most]:
        where = f"{flip.task} {flip.problem_id} #{flip.index}"
        console.print(
            f"  {where}: {safe(flip.reason_before, 60)} -> {safe(flip.reason_after, 60)}", markup=False, soft_wrap=True
        )
    console.print(
        "nothing was changed (--dry-run)" if dry_run else "verdicts and manifest are those of today's graders"
    )
