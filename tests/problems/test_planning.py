"""Planning tasks of any domain: the domain and its words come from the task file; what is wrong there is one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import DataError, HarnessError
from harness.grading.grade import Grader
from harness.problems.benchmarks import planbench
from harness.problems.planning import beside
from harness.records import Problem

DOMAIN = """(define (domain lamps) (:requirements :strips :typing) (:types lamp room)
 (:constants hall - room)
 (:predicates (lit ?l - lamp) (dark ?l - lamp) (in ?l - lamp ?r - room) (here ?r - room))
 (:action light :parameters (?lamp - lamp ?room - room)
  :precondition (and (here ?room) (in ?lamp ?room) (dark ?lamp)) :effect (and (lit ?lamp) (not (dark ?lamp))))
 (:action walk :parameters (?from ?to - room) :precondition (here ?from)
  :effect (and (here ?to) (not (here ?from)))))"""
PDDL = """(define (problem two) (:domain lamps) (:objects L1 l2 - lamp Attic - room) ; names in either case
 (:init (here hall) (in L1 hall) (in l2 Attic) (dark L1) (dark l2)) (:goal (and (lit L1) (lit l2))))"""
WORDS = {
    "domain": "lamps.pddl", "problems": "lamps.jsonl", "names": {"l{}": "lamp_{}"}, "nouns": ["lamp", "room"],
    "wording": {"light": ["light {lamp} [in {room}]"], "walk": ["walk from {} to {}", "walk to {to} from {from}"]},
}  # fmt: skip


def problems(folder: Path, planning: object = WORDS, domain: str = DOMAIN, **gold: object) -> list[Problem]:
    (folder / "lamps.pddl").write_text(domain)
    row = {"id": "two", "prompt": "Light both lamps.", "gold": {"problem": PDDL, **gold}}
    (folder / "lamps.jsonl").write_text(json.dumps(row) + "\n")
    rows = beside(str(folder / "lamps.py"))(version=1.0, planning=planning)["test"]
    return [Problem.of_document(row) for row in rows]


@pytest.mark.parametrize(
    ("plan", "verdict"),
    [
        ("light lamp_1 in hall\nwalk from hall to attic\nlight lamp_2 in attic", "correct"),
        ("1. Light the lamp 1.\n2. Walk to the attic room from the hall.\n3. Light the lamp 2.", "correct"),
        ("(light l1 hall)\n(walk hall Attic)\n(LIGHT l2 attic)", "correct"),
        ("light l1 hall, walk hall attic, light l2 attic", "correct"),
        ("light lamp_1\nlight lamp_2", "wrong"),
        ("light lamp_1\nwalk upstairs\nlight lamp_2", "no_answer"),
        ("light lamp_1\nrun from hall to attic\nlight lamp_2", "no_answer"),
        ("light lamp_1\nwalk to attic\nlight lamp_2", "no_answer"),
    ],
)
def test_a_domain_of_ones_own(tmp_path, plan, verdict):
    problem = problems(tmp_path)[0]
    with Grader(1) as grader:
        grade = grader.grade(problem.family, problem.gold, plan)
    assert grade.verdict == verdict, grade.reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"domain": "lamp.pddl"}, "lamp.pddl"),
        ({"domain": None}, "metadata.planning: domain"),
        ({"problems": None}, "problems is missing"),
        ({"problems": "none.jsonl"}, "none.jsonl"),
        ({"wordings": {}}, "metadata.planning: wordings"),
        ({"wording": {"light": "light {lamp}"}}, "metadata.planning: wording.light"),
        ({"wording": {"ligth": ["light {lamp} in {room}"]}}, "no action of the domain (did you mean 'light'?)"),
        ({"wording": {"light": ["light {bulb} in {room}"]}}, "its parameters are lamp, room"),
        ({"wording": {"light": ["light everything"]}}, "lacks {lamp} and {room}"),
        ({"wording": {"light": ["light {lamp} [in {room}"]}}, "brackets may not match"),
        ({"wording": {"light": ["[please] light {lamp}"]}}, "begins with a part that may be left out"),
        ({"wording": {"light": ["light " + "[" * 9_000]}}, "longer than 200 characters"),
        ({"wording": {"light": ["light " + "[(?:a+)+ " * 20]}}, "lacks {lamp} and {room}"),
        ({"wording": {"light": ["light {lamp} {room} {room} {}"]}}, "names {}; its parameters are"),
    ],
)
def test_what_is_wrong_in_a_task_file_is_one_line(tmp_path, change, message):
    with pytest.raises(HarnessError) as caught:
        problems(tmp_path, WORDS | change)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        ("", "no PDDL"), ("(define (domain d)", "no PDDL"), ("(define (domain d))", "no (:action ...)"),
        (DOMAIN + ")", "a bracket closes"), ("(" * 100_000, "no PDDL"), ("x" * 300_000, "longer than 200,000"),
        ("(define (domain d) (:action))", "without a name"), ("\x00(((", "no PDDL"),
    ],
)  # fmt: skip
def test_a_domain_that_is_none_is_one_line(tmp_path, domain, message):
    with pytest.raises(DataError) as caught:
        problems(tmp_path, domain=domain)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_planning_task_without_its_key_is_one_line(tmp_path):
    with pytest.raises(DataError, match=r"metadata\.planning"):
        problems(tmp_path, planning=None)


STATEMENT = """I have to plan logistics.

