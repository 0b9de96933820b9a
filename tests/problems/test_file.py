"""Problems of one's own: what is read of common forms, and what is reported before a model is loaded."""

from __future__ import annotations

import json
import os
import threading

import pytest
from commands import here

from harness.errors import BadFile, DataError
from harness.problems.file import check_documents, read_problems


def rows(path, *entries):
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


@pytest.mark.parametrize(
    ("row", "family", "answer"),
    [
        ({"question": "12 + 7?", "answer": "12 + 7 = <<12+7=19>>19\n#### 19"}, "gsm8k", "19"),
        ({"problem": "Half?", "solution": "It is $\\boxed{\\frac{1}{2}}$."}, "math", "\\frac{1}{2}"),
        ({"prompt": "12 + 7?", "gold": {"answer": "19"}}, "number", "19"),
        ({"prompt": "12 + 7?", "gold": 19}, "number", 19),
    ],
)
def test_common_forms(tmp_path, row, family, answer):
    (problem,) = read_problems(rows(tmp_path / "p.jsonl", row), family)
    assert problem.gold == {"answer": answer}


@pytest.mark.parametrize(
    ("gold", "family", "why"),
    [
        ("two apples", "number", "'two apples' is not a number"),
        ({"wrongkey": 1}, "number", "nothing under answer"),
        ({"answer": ""}, "math", "the gold answer is empty"),
        ({"answer": ["3"]}, "number", "a list or an object in the place of a value"),
        ("x", "ifeval", "instruction_id_list and kwargs"),
        ({"instruction_id_list": ["a"], "kwargs": []}, "ifeval", "two lists of one length"),
        ({"init": []}, "mini_blocks", "init and goal, or facts and goals"),
        ({"init": 5, "goal": 6}, "plan", "init is a list of stacks"),
        ({"init": [[]], "goal": []}, "plan", "init is a list of stacks"),
        ({"init": [["a"]], "goal": [["a"]]}, "plan", "goal is a list of pairs"),
        ({"facts": [["on", "a"]], "goals": [], "objects": ["a"]}, "plan", "facts are lists such as"),
        ({"facts": [], "goals": [], "objects": "ab"}, "plan", "objects are a list of names"),
        ({"init": [["a"]], "goal": [], "vocabulary": "klingon"}, "plan", "vocabulary is one of"),
        ({"domain": "x", "problem": "y"}, "plan", "domain is no PDDL text"),
        ({"domain": "(define (domain d)", "problem": "(define (problem p))"}, "plan", "brackets do not match"),
        ({"instruction_id_list": ["keywords:exist"], "kwargs": [{}]}, "ifeval", "no such kind of instruction"),
        ({"instruction_id_list": ["punctuation:no_comma"], "kwargs": [None]}, "ifeval", "are no object"),
    ],
)
def test_a_gold_answer_that_no_grader_can_use_is_named_with_its_line(tmp_path, gold, family, why):
    good = {"prompt": "1?", "gold": {"answer": "1"}, "family": "number"}
    path = rows(tmp_path / "p.jsonl", good, {"prompt": "x?", "gold": gold})
    with pytest.raises(DataError, match=f"p.jsonl:2: .*{why}"):
        list(read_problems(path, family))


GOOD = {"id": "a", "family": "number", "prompt": "1 + 1?", "gold": '{"answer": 2}'}


@pytest.mark.parametrize(
    ("documents", "why"),
    [
        ([], "has no problems"),
        ([GOOD, GOOD], "document 1: the id 'a' stands in an earlier one"),
        ([GOOD | {"id": 5}], "document 0: needs an id that is text"),
        ([GOOD | {"prompt": None}], "no text under prompt"),
        ([GOOD | {"gold": {"answer": 2}}], "it is no JSON text"),
        ([GOOD | {"gold": "2 apples"}], "it is no JSON text"),
        ([GOOD | {"gold": "2"}], "it is no object"),
        ([GOOD | {"gold": '{"x": 1}'}], "nothing under answer"),
        ([GOOD | {"family": "numbr"}], "no grader for family 'numbr'"),
    ],
)
def test_documents_of_a_task_of_ones_own(documents, why):
    check_documents("cards", [GOOD])
    with pytest.raises(DataError, match=f"cards: .*{why}"):
        check_documents("cards", documents)


def test_no_published_or_generated_gold_answer_is_refused(shared_data):
    from harness.grading.families import gold_defect
    from harness.problems.load import load

    for task in ("math500", "blocksworld", "mystery_blocksworld", "blocksworld_hard", "ifeval", "mini_blocks"):
        assert {gold_defect(p.family, p.gold) for p in load(task, data_dir=shared_data)} == {""}


def test_the_kinds_of_instruction_are_those_of_lm_eval():
    from harness.grading import instructions
    from harness.grading.families import INSTRUCTIONS

    known = {f"{group}:{kind}" for group, kinds in INSTRUCTIONS.items() for kind in kinds}
    assert known == {*instructions.load(), *instructions._OWN}


ROWS = [
    {"id": "a", "prompt": "1 + 1?", "answer": "So #### 2", "family": "number"},
    {"id": "b", "prompt": "A half,\nin TeX?", "gold": {"answer": "\\frac{1}{2}"}, "family": "math"},
]


