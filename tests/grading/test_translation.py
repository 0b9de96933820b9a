"""chrF and BLEU: verdicts by chrF, a row's figures as sacreBLEU gives them for the whole corpus, blanks included."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu import corpus_bleu, corpus_chrf, sentence_chrf

from harness.errors import DataError
from harness.grading.families import gold_defect
from harness.grading.grade import Grader
from harness.grading.translation import AT_LEAST, check, corpus
from harness.problems.file import read_problems
from harness.problems.load import load
from harness.records import Sample
from harness.results.summary import row
from tests.commands import here

PAIRS = [
    ("Die Bibliothek öffnet um neun.", "Die Bibliothek öffnet um neun Uhr morgens."),
    ("Sie hat ihren Schirm vergessen", "Sie hat ihren Regenschirm im Zug vergessen."),
    ("", "Es regnet seit gestern Abend."),
    ("I do not know.", "Niemand wusste, wer das Lied geschrieben hatte."),
]
WORD = st.sampled_from(["der", "die", "das", "Zug", "Haus", ",", ".", "ist", "rot", "12", "图书馆", "开门"])
WORDS = st.lists(WORD, max_size=12).map(" ".join)


@settings(max_examples=40)
@given(st.lists(st.tuples(WORDS, WORDS.filter(bool)), min_size=1, max_size=6), st.sampled_from(["13a", "zh"]))
def test_a_corpus_has_the_scores_that_sacrebleu_gives_it(pairs, tokenize):
    found = corpus([check({"reference": want, "tokenize": tokenize}, said, False).details for said, want in pairs])
    said, wanted = ([pair[part] for pair in pairs] for part in (0, 1))
    assert found["chrf"] == pytest.approx(corpus_chrf(said, [wanted]).score)
    assert found["bleu"] == pytest.approx(corpus_bleu(said, [wanted], tokenize=tokenize).score)


def test_verdicts_are_by_the_chrf_of_the_best_reference():
    said, wanted = (
        "Sie vergaß ihren Schirm im Zug.",
        ["Sie hat ihren Regenschirm im Zug vergessen.", "Sie vergaß den Schirm."],
    )
    judged = check({"reference": wanted}, f" {said}\n", False)
    score = sentence_chrf(said, wanted).score
    assert judged.details["chrf"] == pytest.approx(score, abs=0.01)
    for at_least in (score - 0.1, score + 0.1):
        judged = check({"reference": wanted, "at_least": at_least}, said, False)
        assert (judged.verdict == "correct") == (score >= at_least)
    assert check({"reference": wanted}, said, True).verdict == "no_answer"


def sample(grade, number):
    return Sample(
        key="k", task="t", problem_id=str(number), index=0, seed=0, prompt_ids_hash="h", text="", token_ids=[],
        finish="stop", thinking_tokens=0, answer_tokens=1, grade=grade,
    )  # fmt: skip


def test_samples_without_an_answer_count_as_empty_translations():
    """Cut, empty, never out of the thought, and a call that failed: each is in the corpus."""
    goods = [(f"<think>hm</think>{said}", "stop", want) for said, want in PAIRS[:2]]
    bads = [
        ("<think>Die Biblio", "length", PAIRS[0][1]), (PAIRS[1][0], "length", PAIRS[1][1]), ("", "stop", PAIRS[2][1]),
        ("", "error", PAIRS[3][1]),
    ]  # fmt: skip
    with Grader() as grader:
        grades = [grader.grade("translation", {"reference": want}, text, end) for text, end, want in goods + bads]
    assert [grade.verdict for grade in grades[2:]] == ["unfinished", "unfinished", "no_answer", "infra_error"]
    figures = row([sample(grade, number) for number, grade in enumerate(grades)]).model_extra
    said = [said for said, _ in PAIRS[:2]] + [""] * 4
    wanted = [want for *_, want in goods + bads]
    assert figures["chrf"] == pytest.approx(corpus_chrf(said, [wanted]).score)
    assert figures["bleu"] == pytest.approx(corpus_bleu(said, [wanted]).score)
    assert figures["chrf"] < corpus_chrf(said[:2], [wanted[:2]]).score


@pytest.mark.parametrize("text", ["a" * 3_000_000, "\x00\ud7ff" * 9999, ". " * 200_000, "𝔘" * 50_000, "$(touch x)"])
def test_hostile_answers_get_a_verdict(text):
    with Grader() as grader:
        assert grader.grade("translation", {"reference": "Es regnet."}, text).verdict == "wrong"


def test_gold_answers_are_checked():
    assert not gold_defect("translation", {"reference": ["a", "b"], "tokenize": "zh", "at_least": 30})
    for gold in ({}, {"reference": []}, {"reference": [""]}, {"reference": 3}, {"reference": "a", "tokenize": "ja-mecab"},
                 {"reference": "a", "at_least": 300}):  # fmt: skip
        assert gold_defect("translation", gold), gold


def test_the_embedded_task_from_check_to_the_figures_of_a_row(tmp_path):
    assert "20/20 gold answers correct" in here("check", "--tasks", "mini_translation", code=0).stdout
    problems = load("mini_translation")
    answers = [{"id": each.id, "response": each.gold["reference"][0]} for each in problems]
    answers[0]["response"] = ""
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(each) + "\n" for each in answers))
    command = ["score", "--task", "mini_translation", "--responses", tmp_path / "in.jsonl"]
    data = json.loads(here(*command, "--json", code=0).stdout)
    assert data["accuracy"] == 19 / 20
    assert 90 < data["bleu"] < 100
    assert f"chrF {data['chrf']:.1f}, BLEU {data['bleu']:.1f}" in " ".join(here(*command, code=0).stdout.split())
    run = ["eval", "--model", "mock", "--backend", "mock", "--tasks", "mini_translation", "--limit", 2]
    assert "chrF" in here(*run, "--store", tmp_path, code=0).stdout


def test_a_file_of_ones_own(tmp_path):
    rows = [{"prompt": "Say hello in French.", "gold": {"reference": "Bonjour !", "at_least": 60}}]
    (tmp_path / "own.jsonl").write_text(json.dumps(rows[0]))
    problem = next(read_problems(tmp_path / "own.jsonl", "translation"))
    with Grader() as grader:
        assert grader.grade(problem.family, problem.gold, "Bonjour!").correct
        assert grader.grade(problem.family, {"reference": "Bonjour !"}, "Salut").reason.endswith(f"below {AT_LEAST:g}")


def test_ntrex_says_where_it_is_from(tmp_path):
    for data_dir in (None, tmp_path):
        with pytest.raises(DataError, match=r"newstest2019-src\.eng\.txt, of github\.com/MicrosoftTranslator/NTREX"):
            load("ntrex_de", data_dir=data_dir)


def test_ntrex(shared_data):
    if not (shared_data / "ntrex").is_dir():
        pytest.skip("../shared/data holds no ntrex/ (github.com/MicrosoftTranslator/NTREX)")
    for task, tokenize in (("ntrex_de", "13a"), ("ntrex_zh", "zh")):
        problems = load(task, data_dir=shared_data)
        assert len({problem.id for problem in problems}) == 1997
        details = [check(problem.gold, problem.gold["reference"], False).details for problem in problems[:200]]
        assert problems[0].gold.get("tokenize", "13a") == tokenize
        assert corpus(details) == pytest.approx({"chrf": 100, "bleu": 100})