[STATEMENT]
As initial conditions I have that, location_0_0 is an airport, location_1_0 is an airport, airplane_0 is at \
location_1_0, package_0 is at location_0_1, truck_0 is at location_0_0, truck_1 is at location_1_0, \
location_0_0 is in the city city_0, location_0_1 is in the city city_0 and location_1_0 is in the city city_1.
My goal is to have that package_0 is at location_1_0.

My plan is as follows:

[PLAN]"""
REFERENCE = """(drive-truck t0 l0-0 l0-1 c0)
(load-truck p0 t0 l0-1)
(drive-truck t0 l0-1 l0-0 c0)
(unload-truck p0 t0 l0-0)
(fly-airplane a0 l1-0 l0-0)
(load-airplane p0 a0 l0-0)
(fly-airplane a0 l0-0 l1-0)
(unload-airplane p0 a0 l1-0)
"""


def test_logistics_is_what_the_prompt_says(monkeypatch):
    row = {"instance_id": 7, "query": STATEMENT, "ground_truth_plan": REFERENCE}
    monkeypatch.setattr(planbench, "published", lambda *_: [row])
    (problem,) = planbench.LOADERS["logistics"](None)
    assert (problem.id, problem.family, problem.native_id, problem.prompt) == (
        "logistics-0007",
        "logistics",
        "7",
        STATEMENT,
    )
    words = (
        REFERENCE.replace("(", "")
        .replace(")", "")
        .replace("p0", "package_0")
        .replace("-truck", "")
        .replace("-airplane", "")
    )
    with Grader(1) as grader:
        assert grader.grade("logistics", problem.gold, REFERENCE).correct
        assert grader.grade("logistics", problem.gold, "\n".join(problem.gold["reference"])).correct
        assert not grader.grade("logistics", problem.gold, "\n".join(problem.gold["reference"][:-1])).correct
        assert not grader.grade("logistics", problem.gold, words).correct  # "load p t l" is of neither action


def test_published_logistics_plans_are_valid(shared_data):
    if not (shared_data / "planbench" / "prompts_oneshot" / "logistics.json").is_file():
        pytest.skip("PlanBench's Logistics prompts are not in the benchmark data folder")
    found = planbench.LOADERS["logistics"](str(shared_data))
    assert len({problem.id for problem in found}) == 285
    with Grader(1) as grader:
        grades = [grader.grade(each.family, each.gold, "\n".join(each.gold["reference"])) for each in found[::20]]
    assert all(grade.correct for grade in grades)
