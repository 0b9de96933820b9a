"""``mini_rules``: short writing tasks with checkable instructions.

Two forms: repeat a word (``repeat``) or choose some of the words given (``choose``), under rules on case,
separator, first and last word, quotation marks and forbidden words. Kinds that IFEval has (arXiv 2311.07911) are
named and checked as there; ``mini_rules:*`` are kinds that it lacks or that it checks with a language guesser, which is
random on texts this short.
"""

from __future__ import annotations

import random
from typing import Any

from harness.records import Gold

Spec = dict[str, Any]  # the rules of a problem: its form, words, numbers and what else an answer must do

LEVELS = (1, 2, 3, 4)
SUITE_LEVELS = {3: 0.5, 4: 0.5}
SEARCH_LEVELS = {2: 0.3, 3: 0.4, 4: 0.3}

# level: (fewest and most repetitions, words to choose and words given, number of further rules)
_SIZES = {1: (2, 4, 2, 4, 1), 2: (3, 7, 3, 5, 2), 3: (5, 9, 3, 6, 3), 4: (7, 12, 4, 8, 4)}

WORDS = (
    "cat",
    "dog",
    "cow",
    "pig",
    "hen",
    "fox",
    "sun",
    "sky",
    "sea",
    "tree",
    "rain",
    "snow",
    "bird",
    "fish",
    "lamp",
    "door",
)
STARTS = ("hello", "first", "begin")
ENDS = ("done", "finish", "bye")
SEPARATORS = {"comma": ",", "semicolon": ";", "dash": " -", "space": ""}

_RULES = ("separator", "case", "start", "end", "quotes")
_SEPARATOR_TEXT = {
    "comma": "Separate the words with commas.",
    "semicolon": "Separate the words with semicolons.",
    "dash": "Separate the words with dashes.",
    "space": "Do not use any commas.",
}
_CASE_TEXT = {"upper": "Use capital letters only.", "lower": "Use small letters only."}


def content(gold: Gold) -> str:
    spec = gold["spec"]
    return " ".join(f"{key}={spec[key]}" for key in sorted(spec))


def draw(rng: random.Random, level: int) -> tuple[str, str, Gold]:
    """A random problem: (content, prompt, gold)."""
    low, high, choose, given, extras = _SIZES[level]
    spec: Spec = {"form": rng.choice(("repeat", "choose"))}
    if spec["form"] == "repeat":
        spec |= {"word": rng.choice(WORDS), "times": rng.randint(low, high)}
    else:
        words = rng.sample(WORDS, given)
        number = rng.randint(2, choose)
        forbidden = rng.sample(words, rng.randint(1, given - number))
        spec |= {"words": words, "number": number, "forbidden": forbidden}
    for rule in rng.sample(_RULES, rng.randint(min(extras, 1), min(extras, len(_RULES)))):
        if rule == "separator":
            spec["separator"] = rng.choice(tuple(SEPARATORS))
        elif rule == "case":
            spec["case"] = rng.choice(("upper", "lower"))
        elif rule == "start":
            spec["start"] = rng.choice(STARTS)
        elif rule == "end":
            spec["end"] = rng.choice(ENDS)
        else:
            spec["quotes"] = True
    gold = {"spec": spec, **_instructions(spec)}
    return content(gold), _prompt(spec), gold


def _prompt(spec: Spec) -> str:
    if spec["form"] == "repeat":
        lines = [f"Write the word {spec['word']} exactly {spec['times']} times."]
    else:
        lines = [f"Write exactly {spec['number']} of these words, each of them once: {' '.join(spec['words'])}."]
        lines += [f"Do not use the word {word}." for word in spec["forbidden"]]
    if "separator" in spec:
        lines.append(_SEPARATOR_TEXT[spec["separator"]])
    if "case" in spec:
        lines.append(_CASE_TEXT[spec["case"]])
    if "start" in spec:
        lines.append(f"Start with the word {spec['start']}.")
    if "end" in spec:
        lines.append(f"End with the word {spec['end']}.")
    if "quotes" in spec:
        lines.append("Put the whole answer in double quotation marks.")
    return " ".join(lines)


def _instructions(spec: Spec) -> Gold:
    """Instruction ids and their arguments, in IFEval's form."""
    rows: list[tuple[str, Gold]] = []
    if spec["form"] == "repeat":
        word, times = spec["word"], spec["times"]
        rows.append(("keywords:frequency", {"keyword": word, "frequency": times, "relation": "at least"}))
        rows.append(("keywords:frequency", {"keyword": word, "frequency": times + 1, "relation": "less than"}))
    else:
        allowed = [word for word in spec["words"] if word not in spec["forbidden"]]
        rows.append(("mini_rules:choose", {"words": allowed, "number": spec["number"]}))
        rows.append(("keywords:forbidden_words", {"forbidden_words": sorted(spec["forbidden"])}))
    rows.append(("mini_rules:words_only", {"words": _vocabulary(spec)}))
    if spec.get("separator") == "space":
        rows.append(("punctuation:no_comma", {}))
    elif "separator" in spec:
        rows.append(("mini_rules:separator", {"mark": SEPARATORS[spec["separator"]].strip()}))
    if "case" in spec:
        rows.append(("mini_rules:case", {"case": spec["case"]}))
    if "start" in spec:
        rows.append(("mini_rules:start", {"word": spec["start"]}))
    if "end" in spec:
        rows.append(("startend:end_checker", {"end_phrase": spec["end"]}))
    if "quotes" in spec:
        rows.append(("startend:quotation", {}))
    return {"instruction_id_list": [name for name, _ in rows], "kwargs": [kwargs for _, kwargs in rows]}


def _vocabulary(spec: Spec) -> list[str]:
    """The only words an answer may hold."""
    words = [spec["word"]] if spec["form"] == "repeat" else [w for w in spec["words"] if w not in spec["forbidden"]]
    return sorted([*words, *(spec[key] for key in ("start", "end") if key in spec)])


def write(spec: Spec, words: list[str]) -> str:
    """The answer text for these body words under the rules of ``spec``."""
    parts = [*([spec["start"]] if "start" in spec else []), *words, *([spec["end"]] if "end" in spec else [])]
    text = (SEPARATORS[spec.get("separator", "space")] + " ").join(parts)
    if spec.get("case") == "upper":
        text = text.upper()
    return f'"{text}"' if "quotes" in spec else text
