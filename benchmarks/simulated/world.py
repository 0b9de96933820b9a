"""What the simulated models write: texts and answers as a function of the path, the seed and a preset.

Each problem has a chance p of a right answer, drawn from a Beta distribution. Every thought moves the log-odds of the
answers below it up or down by an amount that hangs on its text, so siblings with one text behave alike; a reflection
moves them up. Presets say by how much, so that policy can matter, or cannot.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

# Each is one token of the shipped tokenizer, so that words and tokens are the same.
WORDS = (
    "the", "a", "now", "one", "and", "there", "words", "cards", "times", "check", "again", "have", "red", "done", "no",
    "start", "blue", "small", "let", "way", "is", "wrong", "use", "of", "finish", "any", "has", "tree", "another",
    "case", "mistake", "should", "white", "whole", "in", "away", "from", "only", "sea", "verify", "sun", "word",
)  # fmt: skip


@dataclass(frozen=True)
class Preset:
    """``beta``: parameters of p, a mixture of equal parts; ``thought``, ``reflection``: shifts of the log-odds."""

    about: str
    beta: tuple[tuple[float, float], ...]
    thought: float
    reflection: float


PRESETS = {
    "independent": Preset("answers do not depend on the path", ((1.2, 6.0),), 0.0, 0.0),
    "reflection": Preset("a reflection after an error helps", ((1.0, 9.0),), 0.4, 1.6),
    "mixture": Preset("half the problems easy, half hard", ((6.0, 3.0), (1.0, 15.0)), 0.4, 0.8),
}

# Mean tokens of a text; a third of the spread is within one kind.
TOKENS = {"answer": 40, "reflection": 50}
DEFAULT_TOKENS = 110


@dataclass(frozen=True)
class Text:
    """``tokens``: the words of ``text``, cut at the request's limit if ``cut``."""

    text: str
    tokens: int
    cut: bool = False


def unit(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


@dataclass(frozen=True)
class World:
    preset: Preset
    seed: int = 0

    def question(self, number: int) -> str:
        return f"Problem #{number}: how many blocks are there?"

    def gold(self, number: int) -> int:
        return 10 + int(unit(self.seed, "gold", number) * 80)

    def chance(self, number: int, spans: Sequence[tuple[str, str]]) -> float:
        """How likely an answer after these thoughts is right."""
        rng = random.Random(f"{self.seed}/{number}/difficulty")
        p = min(0.99, max(0.005, rng.betavariate(*rng.choice(self.preset.beta))))
        odds = math.log(p / (1 - p))
        for kind, text in spans:
            if kind == "reflection":
                continue
            odds += self.preset.thought * (1 if unit(self.seed, number, text) < 0.5 else -1) * (kind != "answer")
        odds += self.preset.reflection * min(2, sum(kind == "reflection" for kind, _ in spans))
        return 1 / (1 + math.exp(-odds))

    def write(
        self, number: int, spans: Sequence[tuple[str, str]], kind: str, prefill: str, seed: object, limit: int
    ) -> Text:
        """The continuation of ``prefill`` in a thought of ``kind`` after ``spans``."""
        path = hashlib.blake2b(repr((list(spans), kind, prefill)).encode(), digest_size=8).hexdigest()
        rng = random.Random(f"{self.seed}/{number}/{path}/{seed}")
        if kind == "answer":
            right = rng.random() < self.chance(number, spans)
            gold = self.gold(number)
            said = gold if right else gold + 1 + rng.randrange(6)
            words = [*rng.choices(WORDS, k=24), "it", "is", f"\\boxed{{{said}}}."]
            return Text(" " + " ".join(words), 36)
        if rng.random() < 0.12:  # one of a few texts that come again and again
            rng = random.Random(f"{self.seed}/{number}/{path}/{rng.randrange(3)}")
        mean = TOKENS.get(kind, DEFAULT_TOKENS)
        tokens = max(8, int(rng.lognormvariate(math.log(mean) - 0.125, 0.5)))
        words = rng.choices(WORDS, k=min(tokens, limit))
        return Text(" " + " ".join(words), min(tokens, limit), tokens >= limit)


_OPEN = re.compile(
    r"<(sub-task|thinking|hypothesis|double-check|reflection|reclarify|thinking[_-]from[_-]scratch|answer)>"
)


def read_prompt(text: str) -> tuple[int, list[tuple[str, str]], str, str]:
    """(problem number, finished thoughts, open kind, its beginning) of a prompt in our format or the original's.

    Raises ValueError for a prompt that opens no thought.
    """
    match = re.search(r"Problem #(\d+):", text)
    if match is None:
        raise ValueError("the prompt holds no problem")
    rest = text[match.end() :]
    at = rest.find("<think>")
    rest = rest[at + len("<think>") :] if at >= 0 else rest
    spans: list[tuple[str, str]] = []
    while True:
        found = _OPEN.search(rest)
        end = rest.find("</think>")
        if end >= 0 and (found is None or end < found.start()):
            return int(match[1]), spans, "answer", rest[end + len("</think>") :]
        if found is None:
            raise ValueError("the prompt opens no thought")
        kind, rest = found[1], rest[found.end() :]
        text, closed, rest = rest.partition(f"</{kind}>")
        if not closed:
            return int(match[1]), spans, kind.replace("_", "-"), text
        spans.append((kind.replace("_", "-"), text))
