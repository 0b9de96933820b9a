"""Families of problems: which grader serves each, and which gold answers it can grade by. Loads no grader."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from harness.errors import DataError, NoGrader, nearest
from harness.grading.numbers import value
from harness.grading.pddl import actions
from harness.grading.simulators import VOCABULARIES
from harness.grading.translation import TOKENIZERS
from harness.grading.wording import compiled
from harness.records import Gold

KINDS = ("number", "math", "plan", "instructions", "premise", "reasoning_gym", "translation")
FAMILIES = {
    "mini_math": "number", "mini_blocks": "plan", "mini_rules": "instructions", "mini_premise": "premise",
    "gsm8k": "number", "aime": "number", "letter_count": "number", "mgsm": "number", "math500": "math",
    "blocksworld": "plan", "mystery_blocksworld": "plan", "logistics": "plan", "ifeval": "instructions",
    "multi_if": "instructions",
    **{kind: kind for kind in KINDS},
}  # fmt: skip

# IFEval's kinds of instruction, as lm-eval's checkers have them (a test compares), and those of mini_rules.
INSTRUCTIONS = {
    "change_case": ("capital_word_frequency", "english_capital", "english_lowercase"),
    "combination": ("repeat_prompt", "two_responses"),
    "detectable_content": ("number_placeholders", "postscript"),
    "detectable_format": ("constrained_response", "json_format", "multiple_sections", "number_bullet_lists",
                          "number_highlighted_sections", "title"),
    "keywords": ("existence", "forbidden_words", "frequency", "letter_frequency"),
    "language": ("response_language",),
    "length_constraints": ("nth_paragraph_first_word", "number_paragraphs", "number_sentences", "number_words"),
    "mini_rules": ("case", "choose", "separator", "start", "words_only"),
    "punctuation": ("no_comma",),
    "startend": ("end_checker", "quotation"),
}  # fmt: skip
_ARITY = {"on": 2, "ontable": 1, "clear": 1, "handempty": 0, "holding": 1}


def kind_of(family: str, gold: Gold | None = None) -> str:
    """The grader of a family (a grader's own name is one, too), "pddl" for a plan in PDDL, "reasoning_gym:NAME" for
    an answer to that data set. Raises NoGrader."""
    if family not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise NoGrader(f"no grader for family {family!r}{nearest(family, FAMILIES)}; known: {known}")
    if FAMILIES[family] == "reasoning_gym" and "dataset" in (gold or {}):
        return f"reasoning_gym:{(gold or {})['dataset']}"
    return "pddl" if FAMILIES[family] == "plan" and "domain" in (gold or {}) else FAMILIES[family]


def gold_defect(family: str, gold: Gold) -> str:
    """Why this gold answer cannot grade any response, as far as is found cheaply; else empty. Raises NoGrader."""
    kind, answer = kind_of(family), gold.get("answer")
    if kind == "premise":
        return _premise(gold)
    if kind in ("instructions", "plan"):
        return _instructions(gold) if kind == "instructions" else _plan(gold)
    if kind == "reasoning_gym":
        entry, of = gold.get("entry"), str(gold.get("dataset"))
        usable = of.isidentifier() and isinstance(entry, dict) and {"answer", "metadata"} <= entry.keys()
        return "" if usable else "the gold answer needs dataset, a name, and entry, an object of reasoning-gym"
    if kind == "translation":
        return _translation(gold)
    if answer is None:
        return "the gold answer has nothing under answer"
    if isinstance(answer, dict | list) or not str(answer).strip():
        return "the gold answer is empty, or a list or an object in the place of a value"
    if kind == "number" and value(str(answer)) is None:
        return f"the gold answer {str(answer)[:40]!r} is not a number"
    return ""


def _translation(gold: Gold) -> str:
    given, at_least = gold.get("reference"), gold.get("at_least", 0)
    wanted = given if isinstance(given, list) else [given]
    if not wanted or not all(isinstance(each, str) and each.strip() for each in wanted):
        return "the gold answer's reference is a translation, or a list of them"
    if gold.get("tokenize", TOKENIZERS[0]) not in TOKENIZERS:
        return f"the gold answer's tokenize is one of {', '.join(TOKENIZERS)}"
    usable = isinstance(at_least, int | float) and 0 <= at_least <= 100
    return "" if usable else "the gold answer's at_least is a chrF, a number from 0 to 100"


def _premise(gold: Gold) -> str:
    """The gold answer of the complete question is needed for its own half, and to read a plan."""
    half, of, inner = gold.get("half"), gold.get("family"), gold.get("gold")
    if half not in ("complete", "missing"):
        return "the gold answer's half is complete or missing (of a question with or without a needed premise)"
    if FAMILIES.get(str(of)) not in ("number", "math", "plan"):
        return "the gold answer's family is one of numbers, formulas or plans, by whose rules an answer is read"
    if half == "missing" and inner is None and FAMILIES[str(of)] != "plan":
        return ""
    if not isinstance(inner, dict):
        return "the gold answer has no object under gold: the gold answer of the complete question"
    return gold_defect(str(of), inner)


def _instructions(gold: Gold) -> str:
    names, settings = gold.get("instruction_id_list"), gold.get("kwargs")
    if not (isinstance(names, list) and isinstance(settings, list) and names and len(names) == len(settings)):
        return "the gold answer needs instruction_id_list and kwargs, two lists of one length"
    for name, arguments in zip(names, settings, strict=True):
        group, _, kind = str(name).partition(":")
        if kind not in INSTRUCTIONS.get(group, ()):
            return f"no such kind of instruction: {str(name)[:60]!r}"
        if not isinstance(arguments, dict):
            return f"the kwargs of {name} are no object"
    return ""


def _plan(gold: Gold) -> str:
    forms = ("init", "goal"), ("facts", "goals", "objects"), ("domain", "problem")
    if not any(gold.keys() >= set(form) for form in forms):
        return "the gold answer needs " + ", or ".join(" and ".join(form) for form in forms)
    if "domain" in gold:
        return _pddl(gold.get("domain"), "domain") or _pddl(gold.get("problem"), "problem") or _wording(gold)
    if gold.get("vocabulary", "blocksworld") not in VOCABULARIES:
        return f"the gold answer's vocabulary is one of {', '.join(VOCABULARIES)}"
    optimal = gold.get("optimal")
    if optimal is not None and (not isinstance(optimal, int) or optimal < 0):
        return "the gold answer's optimal is no number of actions"
    if "facts" not in gold and not (_rows(gold["init"]) and all(gold["init"])):
        return "the gold answer's init is a list of stacks, each a list of blocks from the table up"
    if "facts" not in gold:
        pairs = _rows(gold["goal"]) and all(len(pair) == 2 for pair in gold["goal"])
        return "" if pairs else "the gold answer's goal is a list of pairs: block, and what it is on"
    for name in ("facts", "goals"):
        if not _rows(gold[name]) or any(not row or _ARITY.get(row[0]) != len(row) - 1 for row in gold[name]):
            return f"the gold answer's {name} are lists such as ['on', 'a', 'b'] or ['handempty']"
    names = _rows([gold["objects"]]) and isinstance(gold.get("aliases", {}), dict)
    return "" if names else "the gold answer's objects are a list of names, its aliases an object"


def _wording(gold: Gold) -> str:
    """What is wrong with the words of a domain's actions and objects."""
    words, aliases, nouns = gold.get("wording", {}), gold.get("aliases", {}), gold.get("nouns", [])
    if not isinstance(words, dict) or not all(map(_rows, [[each] for each in [*words.values(), nouns]])):
        return "the gold answer's wording is an object with a list of patterns for each action, its nouns a list"
    if not isinstance(aliases, dict) or not all(isinstance(name, str) for name in aliases.values()):
        return "the gold answer's aliases are an object: word, and the object it means"
    try:
        known = actions(gold["domain"])
    except DataError as error:
        return f"the gold answer's domain is no PDDL: {error}"
    try:
        if odd := [name for name in words if name not in known]:
            return f"the wording is of {odd[0]!r}, no action of the domain{nearest(odd[0], known)}"
        forms = ((name, tuple(own), tuple(words.get(name, ()))) for name, own in known.items())
        compiled(tuple(forms), tuple(sorted(nouns)))
    except DataError as error:
        return str(error)
    return ""


def _rows(value: Any) -> bool:
    """Whether this is a list with lists of text in it."""
    return isinstance(value, list | tuple) and all(
        isinstance(row, list | tuple) and all(isinstance(text, str) for text in row) for row in value
    )


def _pddl(text: Any, what: str) -> str:
    """Faults that can be seen without a parser of PDDL, which takes seconds to load."""
    if not isinstance(text, str) or "(define" not in text.lower() or f"({what}" not in text.lower().replace("( ", "("):
        return f"the gold answer's {what} is no PDDL text: it lacks (define ({what} ...)"
    code = "\n".join(line.split(";", 1)[0] for line in text.splitlines())
    depths = [0, *accumulate((char == "(") - (char == ")") for char in code)]
    return f"the gold answer's {what} is no PDDL text: its brackets do not match" if depths[-1] or min(depths) else ""
