"""Which chains become training data: the rules, each declared once for exports and recipes.

Lengths are relative within one problem (arXiv 2503.01461, section 3): "shortest" is the shortest chain of its tree.
"""

from __future__ import annotations

from typing import Literal

from harness.spec import Spec, knob

LengthRule = Literal["shortest", "medium", "longest", "mixed", "balanced"]
PrefixRule = Literal["shortest", "longest", "random"]


class SftRule(Spec):
    """Correct chains of a problem for SFT."""

    rule: LengthRule = knob("longest", "Length of the correct chains.", option="--sft")
    per_problem: int = knob(1, "SFT rows, and pairs, of one problem.", ge=1)


class PairRule(Spec):
    """Correct chains of a problem, each against a wrong one."""

    chosen: LengthRule = knob("shortest", "Length of the chosen chain, by the same rules.")
    prefix: PrefixRule = knob("shortest", "Common prefix of a pair.")
    per_problem: int = knob(1, "Pairs of one problem.", ge=1)
    min_distance: float = knob(0.0, "Least share of edited tokens between the chains of a pair.", ge=0, le=1)
