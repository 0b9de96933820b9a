"""What commands print: live progress, stage times, tables. Model text never reaches the terminal from here."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from harness.pipeline.graph import Graph, Job
from harness.pipeline.runner import result_of
from harness.results.board import LEGEND, LEGEND_AT_N, Board, cell_lines, interval, percent


class Display:
    """Live view of running stages: bars on a terminal (``full``), a line per event otherwise (``plain``)."""

    def __init__(self, mode: str, jobs: Graph) -> None:
        if mode not in ("auto", "full", "plain", "none"):
            from harness.errors import RecipeError

            raise RecipeError(f"--display {mode}: use full, plain or none")
        self.mode = ("full" if sys.stdout.isatty() else "plain") if mode == "auto" else mode
        self.console = Console(highlight=False)
        self.total = len(jobs.jobs)
        self.finished = 0
        self.begun = False
        self._bars: dict[str, TaskID] = {}
        self._started: dict[str, float] = {}
        self._progress = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=18),
            TextColumn("{task.fields[items]:>11}"),
            TextColumn("{task.fields[rate]:>10}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            console=self.console,
        )

    def __enter__(self) -> Display:
        if self.mode == "full":
            self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.mode == "full":
            self._progress.stop()
        if self.total and self.finished == self.total and not self.begun and self.mode != "none":
            self.console.print(f"all {self.total} stages were done before; nothing had to be run")

    def listen(self, event: str, job: Job, payload: dict[str, Any]) -> None:
        if self.mode == "none":
            return
        if event == "cached":
            self.finished += 1
        elif event == "start":
            if self.finished and not self.begun:
                self.console.print(f"{self.finished} of {self.total} stages were done before")
            self.begun = True
            self._started[job.digest] = time.monotonic()
            if self.mode == "full":
                self._bars[job.digest] = self._progress.add_task(job.name, total=None, items="", rate="")
            else:
                self.console.print(f"start {job.name}")
        elif event == "progress" and self.mode == "full" and job.digest in self._bars:
            seconds = max(time.monotonic() - self._started[job.digest], 1e-3)
            rate = f"{payload['tokens'] / seconds:,.0f} tok/s" if payload["tokens"] else ""
            items = f"{payload['done']}/{payload['total']}"
            bar = self._bars[job.digest]
            self._progress.update(bar, completed=payload["done"], total=payload["total"], items=items, rate=rate)
        elif event == "end":
            self.finished += 1
            if job.digest in self._bars:
                self._progress.remove_task(self._bars.pop(job.digest))
            place = f"[{self.finished:>2}/{self.total}] {job.name:<22}"
            line = f"{place} {payload['seconds']:>7.1f} s  {_summary(job, payload)}"
            self.console.print(line, markup=False, soft_wrap=self.mode == "plain")


def _summary(job: Job, payload: dict[str, Any]) -> str:
    f = payload["figures"]
    if job.kind == "search":
        return f"{f['problems']} problems, {sum(f['tokens'].values()):,} tokens, {f['rollouts']:,} rollouts"
    if job.kind == "chains":
        return f"{f['correct_chains']:,} correct and {f['wrong_chains']:,} wrong chains"
    if job.kind == "sft":
        return f"{f['rows']} rows of {f['mean_tokens']:g} tokens, {f['steps']} steps, loss {f['loss']:g}"
    if job.kind == "preference":
        lengths = f"{f['chosen_tokens']:g} against {f['rejected_tokens']:g} tokens"
        return f"{f['pairs']} pairs, {lengths}, {f['steps']} steps, loss {f['loss']:g}"
    if job.kind == "teach":
        said = ", ".join(f"{n} {verdict}" for verdict, n in f["verdicts"].items()) or "none fit to train on"
        return f"{f['outputs']} outputs: {said}"
    if job.kind == "distil":
        return f"{f['correct_chains']:,} correct chains of {f['mean_tokens']:g} tokens"
    if job.kind == "eval":
        return ", ".join(percent(row["accuracy"]) for row in f["rows"].values()) + " % right"
    return f"{f['steps']} steps, loss {f['loss']:g}"


def stage_times(jobs: Graph, store: Path, wall: float) -> None:
    """Seconds of each stage, and what the search yielded."""
    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    table.add_column("result", overflow="fold")
    total = 0.0
    for digest, job in jobs.jobs.items():
        done = result_of(store, digest)
        if done is not None:
            total += done["seconds"]
            table.add_row(job.name, f"{done['seconds']:.1f}", _summary(job, done))
    console.print(table)
    console.print(f"work {total:,.0f} s in all stages, this command {wall:,.1f} s")
    for digest, job in jobs.jobs.items():
        if job.kind == "chains" and (done := result_of(store, digest)) is not None:
            _search_figures(console, done["figures"])


def _search_figures(console: Console, f: dict[str, Any]) -> None:
    console.print(
        f"\nsearch: {f['problems']} problems; {percent(f['with_correct'])} % got a verified correct chain,\n"
        f"  {percent(f['with_both'])} % a correct and a wrong one; {f['rollouts']:,} rollouts\n"
        f"  backtracking: {f['reflections']:,} reflections by the critic, {f['reflections_followed']:,} followed\n"
        f"  generator: {f['nodes']['generator']:,} nodes, {f['tokens']['generator']:,} tokens; "
        f"critic: {f['nodes']['critic']:,} nodes, {f['tokens']['critic']:,} tokens"
    )
    for family, each in f["by_family"].items():
        console.print(
            f"  {family}: {each['with_correct']} with a correct chain, {each['with_both']} with both; "
            f"{each['correct_chains']} and {each['wrong_chains']} chains"
        )


def leaderboard(board: Board) -> None:
    """The table of a recipe: arms by rows, tasks by columns, in as many parts as the terminal's width needs."""
    console = Console(highlight=False)
    sizes = {task: board.cells[board.control, task].figures["n"] for task in board.tasks}
    same = len(set(sizes.values())) == 1
    about = f"{board.title}, n = {sizes[board.tasks[0]]} per task" if same else board.title
    side = max(len(arm) for arm in board.runs)
    columns = max(1, (console.width - side) // 21)
    for start in range(0, len(board.tasks), columns):
        table = Table(
            title=about if start == 0 else None, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, show_lines=True
        )
        table.add_column("arm", no_wrap=True)
        part = board.tasks[start : start + columns]
        for task in part:
            table.add_column(task if same else f"{task}, n={sizes[task]}", no_wrap=True)
        for arm, runs in board.runs.items():
            label = arm + (f"\n{len(runs)} seeds" if len(runs) > 1 else "")
            table.add_row(label, *("\n".join(cell_lines(board.cells[arm, task])) for task in part))
        console.print(table, markup=False)
    drawn = any("solved" in cell.figures for cell in board.cells.values())
    for line in (*LEGEND, *([LEGEND_AT_N] if drawn else [])):
        console.print(line, markup=False, style="dim")


def eval_table(model: str, folder: Path, rows: dict[str, dict[str, Any]]) -> None:
    """The rows of one evaluation; fits 80 columns."""
    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for name in ("task", "n", "acc % [95%]", "|ans", "wrong", "na", "unf", "emp", "think", "loop", "refl/1k"):
        table.add_column(name, justify="left" if name == "task" else "right", overflow="fold")
    for task, f in rows.items():
        shares = [percent(f[key], 0) for key in ("wrong", "no_answer", "unfinished", "empty")]
        accuracy = f"{percent(f['accuracy'])} [{interval(f['low'], f['high'])}]"
        table.add_row(
            task, str(f["n"]), accuracy, percent(f["accuracy_answered"]), *shares,
            f"{f['median_thinking_tokens']:.0f}", percent(f["loops"], 0), f"{f['reflection_per_1000']:.1f}",
        )  # fmt: skip
    console.print(table, markup=False)
    for line in _EVAL_LEGEND:
        console.print(line, style="dim")
    for key, text in (("cut", "cut by --max-tokens"), ("failed", "grader or model call failed")):
        found = ", ".join(f"{task} {percent(f[key])} %" for task, f in rows.items() if f[key] > 0)
        if found:
            console.print(f"{text}: {found}", markup=False)
    console.print(f"{model}: samples and manifest in {folder}", markup=False, soft_wrap=True)


_EVAL_LEGEND = (
    "in %: acc, |ans (accuracy given an answer), wrong, na (no answer), of it unf",
    "(unfinished) and emp (empty), loop (ends in a repetition loop)",
    "think: median thinking tokens; refl/1k: reflection words per 1,000 of them",
)


def dry_run_table(plan: Any, scale: Any, jobs: Graph, store: Path) -> None:
    """Every stage with its digest, whether it is there, and what it would take."""
    from harness.pipeline.estimate import estimates
    from harness.view.tables import table_of

    console = Console(highlight=False)
    found = estimates(jobs, store)
    table = table_of("digest", "stage", "state", "tokens", "time", "memory", "disk")
    for column in table.columns[:3]:
        column.justify = "left"
    for column in table.columns:
        column.no_wrap = True
    seconds, unknown, disk = 0.0, 0, 0
    for digest, job in jobs.jobs.items():
        done, e = result_of(store, digest), found[digest]
        if done is not None:
            table.add_row(digest[:8], job.name, "cached", "", f"{done['seconds']:.0f} s", "", "")
            continue
        quick = job.kind in ("chains", "distil")
        seconds += e.seconds or 0.0
        disk += e.disk or 0
        unknown += e.seconds is None and not quick
        tokens = "–" if e.tokens is None else ("≤ " if e.most else "") + _short(e.tokens)
        table.add_row(digest[:8], job.name, "to run", "" if quick else tokens, "" if quick else _time(e.seconds),
                      "" if quick else _bytes(e.memory), "" if quick else _bytes(e.disk))  # fmt: skip
    console.print(f"{plan.name} at {scale.name}, seeds {', '.join(map(str, jobs.seeds))}", markup=False)
    console.print(table, markup=False)
    waits = f"; {unknown} stages of no measured rate" if unknown else ""
    work = f"{_time(seconds)} of work" if seconds or not unknown else "work not known"
    todo = sum(result_of(store, digest) is None for digest in jobs.jobs)
    console.print(f"{todo} of {len(jobs.jobs)} stages to run: {work}, {scale.workers} at once{waits};"
                  f" disk {_bytes(disk)}", markup=False)  # fmt: skip
    for line in _DRY_LEGEND:
        console.print(line, style="dim")


_DRY_LEGEND = (
    "time: from finished stages of the same kind and model; –: not known; ≤: the",
    "bound of the token limit; memory: weights, gradients, moments; no activations",
)


def _short(number: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.0f}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def _bytes(number: int | None) -> str:
    if number is None:
        return "–"
    return f"{number / 1e9:.3g} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB" if number else "0"


def recipe_tree(plan: Any, scale: Any) -> Any:
    """Sources of data, then models with what is trained from them and the arms that are scored."""
    from rich.tree import Tree

    whole = Tree(f"{plan.name} at {scale.name}, suite {scale.suite or plan.suite}")
    data = whole.add("data")
    for name, stage in plan.stages.items():
        if stage.kind == "search":
            data.add(f"{name}: search by {stage.generator} and {stage.critic}")
        elif stage.kind == "distil":
            padded = f", padded by {scale.distil.padding}" if scale.distil.padding and not stage.plain else ""
            data.add(f"{name}: " + (scale.distil.file or f"outputs of {stage.teacher}") + padded)
    roots = [t for t in dict.fromkeys(_roots(plan)) if t]
    for root in roots:
        spec = scale.models.get(root)
        about = spec if isinstance(spec, str) else getattr(spec, "model", "not in this profile")
        branch = whole.add(f"{root} ({about})" if root not in plan.stages else root)
        _grow(branch, plan, root)
    return whole


def _roots(plan: Any) -> list[str]:
    targets = [*(plan.arm(arm).model for arm in plan.arms), *plan.stages]
    out = []
    for target in targets:
        while target in plan.stages and getattr(plan.stages[target], "model", None):
            target = plan.stages[target].model
        kind = plan.stages[target].kind if target in plan.stages else ""
        out.append("" if kind in ("search", "distil") else target)
    return out


def _grow(branch: Any, plan: Any, target: str) -> None:
    for arm in plan.arms:
        how = plan.arm(arm)
        if how.model == target:
            drawn = (
                "" if how.samples == 1 else f", {how.samples} answers" + (" of a tree" if how.decode == "mcts" else "")
            )
            branch.add(f"▸ arm {arm}{drawn}" + (" (control)" if arm == plan.control else ""))
    for name, stage in plan.stages.items():
        if getattr(stage, "model", None) == target:
            length = getattr(stage, "rule", getattr(stage, "chosen", ""))
            _grow(branch.add(f"{name}: {stage.kind} on {stage.chains}, {length}"), plan, name)


class SearchProgress:
    """One line of progress for a search, on stderr, at most ten times a second."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet or not sys.stderr.isatty()
        self._started = self._shown = time.monotonic()

    def __enter__(self) -> SearchProgress:
        return self

    def __exit__(self, *exc: object) -> None:
        if not self.quiet:
            print(file=sys.stderr)

    def report(self, finished: int, tokens: int) -> None:
        now = time.monotonic()
        if not self.quiet and now - self._shown >= 0.1:
            self._shown = now
            rate = tokens / max(now - self._started, 1e-3)
            print(
                f"\r{finished:,} problems, {tokens:,} tokens, {rate:,.0f} tokens/s ",
                end="",
                file=sys.stderr,
                flush=True,
            )


class EvalProgress:
    """One line of progress for a single evaluation, on stderr."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet or not sys.stderr.isatty()
        self._started = time.monotonic()

    def __enter__(self) -> EvalProgress:
        return self

    def __exit__(self, *exc: object) -> None:
        if not self.quiet:
            print(file=sys.stderr)

    def report(self, done: int, total: int, tokens: int) -> None:
        if not self.quiet:
            rate = tokens / max(time.monotonic() - self._started, 1e-3)
            print(f"\r{done}/{total} samples, {rate:,.0f} tokens/s ", end="", file=sys.stderr, flush=True)
