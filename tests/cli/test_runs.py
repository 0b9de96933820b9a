"""Commands on stored runs: compare, gate, rescore, plot, runs; and those that need no run: check, tasks show."""

from __future__ import annotations

import json
import shutil
from xml.etree import ElementTree

import pytest

from tests.commands import here


def harness(*args, code=0):
    return here(*args, code=code)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two mock runs on the same problems: ``a`` whole, ``b`` cut short."""
    folder = tmp_path_factory.mktemp("store")
    common = ["eval", "--model", "mock", "--backend", "mock", "--tasks", "letter_count", "--store", folder]
    harness(*common, "--samples", 2, "--out", folder / "evals" / "a")
    harness(*common, "--samples", 2, "--max-tokens", 12, "--out", folder / "evals" / "b")
    return folder


def test_compare_shows_flips_ratio_and_what_would_settle_it(store):
    found = json.loads(harness("compare", "a", "b", "--store", store, "--json").stdout)
    task = found["tasks"][0]
    assert task["accuracy"]["n"] == 200
    assert task["no_answer"]["difference"] < 0  # b is cut, so it answers less
    assert task["flips"]
    assert any(line.startswith("decoding") for line in found["differences"])
    out = harness("compare", "a", "b", "--store", store, "--flips", 2).stdout
    assert "more flips" in out
    same = json.loads(harness("compare", "a", "a", "--store", store, "--json").stdout)["tasks"][0]
    assert (same["same_texts"], same["flips"], same["accuracy"]["difference"]) == (1.0, [], 0.0)


def test_compare_says_what_share_of_the_verdicts_is_guessed(store, tmp_path):
    rows = [json.loads(line) for line in (store / "evals" / "a" / "samples.jsonl").read_text().splitlines()]
    for number, row in enumerate(rows):
        row["grade"] |= {"verdict": "wrong", "how": "boxed" if number % 4 else "last number"}
    guessing = tmp_path / "guessing"
    shutil.copytree(store / "evals" / "a", guessing)
    (guessing / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = json.loads(harness("compare", guessing, "a", "--store", store, "--json").stdout)["tasks"][0]
    assert task["guessed"][0] == 0.25
    told = " ".join(harness("compare", guessing, "a", "--store", store).stdout.split())
    assert "25.0 % of A's and" in told


def test_compare_refuses_other_items_and_other_graders(store, tmp_path):
    rows = (store / "evals" / "a" / "samples.jsonl").read_text().splitlines(keepends=True)
    part = tmp_path / "part"
    part.mkdir()
    (part / "samples.jsonl").write_text("".join(rows[:100]))
    assert "in one run only" in harness("compare", "a", part, "--store", store, code=2).stderr
    manifest = json.loads((store / "evals" / "a" / "manifest.json").read_text())
    manifest["grader"]["sympy"] = "0.1"
    (part / "manifest.json").write_text(json.dumps(manifest))
    assert "harness rescore" in harness("compare", "a", part, "--store", store, code=2).stderr


def test_gate_has_three_outcomes_and_exit_codes(store, tmp_path):
    base, report = tmp_path / "base.json", tmp_path / "junit.xml"
    harness("gate", "a", "--baseline", base, "--update", "--store", store)
    assert harness("gate", "a", "--baseline", base, "--store", store).stdout.strip().endswith(f"a against {base}")
    worse = harness("gate", "b", "--baseline", base, "--store", store, "--junit", report, "--github", code=1).stdout
    assert "::error title=harness gate letter_count::" in worse
    suite = ElementTree.fromstring(report.read_text())
    assert int(suite.get("failures")) >= 1
    open_ = harness("gate", "a", "--baseline", base, "--store", store, "--margin-accuracy", 0.0001, code=4).stdout
    assert "to settle: about" in " ".join(open_.split())
    half = json.loads(base.read_text())
    half["tasks"]["gsm8k"] = half["tasks"].pop("letter_count")
    base.write_text(json.dumps(half))
    assert "a missing task is no pass" in harness("gate", "a", "--baseline", base, "--store", store, code=2).stderr
    assert "no such file" in harness("gate", "a", "--baseline", tmp_path / "none", "--store", store, code=2).stderr


def test_gate_tells_other_sampling_and_refuses_other_problems(store, tmp_path):
    base, other = tmp_path / "base.json", tmp_path / "other"
    harness("gate", "a", "--baseline", base, "--update", "--store", store)
    told = harness("gate", "b", "--baseline", base, "--store", store, code=1).stderr
    assert "note: the baseline was sampled with max_tokens" in told
    other.mkdir()
    for file in (store / "evals" / "a").glob("*.json*"):
        (other / file.name).write_bytes(file.read_bytes())
    problems = (other / "problems.jsonl").read_text()
    (other / "problems.jsonl").write_text(problems.replace('"prompt": "', '"prompt": "Once more: ', 1))
    assert "problems say something else" in harness("gate", other, "--baseline", base, code=2).stderr


def test_runs_that_are_cut_of_another_version_or_over_other_items_are_one_line(store, tmp_path):
    rows = (store / "evals" / "a" / "samples.jsonl").read_text()
    for text, why, code in (
        (rows[:-1], "the last line has no end", 3),
        (rows.replace('"index"', '"number"'), "not samples of this version", 3),
        ("".join(rows.splitlines(keepends=True)[:100]), "items are not in all runs", 2),
    ):
        other = tmp_path / why[:3]
        other.mkdir()
        (other / "samples.jsonl").write_text(text)
        (other / "manifest.json").write_text((store / "evals" / "a" / "manifest.json").read_text())
        done = harness("leaderboard", "--runs", f"a,{other}", "--store", store, code=code)
        assert why in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    file = tmp_path / "board.json"
    for text in ('{"title": "t", "control": "a", "rows": []}', '{"title": "t", "control": "a", "rows": [{"arm": 1}]}'):
        file.write_text(text)
        assert "not what 'harness leaderboard --json' writes" in harness("leaderboard", file, code=2).stderr


def test_an_evaluation_is_not_replaced_by_another(store, tmp_path):
    folder = tmp_path / "mine"
    given = ("eval", "--model", "mock", "--backend", "mock", "--tasks", "letter_count", "--out", folder)
    harness(*given, "--limit", 4, code=0)
    before = (folder / "samples.jsonl").read_bytes()
    assert "holds an evaluation with other selection" in harness(*given, "--limit", 3, code=2).stderr
    assert (folder / "samples.jsonl").read_bytes() == before
    assert "no problem has an id of xyz" in harness(*given, "--ids", "1,xyz", "--fresh", code=2).stderr
    assert "exclude each other" in harness(*given, "--ids", 1, "--limit", 3, code=2).stderr
    harness(*given, "--limit", 3, "--fresh", code=0)
    assert len((folder / "samples.jsonl").read_text().splitlines()) == 3


def test_broken_files_are_one_line_and_never_a_regression(store, tmp_path):
    base = tmp_path / "base.json"
    for text in (
        "{",
        "[]",
        '{"harness_baseline": 1, "tasks": {}}',
        '{"harness_baseline": 1, "tasks": {"letter_count": {"a": 1}}}',
        '{"harness_baseline": 1, "tasks": {"t": {"a": {"correct": [], "no_answer": [], "tokens": []}}}}',
        '{"harness_baseline": 1, "tasks": {"t": {"a": {"correct": [NaN], "no_answer": [0], "tokens": [1]}}}}',
        '{"harness_baseline": 1, "problems": 5, "tasks": {}}',
        "[" * 100_000,
    ):
        base.write_text(text)
        done = harness("gate", "a", "--baseline", base, "--store", store, code=2)
        assert len(done.stderr.strip().splitlines()) == 1
    assert "not in both" in harness("compare", "a", "b", "--tasks", "typo", "--store", store, code=2).stderr
    folder = tmp_path / "evals" / "x"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{")
    (folder / "samples.jsonl").write_text((store / "evals" / "a" / "samples.jsonl").read_text())
    assert "x/manifest.json: not JSON" in harness("runs", "--store", tmp_path, code=0).stderr
    assert "x/manifest.json: not JSON" in harness("compare", folder, "a", "--store", store, code=2).stderr
    assert "--vllm-args" in harness("eval", "--model", "m", "--suite", "embedded", "--vllm-args", "'", code=2).stderr


def test_rescore_finds_a_verdict_that_was_tampered_with(store, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for file in (store / "evals" / "a").glob("*.json*"):
        (folder / file.name).write_bytes(file.read_bytes())
    whole = (folder / "samples.jsonl").read_text()
    assert '"verdict": "wrong"' in whole
    (folder / "samples.jsonl").write_text(whole.replace('"verdict": "wrong"', '"verdict": "correct"', 1))
    dry = json.loads(harness("rescore", folder, "--dry-run", "--json").stdout)
    assert [(flip["before"], flip["after"]) for flip in dry["flips"]] == [("correct", "wrong")]
    assert "1 x correct -> wrong" in harness("rescore", folder).stdout
    assert (folder / "samples.jsonl").read_text() == whole


def test_plots_in_the_terminal_and_as_png(store, tmp_path):
    out = harness("plot", "a", "b", "--store", store, "--out", tmp_path).stdout
    assert "within a budget of tokens" in out
    data = json.loads(harness("plot", "a", "b", "--store", store, "--json").stdout)["runs"]
    rows = {run["run"][:1]: run["tasks"]["letter_count"] for run in data}
    shown = next(line.split() for line in out.splitlines() if line.split()[:1] == ["a"] and "per correct" in line)
    assert shown[-3] == f"{rows['a']['tokens_per_correct']:,.0f}"
    assert rows["b"]["tokens"] < rows["a"]["tokens"]
    pictures = sorted(tmp_path.glob("*.png"))
    names = [f"{name}.letter_count.png" for name in ("budget", "frontier", "lengths")]
    assert [p.name for p in pictures] == names
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in pictures)


def test_evaluations_have_a_leaderboard_of_their_own(store):
    rows = json.loads(harness("leaderboard", "--runs", "a,b", "--store", store, "--json").stdout)["rows"]
    assert [(row["arm"], row["task"], row["n"]) for row in rows] == [
        ("a", "letter_count", 200),
        ("b", "letter_count", 200),
    ]
    assert rows[0]["difference"] is None
    assert rows[1]["difference"]["n"] == 200
    assert "<td>" in harness("leaderboard", "--runs", "a,b", "--store", store, "--format", "html").stdout
    as_published = harness("leaderboard", "--runs", "a,b", "--store", store, "--layout", "paper").stdout
    assert "published, not run here" in as_published
    assert {"sft", "76.6", "(1.69)", "79.1", "(1.08)"} <= set(as_published.split()), "columns beneath, not cut"
    assert max(map(len, as_published.splitlines())) <= 80


def test_runs_whose_names_begin_alike_stay_apart(store, tmp_path):
    """Their first twelve letters were a key: the second run took the place of the first, which was the control."""
    names = [tmp_path / "runs" / f"student_sft_v{i}" for i in (1, 2)]
    for name, source in zip(names, "ab", strict=True):
        shutil.copytree(store / "evals" / source, name)
    rows = json.loads(harness("leaderboard", "--runs", ",".join(map(str, names)), "--json").stdout)["rows"]
    assert [row["arm"] for row in rows] == ["student_sft_v1", "student_sft_v2"]
    assert rows[0]["difference"] is None
    assert rows[1]["difference"]["n"] == 200
    twice = harness("leaderboard", "--runs", f"a,{store / 'evals' / 'a'}", "--store", store, code=2)
    assert "given more than once" in twice.stderr


def test_runs_are_found_by_the_beginning_of_their_name(store):
    assert "letter_count" in harness("runs", "--store", store).stdout
    assert "no finished run" in harness("compare", "zz", "a", "--store", store, code=2).stderr


def test_check_says_what_holds_what_fails_and_what_is_missing(tmp_path, shared_data):
    common = ("--store", tmp_path, "--data-dir", shared_data)
    found = json.loads(harness("check", "--tasks", "gsm8k,aime,blocksworld", "--limit", 50, *common, "--json").stdout)
    said = {row["what"]: (row["status"], row["text"]) for row in found["findings"]}
    assert all(said[task][1].startswith("50/50 gold answers correct") for task in ("gsm8k", "aime", "blocksworld"))
    model = ("--model", "shipped:student", "--tasks", "mini_math", "--limit", 20)
    out = harness("check", *model, *common).stdout
    assert "20/20 gold answers correct" in out
    assert "1 BOS; <think> </think> opened by the model" in " ".join(out.split())
    absent = harness("check", "--tasks", "multi_if_zh", "--data-dir", shared_data, "--store", tmp_path, code=3)
    assert "no such file" in " ".join(absent.stdout.split())
    tight = harness("check", *model, *common, "--max-tokens", 100_000, code=1)
    assert "past the context" in " ".join(tight.stdout.split())


def test_tasks_show_and_dry_run_print_the_first_prompt(tmp_path):
    shown = json.loads(harness("tasks", "show", "letter_count", "--json").stdout)
    assert "How many times does the letter" in shown["prompt"]
    assert shown["grader"] == "number"
    mock = ("eval", "--model", "mock", "--backend", "mock", "--tasks", "letter_count", "--store", tmp_path)
    out = harness(*mock, "--samples", 3, "--dry-run").stdout
    assert "200 problems, 600 samples" in out
    assert "How many times does the letter" in out
    assert not list(tmp_path.rglob("generated.jsonl"))


def test_ids_limits_and_a_run_that_is_too_unfinished(tmp_path):
    common = ["eval", "--model", "mock", "--backend", "mock", "--tasks", "letter_count", "--json"]
    rows = json.loads(harness(*common, "--ids", "3,5,letter_count-banana-a", "--out", tmp_path / "ids").stdout)["rows"]
    assert rows[0]["n"] in (2, 3)  # the third id is there or is another number's
    done = harness(*common, "--max-tokens", 5, "--max-unfinished", 0.2, "--out", tmp_path / "cut", code=1)
    assert "unfinished samples above 0.2" in done.stderr
    assert "no problem has an id" in harness(*common, "--ids", "nobody", "--out", tmp_path / "none", code=2).stderr
