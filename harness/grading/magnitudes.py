"""Closeness of parsed numbers relative to their size, where Math-Verify compares by differences and rounded places."""

from __future__ import annotations

from typing import Any

ROUNDED = 1e-6  # relative difference that an answer with decimals may have
_PLACES = 40  # to which exact values are computed
_EXACT = 1e-30
MOST = 50  # entries that are compared one by one


def near(gold: Any, answer: Any) -> bool:
    """False where two SymPy forms that Math-Verify calls equal are numbers that differ for their size.

    Entries of lists and matrices are compared in their order, of sets each with any. What is no number is not judged.
    """
    import sympy  # type: ignore[import-untyped]

    if isinstance(gold, sympy.Eq) != isinstance(answer, sympy.Eq):  # "x = 3" for 3
        gold, answer = (form.rhs if isinstance(form, sympy.Eq) else form for form in (gold, answer))
    if isinstance(gold, sympy.FiniteSet) and isinstance(answer, sympy.FiniteSet) and len(gold) <= MOST:
        return all(any(near(one, other) for other in answer) for one in gold)
    ordered = (sympy.Tuple, sympy.MatrixBase)
    if isinstance(gold, ordered) and isinstance(answer, ordered) and len(gold) == len(answer) <= MOST:
        return all(near(one, other) for one, other in zip(gold, answer, strict=True))
    if (
        not (isinstance(gold, sympy.Expr) and isinstance(answer, sympy.Expr))
        or gold.free_symbols
        or answer.free_symbols
    ):
        return True
    rounded = gold.has(sympy.Float) or answer.has(sympy.Float)
    wanted, given = (form.evalf(_PLACES) for form in (gold, answer))
    if not (wanted.is_number and given.is_number and wanted.is_finite and given.is_finite):
        return True
    return bool(abs(wanted - given) <= (ROUNDED if rounded else _EXACT) * abs(wanted))
