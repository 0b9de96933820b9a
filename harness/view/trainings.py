"""How preference trainings moved the likelihood of the chains that they were to prefer: in a line, and as a table.

A loss on differences alone can fall while both sides become less likely; where the chosen side does, the model moves
to answers that nobody chose (DPO-Positive, arXiv 2402.13228).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from harness.results.records import StageRecord
from harness.view.page import Line, Row, Table
from harness.view.text import MISSING, percent

MOST = 1.0  # nats by which a whole chosen chain may become less likely without a warning
_NOTE = (
    "log-likelihood against the model that training starts from, in nat a chain, means over the last quarter of the "
    "steps; behind them the lowest training; right: share of pairs ranked right"
)


@dataclass(frozen=True, kw_only=True)
class Moved:
    """Change of mean log-likelihoods, in nats: of whole chains, or of a token where the objective has means."""

    chosen: float
    rejected: float
    ranked: float
    each: str = ""  # " a token"
    fell: bool = False  # whole chosen chains fell by more than MOST


def moved(figures: Mapping[str, Any]) -> Moved | None:
    """What a training's figures say of its end (of its last step, where they are older); None: not of pairs."""
    end = figures.get("end") or figures.get("last") or {}
    if not {"chosen_change", "rejected_change"} <= set(end):
        return None
    each = bool(figures.get("length_normalized"))
    length = end.get("tokens/chosen", 1.0) if each else 1.0
    return Moved(
        chosen=end["chosen_change"], rejected=end["rejected_change"], ranked=end.get("preferred", 0.0),
        each=" a token" if each else "", fell=end["chosen_change"] * length < -MOST,
    )  # fmt: skip


def line(figures: Mapping[str, Any]) -> str:
    """In words, with a warning; empty for other trainings."""
    found = moved(figures)
    if found is None:
        return ""
    way = "fell" if found.chosen < 0 else "rose"
    warning = f"warning (over {MOST:g} nat): " if found.fell else ""
    return f"{warning}chosen {way} by {abs(found.chosen):.2f} nat{found.each}"


def answers(figures: Mapping[str, Any]) -> str:
    """In words, the answers that a model was trained on as it gave them; empty for other trainings."""
    if not (sampled := figures.get("sampled_tokens")):
        return ""
    named = {"correct": "correct", "share_cut": "cut", "share_zero_variance": "groups without a difference"}
    shares = (
        f"{percent(figures['end'][name], 0)} % {words}" for name, words in named.items() if name in figures["end"]
    )
    return f"{sampled:,} tokens sampled; in the last quarter of the steps {', '.join(shares)}"


def table(stages: Mapping[str, StageRecord]) -> Table | None:
    """A row for each preference stage of a recipe, over its trainings; None without any."""
    by_stage: dict[str, list[Moved]] = {}
    for stage in stages.values():
        if found := moved(stage.figures):
            name = stage.name.removeprefix("train ").partition(" #")[0]
            by_stage.setdefault(name, []).append(found)
    if not by_stage:
        return None
    rows: list[Row] = []
    records = []
    for name, ends in by_stage.items():
        chosen, rejected, ranked = (
            fmean(getattr(one, side) for one in ends) for side in ("chosen", "rejected", "ranked")
        )
        fell, lowest, each = sum(one.fell for one in ends), min(one.chosen for one in ends), ends[0].each
        behind = f" (lowest {lowest:.2f})" if len(ends) > 1 else ""
        shown = Line(text=f"{chosen:+.2f}{each}{behind}", style="bad" if fell else "")
        many = f"{fell} of {len(ends)}" if fell else MISSING
        rows.append([name, str(len(ends)), shown, f"{rejected:+.2f}{each}", percent(ranked, 0), many])
        records.append({
            "stage": name, "trainings": len(ends), "chosen_change": chosen, "chosen_change_lowest": lowest,
            "rejected_change": rejected, "preferred": ranked, "fell": fell, "per_token": bool(each),
        })  # fmt: skip
    columns = ("preference training", "x", "chosen", "rejected", "right %", f"fell over {MOST:g} nat")
    return Table(columns=columns, rows=rows, notes=[_NOTE], records=records)
