"""``harness search`` as users run it."""

from __future__ import annotations

import json

import pytest

from tests.commands import here


def harness(*args, code=0, cwd=None):
    return here(*args, code=code, cwd=cwd)


RUN = ["search", "run", "--model", "mock", "--backend", "mock", "--rollouts", "6", "--correct", "2", "--wrong", "1"]


@pytest.fixture(scope="module")
def problems(tmp_path_factory):
    """Three problems whose gold answers the scripted model hits now and then; one holds markup and control codes."""
    file = tmp_path_factory.mktemp("problems") / "p.jsonl"
    rows = [
        {"id": "a", "prompt": "How many? [red]x[/red] \x1b[31m", "gold": 3},
        {"id": "b", "question": "How many more?", "answer": 2},
        {"problem": "How many in all?", "solution": "1"},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture(scope="module")
def searched(problems):
    out = problems.parent / "out"
    done = harness(*RUN, "--problems", str(problems), "--family", "number", "--out", str(out))
    assert "3 problems" in done.stdout
    return out


def test_the_same_command_goes_on_and_says_the_same(searched, problems):
    command = [*RUN, "--problems", str(problems), "--family", "number", "--out", str(searched)]
    first, again = (harness(*command, "--json") for _ in range(2))
    assert json.loads(first.stdout) == json.loads(again.stdout)
    assert json.loads(first.stdout)["problems"] == 3


def test_free_takes_results_as_they_come(problems, tmp_path):
    harness(*RUN, "--free", "--problems", str(problems), "--family", "number", "--out", str(tmp_path / "out"))
    assert json.loads((tmp_path / "out" / "order.json").read_text()) == {"order": "arrived"}


def test_show_lists_and_draws(searched):
    listed = harness("search", "show", str(searched)).stdout
    assert listed.splitlines()[0].split() == ["problem", "ended", "by", "correct", "wrong", "rollouts", "tokens"]
    drawn = harness("search", "show", str(searched), "a").stdout
    assert "[red]x[/red]" in drawn
    assert "\x1b[31m" not in drawn
    assert "correct" in drawn or "wrong" in drawn
    assert "answer" in drawn
    assert "mock" in drawn
    assert max(map(len, drawn.splitlines())) <= 80


def test_shards_merge(searched, problems):
    out = problems.parent / "shards"
    base = [*RUN, "--problems", str(problems), "--family", "number", "--out", str(out), "--shards", "2"]
    harness(*base, "--shard", "1", "--json")
    harness(*base, "--shard", "0", "--json")
    merged, whole = (json.loads(harness("search", "stats", str(f), "--json").stdout) for f in (out, searched))
    assert merged == whole


def test_export_and_its_errors(searched, problems):
    out = problems.parent / "data"
    done = harness("search", "export", str(searched), "--out", str(out), "--tokenizer", "shipped:student")
    assert "sft.jsonl" in done.stdout
    assert {"sft.jsonl", "sft.parquet", "pairs.jsonl", "pairs.parquet", "README.md"} <= {f.name for f in out.iterdir()}
    bad = harness(
        "search", "export", str(searched), "--out", str(out), "--tokenizer", "shipped:student", "--sft", "long", code=2
    )
    assert "did you mean 'longest'" in bad.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["search", "show", "nowhere"], "holds no search"),
        (["search", "stats", "nowhere"], "holds no search"),
        ([*RUN, "--out", "x"], "give either --problems FILE or --tasks NAMES"),
        ([*RUN, "--out", "x", "--tasks", "mini_math", "--policy", "mctss"], "did you mean 'mcts'"),
        ([*RUN, "--out", "x", "--tasks", "mini_math", "--grammar", "nope"], "shipped: embedded"),
        ([*RUN, "--out", "x", "--tasks", "mini_mat"], "mini_math"),
        (
            [
                "search",
                "run",
                "--model",
                "/nowhere",
                "--out",
                "x",
                "--tasks",
                "mini_math",
                "--tokens",
                "600",
                "--grammar",
                "math",
            ],
            "600 tokens for a problem (--tokens) have no room",
        ),
        (
            [
                "search",
                "run",
                "--model",
                "/nowhere",
                "--out",
                "x",
                "--tasks",
                "mini_math",
                "--all-tokens",
                "9",
                "--grammar",
                "math",
            ],
            "9 tokens for this run (--all-tokens) have no room",
        ),
        (["search", "cp", "maths"], "did you mean 'math'"),
        ([*RUN, "--out", "x", "--tasks", "mini_math", "--shards", "2", "--shard", "2"], "at most 1"),
        ([*RUN, "--out", "x", "--problems", "nowhere.jsonl"], "harness: nowhere.jsonl: No such file or directory"),
    ],
)
def test_mistakes_are_one_clear_line(tmp_path, args, message):
    done = harness(*args, cwd=tmp_path, code=2)
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "p.jsonl:2: not JSON in UTF-8"),
        ("[1]", "not an object"),
        ('{"gold": 1}', "no text under prompt"),
        ('{"prompt": "x"}', "nothing under gold"),
        ('{"prompt": "x", "gold": 1}', "has no family"),
        ('{"prompt": "x", "gold": 1, "family": "nmber"}', "no grader for family"),
        ('{"prompt": "y", "gold": 1, "family": "number", "id": "1"}', "in an earlier"),
    ],
)
def test_bad_problems_are_named_by_line(tmp_path, line, message):
    (tmp_path / "p.jsonl").write_text('{"id": 1, "prompt": "x", "gold": 1, "family": "number"}\n' + line + "\n")
    done = harness(*RUN, "--problems", "p.jsonl", "--out", "x", cwd=tmp_path, code=2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "x").exists()  # said before anything is opened


