"""Words and numbers as every form shows them, and text of models and files made harmless for one line."""

from __future__ import annotations

import re
import textwrap

from harness.results.records import Summary

MISSING = "–"
_COMMAND = re.compile(r"^(\s*[:#])(?=:|#\[)", re.MULTILINE)


def clean(text: object, lines: bool = False) -> str:
    """Without control characters and direction marks, each a space; ``lines``: line breaks and tabs stay."""
    kept = "\n\t" if lines else ""
    return "".join(c if c.isprintable() or c in kept else " " for c in str(text))


def inert(text: str) -> str:
    """Lines that a CI runner would take for commands of a workflow ("::error::", "##[...]") get a space inside."""
    return _COMMAND.sub(r"\1 ", text)


def one_line(text: object, longest: int = 200) -> str:
    """Clean text in one line with single spaces, shortened to ``longest`` characters."""
    line = " ".join(clean(str(text)[: 4 * longest]).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def ends(text: str, longest: int) -> str:
    """Beginning and end of a long text."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n… {len(text) - longest:,} characters left out …\n{text[-half:]}"


def hanging(head: str, text: str) -> str:
    """``text`` after ``head``, in lines of 80 columns that begin beneath its first word."""
    return textwrap.fill(
        clean(head + text), 80, subsequent_indent=" " * len(head), break_on_hyphens=False, break_long_words=False
    )


def percent(value: float | None, digits: int = 1) -> str:
    return MISSING if value is None else f"{100 * value:.{digits}f}"


def points(value: float, digits: int = 1) -> str:
    """A difference of shares, with its sign, in points."""
    return f"{100 * value:+.{digits}f}"


def interval(low: float, high: float, signed: bool = False) -> str:
    form = "{:+.0f}" if signed else "{:.0f}"
    return f"[{form.format(100 * low)}…{form.format(100 * high)}]"


def at_least(value: float, over: bool) -> str:
    """A length in tokens, or a bound that it exceeds."""
    return f"{'>' if over else ''}{value:.0f}"


def thinking(f: Summary) -> str:
    """Median thinking tokens of a row."""
    return at_least(f.median_thinking_tokens, f.median_thinking_over)


def number(value: float | None, form: str = "{:,.0f}") -> str:
    return MISSING if value is None else form.format(value)


def magnitude(value: float) -> str:
    """A large number by three digits and a letter."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.0f}"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return MISSING
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def bytes_of(count: int | None) -> str:
    if count is None:
        return MISSING
    digits = 1 if count < 10e9 else 0
    return f"{count / 1e9:.{digits}f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB" if count else "0"
