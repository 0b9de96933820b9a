"""Token ids of training rows: one thought, opened and closed once, and one end of turn, however a file writes them."""

from __future__ import annotations

import json
from collections import Counter
from copy import deepcopy
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import DataError
from harness.training.data import encoded_rows, read_rows

TURNS = "{% for m in messages %}{% if m.role == 'user' %}<|user|>{{ m.content }}<|end|>{% else %}<|assistant|>"
END = "<|end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>"
WITH_FIELD = (
    "{% if m.FIELD is defined and m.FIELD %}<think>\n{{ m.FIELD | trim }}\n</think>\n\n{% endif %}{{ m.content }}"
)
TEMPLATES = {
    "as it is": TURNS + "{{ m.content }}" + END + "{% endif %}",
    "opens": TURNS + "{{ m.content }}" + END + "<think>{% endif %}",
    "opens a line": TURNS + "{{ m.content }}" + END + "<think>{{ '\n' }}{% endif %}",
    "writes both": TURNS + "<think>{{ '\n' }}{{ m.content }}" + END + "<think>{{ '\n' }}{% endif %}",
    "reasoning_content": TURNS + WITH_FIELD.replace("FIELD", "reasoning_content") + END + "{% endif %}",
    "thinking": TURNS + WITH_FIELD.replace("FIELD", "thinking") + END + "{% endif %}",
    "field, opens": TURNS + WITH_FIELD.replace("FIELD", "reasoning_content") + END + "<think>{{ '\n' }}{% endif %}",
    "strips thoughts": TURNS + "{{ m.content.split('</think>')[-1] }}" + END + "{% endif %}",
    "splits, opens": TURNS + "{{ m.content.split('</think>')[-1] }}" + END + "<think>{{ '\n' }}{% endif %}",
    "shouts": TURNS + "{{ m.content | upper }}" + END + "<think>{% endif %}",
}
words = st.lists(st.sampled_from(["two", "plus", "3", "is", "5", "so", "\n"]), min_size=1, max_size=6).map(" ".join)
said = words.filter(str.strip)


def user(text="2 + 3 = ?"):
    return {"role": "user", "content": text}


def reply(content, **more):
    return {"role": "assistant", "content": content} | more


FORMS = {
    "inline": lambda thought, answer: reply(f"<think>{thought}</think>{answer}"),
    "inline, ended": lambda thought, answer: reply(f"<think>{thought}</think>{answer}<|end|>\n"),
    "reasoning_content": lambda thought, answer: reply(answer, reasoning_content=thought),
    "reasoning": lambda thought, answer: reply(answer, reasoning=thought),
    "thinking": lambda thought, answer: reply(answer, thinking=thought),
    "both": lambda thought, answer: reply(f"<think>{thought}</think>{answer}", reasoning_content=thought),
    "parts": lambda thought, answer: reply(
        [{"type": "thinking", "thinking": thought}, {"type": "text", "text": answer}]
    ),
}


@pytest.fixture(scope="module")
def ids_of(tokenizer, tmp_path_factory):
    """Token ids of rows under one of TEMPLATES (default: the student's), and the tokenizer that has it."""
    file = tmp_path_factory.mktemp("rows") / "rows.jsonl"

    @cache
    def having(template, eos):
        mine = deepcopy(tokenizer)
        mine.chat_template = TEMPLATES.get(template, tokenizer.chat_template)
        mine.eos_token = eos
        return mine

    def ids_of(*rows, kind="sft", template="", eos="<|end|>"):
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return [ids for _, _, ids in encoded_rows(file, kind, having(template, eos), Counter())]

    return ids_of


@pytest.mark.parametrize("template", TEMPLATES)
@settings(max_examples=8)
@given(thought=said, answer=said)
def test_one_thought_and_one_end_of_turn(template, thought, answer, ids_of, tokenizer):
    rows = [{"messages": [user(), form(thought, answer)]} for form in FORMS.values()]
    for form, (prompt, completion) in zip(FORMS, ids_of(*rows, template=template), strict=True):
        _, _, turn = tokenizer.decode(prompt + completion).partition("<|assistant|>")
        # An independent reading: blanks aside, the turn is one tagged thought, the answer, one end.
        assert "".join(turn.split()) == "".join(f"<think>{thought}</think>{answer}<|end|>".split()), form
        assert "</think>" not in tokenizer.decode(prompt)


