"""Plans: read from PlanBench's wording or PDDL, then executed action by action, never matched as strings."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from harness.grading import simulators
from harness.grading.messages import Gold, Judgement, Statement
from harness.grading.simulators import VOCABULARIES, Action, Atom, Outcome

MOST_ACTIONS = 500
LONGEST = 200_000
LONGEST_LINE = 400

# An article before a common noun ("pick up a clear block") starts no object's name.
_ARTICLE = r"(?:a|an|any|another|one|each|every)\s+(?!from\b|on\b|onto\b)(?:[a-z]+\s+)?(?:block|object)s?\b"
_NAME = rf"(?:the\s+)?(?:block\s+|object\s+)?(?!{_ARTICLE}|it\b|them\b)([a-z0-9][a-z0-9_-]*)(?:\s+block)?"
_WORDING = {
    "blocksworld": (
        ("unstack", re.compile(rf"\bunstack\s+{_NAME}\s+from\s+(?:on\s+)?(?:top\s+of\s+)?{_NAME}")),
        ("stack", re.compile(rf"(?<![a-z])stack\s+{_NAME}\s+on(?:to)?\s+(?:top\s+of\s+)?{_NAME}")),
        ("pick-up", re.compile(rf"\bpick[\s-]*up\s+{_NAME}")),
        ("put-down", re.compile(rf"\bput[\s-]*down\s+{_NAME}")),
        ("put-down", re.compile(rf"\bput\s+{_NAME}\s+(?:down|on\s+the\s+table)\b")),
    ),
    "mystery_blocksworld": (
        ("feast", re.compile(rf"\bfeast\s+{_NAME}\s+(?:from\s+)?{_NAME}")),
        ("overcome", re.compile(rf"\bovercome\s+{_NAME}\s+(?:from\s+)?{_NAME}")),
        ("attack", re.compile(rf"\battack\s+{_NAME}")),
        ("succumb", re.compile(rf"\bsuccumb\s+{_NAME}")),
    ),
}
_CALL = re.compile(
    r"\(\s*([a-z][a-z0-9_-]*)((?:\s+[a-z0-9][a-z0-9_-]*)*)\s*\)|\b([a-z][a-z0-9_-]*)\(([a-z0-9_,\s-]*)\)"
)
_LEAD = re.compile(
    r"[\s>#\-•–]*(?:step\s*)?(\d{1,3})?[\s.):\-]*(?:action\s*:)?\s*(?:(?:first|next|then|second|third|finally|lastly)\b[,:]?\s*)*"
)
_HEADING = re.compile(r"\b(?:plan|actions|summary|sequence|steps|answer)\b")
_PART = re.compile(r"\b(?:phase|stage|part|step|action)\s*\d")  # a heading within one plan
_ASIDE = re.compile(r"^\W*(?:the\s+)?(?:explanations?|key\s+steps|reasoning|reasons?|notes?|justification|why)\b")
_EMPHASIS = re.compile(r"[*`]+|\\[()]|(?<![a-z0-9])_+|_+(?![a-z0-9])")  # of Markdown, and LaTeX's inline marks
_FILLER = {"block", "object", "the", "from", "on", "onto", "top", "of"}
_BETWEEN = re.compile(r"[\s,;.]*(?:and|then|[-=]>|→)?[\s,;.]*(?:then)?\s*")
_FACTS = {
    "on", "ontable", "on-table", "clear", "holding", "handempty", "hand-empty", "armempty", "arm-empty", "table",
    "harmony", "planet", "province", "pain", "craves",
}  # fmt: skip


def _language(gold: Gold) -> tuple[Collection[str], str, Collection[str]]:
    """(actions, whose wording beside PDDL, facts) of the domain of ``gold``."""
    if "domain" in gold:
        actions, facts = simulators.pddl_names(gold)
        return actions, "", facts
    vocabulary = str(gold.get("vocabulary", "blocksworld"))
    return [VOCABULARIES[vocabulary][name] for name in simulators.ACTIONS], vocabulary, _FACTS


def read_plan(text: str, gold: Gold | None = None) -> list[Action]:
    """The plan that a text ends up stating, invented actions among its lines included; without ``gold`` of Blocksworld.

    Only what stands between ``[PLAN]`` and ``[PLAN END]`` where the text has them, and nothing past an invented
    ``[STATEMENT]``. Of a plan stated twice (a list that starts again at 1, a summary under a heading) the last counts.
    Lines that begin with an action (after a number, a bullet, "Action:") are the plan; other mentions count only in a
    text without such lines.
    """
    known, wording, facts = _language(gold or {})
    before = text[:LONGEST].lower().split("[statement]")[0]
    parts = [part.split("[plan end]")[0] for part in before.split("[plan]")]
    # The last marked part that is more than a remark about the plan.
    part = next((part for part in reversed(parts[1:]) if part.count("\n") or "(" in part), parts[-1])
    lines = [_EMPHASIS.sub("", line[:LONGEST_LINE]) for line in part.splitlines()]
    plan = _last_plan(lines, known, wording, facts)
    return plan or [action for line in lines for _, _, action in _actions(line, known, wording)][:MOST_ACTIONS]


def _last_plan(lines: list[str], known: Collection[str], wording: str, facts: Collection[str]) -> list[Action]:
    """The last plan that the lines state: one starts anew where its numbers do, or unnumbered after a heading."""
    plan: list[Action] = []
    last = 0  # number of the plan's last numbered line
    after_action = False  # only blank lines since an action line
    after_heading = False  # a heading since the last action line: another statement of the plan may follow
    in_part = False  # after the heading of a part of one plan: its numbers may start at 1 again
    in_aside = False  # after the heading of explanations: their actions are none of the plan's
    for line in lines:
        lead = _LEAD.match(line)
        number, start = (int(lead[1] or 0), lead.end()) if lead else (0, 0)
        actions = _leading(line, start, known, wording)
        if not actions and after_action:
            actions = _invented(line, start, facts)
        if not actions and line.strip():  # a heading of the plan, of a part of it or of explanations, or a remark
            part = bool(_PART.search(line))
            heading = bool(_HEADING.search(line)) and not part and not line.lstrip().startswith("(")
            in_part = part or (in_part and not heading)
            in_aside = bool(_ASIDE.search(line)) or (in_aside and not heading)
            after_action, after_heading = False, after_heading or heading
        if not actions:
            continue
        after_action = True
        if in_aside and plan:
            continue
        both = number and last
        if plan and ((number <= last and not in_part) if both else (after_heading and not number)):
            plan, last = [], 0
        elif not number and last and actions == plan[-len(actions) :]:
            continue  # "Action: ..." beneath a numbered line that says the same
        plan += actions
        last = number or last
        after_heading = in_part = False
        if len(plan) > MOST_ACTIONS:
            break
    return plan


def _leading(line: str, start: int, actions: Collection[str], wording: str) -> list[Action]:
    """Actions that the line begins with, joined by commas or "then"."""
    leading: list[Action] = []
    for begin, end, action in _actions(line, actions, wording):
        if begin != start and not _BETWEEN.fullmatch(line, start, begin):
            break
        leading.append(action)
        start = end
    return leading


def _actions(line: str, actions: Collection[str], wording: str) -> list[tuple[int, int, Action]]:
    """(start, end, action) of every action in a line: PDDL or calls if it has any, else PlanBench's wording."""
    spans = []
    for match in _CALL.finditer(line):
        if name := _known(match[1] or match[3], actions):
            words = re.findall(r"[^\s,]+", match[2] or match[4] or "")
            action = (name, *(words if match[1] else [word for word in words if word not in _FILLER]))
            spans.append((match.start(), match.end(), action))
    if not spans:
        spans = [
            (m.start(), m.end(), (name, *m.groups())) for name, p in _WORDING.get(wording, ()) for m in p.finditer(line)
        ]
    return sorted(spans)


