"""Over-thinking metrics against hand counts and exhaustive search."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import JournalBroken
from harness.evaluation.plan import load_samples
from harness.evaluation.reflection_words import reflection_words
from harness.evaluation.response_metrics import (
    LONGEST,
    LOOP_COPIES,
    LOOP_TOKENS,
    judged,
    of_response,
    suffix_loop,
    switches,
)  # fmt: skip
from harness.grading.grade import Grader
from harness.grading.messages import Statement
from harness.grading.thinking import Parts, split
from harness.problems.embedded import problems
from harness.records import Grade, Sample
from harness.results.summary import row
from harness.thoughts import THINK_TAGS


def sample(verdict="correct", thinking=10, finish="stop", loop=0, words=0, task="t", item="p", index=0):
    return Sample(
        key="k", task=task, problem_id=item, index=index, seed=0, prompt_ids_hash="h", text="", token_ids=[],
        finish=finish,
        thinking_tokens=thinking, answer_tokens=1, grade=Grade(verdict=verdict, reason="r"),
        metrics={"reflection_words": words, "loop_period": loop, "loop_copies": loop},
    )  # fmt: skip


def test_reflection_words_are_whole_words_in_any_case_and_tags_do_not_count():
    assert reflection_words("Wait, let me check again. Hmm, otherwise fine.") == 4
    assert reflection_words("<double-check>fine</double-check><reflection>buttery</reflection>") == 0
    assert reflection_words("a double-check, ALTERNATIVELY another") == 3


@pytest.mark.parametrize(
    ("language", "thought", "words"),
    [
        ("bn", "দাঁড়াও, আমি আবার যাচাই করি। কিন্তু উত্তর ১৮।", 4),
        ("de", "Warte, aber das ist vielleicht falsch. Noch einmal prüfen. Das Haberkorn wartet.", 5),
        ("es", "Espera, pero quizá otra vez. La esperanza perdura.", 4),
        ("fr", "Attends, mais vérifions encore une fois. Jamais.", 4),
        ("ja", "待って、しかし、もう一度確認する。", 4),
        ("ru", "Подожди, но, возможно, ещё раз проверим. Новый нос.", 5),
        ("sw", "Subiri, lakini labda tena.", 4),
        ("te", "ఆగండి, కానీ బహుశా మళ్లీ చూద్దాం.", 4),
        ("th", "เดี๋ยว แต่บางทีต้องตรวจสอบอีกครั้ง แต่ละวัน ตั้งแต่", 5),
        ("zh", "等等,wait,但是再检查。", 4),
        ("en", "She attends school; a moment, mail, tenable, espresso.", 0),
    ],
)
def test_reflection_words_of_the_languages_of_mgsm(language, thought, words):
    assert reflection_words(thought) == words
    assert reflection_words(unicodedata.normalize("NFD", thought)) == words


def brute(ids):
    for period in range(1, len(ids) // LOOP_COPIES + 1):
        copies = 1
        block = ids[-period:]
        while (
            ids[len(ids) - (copies + 1) * period : len(ids) - copies * period] == block
            and len(ids) >= (copies + 1) * period
        ):
            copies += 1
        if copies >= LOOP_COPIES and copies * period >= LOOP_TOKENS:
            return period, copies
    return 0, 0


@given(
    st.lists(st.integers(0, 2), max_size=20), st.lists(st.integers(0, 2), min_size=1, max_size=12), st.integers(1, 20)
)
def test_suffix_loop_equals_brute_force(head, block, copies):
    ids = head + block * copies
    assert suffix_loop(ids) == brute(ids)


def test_a_counted_list_is_no_loop_but_a_long_repetition_is():
    assert suffix_loop([1, 2] * 12) == (0, 0)
    assert suffix_loop([9, 9, 9] + [1, 2, 3] * 20) == (3, 20)


def test_of_response_counts_tokens_of_both_parts(tokenizer):
    text = "<think><thinking>7 + 5 = 12.</thinking></think>The answer is \\boxed{12}."
    ids = [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
    found = of_response(split(text), "correct", "stop", backend=tokenizer.backend_tokenizer, sampled=ids)
    assert found.thinking_tokens + found.answer_tokens + 3 == len(ids)  # <think>, </think>, end of turn


# A thought of ten words that states 12 (right) after five of them, and an answer of two words.
THOUGHT, RIGHT_AT = "so we get then 12 or rather it is 13", 5
STATED = (Statement(17, "12", True, False), Statement(len(THOUGHT), "13", False, False))


def measured(verdict, statements, answer=" = 13", **more):
    parts = Parts(thinking=THOUGHT, answer=answer, state="closed")
    return of_response(parts, verdict, "stop", statements=lambda text: statements, **more).metrics.model_dump()


@pytest.mark.parametrize("verdict", ["wrong", "unfinished", "no_answer", "correct", "grader_timeout", "infra_error"])
def test_underthinking_is_of_every_failure_of_the_model(verdict):
    """1 - F / N (arXiv 2501.18585): F = 5 of N = 12 words; 0 where nothing right was said, None where none looked."""
    failed = verdict in ("wrong", "unfinished", "no_answer")
    assert measured(verdict, STATED)["underthinking"] == (round(1 - RIGHT_AT / 12, 4) if failed else None)
    assert measured(verdict, STATED[1:])["underthinking"] == (0 if failed else None)
    assert measured(verdict, ())["underthinking"] == (0 if failed else None)
    assert measured(verdict, None)["underthinking"] is None


def test_a_right_answer_is_abandoned_for_a_wrong_one_or_for_none():
    names = ("abandoned", "right_then_wrong", "right_then_unanswered")
    found = {verdict: measured(verdict, STATED) for verdict in ("wrong", "unfinished", "correct", "infra_error")}
    shown = {verdict: tuple(one[name] for name in names) for verdict, one in found.items()}
    assert shown == {
        "wrong": (True, True, False), "unfinished": (True, False, True), "correct": (False, False, False),
        "infra_error": (False, False, False),
    }  # fmt: skip


def test_oscillations_are_of_answers_marked_inside_the_thought():
    marked = [each._replace(marked=True) for each in STATED]
    behind = Statement(len(THOUGHT) + 5, "13", False, True)
    assert measured("wrong", [*marked, behind])["oscillations"] == 1
    assert measured("wrong", [marked[1], behind])["oscillations"] == 0
    assert measured("wrong", [*STATED, behind])["oscillations"] is None


def test_switches_are_phrases_that_open_another_line_of_thought():
    assert switches("But wait, another way: check it again. Alternatively, another block. LET ME RECONSIDER") == 4
    assert switches("") == 0


def test_thoughts_about_plans_and_rules_are_not_searched_for_answers():
    """A plan's thought is in another notation than the plan: F would be N, and efficiency the accuracy."""
    names = ("first_correct", "efficiency", "underthinking", "redundant", "oscillations", "abandoned")
    seen = {}
    with Grader() as grader:
        for family in ("mini_math", "mini_blocks", "mini_rules"):
            [problem] = problems(family, "eval", 1)
            text = f"<think>x = {problem.gold.get('answer', 1)}</think>done"
            _, found = judged(grader, problem, text, "stop", tags=THINK_TAGS, prefilled=False)
            seen[family] = {getattr(found.metrics, name) for name in names} == {None}
    assert seen == {"mini_math": False, "mini_blocks": True, "mini_rules": True}


