"""Every defect of a grammar is named when it is loaded."""

from __future__ import annotations

import pytest
import yaml

from harness.search.grammar import GrammarError, load

GOOD = {
    "name": "g",
    "start": {"thinking": 1},
    "kinds": {"thinking": {"max_tokens": 9, "next": {"answer": 1}}, "answer": {"max_tokens": 9}},
}


def write(tmp_path, change):
    data = yaml.safe_load(yaml.safe_dump(GOOD))
    change(data)
    path = tmp_path / "g.yaml"
    path.write_text(yaml.safe_dump(data))
    return str(path)


def test_the_shipped_grammar_loads():
    assert load("embedded").kinds["double-check"].role == "critic"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["kinds"].pop("answer"), "not defined"),
        (lambda d: d["kinds"]["thinking"].update(next={"thinking": 1}), "no path to an answer"),
        (lambda d: d["kinds"].update(reflection={"max_tokens": 5, "next": {"answer": 1}}), "never be reached"),
        (lambda d: d["kinds"]["thinking"].update(prefill="x</thinking>"), "closes its own tag"),
        (lambda d: d["kinds"].update(musing={"max_tokens": 5, "next": {"answer": 1}}), "not a thought kind"),
        (lambda d: d["kinds"]["answer"].update(next={"thinking": 1}), "terminal"),
        (lambda d: d.update(backtrack={"kind": "reflection"}), "not defined"),
        (lambda d: d["start"].update(thinking=0), "0 children"),
        (lambda d: d.update(colour="red"), "colour"),
        (lambda d: d["kinds"]["thinking"].update(max_tokens=0), "max_tokens"),
    ],
)
def test_defects_are_named(tmp_path, change, message):
    with pytest.raises(GrammarError, match=message):
        load(write(tmp_path, change))


def test_missing_and_unknown_grammars():
    with pytest.raises(GrammarError, match="shipped: embedded"):
        load("nope")
    with pytest.raises(GrammarError, match="no such file"):
        load("/nowhere/g.yaml")