@pytest.mark.parametrize("tail", ["", "<think>", "<think>\n"])
@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("behind", ["", "<|end|>", "<|end|>\n", "\n<|end|> <|end|>"])
def test_texts_open_and_end_once(tail, begun, behind, ids_of, tokenizer):
    row = {"prompt": f"<|user|>2 + 3 = ?<|end|><|assistant|>{tail}"}
    text = ("<think>" if begun or not tail else "") + "5</think>5" + behind
    for kind, sides in {"sft": ("completion",), "pairs": ("chosen", "rejected")}.items():
        [(prompt, *written)] = ids_of(row | dict.fromkeys(sides, text), kind=kind)
        for ids in written:
            whole = tokenizer.decode(prompt + ids)
            assert (whole.count("<think>"), whole.count("</think>")) == (1, 1)
            assert ids[-1] == tokenizer.eos_token_id
            assert ids.count(tokenizer.eos_token_id) == 1


def test_pairs_that_differ_in_their_thoughts_are_trained_on(tokenizer, tmp_path):
    sides = {name: [reply("5", reasoning_content=name)] for name in ("chosen", "rejected")}
    (tmp_path / "a.jsonl").write_text(json.dumps({"prompt": [user()]} | sides) + "\n")
    [(_, *ids)] = read_rows(tmp_path / "a.jsonl", "pairs", tokenizer).rows
    assert [tokenizer.decode(each) for each in ids] == [f"<think>{name}</think>5<|end|>" for name in sides]


def test_a_thought_under_another_name_is_told(tokenizer, tmp_path):
    rows = [{"prompt": [user()], "completion": [reply("5")], "rationale": "2 and 3"}]
    rows += [{"prompt": [user()], "completion": [reply("5 is 2 and 3")], "rationale": "2 and 3"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_rows(tmp_path / "a.jsonl", "sft", tokenizer).notes == {"rows whose 'rationale' is not trained on": 1}


@settings(max_examples=15)
@given(turns=st.lists(said, min_size=1, max_size=4), chosen=said, rejected=said, given_prompt=st.booleans())
def test_the_prompt_within_both_sides_is_found(turns, chosen, rejected, given_prompt, ids_of):
    before = [(user if number % 2 == 0 else reply)(text) for number, text in enumerate(turns)]
    before += [user("and so?")] if len(turns) % 2 == 0 else []
    sides = {"chosen": chosen, "rejected": rejected}
    implicit = {name: [*before, reply(text)] for name, text in sides.items()}
    explicit = {"prompt": before} | {name: [reply(text)] for name, text in sides.items()}
    if given_prompt:  # as a text beside two conversations
        implicit["prompt"] = turns[0]
    found, expected = ids_of(implicit, explicit, kind="pairs")
    assert found == expected


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"chosen": "2 + 3 = 5", "rejected": "2 + 3 = 6"}, "texts without a prompt"),
        ({"chosen": [user("a"), reply("b")], "rejected": [user("c"), reply("d")]}, "share no first message"),
        ({"chosen": [user("a"), user("b"), reply("c")], "rejected": [user("a"), reply("d")]}, "one message of the"),
        ({"chosen": [reply("a")], "rejected": [reply("b")]}, "share no first message"),
        ({"chosen": [user("a"), reply("b")]}, "has neither prompt, chosen, rejected"),
        ({"prompt": 3, "chosen": "a", "rejected": "b"}, "prompt is neither a text nor a list"),
    ],
)
def test_preferences_that_hold_no_prompt_are_refused(row, words, ids_of):
    with pytest.raises(DataError, match=words):
        ids_of(row, kind="pairs")


@pytest.mark.parametrize("template", ["as it is", "splits, opens"])
def test_a_base_model_learns_the_end_that_its_template_writes(template, ids_of, tokenizer):
    rows = [{"messages": [user(), reply("<think>2</think>five")]}]
    rows += [{"prompt": "2 + 3", "completion": f"five{end}"} for end in ("<|end|>", "<|end|><|user|>", "")]
    turn, *written = [ids for _, ids in ids_of(*rows, template=template, eos="<|user|>")]
    assert turn[-1] == tokenizer.convert_tokens_to_ids("<|end|>")
    assert [tokenizer.decode(ids) for ids in written] == ["five<|end|>", "five<|end|>", "five<|user|>"]


@pytest.mark.parametrize("thought", [True, 3, {"a": 1}])
def test_a_thought_that_is_no_text_is_named(thought, ids_of):
    with pytest.raises(DataError, match=r"rows\.jsonl:1: messages is neither a text nor a list of messages"):
        ids_of({"messages": [user(), reply("5", thinking=thought)]})
