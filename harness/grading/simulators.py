"""Simulators of plans that name what failed: of Blocksworld, and of any PDDL domain by unified-planning; they agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from harness.grading.messages import Gold

Atom = tuple[str, ...]
Action = tuple[str, ...]

# action: what it needs, adds and deletes; 0 and 1 stand for its first and second object.
ACTIONS = {
    "pick-up": ("handempty, clear 0, ontable 0", "holding 0", "clear 0, ontable 0, handempty"),
    "put-down": ("holding 0", "clear 0, handempty, ontable 0", "holding 0"),
    "stack": ("holding 0, clear 1", "handempty, clear 0, on 0 1", "clear 1, holding 0"),
    "unstack": ("handempty, clear 0, on 0 1", "holding 0, clear 1", "on 0 1, clear 0, handempty"),
}

# PlanBench's Mystery Blocksworld (arXiv 2206.10498): the same domain under other names.
MYSTERY = {
    "pick-up": "attack", "put-down": "succumb", "stack": "overcome", "unstack": "feast", "clear": "province",
    "ontable": "planet", "handempty": "harmony", "holding": "pain", "on": "craves",
}  # fmt: skip
VOCABULARIES = {"blocksworld": {name: name for name in MYSTERY}, "mystery_blocksworld": MYSTERY}

_LACKS = {
    "clear": "{} is not clear", "ontable": "{} is not on the table", "holding": "the hand does not hold {}",
    "on": "{} is not on {}", "handempty": "the hand holds {}",
}  # fmt: skip


class Outcome(NamedTuple):
    """``step``: the failing step counted from 1, 0 if every action was legal. ``missed``: goals not reached."""

    step: int
    reason: str
    missed: tuple[Atom, ...] = ()


def simulate_blocks(
    objects: Iterable[str], init: Iterable[Atom], goal: Sequence[Atom], plan: Sequence[Action]
) -> Outcome:
    """Run a plan of plain Blocksworld action names from ``init`` (closed world)."""
    known, state = set(objects), set(init)
    for step, (name, *blocks) in enumerate(plan, 1):
        if name not in ACTIONS:
            return Outcome(step, f"there is no action {name!r}")
        arity = 1 + ("1" in ACTIONS[name][0])
        if len(blocks) != arity:
            return Outcome(step, f"{name} takes {arity} block(s), got {len(blocks)}")
        if unknown := [block for block in blocks if block not in known]:
            return Outcome(step, f"there is no block {unknown[0]!r}")
        needs, adds, deletes = (atoms(facts, blocks) for facts in ACTIONS[name])
        for atom in needs:
            if atom not in state:
                held = next((a[1] for a in state if a[0] == "holding"), "something")
                return Outcome(step, _LACKS[atom[0]].format(*(atom[1:] or [held])))
        state = state - set(deletes) | set(adds)
    return Outcome(0, "", tuple(atom for atom in goal if atom not in state))


def atoms(facts: str, blocks: Sequence[str]) -> list[Atom]:
    """Facts as ACTIONS has them, of these objects."""
    return [(name, *(blocks[int(place)] for place in places)) for name, *places in map(str.split, facts.split(", "))]


def from_stacks(stacks: Sequence[Sequence[str]]) -> tuple[list[str], list[Atom]]:
    """(blocks, facts) of stacks given from the table up."""
    facts: list[Atom] = [("handempty",)]
    for stack in stacks:
        facts += [("ontable", stack[0]), ("clear", stack[-1])]
        facts += [("on", upper, lower) for lower, upper in pairwise(stack)]
    return [block for stack in stacks for block in stack], facts


LONGEST = 200_000  # characters of a domain or problem in PDDL


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


def load_pddl() -> None:
    """Load the libraries by running a plan."""
    domain = "(define (domain d) (:predicates (p)) (:action a :parameters () :precondition (p) :effect (not (p))))"
    problem = "(define (problem q) (:domain d) (:init (p)) (:goal (p)))"
    simulate_pddl({"domain": domain, "problem": problem}, [("a",)])


def pddl_parts(gold: Gold) -> tuple[dict[str, list[str]], list[str], list[str], list[str]]:
    """The domain's actions with their parameters, and the names of its facts, types and the problem's objects."""
    problem = _problem(gold["domain"], gold["problem"])
    actions = {action.name: [parameter.name for parameter in action.parameters] for action in problem.actions}
    facts, types = ([each.name for each in named] for named in (problem.fluents, problem.user_types))
    return actions, facts, types, [each.name for each in problem.all_objects]


def pddl_fits(gold: Gold, action: Action) -> bool:
    """Whether the objects have the types that the action asks for, and the facts that no action ever changes."""
    problem, (name, *arguments) = _problem(gold["domain"], gold["problem"]), action
    if len(arguments) != len(problem.action(name).parameters) or not all(map(problem.has_object, arguments)):
        return False
    objects, chosen = [problem.object(each) for each in arguments], problem.action(name)
    parameters = dict(zip((each.name for each in chosen.parameters), objects, strict=True))
    if not all(each.type.is_compatible(parameters[each.name].type) for each in chosen.parameters):
        return False
    changing = {effect.fluent.fluent().name for each in problem.actions for effect in each.effects}
    conditions = [part for each in chosen.preconditions for part in (each.args if each.is_and() else [each])]
    for fact in conditions:
        if fact.is_fluent_exp() and fact.fluent().name not in changing and all(a.is_parameter_exp() for a in fact.args):
            given = fact.fluent()(*(parameters[each.parameter().name] for each in fact.args))
            if not problem.initial_value(given).is_true():
                return False
    return True


def simulate_pddl(gold: Gold, plan: Sequence[Action]) -> Outcome:
    """Run a plan; unknown actions and objects and wrong arities are failing steps, not errors."""
    from unified_planning.exceptions import UPInvalidActionError

    problem, simulator = (load(gold["domain"], gold["problem"]) for load in (_problem, _simulator))
    state = simulator.get_initial_state()
    for step, (name, *arguments) in enumerate(plan, 1):
        if not problem.has_action(name):
            return Outcome(step, f"there is no action {name!r}")
        action = problem.action(name)
        if len(arguments) != len(action.parameters):
            return Outcome(step, f"{name} takes {len(action.parameters)} object(s), got {len(arguments)}")
        if unknown := [argument for argument in arguments if not problem.has_object(argument)]:
            return Outcome(step, f"there is no object {unknown[0]!r}")
        objects = tuple(map(problem.object, arguments))
        for given, wanted in zip(objects, action.parameters, strict=True):
            if not wanted.type.is_compatible(given.type):
                return Outcome(step, f"{given.name} is no {wanted.type}")
        try:
            reached = simulator.apply(state, action, objects)
        except UPInvalidActionError:  # a fact that no action changes does not hold
            return Outcome(step, "these objects can never be used so")
        if reached is None:
            missing, _ = simulator.get_unsatisfied_conditions(state, action, objects, early_termination=True)
            return Outcome(step, f"{missing} does not hold" if missing else "the action does not apply")
        state = reached
    return Outcome(0, "", tuple((str(goal),) for goal in simulator.get_unsatisfied_goals(state)))