def test_a_search_without_a_chain_says_why_and_ends_with_3(tmp_path):
    (tmp_path / "p.jsonl").write_text('{"prompt": "How many?", "gold": 987654321}\n')
    command = [*RUN, "--problems", "p.jsonl", "--family", "number", "--out", "x"]
    done = harness(*command, "--json", cwd=tmp_path, code=3)
    assert json.loads(done.stdout)["faults"][0]["nodes"] > 0
    assert done.stderr.count("\n") == 1
    assert "x: no correct chain in 1 problems: " in done.stderr
    assert "'harness search cp'" in done.stderr
    assert "thoughts that close their tag" in harness("search", "stats", "x", cwd=tmp_path).stdout
    harness(*command, "--correct", "0", "--out", "y", cwd=tmp_path)  # none was wanted


def test_cp_copies_a_grammar_that_can_be_changed(tmp_path):
    assert harness("search", "cp", "math", cwd=tmp_path).stdout == "math.yaml\n"
    harness("search", "cp", "planning", "mine.yaml", cwd=tmp_path)
    assert "simulates it" in (tmp_path / "mine.yaml").read_text()
    assert "Planning" in harness("search", "validate", "mine.yaml", cwd=tmp_path).stdout
    assert "is there already" in harness("search", "cp", "math", cwd=tmp_path, code=2).stderr
    assert "end the name of the copy in .yaml" in harness("search", "cp", "math", "m.txt", cwd=tmp_path, code=2).stderr
    file = tmp_path / "mine.yaml"
    file.write_text(file.read_text().replace("max_depth", "max_dept"))
    line = file.read_text().splitlines().index("max_dept: 14") + 1
    told = harness("search", "validate", "mine.yaml", cwd=tmp_path, code=2).stderr
    assert f"mine.yaml:{line}: max_dept: unknown key (did you mean 'max_depth'?)" in told


def test_problems_come_from_a_pipe_too(problems, searched, tmp_path):
    import os
    import threading

    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text(problems.read_text()), daemon=True)
    writer.start()
    done = harness(*RUN, "--problems", tmp_path / "pipe", "--family", "number", "--out", tmp_path / "out", "--json")
    assert json.loads(done.stdout) == json.loads(harness("search", "stats", str(searched), "--json").stdout)


