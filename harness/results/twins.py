"""Figures of questions that are asked twice: complete, and with a needed premise missing (``mini_premise``).

Twins are known by their ids, which end in ``-complete`` and ``-missing``; docs/metrics.md defines the figures.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from harness.records import Sample
from harness.results.budget import length
from harness.results.records import Data

COMPLETE, MISSING = "-complete", "-missing"


def figures(samples: Sequence[Sample]) -> Data:
    """Abstention on either half, accuracy on the complete one, and lengths of one half over the other.

    Lengths are compared over pairs of which both were asked; empty for tasks without twins.
    """
    halves = {half: [s for s in samples if s.problem_id.endswith(half)] for half in (COMPLETE, MISSING)}
    complete, missing = halves[COMPLETE], halves[MISSING]
    if not missing or len(complete) + len(missing) != len(samples):
        return {}
    stems = {s.problem_id.removesuffix(COMPLETE) for s in complete}
    stems &= {s.problem_id.removesuffix(MISSING) for s in missing}
    paired = [[s for s in half if s.problem_id.removesuffix(end) in stems] for end, half in halves.items()]
    return {
        "pairs": float(len(stems)),
        "abstention": _share([bool(s.grade.details.get("abstained")) for s in missing]),
        "false_abstention": _share([bool(s.grade.details.get("abstained")) for s in complete]),
        "accuracy_complete": _share([s.grade.correct for s in complete]),
        "thinking_ratio": _ratio(*([s.thinking_tokens for s in half] for half in paired)),
        "tokens_ratio": _ratio(*([length(s) for s in half] for half in paired)),
    }


def _share(of: Sequence[bool]) -> float | None:
    return statistics.fmean(of) if of else None


def _ratio(complete: Sequence[int], missing: Sequence[int]) -> float | None:
    """Mean length without the premise over mean length with it; None where there is nothing to divide by."""
    return statistics.fmean(missing) / statistics.fmean(complete) if sum(complete) else None
