"""Plans of any PDDL domain, through unified-planning's reader and simulator (Apache-2.0). Grading workers only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

from harness.grading.blocks import Action, Outcome
from harness.grading.messages import Gold

LONGEST = 200_000
# A domain to load the libraries with.
SMALLEST = {
    "domain": "(define (domain d) (:predicates (p)) (:action a :parameters () :precondition (p) :effect (not (p))))",
    "problem": "(define (problem q) (:domain d) (:init (p)) (:goal (p)))",
}


class BadProblem(ValueError):
    """A domain or problem that is no PDDL; a gold answer must never be one."""


@lru_cache(maxsize=256)
def _problem(domain: str, problem: str) -> Any:
    from unified_planning.io import PDDLReader
    from unified_planning.shortcuts import get_environment

    get_environment().credits_stream = None
    if max(len(domain), len(problem)) > LONGEST:
        raise BadProblem(f"PDDL text longer than {LONGEST} characters")
    try:
        return PDDLReader().parse_problem_string(domain, problem)
    except Exception as error:
        raise BadProblem(f"not readable as PDDL: {' '.join(str(error).split())[:200]}") from error


@lru_cache(maxsize=256)
def _simulator(domain: str, problem: str) -> Any:
    from unified_planning.engines.sequential_simulator import UPSequentialSimulator

    return UPSequentialSimulator(_problem(domain, problem), error_on_failed_checks=False)


def names(gold: Gold) -> tuple[Collection[str], Collection[str]]:
    """The names of the domain's actions and of its facts."""
    problem = _problem(gold["domain"], gold["problem"])
    return {action.name for action in problem.actions}, {fluent.name for fluent in problem.fluents}


def simulate(gold: Gold, plan: Sequence[Action]) -> Outcome:
    """Run a plan; unknown actions and objects and wrong arities are failing steps, not errors."""
    problem = _problem(gold["domain"], gold["problem"])
    simulator = _simulator(gold["domain"], gold["problem"])
    state = simulator.get_initial_state()
    for number, (name, *arguments) in enumerate(plan, 1):
        if not problem.has_action(name):
            return Outcome(number, f"there is no action {name!r}")
        action = problem.action(name)
        if len(arguments) != len(action.parameters):
            return Outcome(number, f"{name} takes {len(action.parameters)} object(s), got {len(arguments)}")
        unknown = [argument for argument in arguments if not problem.has_object(argument)]
        if unknown:
            return Outcome(number, f"there is no object {unknown[0]!r}")
        objects = tuple(problem.object(argument) for argument in arguments)
        wrong = [(o, p) for o, p in zip(objects, action.parameters, strict=True) if not p.type.is_compatible(o.type)]
        if wrong:
            return Outcome(number, f"{wrong[0][0].name} is no {wrong[0][1].type}")
        reached = simulator.apply(state, action, objects)
        if reached is None:
            missing, _ = simulator.get_unsatisfied_conditions(state, action, objects, early_termination=True)
            return Outcome(number, f"{missing} does not hold" if missing else "the action does not apply")
        state = reached
    missed = simulator.get_unsatisfied_goals(state)
    return Outcome(0, "", tuple((str(goal),) for goal in missed))
