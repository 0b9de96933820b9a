"""One module for each form of output: its ``FORM`` names it for ``--format``, its ``render(page)`` returns the text.

A file put here is a new form; nothing else has to be changed. ``picture`` draws single figures.
"""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module
from typing import Any

from harness.view.page import Page
from harness.view.text import inert


def forms() -> dict[str, Any]:
    """The modules of all forms by name."""
    modules = [import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    return {module.FORM: module for module in modules if hasattr(module, "FORM")}


def show(page: Page, form: str = "table") -> None:
    """Print a page in a form."""
    sys.stdout.write(inert(forms()[form].render(page).rstrip("\n") + "\n"))
