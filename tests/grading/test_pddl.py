"""Two graders of plans, one verdict: our simulator and unified-planning's, on real and on random plans."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.grading import plans, simulators

LOGISTICS = """(define (domain tiny) (:requirements :strips :typing) (:types place truck box)
 (:predicates (at ?t - truck ?p - place) (in ?b - box ?t - truck) (lies ?b - box ?p - place))
 (:action drive :parameters (?t - truck ?a - place ?b - place) :precondition (at ?t ?a)
  :effect (and (at ?t ?b) (not (at ?t ?a))))
 (:action load :parameters (?b - box ?t - truck ?p - place) :precondition (and (at ?t ?p) (lies ?b ?p))
  :effect (and (in ?b ?t) (not (lies ?b ?p))))
 (:action unload :parameters (?b - box ?t - truck ?p - place) :precondition (and (at ?t ?p) (in ?b ?t))
  :effect (and (lies ?b ?p) (not (in ?b ?t)))))"""
PROBLEM = """(define (problem one) (:domain tiny) (:objects here there - place lorry - truck crate - box)
 (:init (at lorry here) (lies crate here)) (:goal (lies crate there)))"""
GOLD = {"domain": LOGISTICS, "problem": PROBLEM}


def test_any_domain_is_graded():
    plan = "(load crate lorry here)\n(drive lorry here there)\n(unload crate lorry there)"
    assert plans.check(GOLD, plan)[0] == "correct"
    assert (
        plans.check(
            GOLD, "0: (LOAD crate lorry here)\n1: (drive lorry here there) ; cost 1\nunload(crate, lorry, there)"
        )[0]
        == "correct"
    )


def test_actions_keep_the_names_of_their_domain():
    domain = LOGISTICS.replace(":action load", ":action pickup_box")
    plan = "(pickup_box crate lorry here)\n(drive lorry here there)\n(unload crate lorry there)"
    assert plans.check({"domain": domain, "problem": PROBLEM}, plan)[0] == "correct"


@pytest.mark.parametrize(
    ("plan", "step", "reason"),
    [
        ("(drive lorry there here)", 1, "does not hold"),
        ("(load crate lorry here)\n(unload crate lorry there)", 2, "does not hold"),
        ("(drive lorry here nowhere)", 1, "no object"),
        ("(drive lorry here)", 1, "takes 3"),
        ("(load lorry crate here)", 1, "is no"),
        ("(load crate lorry here)", 0, "goal not reached"),
        ("(load crate lorry here)\n(teleport lorry there)\n(unload crate lorry there)", 2, "no action"),
        ("(load crate lorry here)\n(in crate lorry)\n(unload crate lorry there)", 2, "does not hold"),
    ],
)
def test_failures_are_named(plan, step, reason):
    verdict, why, _, details = plans.check(GOLD, plan)
    assert (verdict, details["failing_step"]) == ("wrong", step)
    assert reason in why


def test_no_plan_and_a_broken_domain():
    assert plans.check(GOLD, "drive there")[0] == "no_answer"
    with pytest.raises(simulators.BadProblem):
        plans.check({"domain": "(define", "problem": PROBLEM}, "(drive a b c)")


def domain_pddl(vocabulary):
    """Blocksworld in PDDL."""
    names = simulators.VOCABULARIES[vocabulary]

    def text(atom):
        return _pddl((atom[0], *(f"?b{place}" for place in atom[1:])), names)

    predicates = [("clear", "0"), ("ontable", "0"), ("handempty",), ("holding", "0"), ("on", "0", "1")]
    lines = [
        f"(define (domain {vocabulary}) (:requirements :strips)",
        f" (:predicates {' '.join(map(text, predicates))})",
    ]
    for name, parts in simulators.ACTIONS.items():
        needs, adds, deletes = (simulators.atoms(facts, ["0", "1"]) for facts in parts)
        arity = len({place for _, *places in needs for place in places})
        effects = [*map(text, adds), *(f"(not {text(atom)})" for atom in deletes)]
        lines.append(f" (:action {names[name]} :parameters ({' '.join(f'?b{i}' for i in range(arity))})")
        lines.append(f"  :precondition (and {' '.join(map(text, needs))})")
        lines.append(f"  :effect (and {' '.join(effects)}))")
    return "\n".join(lines) + ")\n"


def problem_pddl(objects, init, goal, vocabulary):
    """A problem of the domain in PDDL; atoms in plain Blocksworld names."""
    facts, goals = (
        " ".join(_pddl(atom, simulators.VOCABULARIES[vocabulary]) for atom in atoms) for atoms in (init, goal)
    )
    return (
        f"(define (problem blocks) (:domain {vocabulary}) (:objects {' '.join(objects)})\n"
        f" (:init {facts})\n (:goal (and {goals})))\n"
    )


def _pddl(atom, names):
    return f"({' '.join([names[atom[0]], *atom[1:]])})"


names = st.sampled_from(["a", "b", "c", "z"])
actions = st.one_of(
    st.tuples(st.sampled_from(["pick-up", "put-down"]), names),
    st.tuples(st.sampled_from(["stack", "unstack"]), names, names),
    st.tuples(st.sampled_from(["stack", "pick-up", "fly"]), names, names, names),
)


@settings(max_examples=60)
@given(st.lists(actions, min_size=1, max_size=8), st.sampled_from(["blocksworld", "mystery_blocksworld"]))
def test_the_fast_path_agrees_with_the_library_on_random_plans(plan, vocabulary):
    words = simulators.VOCABULARIES[vocabulary]
    objects, facts = simulators.from_stacks([["a", "b"], ["c"]])
    goal = [("on", "c", "a")]
    gold = {
        "domain": domain_pddl(vocabulary),
        "problem": problem_pddl(objects, facts, goal, vocabulary),
    }
    ours = simulators.simulate_blocks(objects, facts, goal, plan)
    theirs = simulators.simulate_pddl(gold, [(words.get(name, name), *rest) for name, *rest in plan])
    assert (ours.step, bool(ours.missed)) == (theirs.step, bool(theirs.missed))


def test_they_agree_on_planbench(shared_data):
    lines = (shared_data / "planbench" / "blocksworld.jsonl").read_text().splitlines()[:40]
    domain = (shared_data / "planbench" / "blocksworld_domain.pddl").read_text()
    for line in lines:
        row = json.loads(line)
        facts, goals = ([f.strip("()").split() for f in row[key]] for key in ("init", "goal"))
        fast = {"objects": row["objects"], "facts": facts, "goals": goals}
        slow = {"domain": domain, "problem": row["pddl"]}
        whole = row["reference_plan"]
        for plan in (whole, whole[:-1], whole[::-1], [*whole, *whole[:1]]):
            text = "\n".join(plan)
            ours, theirs = plans.check(fast, text), plans.check(slow, text)
            assert (ours[0], ours[3]["failing_step"]) == (theirs[0], theirs[3]["failing_step"])
