"""Live progress: bars or lines of running stages, one rewritten line of a search or an evaluation, lines of a check."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from harness.evaluation.preflight import Finding
from harness.view.render.json import dump
from harness.view.text import clean, one_line


class Display:
    """Live view of ``total`` stages: bars (``full``) or a line per event (``plain``), and a ``summary`` of results."""

    MODES = ("auto", "full", "plain", "none")

    def __init__(self, mode: str, total: int, summary: Callable[[Any], str]) -> None:
        self.mode = ("full" if sys.stdout.isatty() else "plain") if mode == "auto" else mode
        self.console = Console(highlight=False, markup=False)
        self.total, self.finished, self.begun = total, 0, False
        self._summary = summary
        self._bars: dict[str, tuple[TaskID, float]] = {}  # by digest: the bar, when the stage started
        self._progress = Progress(
            TextColumn("{task.description:<22}", markup=False), BarColumn(bar_width=18),
            TextColumn("{task.fields[items]:>11}"), TextColumn("{task.fields[rate]:>10}"), TimeElapsedColumn(),
            TimeRemainingColumn(compact=True), console=self.console,
        )  # fmt: skip

    def __enter__(self) -> Display:
        if self.mode == "full":
            self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.mode == "full":
            self._progress.stop()
        if self.total and self.finished == self.total and not self.begun and self.mode != "none":
            self.console.print(f"all {self.total} stages were done before; nothing had to be run")

    def listen(self, event: str, job: Any, payload: Any) -> None:
        """Show what becomes of ``job``, a stage with its name and digest."""
        if self.mode == "none":
            return
        self.finished += event in ("cached", "end")
        if event == "start":
            self._start(job.name, job.digest)
        elif event == "progress" and job.digest in self._bars:
            bar, started = self._bars[job.digest]
            rate = f"{payload.tokens / max(time.monotonic() - started, 1e-3):,.0f} tok/s" if payload.tokens else ""
            items = f"{payload.done}/{payload.total}"
            self._progress.update(bar, completed=payload.done, total=payload.total, items=items, rate=rate)
        elif event == "end":
            if job.digest in self._bars:
                self._progress.remove_task(self._bars.pop(job.digest)[0])
            place = f"[{self.finished:>2}/{self.total}] {job.name:<22}"
            line = f"{place} {payload.seconds:>7.1f} s  {self._summary(payload)}"
            self.console.print(clean(line), soft_wrap=self.mode == "plain")

    def _start(self, name: str, digest: str) -> None:
        if self.finished and not self.begun:
            self.console.print(f"{self.finished} of {self.total} stages were done before")
        self.begun = True
        if self.mode == "full":
            self._bars[digest] = self._progress.add_task(clean(name), total=None, items="", rate=""), time.monotonic()
        else:
            self.console.print(clean(f"start {name}"))


class OneLine:
    """One line on stderr that is rewritten, at most ten times a second; nothing where stderr is no terminal."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet or not sys.stderr.isatty()
        self._started = self._shown = time.monotonic()

    def __enter__(self) -> OneLine:
        return self

    def __exit__(self, *exc: object) -> None:
        if not self.quiet:
            print(file=sys.stderr)

    def problems(self, finished: int, tokens: int) -> None:
        self._show(f"{finished:,} problems, {tokens:,} tokens", tokens)

    def samples(self, done: int, total: int, tokens: int) -> None:
        self._show(f"{done}/{total} samples", tokens, last=done == total)

    def _show(self, text: str, tokens: int, last: bool = False) -> None:
        now = time.monotonic()
        if not self.quiet and (last or now - self._shown >= 0.1):
            self._shown = now
            rate = tokens / max(now - self._started, 1e-3)
            print(f"\r{text}, {rate:,.0f} tokens/s ", end="", file=sys.stderr, flush=True)


class Findings:
    """Lines of a check as they come; the worst one decides the exit code: 1 failed, 3 not looked at, 0 all holds."""

    def __init__(self, as_json: bool) -> None:
        self.as_json, self.rows = as_json, list[Finding]()
        self._live = not as_json and sys.stderr.isatty()

    def take(self, findings: Iterable[Finding]) -> None:
        console = Console(highlight=False, markup=False)
        for finding in findings:
            self.rows.append(finding)
            if self._live:
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            if not self.as_json:
                console.print(f"{finding.status:<8}{clean(finding.what)}: {one_line(finding.text, 600)}")

    def report(self, task: str, done: int, total: int) -> None:
        """Progress of one task's gold answers."""
        if self._live and (done % 20 == 0 or done == total):
            print(f"\r{clean(task)} {done}/{total} ", end="", file=sys.stderr, flush=True)

    def end(self) -> int:
        """Sum up; returns the exit code."""
        count = Counter(row.status for row in self.rows)
        code = 1 if count["failed"] else 3 if count["missing"] else 0
        if self.as_json:
            print(dump({"code": code, "findings": [vars(row) for row in self.rows]}))
        else:
            print(", ".join(f"{count[s]} {s}" for s in ("ok", "failed", "missing", "note") if count[s]))
        return code
