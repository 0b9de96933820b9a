"""Every defect of a grammar is named when it is loaded."""

from __future__ import annotations

import pytest
import yaml

from harness.errors import DataError
from harness.search.grammar import load, shipped

GOOD = {
    "name": "g",
    "start": {"thinking": 1},
    "kinds": {"thinking": {"max_tokens": 9, "next": {"answer": 1}}, "answer": {"max_tokens": 9}},
}
REFLECTION = {"max_tokens": 5, "next": {"answer": 1}}


def write(tmp_path, change):
    data = yaml.safe_load(yaml.safe_dump(GOOD))
    change(data)
    path = tmp_path / "g.yaml"
    path.write_text(yaml.safe_dump(data))
    return str(path)


def patterns(data, **change):
    data["patterns"] = {"a": {"start": data.pop("start"), "next": {"thinking": {"answer": 1}}} | change}
    del data["kinds"]["thinking"]["next"]


def with_back(data, **change):
    data["kinds"]["reflection"] = REFLECTION
    data["backtrack"] = {"kind": "reflection"} | change


def test_the_shipped_grammars_load():
    assert {"embedded", "paper", "marco_o1_demo", "math", "planning", "instructions"} <= set(shipped())
    for name in shipped():
        assert load(name).name == name
    assert load("embedded").kinds["double-check"].role == "critic"


def test_the_papers_patterns_have_the_arrows_of_its_figure():
    """arXiv 2503.01461, Figure 2."""
    arrows = {
        name: {kind: set(of.following(kind)) for kind in of.kinds if of.following(kind)}
        for name, of in load("paper").resolved.items()
    }
    loop = {"answer", "thinking"}
    assert arrows["a"] == {"sub-task": {"thinking"}, "thinking": loop, "reflection": {"thinking"}}
    both = {"hypothesis", "thinking"}
    assert arrows["b"] == {"sub-task": both, "hypothesis": {"thinking"}, "thinking": loop}
    assert arrows["c"] == {
        "sub-task": {"thinking"}, "thinking": loop | {"double-check"}, "double-check": {"answer", "thinking"},
    }  # fmt: skip
    assert arrows["d"] == arrows["b"] | {"reclarify": {"thinking"}}
    backs = {name: of.backtrack.kind if of.backtrack else None for name, of in load("paper").resolved.items()}
    assert backs == {"a": "reflection", "b": "thinking", "c": None, "d": "reclarify"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["kinds"].pop("answer"), "no answer kind"),
        (lambda d: d["start"].update(thinkin=1), "not defined .did you mean 'thinking'"),
        (lambda d: d["kinds"]["thinking"].update(next={"thinking": 1}), "no path to an answer"),
        (lambda d: d["kinds"].update(reflection=REFLECTION), "never be reached"),
        (lambda d: d["kinds"]["thinking"].update(prefills=["x</thinking>"]), "closes its own tag"),
        (lambda d: d["kinds"]["thinking"].update(prefills=["x<think>"]), "holds a tag"),
        (lambda d: d["kinds"]["thinking"].update(prefills=["{answer}?"]), "no wrong answer leads to"),
        (lambda d: d["kinds"].update(musing={"max_tokens": 5, "next": {"answer": 1}}), "not a thought kind"),
        (lambda d: d["kinds"]["thinking"].update(tag="a b"), "a tag is letters"),
        (lambda d: d["kinds"].update(hypothesis=REFLECTION | {"tag": "thinking"}), "same tag"),
        (lambda d: d["kinds"]["answer"].update(next={"thinking": 1}), "terminal"),
        (lambda d: d.update(backtrack={"kind": "reflection"}), "not defined"),
        (lambda d: d.update(backtrack={"kind": "answer"}), "must write a thought"),
        (lambda d: with_back(d, to="sub-task"), "goes to 'sub-task', which is not defined"),
        (lambda d: (with_back(d, to="hypothesis"), d["kinds"].update(hypothesis=REFLECTION)), "can never be reached"),
        (lambda d: d["start"].update(thinking=0), "0 children"),
        (lambda d: d.update(start={}), "start leads nowhere"),
        (lambda d: d.update(start={"weights": {"thinking": 0.0}}), "weight 0"),
        (lambda d: d.update(start={"width": 0, "weights": {"thinking": 1.0}}), "draws 0 children"),
        (lambda d: d["kinds"]["thinking"].update(next={"answer": 1, "thinking": 1}), "loop without a cap"),
        (lambda d: (d.update(max_depth=2), d["kinds"].update(hypothesis={"max_tokens": 5, "next": {"thinking": 1}}),
                    d.update(start={"hypothesis": 1})), "the shortest chain has 3 thoughts"),
        (lambda d: d.update(max_context=9), "max_context is 9"),
        (lambda d: d.update(prompt="solve"), "does not hold {problem}"),
        (lambda d: d.update(colour="red"), "colour"),
        (lambda d: d["kinds"]["thinking"].update(max_tokens=0), "max_tokens"),
        (lambda d: d.update(patterns={"a": {"start": {"thinking": 1}}}), "belong into the patterns"),
        (lambda d: patterns(d, weight=0), "has the weight 0"),
        (lambda d: patterns(d, next={"thinkin": {}}), "pattern a says what follows 'thinkin'"),
        (lambda d: patterns(d, next={}), "pattern a: thinking has no path to an answer"),
    ],
)  # fmt: skip
def test_defects_are_named(tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        load(write(tmp_path, change))


def test_all_defects_are_named_at_once(tmp_path):
    def change(data):
        data["start"] = {"thinkin": 1, "thinking": 0}
        data["kinds"]["answer"]["next"] = {"thinking": 1}

    with pytest.raises(DataError) as error:
        load(write(tmp_path, change))
    lines = [line.removeprefix(str(tmp_path)) for line in str(error.value).splitlines()]
    assert [line.split(" ", 1)[0] for line in lines] == ["/g.yaml:12:", "/g.yaml:13:", "/g.yaml:4:"]


def test_a_cap_on_one_kind_of_a_loop_is_enough(tmp_path):
    def change(data):
        data["kinds"]["thinking"] |= {"next": {"answer": 1, "thinking": 1}, "per_chain": 3}

    assert load(write(tmp_path, change)).kinds["thinking"].per_chain == 3


def test_missing_and_unknown_grammars(tmp_path):
    with pytest.raises(DataError, match="shipped: embedded"):
        load("nope")
    with pytest.raises(DataError, match="no such file"):
        load("/nowhere/g.yaml")
    (tmp_path / "g.yaml").write_text("a: [1")
    with pytest.raises(DataError, match="not YAML"):
        load(str(tmp_path / "g.yaml"))


def test_a_changed_copy_derives_everything_anew():
    grammar = load("paper")
    assert grammar.resolved["a"].temperature == grammar.temperature
    changed = grammar.model_copy(update={"temperature": 0.1})
    assert changed.draw(3).temperature == 0.1
    assert grammar.resolved["c"].steps["double-check"] == 1
    assert "double-check" not in grammar.resolved["a"].steps
