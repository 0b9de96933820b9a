"""Tables as CSV, whole values instead of rounded ones. Texts that a spreadsheet would take for a formula get a '."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

from harness.results.records import flat
from harness.view.page import Page, Table
from harness.view.text import clean

FORM = "csv"
_FORMULA = re.compile(r"\s*[=+\-@]")
_NUMBER = re.compile(r"\s*[-+]?\d[\d.]*(e[-+]?\d+)?\s*", re.IGNORECASE)


def render(page: Page) -> str:
    return "\n".join(map(table, page.tables()))


def table(one: Table) -> str:
    rows = [flat(dict(row)) for row in one.data()]
    names = list(dict.fromkeys(name for row in rows for name in row)) or list(one.columns)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(_cell, names))
    writer.writerows([_cell(row.get(name)) for name in names] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, list | tuple):
        value = "; ".join(map(str, value))
    if not isinstance(value, str):
        return value
    text = clean(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
