"""The ``translation`` grader: sacreBLEU's chrF and BLEU against the references; right is a chrF from a bound on.

In workers alone. The figures of a row are those of its whole corpus, from the counts that each sample keeps: a sample
without an answer counts as an empty translation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from harness.grading.messages import Gold, Judgement

AT_LEAST = 50.0  # chrF of a translation that counts as right, where a gold answer says no other
TOKENIZERS = ("13a", "intl", "zh", "char", "none")  # of BLEU: those that need no further package
LONGEST = 20_000  # characters of a translation


@cache
def _metrics(tokenize: str = "13a") -> tuple[Any, Any]:
    """chrF and BLEU."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    return CHRF(), BLEU(tokenize=tokenize)


def check(gold: Gold, answer: str, cut: bool) -> Judgement:
    """The judgement of a visible answer, all of which is the translation; of one that was cut: of none."""
    text, at_least = "" if cut else " ".join(answer[:LONGEST].split()), float(gold.get("at_least", AT_LEAST))
    given, metrics = gold["reference"], _metrics(gold.get("tokenize", "13a"))
    wanted = [[" ".join(each.split())] for each in ([given] if isinstance(given, str) else given)]
    counts = [metric._extract_corpus_statistics([text], wanted)[0] for metric in metrics]
    score = float(metrics[0]._compute_score_from_stats(counts[0]).score)
    details = {"chrf": round(score, 2), "counts": counts}
    if not text:
        return Judgement("no_answer", "the answer is empty", details=details)
    reason = f"chrF {score:.1f}, {'at least' if score >= at_least else 'below'} {at_least:g}"
    return Judgement("correct" if score >= at_least else "wrong", reason, text[:100], details)


def corpus(details: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """chrF and BLEU (0 to 100) of all samples together, from the details of their verdicts."""
    summed = [[sum(of) for of in zip(*(each["counts"][i] for each in details), strict=True)] for i in (0, 1)]
    scores = (metric._compute_score_from_stats(of).score for metric, of in zip(_metrics(), summed, strict=True))
    return dict(zip(("chrf", "bleu"), map(float, scores), strict=True))
