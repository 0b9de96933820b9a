"""Names that models, servers and files give reach no terminal, no workflow and no XML as commands."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

from harness.journal import write_rows
from harness.records import Grade, Sample
from tests.commands import here

MODEL, TASK, ITEM = "\x1b]0;title\x07m\u202e", "t\x1b[31m,x:y%\n::error::pwn", "p\x9b2J|<script>\n-"


@pytest.fixture
def store(tmp_path):
    for name, right in (("aaa", 60), ("bbb", 0)):
        folder = tmp_path / "evals" / name
        samples = [
            Sample(
                key=f"{name}{i}", task=TASK, problem_id=f"{ITEM}{i}", index=0, seed=0, prompt_ids_hash="h", text=MODEL,
                token_ids=[1] * 9, finish="stop", thinking_tokens=9, answer_tokens=1,
                grade=Grade(verdict="correct" if i < right else "wrong", reason=TASK),
            )
            for i in range(60)
        ]  # fmt: skip
        write_rows(folder / "samples.jsonl", (sample.model_dump() for sample in samples))
        manifest = {"run": name, "model": MODEL, "tasks": [TASK], "date": "2026"}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        asked = [{"task": TASK, "id": s.problem_id, "family": "number", "prompt": "", "gold": "{}"} for s in samples]
        write_rows(folder / "problems.jsonl", asked)
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        ["runs", "ls"], ["runs", "show", "aaa"], ["compare", "aaa", "bbb"], ["plot", "aaa", "bbb"],
        *(["leaderboard", "--runs", "aaa,bbb", "--format", form] for form in ("table", "md", "csv", "html", "latex")),
        ["leaderboard", "--runs", "aaa,bbb", "--layout", "paper"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_no_control_character_is_printed(command, store):
    shown = here(*command, "--store", store, code=0).stdout
    assert all(c.isprintable() or c == "\n" for c in shown), re.findall(r"[^\n -~]", shown)[:5]
    assert not any(line.lstrip().startswith(("::", "##[")) for line in shown.splitlines()), "where it was wrapped, too"
    assert "<script>" not in shown or command[-1] in ("table", "bbb", "paper", "csv", "latex")


def test_a_gate_makes_one_annotation_a_test_and_xml_that_is_read(store, tmp_path):
    base, report = tmp_path / "base.json", tmp_path / "junit.xml"
    updated = here("gate", "aaa", "--baseline", base, "--update", "--store", store, code=0).stdout
    done = here("gate", "bbb", "--baseline", base, "--store", store, "--github", "--junit", report, code=1)
    assert all(c.isprintable() or c == "\n" for c in updated + done.stdout)
    marked = [line for line in done.stdout.splitlines() if line.startswith("::")]
    suite = ElementTree.fromstring(report.read_text())
    assert len(marked) == int(suite.get("failures")) + int(suite.get("errors"))
    for line in marked:
        assert re.fullmatch(r"::(error|warning) title=[^:,]*::[^\n]*", line), line