def test_files_that_are_no_text_are_named(tmp_path):
    (tmp_path / "p.jsonl").write_bytes(b'{"prompt": "\xff", "gold": 1}\n')
    (tmp_path / "g.yaml").write_bytes(b"name: \xff")
    (tmp_path / "d.yaml").write_text("name: 2020-13-45")
    for args, message in (
        ([*RUN, "--problems", "p.jsonl", "--family", "number", "--out", "x"], "p.jsonl:1: not JSON in UTF-8"),
        (["search", "validate", "g.yaml"], "not UTF-8"),
        (["search", "validate", "d.yaml"], "d.yaml"),
    ):
        done = harness(*args, cwd=tmp_path, code=2)
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def test_shards_of_one_command_share_its_budget(problems, tmp_path):
    args = [*RUN, "--problems", str(problems), "--family", "number", "--out", tmp_path / "out", "--shards", "3"]
    assert "budget of this run" in harness(*args, "--all-requests", "7", code=3).stderr
    rows = [line for file in tmp_path.glob("out/*/*.jsonl") for line in file.read_text().splitlines()]
    results = sum(len(row.get("rows", ())) + ("node" in row) for row in map(json.loads, rows))
    assert 0 < results <= 7


def test_the_same_problem_in_two_different_searches_is_not_merged(searched, problems, tmp_path):
    import shutil

    shutil.copytree(searched, tmp_path / "both" / "a")
    args = [*RUN, "--problems", str(problems), "--family", "number", "--seed", "5"]
    harness(*args, "--out", tmp_path / "both" / "b")
    assert "is in two searches" in harness("search", "stats", tmp_path / "both", code=2).stderr
    shutil.rmtree(tmp_path / "both" / "b")
    shutil.copytree(searched, tmp_path / "both" / "b")
    merged = harness("search", "stats", tmp_path / "both", "--json").stdout
    assert merged == harness("search", "stats", searched, "--json").stdout


def test_an_export_takes_no_folder_of_another_kind(searched, tmp_path):
    args = ["search", "export", str(searched), "--tokenizer", "shipped:student", "--out"]
    assert "holds a search" in harness(*args, searched, code=2).stderr
    (tmp_path / "README.md").write_text("mine\n")
    assert "is no data card" in harness(*args, tmp_path, code=2).stderr
    assert (tmp_path / "README.md").read_text() == "mine\n"
    for _ in range(2):  # its own it replaces
        harness(*args, tmp_path / "data")
    assert "of at most 2 tokens" in harness(*args, tmp_path / "few", "--max-tokens", "2", code=2).stderr


def test_markup_in_ids_and_folders_is_text(tmp_path):
    (tmp_path / "p.jsonl").write_text('{"id": "[/x]", "prompt": "How many?", "gold": 3}\n')
    done = harness(*RUN, "--problems", "p.jsonl", "--family", "number", "--out", "q[/ids]", cwd=tmp_path)
    assert "q[/ids]" in done.stdout
    assert "[/x]" in harness("search", "show", "q[/ids]", cwd=tmp_path).stdout


def test_another_search_in_the_same_folder_is_refused(searched, problems):
    done = harness(
        *RUN, "--problems", str(problems), "--family", "number", "--out", str(searched), "--seed", "5", code=2
    )
    assert "seed: 0, now 5" in done.stderr


def test_validate(tmp_path):
    drawn = harness("search", "validate", "paper").stdout
    assert "pattern a" in drawn
    assert "reflection  critic" in drawn
    assert "embedded" in harness("search", "validate").stdout
    (tmp_path / "g.yaml").write_text(
        "name: g\nstart: {thinkin: 1}\nkinds: {thinking: {max_tokens: 5, next: {answer: 0}}, answer: {max_tokens: 5}}\n"
    )
    done = harness("search", "validate", str(tmp_path / "g.yaml"), code=2)
    assert len(done.stderr.splitlines()) == 2
    assert "did you mean 'thinking'" in done.stderr
