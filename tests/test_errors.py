"""One hierarchy of errors: every class that a command may end with carries its exit code."""

from __future__ import annotations

import ast
import errno
from pathlib import Path

import pytest

import harness as package
from harness import errors
from harness.errors import BadFile, HarnessError, NotWritten, first_line
from harness.files import about, read_json

# Turned into verdicts by the graders; they never leave the grading process.
INSIDE = {"BadProblem", "CheckerFailed", "TooSlow"}


def test_no_other_module_defines_an_error():
    for file in Path(package.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name not in INSIDE and file.name != "errors.py":
                bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
                assert not any(base.endswith(("Error", "Exception")) for base in bases), (file, node.name)


def test_every_error_has_an_exit_code():
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, HarnessError)]
    assert len(classes) > 15
    assert {c.code for c in classes} == {2, 3}


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, NotWritten), (errno.EACCES, BadFile)])
def test_system_errors_name_the_file(number, kind):
    with pytest.raises(kind, match="some/file"), about("some/file"):
        raise OSError(number, "reason")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_broken_json_is_one_line(tmp_path, text):
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(BadFile, match=r"x\.json: not JSON"):
        read_json(file)


def test_an_error_without_text_has_its_name():
    assert first_line(ValueError("")) == "ValueError"
    assert first_line(ValueError("\n a\nb")) == "a"
