"""Plans: read from PlanBench's wording or PDDL, then executed action by action, never matched as strings."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Any

from harness.grading import simulators
from harness.grading.messages import Gold, Judgement, Statement
from harness.grading.plan_lines import Kind, Line, Step, Unread, clean, mentioned, read_line, split_heading
from harness.grading.simulators import VOCABULARIES, Action, Atom, Outcome
from harness.grading.wording import Patterns, Wording

MOST_ACTIONS = 500
LONGEST = 200_000

# Other wordings of Blocksworld than PlanBench's whose meaning is the same. {0} and {1}: first and second block.
_WORDING: dict[str, Patterns] = {
    "blocksworld": {
        "unstack": (
            "unstack {0} from {1}", "unstack {0} that is [stacked] on {1} [from {1}]",
            "remove {0} from {1}", "take {0} from {1}",
        ),
        "stack": (
            "stack {0} on {1}", "stack it on {1}", "put {0} on {1}", "place {0} on {1}", "put it on {1}",
            "place it on {1}",
        ),
        "pick-up": ("pick up {0} [from the table]", "pick {0} up [from the table]", "take {0} from the table"),
        "put-down": (
            "put down {0} [on the table]", "put {0} down [on the table]", "put {0} on the table", "put it on the table",
            "put it down [on the table]", "place {0} [down] on the table", "place it [down] on the table",
            "set {0} down [on the table]", "set it down [on the table]",
        ),
    },
    "mystery_blocksworld": {
        "feast": ("feast {0} from {1}",), "overcome": ("overcome {0} from {1}",), "attack": ("attack {0}",),
        "succumb": ("succumb {0}",),
    },
}  # fmt: skip
_FACTS = {
    "on", "ontable", "on-table", "clear", "holding", "handempty", "hand-empty", "armempty", "arm-empty", "table",
    "harmony", "planet", "province", "pain", "craves",
}  # fmt: skip
_END = re.compile(r"\[(?:plan[ _]end|end[ _](?:of[ _])?plan|/plan)\]")


class State(Enum):
    """Where a reader stands in a text.

    BEFORE any step; among STEPS of a plan, with blank lines between them at most; after a REMARK that followed some;
    in a PART of a plan, whose numbers may start at 1 again; RESTATING it, after a heading; in an ASIDE, whose steps
    explain or check the plan.
    """

    BEFORE = auto()
    STEPS = auto()
    REMARK = auto()
    PART = auto()
    RESTATING = auto()
    ASIDE = auto()


class PlanReader:
    """Reads the plan that lines of text end up stating: of a plan stated twice the last counts."""

    def __init__(self, words: Wording) -> None:
        self.words, self.state = words, State.BEFORE
        self.plan: list[Step] = []
        self._last: int | None = None  # number of the plan's last numbered line
        self._unclear: Line | None = None  # the line before, if it may be a step

    def feed(self, text: str) -> None:
        """Take the next line, a clean one; an empty one parts what may be a step from the steps behind it."""
        unclear, self._unclear = self._unclear, None
        if not text:
            self._unclear = unclear if unclear and unclear.number is not None else None
            return
        line = read_line(text, self.words, self._before)
        if line.kind is Kind.STEPS and (line.sure or self._among(line)):
            joined = unclear and (None if line.number is None else line.number - 1) == unclear.number
            begun = line._replace(steps=unclear.steps + line.steps) if joined and unclear else line
            self._step(begun, unclear.number if joined and unclear else line.number)
        else:
            self._unclear = line if line.kind is Kind.STEPS else None
            self._pass(line.kind)

    @property
    def _before(self) -> Action | None:
        """The action before the next line."""
        step = self.plan[-1] if self.plan else None
        return None if isinstance(step, Unread) else step

    def _among(self, line: Line) -> bool:
        """Whether an unclear line stands among steps: it goes on numbering them, or follows one that has no number."""
        if line.number is not None and self._last is not None:
            return line.number == self._last + 1 and self.state is not State.ASIDE
        beneath = self._last is not None and isinstance(line.steps[0], Unread)  # a detail of a numbered step
        return self.state is State.STEPS and not beneath

    def _step(self, line: Line, number: int | None) -> None:
        """Take a line of steps, of which the first has this number."""
        last = self._last
        on = number is not None and last is not None and number == last + 1
        if self.state is State.ASIDE and self.plan and not on:
            return
        again = (number is not None and number <= last) if last is not None else number == 1
        if self.state is State.RESTATING:
            again = number is None or last is None or number <= last
        in_part = self.state is State.PART
        if (
            number is not None
            and number > 1
            and again
            and not in_part
            and all(step in self.plan for step in line.steps)
        ):
            self.state = State.ASIDE  # "Step 5: ..." speaks of a step, no list starts with it
            return
        if self.plan and again and not in_part:
            self.plan, self._last = [], None
        elif number is None and last is not None and self._restates(line.steps):
            return
        self.plan += line.steps
        self._last = line.number if number is not None else self._last
        self.state = State.STEPS

    def _restates(self, steps: tuple[Step, ...]) -> bool:
        """Whether steps beneath a numbered line explain it: the same in other words, or nothing to be read."""
        if isinstance(steps[0], Unread) or isinstance(self.plan[-1], Unread):
            return isinstance(steps[0], Unread)
        step, last = self.words.of(steps[0]), self.words.of(self.plan[-1])
        return len(steps) == 1 and step[0] == last[0] and (step == last or not all(map(self.words.known, step[1:])))

    def _pass(self, kind: Kind) -> None:
        if kind is Kind.HEADING and self.plan:
            self.state = State.RESTATING
        elif kind is Kind.ASIDE:
            self.state = State.ASIDE
        elif kind is Kind.PART and self.state not in (State.ASIDE, State.RESTATING):
            self.state = State.PART
        elif self.state is State.STEPS:
            self.state = State.REMARK


def read_plan(text: str, gold: Gold | None = None) -> list[Step]:
    """The plan that a text ends up stating, invented actions and what cannot be read included; default: Blocksworld's.

    Only what stands between ``[PLAN]`` and ``[PLAN END]`` where the text has them, and nothing past an invented
    ``[STATEMENT]``. Lines that begin with an action (after a number, a bullet, "Action:") are the plan; other mentions
    count only in a text without such lines.
    """
    return _read(text, _words(gold or {}))


def _read(text: str, words: Wording) -> list[Step]:
    if len(text) > LONGEST:
        return [Unread(f"more than {LONGEST:,} characters")]
    before = text.lower().split("[statement]")[0]
    parts = [_END.split(part)[0] for part in before.split("[plan]")]
    # The last marked part that is more than a remark about the plan.
    part = next((part for part in reversed(parts[1:]) if part.count("\n") or "(" in part), parts[-1])
    lines = [each for line in map(clean, part.splitlines()) for each in (split_heading(line) if line else [line])]
    reader = PlanReader(words)
    for line in lines:
        reader.feed(line)
        if len(reader.plan) > MOST_ACTIONS:
            return [Unread(f"more than {MOST_ACTIONS} steps")]
    return reader.plan or [step for line in filter(None, lines) for step in mentioned(line, words)][:MOST_ACTIONS]


def _words(gold: Gold) -> Wording:
    aliases = gold.get("aliases", {})
    if "domain" in gold:
        parameters, facts, types, objects = simulators.pddl_parts(gold)
        nouns = {*gold.get("nouns", ()), *types}

        def fits(action: Action) -> bool:
            return simulators.pddl_fits(gold, (action[0], *(aliases.get(name, name) for name in action[1:])))

        names = aliases | {name: name for name in objects}
        return Wording(parameters, gold.get("wording", {}), names, nouns, facts, fits)
    vocabulary = str(gold.get("vocabulary", "blocksworld"))
    own = VOCABULARIES[vocabulary]
    parameters = {own[name]: ["0", "1"][: 1 + ("1" in needs)] for name, (needs, *_) in simulators.ACTIONS.items()}
    blocks = gold.get("objects") or [block for stack in gold.get("init", ()) for block in stack]
    names = aliases | {name: name for name in blocks}
    return Wording(parameters, _WORDING[vocabulary], names, ("block", "object"), _FACTS)


def check(gold: Gold, answer: str, cut: bool = False) -> Judgement:
    """The judgement of a plan, whose answer is the plan as text; one that was cut off and is not valid is no answer.

    ``gold`` is ``init`` (stacks from the table up) and ``goal`` (pairs: block, what it is on), as in ``mini_blocks``,
    or ``facts``, ``goals``, ``objects`` in plain Blocksworld names, with ``vocabulary`` and ``aliases`` (word: object),
    or ``domain`` and ``problem`` as PDDL text. ``details``: valid, failing_step (from 1; 0 if all were legal), steps,
    plan; with ``optimal`` in the gold also optimal and length_ratio.
    """
    words = _words(gold)
    judgement = _judgement(gold, words, _read(answer, words))
    if cut and judgement.verdict == "wrong" and not _END.search(answer.lower()):
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
    plain = {word: name for name, word in VOCABULARIES[gold.get("vocabulary", "blocksworld")].items()}
    # Upper case names no action: in another vocabulary an invented step may be called like a plain one.
    steps = [(plain.get(name, name.upper()), *blocks) for name, *blocks in plan]
    return simulators.simulate_blocks(objects, facts, goals, steps)


def _judgement(gold: Gold, words: Wording, read: list[Step]) -> Judgement:
    if unread := next((step for step in read if isinstance(step, Unread)), None):
        about = {"valid": False, "failing_step": 0, "steps": len(read), "unread": unread.text[:400]}
        return Judgement("no_answer", f"unreadable step: {unread.text[:120]!r}", "", about)
    plan = [step for step in read if not isinstance(step, Unread)]
    steps = [" ".join(action) for action in plan]
    text = "; ".join(steps)[:500]
    details: dict[str, Any] = {"valid": False, "failing_step": 0, "steps": len(plan), "plan": [list(a) for a in plan]}
    if not plan:
        return Judgement("no_answer", "no action was found", "", details)
    failing, reason, missed = _simulate(gold, [words.of(action) for action in plan])
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
    words = _words(gold)
    out: list[Statement] = []
    at = end = 0
    block: list[str] = []
    for line in [*text.splitlines(keepends=True), ""]:
        if words.find(clean(line)):
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
