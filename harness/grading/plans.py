"""Blocksworld plans: read from PlanBench's wording or PDDL, then executed action by action."""

from __future__ import annotations

import re
from typing import Any

_NAME = r"([a-z][a-z0-9_-]*)"
_PATTERNS = (
    (
        "unstack",
        re.compile(rf"unstack\s+(?:the\s+)?{_NAME}(?:\s+block)?\s+from\s+(?:on\s+)?top\s+of\s+(?:the\s+)?{_NAME}"),
    ),
    ("stack", re.compile(rf"(?<!un)stack\s+(?:the\s+)?{_NAME}(?:\s+block)?\s+on\s+top\s+of\s+(?:the\s+)?{_NAME}")),
    ("pick-up", re.compile(rf"pick[\s-]*up\s+(?:the\s+)?{_NAME}")),
    ("put-down", re.compile(rf"put[\s-]*down\s+(?:the\s+)?{_NAME}")),
)
_PDDL = re.compile(r"\(\s*(unstack|stack|pick-?up|put-?down)\s+([a-z0-9_-]+)(?:\s+([a-z0-9_-]+))?\s*\)")
MOST_ACTIONS = 500
LONGEST_LINE = 400

Action = tuple[str, ...]


def read_plan(text: str) -> list[Action]:
    """Actions in the order stated; lines that hold none are passed over (numbers, prose, plan markers)."""
    plan: list[Action] = []
    for line in text.lower().splitlines():
        line = line[:LONGEST_LINE]
        found = [(m.start(), _pddl(m)) for m in _PDDL.finditer(line)]
        if not found:
            found = [(m.start(), (name, *m.groups())) for name, p in _PATTERNS for m in p.finditer(line)]
        plan += [action for _, action in sorted(found)]
        if len(plan) >= MOST_ACTIONS:
            break
    return plan


def _pddl(match: re.Match[str]) -> Action:
    name = match[1].replace("pickup", "pick-up").replace("putdown", "put-down")
    return (name, *(group for group in match.groups()[1:] if group))


def execute(stacks: list[list[str]], plan: list[Action]) -> tuple[dict[str, str], int, str]:
    """Run a plan. Returns (what each block is on, failing step counted from 1 or 0, reason)."""
    on = {b: stack[i - 1] if i else "table" for stack in stacks for i, b in enumerate(stack)}
    holding = ""
    for step, (name, *blocks) in enumerate(plan, 1):
        arity = 2 if name in ("stack", "unstack") else 1
        if len(blocks) != arity:
            return on, step, f"{name} takes {arity} block(s), got {len(blocks)}"
        unknown = [b for b in blocks if b not in on]
        if unknown:
            return on, step, f"there is no block {unknown[0]!r}"
        block = blocks[0]
        problem = _illegal(name, blocks, on, holding)
        if problem:
            return on, step, problem
        if name in ("pick-up", "unstack"):
            on[block], holding = "hand", block
        else:
            on[block], holding = "table" if name == "put-down" else blocks[1], ""
    return on, 0, ""


def _illegal(name: str, blocks: list[str], on: dict[str, str], holding: str) -> str:
    block, covered = blocks[0], set(on.values())
    if name in ("pick-up", "unstack"):
        if holding:
            return f"the hand holds {holding}"
        if block in covered:
            return f"{block} is not clear"
        if name == "pick-up" and on[block] != "table":
            return f"{block} is not on the table"
        if name == "unstack" and on[block] != blocks[1]:
            return f"{block} is not on {blocks[1]}"
        return ""
    if holding != block:
        return f"the hand does not hold {block}"
    if name == "stack" and (blocks[1] in covered or blocks[1] == block):
        return f"{blocks[1]} is not clear"
    return ""


def check(gold: dict[str, Any], answer: str) -> tuple[str, str, str, dict[str, Any]]:
    """(verdict, reason, plan as text, details) for gold ``init`` stacks and ``goal`` pairs (block, what it is on)."""
    plan = read_plan(answer)
    text = "; ".join(" ".join(action) for action in plan)[:500]
    if not plan:
        return "no_answer", "no action was found", "", {"valid": False, "failing_step": 0}
    on, step, problem = execute(gold["init"], plan)
    details: dict[str, Any] = {"valid": False, "failing_step": step, "steps": len(plan)}
    if step:
        return "wrong", f"step {step} ({' '.join(plan[step - 1])[:60]}): {problem[:80]}", text, details
    missed = [f"{a} on {b}" for a, b in gold["goal"] if on.get(a) != b]
    if missed:
        return "wrong", f"goal not reached: {', '.join(missed)}", text, details
    return "correct", f"valid plan of {len(plan)} steps", text, details | {"valid": True}