def _known(name: str, actions: Collection[str]) -> str:
    """The action that a name means, as it stands or with other hyphens; empty if there is none."""
    hyphens = name.replace("_", "-")
    spaced = hyphens.replace("pickup", "pick-up").replace("putdown", "put-down")
    return next((each for each in (name, hyphens, name.replace("-", "_"), spaced) if each in actions), "")


def _invented(line: str, start: int, facts: Collection[str]) -> list[Action]:
    """A line that is one PDDL call and nothing else, of no action and no fact of the domain."""
    match = _CALL.fullmatch(line.rstrip(" ;,."), start)
    if match is None or not match[1] or not match[2] or match[1] in facts:
        return []
    return [(match[1], *match[2].split())]


def check(gold: Gold, answer: str, cut: bool = False) -> Judgement:
    """The judgement of a plan, whose answer is the plan as text; one that was cut off and is not valid is no answer.

    ``gold`` is ``init`` (stacks from the table up) and ``goal`` (pairs: block, what it is on), as in ``mini_blocks``,
    or ``facts``, ``goals``, ``objects`` in plain Blocksworld names, with ``vocabulary`` and ``aliases`` (word: object),
    or ``domain`` and ``problem`` as PDDL text. ``details``: valid, failing_step (from 1; 0 if all were legal), steps,
    plan; with ``optimal`` in the gold also optimal and length_ratio.
    """
    judgement = _judgement(gold, read_plan(answer, gold))
    if cut and judgement.verdict == "wrong" and "[plan end]" not in answer.lower():
        return judgement._replace(verdict="no_answer", reason=f"the plan was cut off ({judgement.reason})")
    return judgement


