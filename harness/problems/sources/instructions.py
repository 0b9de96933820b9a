"""Writing tasks under instructions that can be checked: IFEval's 25 kinds (arXiv 2311.07911), drawn and worded anew.

Each comes with an answer that follows all of its instructions: bare, but right by our grader, so none asks for what
cannot be. As in IFEval, most have one instruction and few have three.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from itertools import count, cycle, islice

from harness.problems.sources import phrases
from harness.records import Gold, Problem

NUMBERS = {1: 0.56, 2: 0.33, 3: 0.11}  # of instructions: IFEval's shares

_RARE = "jqxz"  # letters of no phrase that an answer is made of
_OFTEN = "abcdefghiklmnoprstuvwy"
_AT_LEAST, _LESS = "at least", "less than"

# Kinds that go with few others.
_ONLY = {
    "language:response_language": {"punctuation:no_comma", "startend:quotation"},
    "detectable_format:constrained_response": {"startend:quotation"},
    "detectable_format:json_format": {"keywords:existence", "keywords:frequency", "keywords:forbidden_words"},
    "combination:two_responses": {
        "keywords:existence", "keywords:forbidden_words", "detectable_format:title", "punctuation:no_comma",
    },
    "combination:repeat_prompt": {"keywords:existence", "detectable_format:title", "startend:end_checker"},
}  # fmt: skip
# Kinds of which an answer can follow one.
_APART = (
    {"change_case:english_capital", "change_case:english_lowercase", "change_case:capital_word_frequency"},
    {"change_case:english_capital", "detectable_format:multiple_sections"},
    {"change_case:english_lowercase", "detectable_format:multiple_sections"},
    {"change_case:english_capital", "length_constraints:number_sentences"},
    {"change_case:english_lowercase", "length_constraints:number_sentences"},
    {"length_constraints:number_paragraphs", "length_constraints:nth_paragraph_first_word",
     "length_constraints:number_sentences"},
    {"detectable_format:multiple_sections", "length_constraints:number_sentences"},
)  # fmt: skip

Draw = Callable[[random.Random, list[str]], Gold]


def _bound(name: str, low: int, high: int, relation: str = "relation", step: int = 1) -> Draw:
    """A number in [low, high] under ``name``, as least or as bound."""
    return lambda rng, pool: {
        name: rng.randrange(low, high + 1, step), relation: rng.choice((_AT_LEAST, _LESS)),
    }  # fmt: skip


def _letter(rng: random.Random, pool: list[str]) -> Gold:
    relation = rng.choice((_AT_LEAST, _LESS))
    letter = rng.choice(_RARE if relation == _LESS else _OFTEN)
    return {"letter": letter, "let_frequency": rng.randint(2, 10), "let_relation": relation}


def _paragraph(rng: random.Random, pool: list[str]) -> Gold:
    number = rng.randint(2, 5)
    return {"num_paragraphs": number, "nth_paragraph": rng.randint(1, number), "first_word": pool.pop()}


def _some(name: str) -> Draw:
    return lambda rng, pool: {name: sorted(pool.pop() for _ in range(rng.randint(1, 3)))}


def _one(name: str, low: int, high: int) -> Draw:
    return lambda rng, pool: {name: rng.randint(low, high)}


_NONE: Draw = lambda rng, pool: {}  # noqa: E731 - stands among its like
KINDS: dict[str, Draw] = {
    "change_case:capital_word_frequency": _bound("capital_frequency", 3, 9, "capital_relation"),
    "change_case:english_capital": _NONE,
    "change_case:english_lowercase": _NONE,
    "combination:repeat_prompt": _NONE,
    "combination:two_responses": _NONE,
    "detectable_content:number_placeholders": _one("num_placeholders", 2, 6),
    "detectable_content:postscript": lambda rng, pool: {"postscript_marker": rng.choice(("P.S.", "P.P.S"))},
    "detectable_format:constrained_response": _NONE,
    "detectable_format:json_format": _NONE,
    "detectable_format:multiple_sections": lambda rng, pool: {
        "section_spliter": "Section", "num_sections": rng.randint(2, 5),
    },
    "detectable_format:number_bullet_lists": _one("num_bullets", 2, 7),
    "detectable_format:number_highlighted_sections": _one("num_highlights", 2, 6),
    "detectable_format:title": _NONE,
    "keywords:existence": _some("keywords"),
    "keywords:forbidden_words": _some("forbidden_words"),
    "keywords:frequency": lambda rng, pool: {"keyword": pool.pop(), **_bound("frequency", 2, 6)(rng, pool)},
    "keywords:letter_frequency": _letter,
    "language:response_language": lambda rng, pool: {"language": rng.choice(sorted(phrases.LANGUAGES))},
    "length_constraints:nth_paragraph_first_word": _paragraph,
    "length_constraints:number_paragraphs": _one("num_paragraphs", 2, 6),
    "length_constraints:number_sentences": _bound("num_sentences", 6, 10),
    "length_constraints:number_words": _bound("num_words", 120, 400, step=10),
    "punctuation:no_comma": _NONE,
    "startend:end_checker": lambda rng, pool: {"end_phrase": rng.choice(phrases.ENDINGS)},
    "startend:quotation": _NONE,
}  # fmt: skip


def drawn(seed: int) -> Iterator[Problem]:
    """Endless problems."""
    for number in count():
        rng = random.Random(f"instructions/{seed}/{number}")
        pool = rng.sample(phrases.KEYWORDS, len(phrases.KEYWORDS))
        given = {kind: KINDS[kind](rng, pool) for kind in _kinds(rng)}
        asked = [_question(rng) if "detectable_format:constrained_response" in given else _base(rng)]
        asked += [_worded(rng, kind, values) for kind, values in given.items() if kind != "combination:repeat_prompt"]
        prompt = " ".join(asked)
        if "combination:repeat_prompt" in given:
            given["combination:repeat_prompt"] = {"prompt_to_repeat": prompt}
            prompt += " " + _worded(rng, "combination:repeat_prompt", {})
        gold = {
            "instruction_id_list": list(given), "kwargs": list(given.values()), "prompt": prompt, "rule": "strict",
            "reference": answer(given),
        }  # fmt: skip
        yield Problem(
            id=f"instructions-{seed}-{number:05d}", family="ifeval", prompt=prompt, gold=gold, level=len(given),
            split="search",
        )  # fmt: skip


def _kinds(rng: random.Random) -> list[str]:
    """Kinds that one answer can follow together."""
    number = rng.choices(list(NUMBERS), list(NUMBERS.values()))[0]
    while True:
        kinds = rng.sample(list(KINDS), number)
        pairs = [(a, b) for a in kinds for b in kinds if a != b]
        alone = any(a in _ONLY and b not in _ONLY[a] for a, b in pairs)
        if not alone and not any({a, b} <= apart for a, b in pairs for apart in _APART):
            return kinds


def _base(rng: random.Random) -> str:
    return f"Write {rng.choice(phrases.FORMS)} about {rng.choice(phrases.TOPICS)} {rng.choice(phrases.READERS)}."


def _question(rng: random.Random) -> str:
    return rng.choice(phrases.QUESTIONS).format(rng.choice(phrases.TOPICS))


def _worded(rng: random.Random, kind: str, values: Gold) -> str:
    shown = {
        name: " and ".join(map(str, value)) if isinstance(value, list) else value for name, value in values.items()
    }
    if "language" in shown:
        shown["language"] = phrases.LANGUAGES[shown["language"]][0]
    return rng.choice(phrases.TEXTS[kind]).format(**shown)


# --- an answer that follows its instructions --------------------------------------------------------------------------


def answer(given: dict[str, Gold]) -> str:
    """An answer that follows all of these instructions (kind: arguments)."""
    if "language:response_language" in given:
        text = phrases.LANGUAGES[given["language:response_language"]["language"]][1]
    elif "detectable_format:constrained_response" in given:
        text = "My answer is yes."
    else:
        text = _written(given)
    if "detectable_format:json_format" in given:
        text = json.dumps({"answer": text}, ensure_ascii=False)
    if "change_case:english_capital" in given:
        text = text.upper()
    if "change_case:english_lowercase" in given:
        text = text.lower()
    return f'"{text}"' if "startend:quotation" in given else text


def _written(given: dict[str, Gold]) -> str:
    def at_least(kind: str, name: str, relation: str = "relation") -> int:
        """The number that an instruction asks for at least; 0 where it does not."""
        values = given.get(kind, {})
        return int(values[name]) if values.get(relation, _AT_LEAST) == _AT_LEAST and name in values else 0

    case = any(kind.startswith("change_case:english") for kind in given)  # a guesser of languages needs some text
    filler = cycle(phrases.FILLER)
    parts = list(
        islice(filler, max(4 if case else 1, at_least("length_constraints:number_sentences", "num_sentences")))
    )
    lists = [
        ("names", given.get("keywords:existence", {}).get("keywords", [])),
        ("says", [given.get("keywords:frequency", {}).get("keyword")] * at_least("keywords:frequency", "frequency")),
        ("spells", [given.get("keywords:letter_frequency", {}).get("letter")]
         * at_least("keywords:letter_frequency", "let_frequency", "let_relation")),
        ("stresses", ["NOTE"]
         * at_least("change_case:capital_word_frequency", "capital_frequency", "capital_relation")),
        ("marks", ["*part*"] * at_least("detectable_format:number_highlighted_sections", "num_highlights")),
        ("asks for", ["[name]"] * at_least("detectable_content:number_placeholders", "num_placeholders")),
    ]  # fmt: skip
    parts += [f"It {verb} {' '.join(items)}." for verb, items in lists if items]
    wanted = at_least("length_constraints:number_words", "num_words")
    while wanted and len(" ".join(parts).split()) < wanted:
        parts.append(next(filler))
    lines = ["<<What was asked for>>"] if "detectable_format:title" in given else []
    lines.append(" ".join(parts))
    sections = at_least("detectable_format:multiple_sections", "num_sections")
    lines += [f"Section {number}\n{next(filler)}" for number in range(1, sections + 1)]
    lines += ["- One more point"] * at_least("detectable_format:number_bullet_lists", "num_bullets")
    text = "\n".join(lines)
    if values := given.get("length_constraints:nth_paragraph_first_word"):
        rest = [next(filler) for _ in range(values["num_paragraphs"] - 1)]
        paragraphs = [text, *rest]
        place = values["nth_paragraph"] - 1
        paragraphs[place] = f"{values['first_word']} {paragraphs[place]}"
        text = "\n\n".join(paragraphs)
    if number := at_least("length_constraints:number_paragraphs", "num_paragraphs"):
        text = "\n***\n".join([text, *(next(filler) for _ in range(number - 1))])
    if "combination:two_responses" in given:
        text += "\n******\nHere is another one."
    if values := given.get("detectable_content:postscript"):
        text += f"\n{values['postscript_marker']} There is one more thing."
    if values := given.get("startend:end_checker"):
        text += f"\n{values['end_phrase']}"
    repeated = given.get("combination:repeat_prompt", {}).get("prompt_to_repeat")
    return f"{repeated}\n{text}" if repeated else text
