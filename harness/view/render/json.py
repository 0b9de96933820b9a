"""Pages as JSON: their data alone, with numbers that JSON does not know (inf, nan) as null."""

from __future__ import annotations

import json
import math
from typing import Any

from harness.view.page import Page

FORM = "json"


def render(page: Page) -> str:
    return dump([table.data() for table in page.tables()] if page.data is None else page.data)


def dump(data: Any) -> str:
    return json.dumps(_finite(data), indent=1, ensure_ascii=False)


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