def written(path, form):
    """ROWS as a file of this form."""
    import csv

    import pyarrow
    from pyarrow import parquet

    if form == "jsonl":
        return rows(path / "p.jsonl", *ROWS)
    if form == "parquet":
        parquet.write_table(pyarrow.Table.from_pylist(ROWS, pyarrow.schema([
            ("id", pyarrow.string()), ("prompt", pyarrow.string()), ("answer", pyarrow.string()),
            ("gold", pyarrow.struct([("answer", pyarrow.string()), ("reference", pyarrow.string())])),
            ("family", pyarrow.string()),
        ])), path / "p.parquet")  # fmt: skip
        return path / "p.parquet"
    with (path / "p.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, ["id", "prompt", "answer", "gold", "family"])
        writer.writeheader()
        writer.writerows(r | ({"gold": json.dumps(r["gold"])} if "gold" in r else {}) for r in ROWS)
    return path / "p.csv"


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_the_same_problems_from_every_form(tmp_path, form):
    path = written(tmp_path, form)
    first, second = read_problems(path)
    assert (first.id, first.gold) == ("a", {"answer": "2"})
    assert (second.prompt, second.gold) == ("A half,\nin TeX?", {"answer": "\\frac{1}{2}"})
    assert [problem.id for problem in read_problems(path, limit=1)] == ["a"]


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(ROWS[0]).encode() + b"\n")
    assert [problem.id for problem in read_problems(path)] == ["a"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.jsonl", b'{"prompt": "x"\n', r"p\.jsonl:1: not JSON in UTF-8"),
        ("p.jsonl", b"\n[1]\n", r"p\.jsonl:2: not an object"),
        ("p.jsonl", b'{"prompt": "\\ud800", "gold": 1}\n', r"p\.jsonl:1: holds what is neither"),
        ("p.csv", b"prompt,gold\nx,1\ny\n", r"p\.csv:3: 1 cells where the header has 2"),
        ("p.csv", b"prompt,gold\n\xff,1\n", r"p\.csv:\d: not CSV in UTF-8"),
        ("p.csv", b'prompt,gold\n"x"y,1\n', r"p\.csv:2: not CSV"),
        ("p.csv", b'prompt,gold\nx,1\n"a\nb",two\n', r"p\.csv:3: the gold answer 'two' is not a number"),
        ("p.csv", b"prompt,gold\nx,\n", r"p\.csv:2: has nothing under gold"),
        ("p.parquet", b"prompt,gold\n", r"p\.parquet: not Parquet"),
    ],
)
def test_broken_files_are_named_with_their_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_problems(tmp_path / name, "number"))


@pytest.mark.parametrize("name", ["p.jsonl", "p.csv", "p.parquet"])
def test_a_file_that_cannot_be_opened_is_named(tmp_path, name):
    with pytest.raises(BadFile, match=f"{name}: No such file"):
        list(read_problems(tmp_path / name, "number"))
    (tmp_path / name).mkdir()
    with pytest.raises(BadFile, match=name):
        list(read_problems(tmp_path / name, "number"))


def test_a_row_of_parquet_is_named_by_its_number(tmp_path):
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist([{"prompt": "x", "gold": 1}, {"prompt": "y", "gold": None}]),
                        tmp_path / "p.parquet")  # fmt: skip
    with pytest.raises(DataError, match=r"p\.parquet: row 2: has nothing under gold"):
        list(read_problems(tmp_path / "p.parquet", "number"))


def test_problems_from_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=rows, args=(tmp_path / "pipe", *ROWS))
    writer.start()
    assert [problem.id for problem in read_problems(tmp_path / "pipe")] == ["a", "b"]
    writer.join()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"task: sums\nmetadata: x\n", "'metadata' and its 'harness'"),
        (b"task: sums\nmetadata: {harness: [1]}\n", "'metadata' and its 'harness'"),
        (b"task: [a, b]\n", "'task' must be a name"),
        (b"task: \xff\n", "not UTF-8"),
        (b"task: {\n", "not YAML"),
    ],
)
def test_a_task_file_that_cannot_be_used_is_one_line(tmp_path, content, message):
    (tmp_path / "sums.yaml").write_bytes(content)
    done = here("tasks", "--task-path", tmp_path, code=2)
    assert "sums.yaml" in done.stderr
    assert message in " ".join(done.stderr.split())


TASK = """
task: sums
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: prompt
doc_to_target: gold
generation_kwargs: {{until: []}}
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
process_results: !function hooks.process_results
metadata: {{version: 1.0}}
"""


@pytest.mark.parametrize("without", [0, 1])
def test_a_document_without_a_family_is_named_before_generation(tmp_path, without):
    entries = [GOOD | {"id": str(n)} for n in range(2)]
    for entry in entries[without:]:
        del entry["family"]
    data = rows(tmp_path / "p.jsonl", *entries)
    (tmp_path / "sums.yaml").write_text(TASK.format(data=data))
    (tmp_path / "hooks.py").write_text("from harness.problems.load import process_results\n")
    done = here("eval", "--model", "mock", "--backend", "mock", "--tasks", "sums", "--task-path", tmp_path,
                "--store", tmp_path / "runs", code=2)  # fmt: skip
    assert f"sums: document {without}: has no text under family" in " ".join(done.stderr.split())
    assert not list(tmp_path.glob("runs/**/generated.jsonl"))
