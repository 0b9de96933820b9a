"""The report of a run: one page without outside requests, hostile model text shown as text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from harness.journal import write_rows
from harness.pipeline.recipe_files import load_recipe
from harness.records import Grade, Sample
from harness.results.store import Store
from harness.view.report import write_report

HOSTILE = "<script>alert(1)</script><img src=//evil.example/x> | `x` \x1b[31m"


@pytest.fixture
def run(tmp_path):
    for arm in ("a", "b"):
        folder = tmp_path / "stages" / arm
        folder.mkdir(parents=True)
        samples = [
            Sample(
                key=f"{i}", task="mini_math", problem_id=f"p{i}", index=0, seed=0, prompt_ids_hash="h",
                text=HOSTILE * 40, token_ids=[1] * (9 + i), finish="length", thinking_tokens=9, answer_tokens=1,
                grade=Grade(verdict="unfinished", reason=HOSTILE),
                metrics={"reflection_words": 0, "loop_period": 3, "error_type": "repetition"},
            )
            for i in range(20)
        ]  # fmt: skip
        write_rows(folder / "samples.jsonl", (sample.model_dump() for sample in samples))
        asked = {"task": "mini_math", "prompt": HOSTILE, "gold": "{}", "family": "mini_math"}
        write_rows(folder / "problems.jsonl", ({"id": f"p{i}", **asked} for i in range(20)))
    recipe = load_recipe("ablation_full").model_dump()
    stage = {"name": "eval a", "kind": "eval", "params": {}, "inputs": {}, "models": {}, "seconds": 2.0, "figures": {}}
    end = {"chosen_change": -4.25, "rejected_change": -7.0, "preferred": 0.7}
    trained = stage | {"name": "train dpo", "kind": "preference", "figures": {"pairs": 9, "end": end}}
    manifest = {
        "date": "2026-01-01", "seeds": [0, 1], "commit": "", "packages": {"torch": "2"}, "grader": {"code": "g"},
        "hardware": {"processor": "cpu", "cores": 2, "gpus": [], "python": "3.11"}, "seconds": 3.0,
        "command": "harness run-recipe mine.yaml --seeds 2 --set a.b=1",
        "recipe": recipe | {"about": HOSTILE}, "profile": {}, "stages": {"a": stage, "b": stage, "c": trained},
    }  # fmt: skip
    data = {
        "run": "r0", "recipe": "mine", "profile": "tiny", "control": "base", "arms": {"base": ["a"], "sft": ["b"]},
        "left_out": {}, "manifest": manifest,
    }  # fmt: skip
    file = tmp_path / "recipes" / "r0" / "run.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(data))
    return Store(tmp_path), file


def test_the_page_asks_for_nothing_outside_and_runs_nothing(run):
    html, markdown = (path.read_text() for path in write_report(*run, load_recipe("ablation_full").claims))
    tags, attributes = [], []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.append(tag)
            attributes.extend(name for name, _ in attrs)

    Reader().feed(html)
    assert not {"script", "img", "link", "iframe", "object", "form", "a"} & set(tags)
    assert not {name for name in attributes if name in ("src", "href", "srcset") or name.startswith("on")}
    assert not re.findall(r"url\(|@import", html)
    assert "default-src 'none'" in html
    assert "&lt;script&gt;alert(1)" in html
    assert "<script" not in markdown


def test_the_page_holds_what_a_reader_needs(run):
    html, markdown = (path.read_text() for path in write_report(*run, load_recipe("ablation_full").claims))
    for text in (html, markdown):
        assert "harness run-recipe mine.yaml --seeds 2 --set a.b=1" in text
        assert "SFT on searched chains beats the base model" in text
        assert "of 1 claim; mean over tasks" in " ".join(text.split())
        assert "repetition" in text
    assert html.count("<svg") == 3
    for text in (html, markdown):
        assert "Accuracy and tokens" in text
        assert "Likelihood of chosen chains" in text
        assert "-4.25" in text
    assert "characters left out" in html
