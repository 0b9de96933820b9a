"""Length distributions and budget curves: blocks in the terminal, PNG by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from harness.errors import ModelError
from harness.results import budget

_BARS = " ▁▂▃▄▅▆▇█"
BINS = 48


def histogram(samples: Sequence[Any], top: int, bins: int = BINS) -> list[int]:
    """How many samples fall into each of ``bins`` equal parts of 0 to ``top`` tokens."""
    counts = [0] * bins
    for sample in samples:
        counts[min(bins - 1, budget.length(sample) * bins // max(top, 1))] += 1
    return counts


def terminal(runs: Sequence[Any]) -> None:
    """For every task and run: lengths as a row of blocks (cut samples marked), then accuracy at some budgets."""
    console = Console(highlight=False)
    for task in dict.fromkeys(task for run in runs for task in run.tasks):
        mine = [(run, run.of(task)) for run in runs if task in run.tasks]
        top = max(budget.length(s) for _, samples in mine for s in samples)
        console.print(f"\n{task}: tokens per sample, 0 to {top}", markup=False, style="bold")
        for run, samples in mine:
            counts = histogram(samples, top)
            most = max(counts)
            bars = "".join(_BARS[-(-c * (len(_BARS) - 1) // most)] for c in counts)
            known = budget.lengths(samples)
            median = "over half are cut" if known["median"] is None else f"median {known['median']:g}"
            console.print(f"  {run.name[:12]:<12} {bars}", markup=False)
            console.print(f"  {'':<12} {median}, cut {100 * known['censored']:.1f} %", markup=False, style="dim")
        console.print("accuracy (and answered) % within a budget of tokens", markup=False)
        for run, samples in mine:
            points = budget.curve(samples)
            step = max(1, -(-len(points) // 5))
            shown = sorted({*range(0, len(points), step), len(points) - 1})
            text = "  ".join(
                f"{points[i]['budget']}: {100 * points[i]['accuracy']:.0f} ({100 * points[i]['answered']:.0f})"
                for i in shown
            )
            enough = budget.saturation(points)
            console.print(f"  {run.name[:12]:<12} {text}", markup=False)
            if enough is not None:
                console.print(f"  {'':<12} 95 % of the accuracy within {enough} tokens", markup=False, style="dim")


def pictures(runs: Sequence[Any], folder: Path) -> list[Path]:
    """``lengths.TASK.png`` and ``budget.TASK.png`` for every task. Raises ModelError without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        raise ModelError("plots as PNG need matplotlib: pip install 'harness[view]'") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    out = []
    for task in dict.fromkeys(task for run in runs for task in run.tasks):
        mine = [(run, run.of(task)) for run in runs if task in run.tasks]
        top = max(budget.length(s) for _, samples in mine for s in samples)
        figure, axes = pyplot.subplots(len(mine), 1, figsize=(7, 1.6 * len(mine) + 1), sharex=True, squeeze=False)
        for (run, samples), axis in zip(mine, axes[:, 0], strict=True):
            finished = [budget.length(s) for s in samples if not budget.cut(s)]
            cut = [budget.length(s) for s in samples if budget.cut(s)]
            axis.hist([finished, cut], bins=40, range=(0, top), stacked=True, label=["ended", "cut"],
                      color=["#4477aa", "#ee6677"])  # fmt: skip
            axis.set_title(_label(run), fontsize=9, loc="left", parse_math=False)
            axis.set_ylabel("samples")
        axes[0, 0].legend(frameon=False)
        axes[-1, 0].set_xlabel(f"tokens per sample, {task}", parse_math=False)
        out.append(_save(pyplot, figure, folder / f"lengths.{task}.png"))
        figure, axis = pyplot.subplots(figsize=(7, 4))
        for run, samples in mine:
            points = budget.curve(samples)
            x = [p["budget"] for p in points]
            line = axis.step(x, [p["accuracy"] for p in points], where="post", label=_label(run))[0]
            axis.fill_between(x, [p["low"] for p in points], [p["high"] for p in points], step="post", alpha=0.15,
                              color=line.get_color(), linewidth=0)  # fmt: skip
            axis.step(x, [p["answered"] for p in points], where="post", color=line.get_color(), ls=":", lw=1)
        axis.set(xlabel=f"token budget, {task}", ylabel="accuracy (dotted: answered)", ylim=(0, 1))
        axis.legend(frameon=False, fontsize=8)
        out.append(_save(pyplot, figure, folder / f"budget.{task}.png"))
    return out


def _label(run: Any) -> str:
    return f"{run.name[:12]}  {Path(str(run.manifest.get('model', ''))).name}"


def _save(pyplot: Any, figure: Any, path: Path) -> Path:
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path
