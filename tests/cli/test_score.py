"""``harness score`` on files as users have them: one verdict a row, in order, with its reason."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile

import pytest


def score(*args, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "harness", "score", *map(str, args)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == code, done.stderr[-1500:]
    return done


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def verdicts(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_four_think_states_with_the_right_number_inside(tmp_path):
    """An unfinished thought is unfinished; the same response with the tag and the answer is correct."""
    cases = [
        ("<think>so \\boxed{5}", "unfinished", "unclosed"),
        ("<think>so \\boxed{5}</think>\\boxed{5}", "correct", "closed"),
        ("so it is 5</think>The answer is 5.", "correct", "orphan_close"),
        ("The answer is 5.", "correct", "none"),
        ("<think>5<think>5</think>\\boxed{5}", "correct", "closed"),
        ("<think>5</think>no, <think>again: \\boxed{5}", "unfinished", "unclosed"),
        ("<think>5</think>Write `<think>` first. \\boxed{5}", "correct", "closed"),
        ("<think>\\boxed{5}</think>I do not know", "no_answer", "closed"),
        ("<think>\\boxed{5}</think>", "no_answer", "closed"),
        ("<think>\\boxed{7}</think>The answer is **5**", "correct", "closed"),
        (None, "no_answer", "none"),
    ]
    rows = [{"id": f"r{i}", "gold": 5, "response": text} for i, (text, _, _) in enumerate(cases)]
    out = tmp_path / "out.jsonl"
    done = score("--grader", "number", "--responses", lines(tmp_path / "in.jsonl", rows), "--out", out)
    found = verdicts(out)
    assert [(row["id"], row["grade"], row["think_state"]) for row in found] == [
        (f"r{i}", grade, state) for i, (_, grade, state) in enumerate(cases)
    ]
    assert all({"answer", "reason", "seconds"} <= set(row) for row in found)
    assert "the response is null" in found[-1]["reason"]
    assert "unfinished 18.2 %" in done.stdout


def test_prefilled_prompts_and_other_tags(tmp_path):
    rows = [{"gold": 5, "response": "so \\boxed{5}"}, {"gold": 5, "response": "so 7</think>5"}]
    path, out = lines(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    score("--grader", "number", "--responses", path, "--out", out, "--prefilled")
    assert [row["grade"] for row in verdicts(out)] == ["unfinished", "correct"]
    rows = [{"gold": 5, "response": "<Thought>7</Thought>5"}, {"gold": 5, "response": "<Thought>5"}]
    lines(path, rows)
    score("--grader", "number", "--responses", path, "--out", out, "--think-tags", "<Thought>,</Thought>")
    assert [row["grade"] for row in verdicts(out)] == ["correct", "unfinished"]


def test_plans_and_instructions_say_more(tmp_path):
    gold = {"init": [["orange", "blue"], ["red"]], "goal": [["blue", "red"]]}
    plan = "unstack the blue block from on top of the orange block\nstack the blue block on top of the red block"
    rows = [{"gold": gold, "response": plan}, {"gold": gold, "response": "pick up the orange block"}]
    out = tmp_path / "out.jsonl"
    score("--grader", "plan", "--responses", lines(tmp_path / "in.jsonl", rows), "--out", out)
    good, bad = verdicts(out)
    assert (good["valid"], good["failing_step"], good["plan"][0]) == (True, 0, ["unstack", "blue", "orange"])
    assert (bad["valid"], bad["failing_step"]) == (False, 1)
    rule = {
        "instruction_id_list": ["punctuation:no_comma", "startend:end_checker"],
        "kwargs": [{}, {"end_phrase": "Bye."}],
    }
    rows = [{**rule, "response": "Well\nBye."}, {**rule, "response": "Well, yes\nBye.\nMore"}]
    score("--grader", "instructions", "--responses", lines(tmp_path / "in.jsonl", rows), "--out", out)
    good, bad = verdicts(out)
    assert (good["strict"], good["loose"]) == ([True, True], [True, True])
    assert (bad["grade"], bad["strict"], bad["loose"]) == ("wrong", [False, False], [True, True])


def test_a_task_by_id_prompt_and_number_with_metrics(tmp_path):
    from harness.problems.load import load

    found = load("letter_count", count=200)
    right = [problem.gold["answer"] for problem in found]
    thought = f"<think>The answer is {right[2]}. Wait, let me check. The answer is 99.</think>"
    rows = [
        {"id": found[0].id, "response": f"\\boxed{{{right[0]}}}"},
        {"prompt": found[1].prompt, "response": f"\\boxed{{{right[1]}}}"},
        {"question": found[2].source, "response": thought + "\\boxed{99}"},
        {"id": 3, "response": right[3]},
        {"id": "nobody", "response": "5"},
    ]
    out = tmp_path / "out.jsonl"
    path = lines(tmp_path / "in.jsonl", rows)
    done = score("--task", "letter_count", "--responses", path, "--out", out, "--metrics", "--json")
    graded = verdicts(out)
    assert [row["grade"] for row in graded] == ["correct", "correct", "wrong", "correct", "infra_error"]
    assert "1 of 5 rows fit no problem" in done.stderr
    assert "196 of 200 problems of letter_count have no response" in done.stderr
    assert json.loads(done.stdout)["missing"] == 196
    assert json.loads(done.stdout)["failed"] == pytest.approx(0.2)
    metrics = graded[2]["metrics"]
    assert metrics["abandoned"] is True
    assert metrics["oscillations"] == 1
    assert 0 < metrics["first_correct"] < metrics["thinking_tokens"]
    assert metrics["reflection_words"] == 2


def test_levels_of_the_problems_are_those_of_the_responses(tmp_path):
    from harness.problems.load import load

    rows = [
        {"id": p.id, "response": f"<think>1</think>\\boxed{{{p.gold['answer']}}}"} for p in load("mini_math", count=40)
    ]
    path = lines(tmp_path / "in.jsonl", rows)
    done = score("--task", "mini_math", "--responses", path, "--out", tmp_path / "out.jsonl", "--json")
    found = json.loads(done.stdout)
    assert found["accuracy"] == 1
    assert found["f1"] == pytest.approx(2 * found["auc"] / (found["auc"] + 1))
    assert found["hard_to_easy"] == 1


def test_one_scheme_of_ids_for_a_file_and_the_prompt_before_the_id():
    from pathlib import Path

    from harness.evaluation.responses import match
    from harness.records import Problem

    problems = [Problem(id=f"t-{n + 2}", native_id=str(n + 2), prompt=f"p{n}", family="f", gold={}) for n in range(5)]

    def matched(rows):
        found = match([{"response": "x", **row} for row in rows], problems, Path("f"))
        return [None if one.problem is None else one.problem.prompt for one in found]

    assert matched([{"id": n} for n in range(5)]) == ["p0", "p1", "p2", "p3", "p4"]  # numbers from 0
    assert matched([{"id": n + 2} for n in range(5)]) == ["p0", "p1", "p2", "p3", "p4"]  # the data set's own ids
    assert matched([{"id": 2, "prompt": "p3"}]) == ["p3"]
    assert matched([{"id": "t-4"}, {"id": "nobody"}]) == ["p2", None]


def test_logs_of_other_tools(tmp_path):
    from harness.problems.load import load

    found = load("letter_count", count=200)[:2]
    right = [problem.gold["answer"] for problem in found]
    log = [
        {"doc_id": i, "doc": d.document(), "resps": [[f"<think>x</think>\\boxed{{{r}}}"]], "filter": f}
        for f in ("strict", "flexible")
        for i, (d, r) in enumerate(zip(found, right, strict=True))
    ]
    out = tmp_path / "out.jsonl"
    path = lines(tmp_path / "samples.jsonl", log)
    score("--task", "letter_count", "--responses", path, "--from", "lm-eval", "--out", out)
    assert [row["grade"] for row in verdicts(out)] == ["correct", "correct"]
    repeats = [
        {
            "doc_id": 0,
            "doc": found[0].document(),
            "resps": [[f"\\boxed{{{right[0]}}}", "\\boxed{999}"]],
            "filter": "none",
        }
    ]
    lines(path, [*repeats, {**log[1], "filter": "none"}])
    done = score("--task", "letter_count", "--responses", path, "--from", "lm-eval", "--out", out)
    assert [row["grade"] for row in verdicts(out)] == ["correct", "wrong", "correct"]
    assert "from 1 to 2 responses each" in done.stderr
    content = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": f"\\boxed{{{right[0]}}}"}]
    choice = {"message": {"content": content}, "stop_reason": "stop"}
    sample = {"id": 1, "input": found[0].prompt, "target": "?", "output": {"choices": [choice]}}
    with zipfile.ZipFile(tmp_path / "log.eval", "w") as archive:
        archive.writestr("samples/1_epoch_1.json", json.dumps(sample))
    score("--task", "letter_count", "--responses", tmp_path / "log.eval", "--from", "inspect", "--out", out)
    assert [(row["grade"], row["think_state"]) for row in verdicts(out)] == [("correct", "closed")]


def test_cut_responses_in_any_servers_words_and_half_a_surrogate_pair(tmp_path):
    out = tmp_path / "out.jsonl"
    said = [("length", "finish"), ("MAX_TOKENS", "finish_reason"), ("max_tokens", "stop_reason"), ("stop", "finish")]
    rows = [{"gold": "180", "response": "The answer is 18", name: why} for why, name in said]
    rows.append({"gold": '{"answer": 5}', "response": "The answer is 5 \ud800"})
    score("--grader", "number", "--responses", lines(tmp_path / "in.jsonl", rows), "--out", out)
    assert [row["grade"] for row in verdicts(out)] == ["unfinished"] * 3 + ["wrong", "correct"]


@pytest.mark.parametrize(
    ("text", "args", "message"),
    [
        (
            '{"gold": 1, "response": "1", "finish": "moon"}\n',
            ["--grader", "number"],
            ":1: finish reason 'moon' is not known",
        ),
        ('{"gold": "two", "response": "1"}\n', ["--grader", "number"], ":1: the gold answer 'two' is not a number"),
        ('{"gold": 1, "response": "1"}\nnot json\n', ["--grader", "number"], ":2: not JSON"),
        ('{"gold": 1}\n', ["--grader", "number"], ":1: no 'response'"),
        ('{"response": "1"}\n', ["--grader", "number"], ":1: no 'gold'"),
        ('{"gold": 1, "response": "1"}\n', ["--grader", "plan"], "domain and problem"),
        ("", ["--grader", "number"], "holds no rows"),
        ('{"gold": 1, "response": "1"}\n', ["--grader", "numbers"], "did you mean 'number'"),
        ('{"gold": 1, "response": "1"}\n', [], "either --task NAME or --grader KIND"),
        ('{"gold": 1, "response": "1"}\n', ["--task", "gsm9k"], "did you mean 'gsm8k'"),
        ('{"gold": 1, "response": "1"}\n', ["--grader", "number", "--think-tags", "<a>"], "think tags"),
        ("[1]\n", ["--grader", "number"], "a row is an object"),
        pytest.param(
            json.dumps({"gold": '{"a":' * 9_000, "response": "1"}),
            ["--grader", "number"],
            ":1: the gold answer",
            id="a gold answer too deep to parse",
        ),
    ],
)
def test_bad_input_is_one_line(tmp_path, text, args, message):
    path = tmp_path / "in.jsonl"
    path.write_text(text)
    done = score("--responses", path, *args, code=2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_when_nothing_can_be_graded_the_command_says_so_and_ends_with_3(tmp_path):
    path = lines(tmp_path / "in.jsonl", [{"id": f"x{n}", "response": "5"} for n in range(3)])
    done = score("--task", "letter_count", "--responses", path, "--out", tmp_path / "out.jsonl", code=3)
    assert "3 of 3 rows fit no problem of letter_count" in done.stderr
    assert "no response could be graded" in done.stderr
    assert [row["grade"] for row in verdicts(tmp_path / "out.jsonl")] == ["infra_error"] * 3


def test_math500_is_matched_by_its_own_unique_ids():
    from pathlib import Path

    from harness.evaluation.responses import match
    from harness.records import Problem

    problems = [
        Problem(id=f"math500-{name}", native_id=name, family="math500", prompt="?", gold={}, source=name)
        for name in ("precalculus/807", "algebra/1")
    ]
    rows = [{"unique_id": "test/algebra/1.json", "response": ""}, {"id": "test/precalculus/807.json", "response": ""}]
    assert [one.problem for one in match(rows, problems, Path("f"))] == [problems[1], problems[0]]


@pytest.mark.parametrize(
    "samples",
    [[3], [{"output": []}], [{"output": {"choices": [1]}}], [{"output": {"choices": [{"message": {"content": [1]}}]}}],
     [{"input": [1]}], {}, 5],
)  # fmt: skip
def test_a_broken_inspect_log_is_one_line(tmp_path, samples):
    path = tmp_path / "log.json"
    path.write_text(json.dumps({"samples": samples}))
    done = score("--grader", "number", "--from", "inspect", "--responses", path, code=2)
    assert "log.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path):
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("samples/1.json", b" " * (65 << 20))
    done = score("--grader", "number", "--from", "inspect", "--responses", path, code=2)
    assert "unpacks to too much" in done.stderr


def test_a_byte_order_mark_is_passed_over_and_a_pipe_is_read(tmp_path):
    row = json.dumps({"gold": 5, "response": "5"}) + "\n"
    path = tmp_path / "in.jsonl"
    path.write_text(row, encoding="utf-8-sig")
    score("--grader", "number", "--responses", path)
    done = subprocess.run(
        [sys.executable, "-m", "harness", "score", "--grader", "number", "--responses", "/dev/stdin", "--json"],
        input=row, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["accuracy"] == 1
