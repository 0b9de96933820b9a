"""The shape of the house, read from its imports: rooms import to their left alone, modules in no circle."""

from __future__ import annotations

import ast
import re
import statistics
from pathlib import Path

import pytest

import harness

ROOT = Path(harness.__file__).parent
# From right to left; rooms in one line stand side by side and do not import each other.
FLOORS = [
    ["__main__"],
    ["cli"],
    ["pipeline"],
    ["view"],
    ["chains", "results"],
    ["search", "training", "evaluation"],
    ["problems"],
    ["models", "grading"],
    [
        "thoughts",
        "journal",
        "records",
        "yaml_files",
        "files",
        "processes",
        "spec",
        "errors",
        "__init__",
    ],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# Raised by hand, with the feature that needs it (docs/decisions.md).
LINES = 28_500
FILES = sorted(ROOT.rglob("*.py"))
SOURCE = {file: file.read_text(encoding="utf-8") for file in FILES}


def _name(file: Path) -> str:
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_name(file) for file in FILES}


def _room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def _imports(file: Path) -> set[str]:
    """Modules of the package that a file imports anywhere, also inside functions and for type checks."""
    found = set()
    for node in ast.walk(ast.parse(SOURCE[file])):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in MODULES else node.module)
    return {module for module in found if module in MODULES}


IMPORTS = {_name(file): _imports(file) - {_name(file)} for file in FILES}


def test_every_room_has_its_floor():
    assert {_room(module) for module in MODULES} <= set(FLOOR)


@pytest.mark.parametrize("module", sorted(IMPORTS))
def test_no_room_imports_one_to_its_right(module):
    here = FLOOR[_room(module)]
    wrong = {
        other
        for other in IMPORTS[module]
        if _room(other) != _room(module)
        and (FLOOR[_room(other)] < here or (FLOOR[_room(other)] == here < len(FLOORS) - 1))
    }
    assert not wrong, f"{module} imports {sorted(wrong)}"


def test_no_modules_import_each_other_in_a_circle():
    state: dict[str, int] = {}

    def visit(module: str, path: tuple[str, ...]) -> None:
        if state.get(module) == 2:
            return
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        for other in sorted(IMPORTS[module]):
            visit(other, (*path, module))
        state[module] = 2

    for module in sorted(IMPORTS):
        visit(module, ())


def test_files_can_be_held_in_the_head():
    lines = {file: text.count("\n") for file, text in SOURCE.items()}
    long = {str(file.relative_to(ROOT)): n for file, n in lines.items() if n > 400}
    assert not long
    assert sum(lines.values()) <= LINES
    assert sum(n for file, n in lines.items() if file.is_relative_to(ROOT / "cli")) <= 1_700
    assert statistics.median(n for n in lines.values() if n > 5) <= 125


def test_data_crosses_the_doors_as_records():
    loose = sum("dict[str, Any]" in line for text in SOURCE.values() for line in text.splitlines())
    assert loose <= 80


def test_no_file_but_its_own_knows_a_kind_of_stage_by_name():
    from harness.pipeline import kinds

    names = "|".join(map(re.escape, kinds.all_kinds()))
    known = re.compile(
        rf"""(==|!=|\bin\b)\s*[(\[{{]?\s*["']({names})["']|["']({names})["']\s*(==|!=)|kind\s*=\s*["']({names})"""
    )
    # Also names of a split of problems, of exported files and of terms of a loss: looked at where "kind" stands beside.
    shared = {"search", "sft", "preference"}
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file, text in SOURCE.items()
        if "kinds" not in file.parts
        for number, line in enumerate(text.splitlines(), 1)
        if (match := known.search(line)) and ("kind" in line or shared.isdisjoint(match.groups()))
    ]
    assert not found


def test_tables_are_laid_out_in_view_alone():
    layout = re.compile(r"from rich\.(table|tree|columns|panel)|import matplotlib\b|\.ljust\(|\.rjust\(")
    found = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file, text in SOURCE.items()
        if "view" not in file.relative_to(ROOT).parts
        for line in text.splitlines()
        if layout.search(line)
    ]
    assert not found