def test_row_adds_up():
    verdicts = ["correct"] * 5 + ["wrong"] * 3 + ["no_answer"] + ["unfinished"] * 4 + ["grader_timeout", "infra_error"]
    figures = row(
        [
            sample(v, thinking=i, finish="length" if v == "unfinished" else "stop", item=str(i))
            for i, v in enumerate(verdicts)
        ]
    )
    assert figures.n == 15
    assert figures.accuracy == pytest.approx(5 / 15)
    assert figures.accuracy_answered == pytest.approx(5 / 8)
    assert figures.no_answer == pytest.approx(7 / 15)
    assert figures.unfinished + figures.empty + figures.failed == pytest.approx(figures.no_answer)
    assert figures.accuracy + figures.wrong + figures.no_answer == pytest.approx(1)
    assert figures.median_thinking_tokens == 7
    assert figures.low < figures.accuracy < figures.high


def test_no_answers_at_all_and_no_samples():
    assert row([sample("unfinished")]).accuracy_answered is None
    with pytest.raises(ValueError, match="no samples"):
        row([])


def test_a_giant_response_is_measured_on_its_beginning_and_says_so(tokenizer):
    """50 MB of one answer took minutes and gigabytes; lengths and metrics are of the part that is analysed."""
    parts = split("<think>" + "Wait, 1 + 1 = 2. " * 3_000_000 + "</think>\\boxed{2}")
    found = of_response(parts, "correct", "stop")
    assert found.metrics.analysed == LONGEST
    assert found.metrics.reflection_words == pytest.approx(LONGEST / 17, abs=1)
    assert found.answer_tokens == 0
    assert of_response(split("<think>Wait</think>2"), "correct", "stop").metrics.analysed is None


def test_samples_of_an_older_layout_are_read_or_refused_in_one_line(tmp_path):
    old = sample().model_dump()
    del old["metrics"]["analysed"]
    (tmp_path / "samples.jsonl").write_text(json.dumps(old) + "\n")
    assert load_samples(tmp_path) == [sample()]
    (tmp_path / "samples.jsonl").write_text(json.dumps(old | {"metrics": {"wordiness": 3}}) + "\n")
    with pytest.raises(
        JournalBroken, match=r"not samples of this version \(metrics.wordiness: .*run the evaluation"
    ) as e:
        load_samples(tmp_path)
    assert "\n" not in str(e.value)