def _simulate(gold: Gold, plan: list[Action]) -> Outcome:
    if "domain" in gold:
        return simulators.simulate_pddl(gold, plan)
    goals: list[Atom]
    if "facts" in gold:
        objects = list(gold["objects"])
        facts, goals = ([tuple(atom) for atom in gold[key]] for key in ("facts", "goals"))
    else:
        objects, facts = simulators.from_stacks(gold["init"])
        goals = [("ontable", a) if b == "table" else ("on", a, b) for a, b in gold["goal"]]
    aliases = gold.get("aliases", {})
    plain = {word: name for name, word in VOCABULARIES[gold.get("vocabulary", "blocksworld")].items()}
    # Upper case names no action: in another vocabulary an invented step may be called like a plain one.
    steps = [
        (plain.get(name, name.upper()), *(b if b in objects else aliases.get(b, b) for b in args))
        for name, *args in plan
    ]
    return simulators.simulate_blocks(objects, facts, goals, steps)


def _judgement(gold: Gold, plan: list[Action]) -> Judgement:
    steps = [" ".join(action) for action in plan]
    text = "; ".join(steps)[:500]
    details: dict[str, Any] = {"valid": False, "failing_step": 0, "steps": len(plan), "plan": [list(a) for a in plan]}
    if not plan:
        return Judgement("no_answer", "no action was found", "", details)
    failing, reason, missed = _simulate(gold, plan)
    optimal = gold.get("optimal")
    details |= {"failing_step": failing} | ({"optimal": optimal} if optimal else {})
    if failing:
        return Judgement("wrong", f"step {failing} ({steps[failing - 1][:60]}): {reason[:80]}", text, details)
    if missed:
        facts = (f"{a[1]} on {a[2]}" if a[0] == "on" and len(a) == 3 else f"({' '.join(a)})" for a in missed)
        return Judgement("wrong", f"goal not reached: {', '.join(facts)[:200]}", text, details)
    details["valid"] = True
    reason = f"valid plan of {len(plan)} steps"
    if optimal:
        details["length_ratio"] = round(len(plan) / optimal, 4)
        reason += f", shortest is {optimal}" if len(plan) > optimal else ", a shortest one"
    return Judgement("correct", reason, text, details)


def statements(gold: Gold, text: str) -> list[Statement]:
    """Every unbroken run of action lines is a plan; a correct one may have more steps behind it that still hold."""
    known, wording, _ = _language(gold)
    out: list[Statement] = []
    at = end = 0
    block: list[str] = []
    for line in [*text.splitlines(keepends=True), ""]:
        if _actions(line[:LONGEST_LINE].lower(), known, wording):
            block.append(line)
        elif block and (line.strip() or not line):
            judged = check(gold, "".join(block))
            out.append(Statement(end, judged.answer, judged.verdict == "correct", False))
            block = []
        at += len(line)
        if block:
            end = at
        if len(out) >= 100:
            break
    return out
