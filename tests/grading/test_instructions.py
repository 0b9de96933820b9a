"""IFEval verdicts against lm-eval's own functions, and every deliberate difference with its reason."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.grading import instructions


@pytest.fixture(scope="module")
def registry():
    data = Path(__file__).parents[3] / "shared" / "data" / "nltk_data"
    if data.is_dir():
        import nltk

        nltk.data.path.insert(0, str(data))
    return instructions.load()


@pytest.mark.parametrize("rank", [None, "3"])
def test_loading_leaves_the_rank_of_this_process_alone(rank):
    environment = {key: value for key, value in os.environ.items() if key != "LOCAL_RANK"}
    code = (
        "import os; from harness.grading import instructions; instructions.load(); print(os.environ.get('LOCAL_RANK'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment | ({"LOCAL_RANK": rank} if rank else {}), capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == str(rank)


@pytest.fixture(scope="module")
def reference(registry):
    from lm_eval.tasks.ifeval import utils

    return utils


def kinds(registry):
    names = sorted(registry)
    return names if instructions.has_sentences() else [n for n in names if n not in instructions._NEEDS_SENTENCES]


def drawn(registry, name, seed):
    """Arguments of a kind as lm-eval draws them when it is given none."""
    state = random.getstate()
    random.seed(seed)
    checker = registry[name](name)
    if name == "combination:repeat_prompt":
        checker.build_description(prompt_to_repeat="Say hello to the class.")
    else:
        checker.build_description()
    random.setstate(state)
    arguments = {k: v for k, v in (checker.get_instruction_args() or {}).items() if k != "prompt"}
    if "nth_paragraph" in arguments:  # lm-eval draws one past the last, too, and then another at each check
        arguments["nth_paragraph"] = min(arguments["nth_paragraph"], arguments["num_paragraphs"])
    return arguments


FRAGMENTS = (
    "the quick brown fox jumps over the lazy dog.", "THE END.", "<<My Title>>", "*highlight*", "**bold words**", "P.S. goodbye",
    "P.P.S. bye", "[address]", "[1]", "* point one", "- point two", "***", "Section 1", "SECTION 2", '{"a": 1}', '"quoted text"', ",",
    "My answer is yes.", "My answer is no.", "Say hello to the class.", "hola mundo, cómo estás hoy", "what are they doing?",
    "Is there anything else I can help with?", "\n\n", "\n", "1.", "aaaa bbbb", "Paragraph one.\n\nParagraph two.", "```json\n[1]\n```",
    "western sentence signal dump", "All Words Here Are Capitalised", "question #3!", "", " ",
)  # fmt: skip
responses = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map(" ".join) | st.lists(
    st.sampled_from(FRAGMENTS), max_size=14
).map("\n".join)


@settings(max_examples=250)
@given(data=st.data(), response=responses, seed=st.integers(0, 10_000))
def test_strict_and_loose_equal_lm_eval_on_any_response(registry, reference, data, response, seed):
    names = data.draw(st.lists(st.sampled_from(kinds(registry)), min_size=1, max_size=3))
    arguments = [drawn(registry, name, seed) for name in names]
    prompt = "Say hello to the class."
    gold = {"instruction_id_list": names, "kwargs": arguments, "prompt": prompt}
    example = reference.InputExample(key=0, instruction_id_list=names, prompt=prompt, kwargs=arguments)
    strict = reference.test_instruction_following_strict(example, response).follow_instruction_list
    loose = reference.test_instruction_following_loose(example, response).follow_instruction_list
    verdict, _, _, details = instructions.check(gold, response)
    assert details["strict"] == strict
    assert details["loose"] == loose
    assert (verdict == "correct") == (bool(response.strip()) and all(strict))


def test_all_kinds_take_part(registry):
    assert len(registry) == 25
    if not instructions.has_sentences():
        pytest.skip("NLTK's punkt_tab is not here: 2 of 25 kinds were not compared")
    assert len(kinds(registry)) == 25


def test_every_ifeval_prompt_has_the_same_verdicts_as_lm_eval(registry, reference, shared_data):
    rng = random.Random(0)
    for line in (shared_data / "ifeval" / "input_data.jsonl").read_text().splitlines()[::4]:
        row = json.loads(line)
        if row["key"] in (1122, 1129):
            continue  # lm-eval replaces '#' and '!' by a random letter there
        response = "\n".join(rng.choices(FRAGMENTS, k=12))
        example = reference.InputExample(**{k: row[k] for k in ("key", "instruction_id_list", "prompt", "kwargs")})
        details = instructions.check(row, response)[3]
        assert (
            details["strict"] == reference.test_instruction_following_strict(example, response).follow_instruction_list
        )
        assert details["loose"] == reference.test_instruction_following_loose(example, response).follow_instruction_list


def one(name, arguments, response, **more):
    gold = {"instruction_id_list": [name], "kwargs": [arguments], "prompt": "p", **more}
    return instructions.check(gold, response)


def test_a_character_that_is_no_letter_is_counted_itself(registry):
    arguments = {"letter": "#", "let_frequency": 3, "let_relation": "at least"}
    assert {one("keywords:letter_frequency", arguments, "# # #")[0] for _ in range(20)} == {"correct"}
    assert {one("keywords:letter_frequency", arguments, "# #")[0] for _ in range(20)} == {"wrong"}


@pytest.mark.parametrize(
    ("name", "arguments", "language", "good", "bad"),
    [
        ("length_constraints:number_words", {"num_words": 5, "relation": "at least"}, "zh", "今天天气很好", "今天好"),
        ("length_constraints:number_words", {"num_words": 3, "relation": "less than"}, "zh", "好 yes", "今天天气"),
        ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "at least"}, "zh", "你好。再见！", "你好"),
        ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "at least"}, "hi", "नमस्ते। फिर मिलेंगे।", "नमस्ते"),
        ("punctuation:no_comma", {}, "zh", "你好", "你好，再见"),
        ("language:response_language", {"language": "zh"}, "zh", "今天天气很好,我们去公园吧", "The weather is fine today"),
    ],
)  # fmt: skip
def test_other_languages_have_their_own_words_and_commas(registry, name, arguments, language, good, bad):
    assert one(name, arguments, good, language=language)[0] == "correct"
    assert one(name, arguments, bad, language=language)[0] == "wrong"


@pytest.mark.parametrize(
    ("word", "broken", "kept"),
    [
        ("天气", "今天天气很好。", "今天很好。"), ("森", "深い森です。", "深い木です。"), ("ฝน", "วันนี้ฝนตก", "วันนี้แดดออก"),
        ("비", "오늘은 비가 온다.", "오늘은 맑다."), ("की", "उस की किताब", "उसकी किताब"), ("घर", "घर बड़ा है", "घरों में"),
        ("C++", "I write C++ daily.", "I write C daily."), ("$7", "It is $7 here.", "It is $70 here."), ("u.s", "u.s soil", "us soil"),
        ("rain", "Rain fell.", "The train left."), ("(x", "see (x here", "see x here"),
    ],
)  # fmt: skip
def test_forbidden_words_are_found_as_written_in_every_script(registry, word, broken, kept):
    arguments = {"forbidden_words": ["unrelated", word]}
    assert one("keywords:forbidden_words", arguments, broken)[0] == "wrong"
    assert one("keywords:forbidden_words", arguments, kept)[0] == "correct"


def test_loose_forgives_a_first_line_and_asterisks_and_rules_where_the_gold_says_so(registry):
    arguments = {"end_phrase": "Bye."}
    strict = one("startend:end_checker", arguments, "Bye.\nMore")
    assert (strict[0], strict[3]) == ("wrong", {"strict": [False], "loose": [True]})
    assert one("startend:end_checker", arguments, "Bye.\nMore", rule="loose")[0] == "correct"


def test_a_checker_that_fails_is_neither_followed_nor_broken(registry):
    assert one("no:such", {}, "x")[:2] == ("infra_error", "no:such: no such kind of instruction")
    assert one("mini_rules:start", {"oops": 1}, "x")[0] == "infra_error"
    assert one("punctuation:no_comma", {}, "x" * 300_000)[0] == "grader_timeout"


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("length_constraints:number_words", {}),
        ("length_constraints:number_words", {"relation": "at least"}),
        ("keywords:existence", {}),
        ("length_constraints:nth_paragraph_first_word", {"num_paragraphs": 2, "nth_paragraph": 3, "first_word": "so"}),
    ],
)
def test_an_argument_that_lm_eval_would_draw_at_random_is_no_verdict(name, given):
    gold = {"instruction_id_list": [name], "kwargs": [given], "prompt": "Write."}
    for seed in range(20):  # also where the draw is the given value by chance
        random.seed(seed)
        verdict = instructions.check(gold, "One paragraph.\n\nso it goes.")
        assert verdict.verdict == "infra_error"
        assert "missing or out of range" in verdict.reason
