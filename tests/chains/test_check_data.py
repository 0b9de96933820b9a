"""``harness check --data``: broken training data are named on one screen before a training, good ones pass."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.commands import here

N = 12
SCREEN = 40  # lines of 80 columns
THOUGHT, ANSWER = "<think>{0} and one more is {1}.</think>", "The answer is \\boxed{{{1}}}."


def said(role, content, **more):
    return {"role": role, "content": content} | more


def user(i):
    return said("user", f"What is {i} + 1?")


def replies(form, name="completion", **more):
    """Rows of one question each, whose reply is ``form`` of it."""
    return [
        {"prompt": [user(i)], name: [said("assistant", form.format(i, i + 1), **more)], "problem_id": f"p{i}"}
        for i in range(N)
    ]


def texts(before, form, behind=""):
    return [
        {"prompt": before.format(f"What is {i} + 1?"), "completion": form.format(i, i + 1) + behind} for i in range(N)
    ]


def pairs(chosen, rejected):
    both = zip(replies(chosen, "chosen"), replies(rejected, "rejected"), strict=True)
    return [a | b for a, b in both]


@pytest.fixture
def check(tmp_path):
    def run(rows, *more, code, model="shipped:student", verdict=None):
        file = tmp_path / "data.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        if verdict is not None:
            graded = [{"id": f"p{i}", "grade": verdict(i, j)} for i in range(N) for j in range(2)]
            (tmp_path / "verdicts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in graded))
            more = (*more, "--samples", tmp_path / "verdicts.jsonl")
        done = here("check", "--data", file.name, "--model", model, *more, code=code, cwd=tmp_path)
        assert len(done.stdout.splitlines()) <= SCREEN
        assert max(map(len, done.stdout.splitlines())) <= 80
        return " ".join(done.stdout.split())

    return run


@pytest.fixture(scope="module")
def opens(student, tmp_path_factory) -> Path:
    """The student with a template that opens the thought in the prompt."""
    folder = Path(shutil.copytree(student, tmp_path_factory.mktemp("models") / "opens"))
    template = folder / "chat_template.jinja"
    template.write_text(
        template.read_text().replace("{{ '<|assistant|>' }}{% endif %}", "{{ '<|assistant|><think>\\n' }}{% endif %}")
    )
    assert "<think>" in template.read_text()
    return folder


GOOD = THOUGHT + ANSWER
CHATML = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
OURS = "<|bos|><|user|>{}<|end|><|assistant|>"
BROKEN = {
    "dropped thought": (replies(ANSWER, cot="It is one more."), "'cot' that is not trained on"),
    "doubled tag": (replies("<think>" + GOOD), "open or close the thought twice"),
    "doubled closing tag": (replies(THOUGHT + "</think>" + ANSWER), "open or close the thought twice"),
    "cut thoughts": (replies("<think>{0} and one more, that would be"), "never close the thought that they open"),
    "cut answers": (replies(THOUGHT + "So the answer is"), "break off in the middle"),
    "cut boxes": (replies(THOUGHT + "So it is \\boxed{{{1}"), "break off in the middle"),
    "cut by their own word": (
        [row | {"finish_reason": "length"} for row in replies(GOOD)], "say themselves that they were cut"),
    "no answers": (replies(THOUGHT), "have nothing behind the thought"),
    "answers without thought": (replies(ANSWER), "have no thought before the answer"),
    "empty thoughts": (replies("<think>\n</think>" + ANSWER), "have an empty thought"),
    "another template's thoughts": (replies(GOOD.removeprefix("<think>")), "(</think>) that nothing opens"),
    "wrong template": (texts(CHATML, GOOD, "<|im_end|>"), "do not end as evaluation's do (…<|end|><|assistant|>)"),
    "tokens of another model": (texts(OURS, GOOD, "<|im_end|>"), "hold <|im_end|>, which is no token of this model"),
    "no template": (texts("Q: {}\nA:", GOOD), "do not end as evaluation's do"),
    "no start": (texts(OURS.removeprefix("<|bos|>"), GOOD), "do not begin as evaluation's do (<|bos|>"),
    "several turns": (texts(OURS, GOOD, "<|end|><|user|>And then?"), "go on behind an end of turn"),
    "empty completions": ([*replies(GOOD), *replies(" <|end|>")], "12 of 24 left out: rows with an empty prompt"),
    "equal sides": ([*pairs(GOOD, GOOD), *pairs(GOOD, ANSWER)], "12 of 24 left out: pairs of equal sides"),
    "doubled tag in rejected": (pairs(GOOD, "<think>" + GOOD), "twice (rejected)"),
    "no row that can be read": ([*replies(GOOD), {"prompt": "a"}], "data.jsonl:13: has neither prompt, completion"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_data_are_named_on_one_screen(name, check):
    rows, words = BROKEN[name]
    assert words in check(rows, code=1)


def test_questions_of_a_suite_are_named(check):
    from harness.problems.load import load

    rows = replies(GOOD)
    for row, problem in zip(rows[:2], load("mini_math", limit=2), strict=True):
        row["prompt"] = [user(0) | {"content": problem.prompt.replace(" ", "  ")}]
    out = check(rows, code=1)
    assert "overlap: 2 of 12 rows ask what a suite asks: mini_math 2; the first: " in out


def test_verified_chains_may_be_wrong_in_any_way(check):
    right, wrong = replies(GOOD), replies("<think>" + GOOD)
    rows = [row | {"label": True} for row in right] + [row | {"label": False} for row in wrong]
    out = check(rows, code=1)
    assert "12 of 24 rows open or close the thought twice (rejected)" in out
    wrong = replies("<think>{0} and one more, that would be")
    assert "in 12 of 24 rows" in check(rows[:12] + [row | {"label": False} for row in wrong], code=0)


def test_data_without_an_end_of_turn_are_named(check, tokenizer):
    ids = [
        {"prompt_ids": tokenizer.encode(OURS.format(i)), "completion_ids": tokenizer.encode(GOOD.format(i, i + 1))}
        for i in range(N)
    ]
    assert "12 of 12 rows have no end of turn in the loss" in check(ids, code=1)
    end = [tokenizer.eos_token_id]
    out = check([row | {"completion_ids": row["completion_ids"] + end} for row in ids], code=0)
    assert "ends its turn in the loss (<|end|>)" in out


def test_rows_over_the_length_are_named(check):
    long = [*replies(GOOD), *replies("<think>" + "1 + " * 200 + "</think>" + ANSWER)]
    assert "12 of 24 left out: rows of more than 100 tokens" in check(long, "--max-tokens", 100, code=1)
    assert "24 rows to train on" in check(long, code=0)


@pytest.mark.parametrize(
    ("verdict", "code", "words"),
    [
        (lambda i, j: "correct", 1, "always 100%, sometimes 0%, never 0% of the data's 12 problems"),
        (lambda i, j: "unfinished", 1, "never 100% of the data's 12 problems, 2.0 samples each: out of the student's"),
        (lambda i, j: "wrong" if j else "correct", 0, "sometimes 100%"),
        (lambda i, j: "correct" if i < 6 else "wrong", 0, "always 50%, sometimes 0%, never 50%"),
        (lambda i, j: "infra_error", 3, "holds no graded sample of a problem of this data"),
    ],
)
def test_what_the_student_solves_already(verdict, code, words, check):
    assert words in check(replies(GOOD), code=code, verdict=verdict)


def test_samples_of_a_run_are_matched_by_their_questions(tmp_path, check):
    run = tmp_path / "run"
    run.mkdir()
    for name, rows in {
        "problems": [{"id": f"q{i}", "prompt": user(i)["content"]} for i in range(2 * N)],
        "samples": [
            {"problem_id": f"q{i}", "grade": {"verdict": "correct" if i < N else "wrong"}} for i in range(2 * N)
        ],
    }.items():
        (run / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    unnamed = [{"messages": [user(i), said("assistant", GOOD.format(i, i + 1))]} for i in range(N)]
    assert "always 100%, sometimes 0%, never 0% of the data's 12" in check(unnamed, "--samples", run, code=1)
    assert "always 50%" in check([{"prompt_ids": [5], "completion_ids": [6, 3]}], "--samples", run, code=1)


FINE = {
    "thoughts in a field of their own": replies(ANSWER, reasoning_content="One more than {0}."),
    "thoughts as parts of the content": [
        {"messages": [user(i), said("assistant", [{"type": "thinking", "thinking": "One more."},
                                                  {"type": "text", "text": ANSWER.format(i, i + 1)}])]}
        for i in range(N)
    ],
    "pairs whose rejected side is cut": pairs(GOOD, "<think>Let me see, the"),
    "pairs with their prompt inside": [
        {side: [user(i), said("assistant", form.format(i, i + 1))]
         for side, form in {"chosen": GOOD, "rejected": THOUGHT + "Seven."}.items()}
        for i in range(N)
    ],
    "rendered texts": texts(OURS, GOOD, "<|end|>"),
    "texts whose end is added": texts(OURS, GOOD),
    "a system message": [
        {"messages": [said("system", "Be brief."), *row["prompt"], *row["completion"]]} for row in replies(GOOD)
    ],
    "one bad row of many": [*(replies(GOOD) * 10), replies("<think>" + GOOD)[0]],
}  # fmt: skip


@pytest.mark.parametrize("name", FINE)
def test_good_data_pass(name, check):
    out = check(FINE[name], code=0)
    assert "▶<think>" in out
    assert "evaluation asks: <|bos|><|user|>What is 0 + 1?<|end|><|assistant|>" in out


def test_answers_without_thoughts_pass_where_none_are_wanted(check):
    check(replies(ANSWER), "--thinking", "off", code=0)


def test_a_prompt_that_opens_the_thought(check, opens):
    out = check(replies(GOOD), model=opens, code=0)
    assert "<|assistant|><think>⏎▶0 and one more is 1.</think>The answer" in out
    assert "12 rows; the prompt writes <think>" in out
    check(replies(GOOD.removeprefix("<think>")), model=opens, code=0)
    assert "never close the thought that the prompt opens" in check(replies(ANSWER), model=opens, code=1)


def test_both_files_of_an_export_and_json(tmp_path):
    for name, rows in {"sft": replies(GOOD), "pairs": pairs(GOOD, "<think>" + GOOD)}.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = here("check", "--data", tmp_path, "--model", "shipped:student", "--json", code=1)
    found = json.loads(done.stdout)
    assert [f["what"] for f in found["findings"] if f["status"] == "failed"] == ["thoughts"]
    assert {"sft.jsonl", "pairs.jsonl"} <= {f["what"] for f in found["findings"]}
    (tmp_path / "pairs.jsonl").write_text("")
    here("check", "--data", tmp_path, "--model", "shipped:student", code=0)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--data", "."), "--model names the student"),
        (("--model", "shipped:student", "--samples", "a"), "with --data"),
        (("--data", ".", "--model", "shipped:student"), "holds no rows in sft.jsonl or pairs.jsonl"),
        (("--data", "absent.jsonl", "--model", "shipped:student"), "absent.jsonl"),
    ],
)
def test_what_is_missing_is_one_line(more, words, tmp_path):
    done = here("check", *more, code=2, cwd=tmp_path)
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_file_that_holds_no_samples_is_named(check, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text('{"a": 1}\n')
    file = tmp_path / "data.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in replies(GOOD)))
    done = here("check", "--data", file, "--model", "shipped:student", "--samples", other, code=2)
    assert "other.jsonl:1: no sample" in done.stderr


def test_what_is_shown_is_what_training_reads(tokenizer, tmp_path, check):
    from harness.training.data import read_rows

    rows = replies(ANSWER, reasoning_content="One more.")
    out = check(rows, code=0)
    prompt, completion = read_rows(tmp_path / "data.jsonl", "sft", tokenizer).rows[0]
    assert f"{tokenizer.decode(prompt)}▶{tokenizer.decode(completion)}◀" in out
