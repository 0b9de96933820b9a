"""Pages as JSON: their data alone, with numbers that JSON does not know (inf, nan) as null."""

from __future__ import annotations

import json
from typing import Any

from harness.view.page import Page

FORM = "json"


def render(page: Page) -> str:
    return dump(page.json())


def dump(data: Any) -> str:
    return json.dumps(_finite(data), indent=1, ensure_ascii=False)


def _finite(data: Any) -> Any:
    if isinstance(data, float) and (data != data or data in (float("inf"), float("-inf"))):
        return None
    if isinstance(data, dict):
        return {str(key): _finite(value) for key, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, list | tuple) else data
