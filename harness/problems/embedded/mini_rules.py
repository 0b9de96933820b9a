"""``mini_rules``: repeat a word, or choose some of the words given, under rules that can be checked.

Kinds of instruction are those of IFEval (arXiv 2311.07911); ``mini_rules:*`` are kinds that it lacks or checks with a
language guesser, which is random on texts this short.
"""

from __future__ import annotations

import random
from typing import Any

from harness.records import Gold

Spec = dict[str, Any]  # the rules of a problem: its form, words, numbers and what else an answer must do

SUITE_LEVELS = {3: 0.5, 4: 0.5}
SEARCH_LEVELS = {2: 0.3, 3: 0.4, 4: 0.3}

# level: (fewest and most repetitions, words to choose and words given, number of further rules)
_SIZES = {1: (2, 4, 2, 4, 1), 2: (3, 7, 3, 5, 2), 3: (5, 9, 3, 6, 3), 4: (7, 12, 4, 8, 4)}

WORDS = (
    "cat", "dog", "cow", "pig", "hen", "fox", "sun", "sky", "sea", "tree", "rain", "snow", "bird", "fish", "lamp",
    "door",
)  # fmt: skip
STARTS = ("hello", "first", "begin")
ENDS = ("done", "finish", "bye")
SEPARATORS = {"comma": ",", "semicolon": ";", "dash": " -", "space": ""}

RULES = ("separator", "case", "start", "end", "quotes")
_TEXTS = {
    "comma": "Separate the words with commas.", "semicolon": "Separate the words with semicolons.",
    "dash": "Separate the words with dashes.", "space": "Do not use any commas.",
    "upper": "Use capital letters only.", "lower": "Use small letters only.", "start": "Start with the word {}.",
    "end": "End with the word {}.", "quotes": "Put the whole answer in double quotation marks.",
}  # fmt: skip


def content(gold: Gold) -> str:
    spec = gold["spec"]
    return " ".join(f"{key}={spec[key]}" for key in sorted(spec))


def draw(rng: random.Random, level: int) -> tuple[str, str, Gold]:
    low, high, choose, given, extras = _SIZES[level]
    spec: Spec = {"form": rng.choice(("repeat", "choose"))}
    if spec["form"] == "repeat":
        spec |= {"word": rng.choice(WORDS), "times": rng.randint(low, high)}
    else:
        words = rng.sample(WORDS, given)
        number = rng.randint(2, choose)
        forbidden = rng.sample(words, rng.randint(1, given - number))
        spec |= {"words": words, "number": number, "forbidden": forbidden}
    values = {"separator": tuple(SEPARATORS), "case": ("upper", "lower"), "start": STARTS, "end": ENDS}
    for rule in rng.sample(RULES, rng.randint(min(extras, 1), min(extras, len(RULES)))):
        spec[rule] = rng.choice(values[rule]) if rule in values else True
    gold = {"spec": spec, **_instructions(spec)}
    return content(gold), _prompt(spec), gold


def _prompt(spec: Spec) -> str:
    if spec["form"] == "repeat":
        lines = [f"Write the word {spec['word']} exactly {spec['times']} times."]
    else:
        lines = [f"Write exactly {spec['number']} of these words, each of them once: {' '.join(spec['words'])}."]
        lines += [f"Do not use the word {word}." for word in spec["forbidden"]]
    said = [(_TEXTS.get(rule) or _TEXTS[spec[rule]]).format(spec[rule]) for rule in RULES if rule in spec]
    return " ".join([*lines, *said])


def _instructions(spec: Spec) -> Gold:
    if spec["form"] == "repeat":
        words, times = [spec["word"]], spec["times"]
        frequency = {"keyword": spec["word"], "frequency": times, "relation": "at least"}
        less = {"keyword": spec["word"], "frequency": times + 1, "relation": "less than"}
        rows: list[tuple[str, Gold]] = [("keywords:frequency", frequency), ("keywords:frequency", less)]
    else:
        words = [word for word in spec["words"] if word not in spec["forbidden"]]
        rows = [("mini_rules:choose", {"words": words, "number": spec["number"]})]
        rows.append(("keywords:forbidden_words", {"forbidden_words": sorted(spec["forbidden"])}))
    known = sorted([*words, *(spec[key] for key in ("start", "end") if key in spec)])
    rows.append(("mini_rules:words_only", {"words": known}))
    if spec.get("separator") == "space":
        rows.append(("punctuation:no_comma", {}))
    elif "separator" in spec:
        rows.append(("mini_rules:separator", {"mark": SEPARATORS[spec["separator"]].strip()}))
    others = {"case": ("mini_rules:case", "case"), "start": ("mini_rules:start", "word"),
              "end": ("startend:end_checker", "end_phrase")}  # fmt: skip
    rows += [(name, {argument: spec[rule]}) for rule, (name, argument) in others.items() if rule in spec]
    rows += [("startend:quotation", {})] if "quotes" in spec else []
    return {"instruction_id_list": [name for name, _ in rows], "kwargs": [kwargs for _, kwargs in rows]}


def write(spec: Spec, words: list[str]) -> str:
    """The answer text for these body words under the rules of ``spec``."""
    parts = [word for word in (spec.get("start"), *words, spec.get("end")) if word]
    text = (SEPARATORS[spec.get("separator", "space")] + " ").join(parts)
    text = text.upper() if spec.get("case") == "upper" else text
    return f'"{text}"' if "quotes" in spec else text


def plan(gold: Gold) -> str:
    spec = gold["spec"]
    if spec["form"] == "repeat":
        parts = [f"{spec['word']} {spec['times']} times."]
    else:
        parts = [f"{spec['number']} of {' '.join(spec['words'])}.", f"not {' '.join(spec['forbidden'])}."]
    parts += [f"{key} {spec[key]}." for key in ("separator", "case", "start", "end") if key in spec]
    return " ".join([*parts, *(["quotes."] if "quotes" in spec else [])])


def attempt(gold: Gold, rng: random.Random, fault: bool, detour: float) -> tuple[str, str, str, bool]:
    spec = gold["spec"]
    if spec["form"] == "repeat":
        number = spec["times"] + (rng.choice((-2, -1, 1, 2)) if fault else 0)
        words = [spec["word"]] * max(1, number)
        finding = f"{len(words)} of {spec['times']}."
    else:
        allowed = [word for word in spec["words"] if word not in spec["forbidden"]]
        chosen = set(rng.sample(allowed, spec["number"]))
        if fault:
            chosen.remove(rng.choice(sorted(chosen)))
            chosen |= {rng.choice(spec["forbidden"])} if rng.random() < 0.6 else set()
        words = [word for word in spec["words"] if word in chosen]
        finding = f"{sum(word in allowed for word in words)} of {spec['number']}."
    text = " ".join(f"{index} {word}" for index, word in enumerate(words, 1)) or "no words"
    careless = fault and rng.random() < 0.3  # then some of the rules are forgotten
    forgotten = {key for key in RULES if careless and key in spec and rng.random() < 0.5}
    answer = write({key: value for key, value in spec.items() if key not in forgotten}, words)
    return f"{text}.", answer, finding, not fault
