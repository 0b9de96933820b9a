"""Every defect of a grammar is named when it is loaded."""

from __future__ import annotations

import re

import pytest
import yaml

from harness.errors import DataError, RecipeError
from harness.records import Problem
from harness.search.grammar import Grammar, load, shipped
from harness.search.spec import Goals
from harness.search.store import Settings
from harness.search.tree.nodes import Result

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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kinds: {thinking: {max_token: 9}}", "kinds.thinking.max_token: unknown key (did you mean 'max_tokens'?)"),
        ("start: {width: 2, weight: {thinking: 1}}", "start.weight: unknown key (did you mean 'weights'?)"),
        ("start: {thinking: many}", "start.thinking: Input should be a valid integer"),
        ("kind: {}", "kind: unknown key (did you mean 'kinds'?)"),
        ("start: {thinking: 1}\nstart: {answer: 1}", "start stands here a second time"),
        ("start: {thinkin: 1}", "start leads to 'thinkin', which is not defined (did you mean 'thinking'?)"),
    ],
)
def test_mistakes_have_file_line_key_and_the_nearest_name(tmp_path, text, message):
    path = tmp_path / "g.yaml"
    base = {key: value for key, value in GOOD.items() if f"{key}:" not in text}
    path.write_text(f"# a comment\n{text}\n{yaml.safe_dump(base)}")
    line = 2 + text.count("\n")
    with pytest.raises(RecipeError) as error:
        load(str(path))
    assert f"{path}:{line}: {message}" in str(error.value)


def test_shipped_grammars_tell_real_models_the_tags():
    """Rules, an example whose parts all end in their tags, and a beginning for each thought."""
    for name in ("math", "planning", "instructions", "paper"):
        grammar = load(name)
        assert all(grammar.opening(kind) in grammar.rules for kind in grammar.kinds if kind != "answer")
        for kind in ("sub-task", "thinking", "double-check"):
            assert grammar.closing(kind) in grammar.examples[0].response
        assert all(kind.prefills for kind in grammar.kinds.values())  # without one small models leave answers empty


@pytest.mark.parametrize(
    ("response", "fault"),
    [
        ("The answer is 3.", "is not <think>thoughts</think> and an answer"),
        ("<think><thinking>a</thinking>", "is not <think>thoughts</think> and an answer"),
        ("<think><thinking>a</thinking></think> ", "is not <think>thoughts</think> and an answer"),
        ("<think><thinking>a</think>3", "has no whole thought of the grammar at '<thinking>a'"),
        ("<think><idea>a</idea></think>3", "has no whole thought of the grammar at '<idea>a</idea>'"),
        ("<think>So <thinking>a</thinking></think>3", "has no whole thought of the grammar at 'So <thinking>a"),
        ("<think><thinking>a<thinking>b</thinking></thinking></think>3", "has a tag inside <thinking>"),
    ],
)
def test_an_example_that_would_teach_wrong_tags_is_refused_with_its_line(tmp_path, response, fault):
    path = tmp_path / "g.yaml"
    examples = [{"problem": "1 + 2?", "response": "<think><thinking>a</thinking></think>3"}]
    path.write_text(yaml.safe_dump(GOOD | {"examples": [*examples, {"problem": "?", "response": response}]}))
    with pytest.raises(RecipeError) as error:
        load(str(path))
    assert f"the response of example 2 {fault}" in str(error.value)
    assert re.match(rf"{re.escape(str(path))}:\d+: ", str(error.value))
    path.write_text(yaml.safe_dump(GOOD | {"examples": examples}))
    load(str(path))


def test_each_source_of_problems_has_its_grammar():
    settings = Settings(grammar=load("tasks"), goals=Goals())
    families = {"gsm8k": "math", "math500": "math", "mini_blocks": "planning", "ifeval": "instructions"}
    for family, name in families.items():
        assert settings.tree(Problem(id="p", family=family, prompt="?", gold={})).grammar.name == name
    changed = settings.grammar.changed(temperature=0.1)
    assert {each.temperature for each in changed.resolved.values()} == {0.1}
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: s\nsources: {plans: planning}", "2: 'plans' is no grader of answers (did you mean 'plan'?)"),
        ("name: s\nsources: {plan: plannin}", "no grammar 'plannin' (did you mean 'planning'?)"),
        ("name: s\nsources: {plan: tasks}", "2: tasks names sources itself"),
        ("name: s\nsources: {}", "2: sources"),
        ("name: s\nstart: {thinking: 1}\nsources: {plan: planning}", "start"),
    ],
)
def test_mistakes_in_sources_are_one_line(tmp_path, text, message):
    path = tmp_path / "g.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as error:
        load(str(path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("family", "quoted"), [("number", True), ("gsm8k", True), ("math500", True), ("plan", False), ("ifeval", False)]
)
def test_reflections_quote_numbers_and_formulas_alone(family, quoted):
    """Of a plan or a letter the first 200 characters stood in the thought, and became training data."""
    grammar = Grammar.model_validate(
        GOOD | {"start": {"thinking": 1}, "backtrack": {"kind": "reflection"}, "kinds": GOOD["kinds"] | {
            "reflection": REFLECTION | {"prefills": ["Wait, the answer {answer} is wrong."]}}}
    )  # fmt: skip
    problem = Problem(id="p", family=family, prompt="?", gold={"answer": 1})
    tree = Settings(grammar=grammar, goals=Goals()).tree(problem)
    tree.tell("thinking.0", Result(text="t", token_ids=(1,), finish="stop"))
    answer = Result(text="a", token_ids=(1,), finish="stop", verdict="wrong", answer="Dear Sir, I am")
    tree.tell("thinking.0/answer.0", answer)
    reflection = tree.ask()
    assert reflection.kind == "reflection"
    said = "the answer Dear Sir, I am" if quoted else "that answer"
    assert reflection.prefill == f"Wait, {said} is wrong."
