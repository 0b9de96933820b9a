"""The data card of an export: what is in it, by which rules, from which search, and how long its chains are."""

from __future__ import annotations

import json
from typing import Any

from harness.search.store import Settings

_HEAD = """---
configs:
- config_name: sft
  data_files: sft.parquet
- config_name: pairs
  data_files: pairs.parquet
---
"""


_PAIRS = """- config_name: pairs
  data_files: pairs.parquet
"""


def card(figures: dict[str, Any], settings: Settings, lengths: dict[str, dict[str, list[int]]]) -> str:
    """README.md of a data set; its header makes ``datasets.load_dataset(FOLDER, "sft")`` work."""
    rules, search = figures["rules"], figures["search"]
    head = _HEAD if figures["pairs"]["rows"] else _HEAD.replace(_PAIRS, "")
    lines = [
        head + "# Chains of thought from tree search",
        "",
        "| configuration | format of TRL | rows | tokens: shortest, median, longest |",
        "| --- | --- | --- | --- |",
        f"| sft | prompt-completion | {_sizes(figures['sft'])} |",
        f"| pairs | preference | {_sizes(figures['pairs'])} (chosen), {_range(figures['rejected'])} (rejected) |",
        "",
        "## Rules",
        "",
        f"- SFT: the {rules['sft']} correct chain of a problem, {rules['per_problem']} at most.",
        f"- Pairs: the {rules['chosen']} correct chain against the wrong one with the {rules['prefix']} common prefix, "
        f"{rules['per_problem']} at most of a problem; `fork` is the length of the prefix in tokens.",
        f"- Token ids (`*_ids`) are those of `{figures['tokenizer']}`; completions begin with the thinking's opening.",
        "- Lengths are relative to the problem's own tree (arXiv 2503.01461, section 3).",
        "- Nodes cut by a limit, left open or with a foreign tag are on no chain; equal chains count once.",
        *[f"- Left out: {number:,} {text}." for text, number in figures["left_out"].items()],
        "",
        "## Search",
        "",
        f"- {search['problems']:,} problems; {100 * search['with_correct']:.1f} % with a correct chain, "
        f"{100 * search['with_both']:.1f} % with both.",
        f"- Policy {settings.policy}, grammar {settings.grammar.name}, seed {settings.seed}; "
        + "; ".join(f"{role}: `{name}`" for role, name in settings.models.items())
        + ".",
        f"- Generated tokens: {sum(search['tokens'].values()):,}; reflections {search['reflections']:,}, followed "
        f"{search['reflections_followed']:,}.",
        "- Texts are those of the models. A chain is called correct because its final answer is; its thoughts were not "
        "verified.",
        "",
        "## Lengths of correct chains, in tokens",
        "",
    ]
    for family, by_rule in lengths.items():
        lines += [f"### {family}", "", "```", *histogram(by_rule), "```", ""]
    lines += ["## Settings", "", "```json", json.dumps(settings.dump(), indent=1), "```", ""]
    return "\n".join(lines)


def _sizes(each: dict[str, int]) -> str:
    return f"{each['rows']:,} | {_range(each)}"


def _range(each: dict[str, int]) -> str:
    return f"{each['shortest']:,}, {each['median']:,}, {each['longest']:,}"


def histogram(by_rule: dict[str, list[int]], bins: int = 12, width: int = 14) -> list[str]:
    """Bars of three length rules side by side, one line for each bin of equal width."""
    values = [value for each in by_rule.values() for value in each]
    low, high = min(values), max(values)
    step = max(1, -(-(high - low + 1) // bins))
    edges = list(range(low, high + 1, step))
    counts = {rule: [sum(edge <= v < edge + step for v in each) for edge in edges] for rule, each in by_rule.items()}
    top = max(max(each) for each in counts.values())
    head = f"{'tokens':>11}  " + "".join(f"{rule:<{width + 6}}" for rule in by_rule)
    lines = [head.rstrip()]
    for i, edge in enumerate(edges):
        bars = ("█" * round(width * each[i] / top) + f" {each[i]}" * (each[i] > 0) for each in counts.values())
        lines.append(f"{edge:>5}-{edge + step - 1:<5}  {''.join(f'{bar:<{width + 6}}' for bar in bars)}".rstrip())
    return lines
