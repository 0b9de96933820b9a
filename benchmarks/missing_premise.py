"""Does the reader of abstentions agree with published judgements of published answers?

Reads ``response/SET/HALF/MODEL/response.json`` of MiP-Overthinking (github.com/tianyi-lab/MiP-Overthinking, arXiv
2504.06514; a checkout, or the folder ``response`` of one) and takes the rows whose ``eval_result`` is published:
0 where GPT-4o judged that the answer says the question's conditions are insufficient, 1 or 2 where it gives an answer.
GPT-4o saw the last two paragraphs of each. Prints, for each set and half, how often ``premise`` agrees, Cohen's kappa,
and both rates of abstention; then rates of all models and sets, judged or not.

    python benchmarks/missing_premise.py CHECKOUT [--show 20] [--json] [--quick]

Without a ``</think>`` in a response, all of it is read as the answer. ``formula`` asks for the value of an expression
with free symbols; an answer in these symbols is neither a number nor an abstention here.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness.grading.grade import Grader

# Whose reader finds definite answers; of a question without its premise no gold answer is needed.
FAMILIES = {"math": "math", "formula": "math"}


class Judged(NamedTuple):
    set: str
    half: str
    model: str
    question: str
    text: str
    published: bool | None  # whether it abstains; None: no judgement was published


def responses(folder: Path) -> Iterator[Judged]:
    for file in sorted(folder.glob("**/response.json")):
        name, half, model = file.parts[-4:-1]
        for row in json.loads(file.read_text(encoding="utf-8")):
            text = next((v for k, v in row.items() if k == "model_answer" or k.endswith("question)")), None)
            verdict = {0: True, 1: False, 2: False}.get(row.get("eval_result"))
            if isinstance(text, str):
                asked = row.get("insufficient_question") or row.get("question") or row.get("problem") or ""
                yield Judged(name, half, model, asked, text, verdict)


def kappa(counts: Counter[tuple[bool, bool]]) -> float:
    """Cohen's kappa of (ours, published): agreement beyond what the two rates alone would give."""
    n = counts.total()
    seen = (counts[True, True] + counts[False, False]) / n
    ours, theirs = ((sum(v for k, v in counts.items() if k[side]) / n) for side in (0, 1))
    chance = ours * theirs + (1 - ours) * (1 - theirs)
    return (seen - chance) / (1 - chance) if chance < 1 else 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--show", type=int, default=0, metavar="N", help="the first N disagreements of each set")
    parser.add_argument("--only", default="", help="a set, or a set and half: svamp/MiP")
    parser.add_argument("--quick", action="store_true", help="every tenth response")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    counts: dict[str, Counter[tuple[bool, bool]]] = {}
    rates: dict[str, list[bool]] = {}
    with Grader(workers=1) as grader:
        rows = [row for row in responses(options.folder) if f"{row.set}/{row.half}".startswith(options.only)]
        for row in rows[:: 10 if options.quick else 1]:
            gold = {"half": "missing", "family": FAMILIES.get(row.set, "number")}
            ours = grader.grade("premise", gold, row.text).correct
            rates.setdefault(f"{row.set}/{row.half}/{row.model}", []).append(ours)
            if row.published is None:
                continue
            count = counts.setdefault(f"{row.set}/{row.half}", Counter())
            count[ours, row.published] += 1
            if ours != row.published and count[True, False] + count[False, True] <= options.show:
                print(f"## {row.set}/{row.half}/{row.model}: published {row.published}, here {ours}")
                print(f"   {row.question[-300:]}\n   {' / '.join(row.text[-700:].split(chr(10)))}")
    figures = {
        name: {"n": c.total(), "agree": (c[True, True] + c[False, False]) / c.total(), "kappa": kappa(c),
               "abstained_here": (c[True, True] + c[True, False]) / c.total(),
               "abstained_published": (c[True, True] + c[False, True]) / c.total(),
               "only_here": c[True, False], "only_published": c[False, True]}
        for name, c in counts.items()
    }  # fmt: skip
    told = sum((c for name, c in counts.items() if not name.startswith("formula")), Counter[tuple[bool, bool]]())
    every = {"agreement": (told[True, True] + told[False, False]) / max(told.total(), 1), "judged": told.total(),
             "kappa": kappa(told) if told else None}  # fmt: skip
    if options.json:
        shares = {name: sum(ours) / len(ours) for name, ours in rates.items()}
        print(json.dumps(every | {"sets": figures, "abstention": shares}, indent=1))
        return
    for name, f in figures.items():
        ours, theirs = 100 * f["abstained_here"], 100 * f["abstained_published"]
        print(
            f"{name}: {100 * f['agree']:.1f} % of {f['n']}, kappa {f['kappa']:.2f}; abstained {ours:.1f} % here, "
            f"{theirs:.1f} % published; only here {f['only_here']}, only published {f['only_published']}"
        )
    print(f"all but formula: {100 * every['agreement']:.1f} % of {every['judged']}, kappa {every['kappa'] or 0:.2f}")


if __name__ == "__main__":
    main()
