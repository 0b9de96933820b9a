"""Problems of one's own: what is read of common forms, and what is told before a model is loaded."""

from __future__ import annotations

import json

import pytest

from harness.errors import DataError
from harness.problems.documents import check_documents
from harness.problems.file import read_problems


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
