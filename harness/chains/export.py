"""Training data from a search: SFT rows and preference pairs that TRL takes as they are, with a data card.

``sft`` has TRL's prompt-completion format, ``pairs`` its preference format, both conversational; beside them stand the
same as token ids of the model to be trained, where a chain forks from its pair, and where it came from.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.chains.card import card
from harness.chains.extract import chains_of
from harness.chains.select import LengthRule, PrefixRule, by_problem, pairs, pick, sft_chains
from harness.errors import NothingToExport
from harness.journal import write_rows, write_whole
from harness.models.prompts import chain_prompt_ids
from harness.records import Chain, Pair
from harness.search.stats import Stats
from harness.search.store import Settings, folded, folders, settings_of


@dataclass(frozen=True)
class Rules:
    """Which chains become data. ``max_tokens``: longer chains are left out (0: none), and counted."""

    sft: LengthRule = "longest"
    chosen: LengthRule = "shortest"
    prefix: PrefixRule = "shortest"
    per_problem: int = 1
    min_distance: float = 0.0
    max_tokens: int = 0
    seed: int = 0


def export_data(search: Path, out: Path, tokenizer: Any, rules: Rules, tokenizer_name: str = "") -> dict[str, Any]:
    """Write ``sft``, ``pairs`` (JSONL and Parquet), the card and a plot of lengths into ``out``; returns figures.

    Raises NothingToExport without any correct chain, FileNotFoundError without a search, FileExistsError where the
    folder is a search's own or has a README.md of another kind.
    """
    card_file = out / "README.md"
    if (out / "search.json").exists():
        raise FileExistsError(f"{out}: holds a search; give the data a folder of its own")
    if card_file.exists() and "sft.parquet" not in card_file.read_text(errors="replace"):
        raise FileExistsError(f"{card_file}: is there already, and is no data card; give the data a folder of its own")
    chains, prompts, stats, settings = _gather(search, tokenizer)
    left_out: Counter[str] = Counter()
    if rules.max_tokens:
        kept = [chain for chain in chains if chain.length <= rules.max_tokens]
        left_out[f"chains of more than {rules.max_tokens:,} tokens"] = len(chains) - len(kept)
        chains = kept
    right = sft_chains(chains, rules.sft, rules.per_problem, rules.seed)
    if not right:
        within = f" of at most {rules.max_tokens:,} tokens" if rules.max_tokens else ""
        raise NothingToExport(f"{search}: no problem has a correct chain{within}, so there is nothing to train on")
    found = pairs(chains, rules.chosen, rules.prefix, rules.per_problem, rules.seed, rules.min_distance)
    with_both = sum(len({c.correct for c in group}) == 2 for group in by_problem(chains))
    left_out["problems without a correct chain"] = len(prompts) - len({c.problem_id for c in right})
    left_out["problems with a correct but no wrong chain (no pair)"] = len({c.problem_id for c in right}) - with_both
    left_out |= Counter({f"nodes never on a chain: {why}": n for why, n in stats.figures()["discarded"].items()})
    by_node = {(chain.problem_id, chain.node): chain for chain in chains}
    _write(out, "sft", (_sft_row(chain, prompts[chain.problem_id]) for chain in right))
    _write(out, "pairs", (_pair_row(pair, prompts[pair.problem_id], by_node) for pair in found))
    lengths = histogram_lengths(chains)
    figures = {
        "sft": _sizes([chain.length for chain in right]),
        "pairs": _sizes([len(pair.chosen_ids) for pair in found]),
        "rejected": _sizes([len(pair.rejected_ids) for pair in found]),
        "left_out": {text: number for text, number in left_out.items() if number},
        "rules": asdict(rules),
        "tokenizer": tokenizer_name,
        "search": stats.figures(),
    }
    write_whole(card_file, card(figures, settings, lengths))
    _plot(lengths, out / "lengths.png")
    return figures


def _gather(search: Path, tokenizer: Any) -> tuple[list[Chain], dict[str, str], Stats, Settings]:
    chains: list[Chain] = []
    prompts: dict[str, str] = {}
    stats = Stats()
    for stored, tree, _ in folded(search):
        problem = stored.problem
        prompts[problem.id] = problem.prompt
        chains += chains_of(tree, problem, chain_prompt_ids(tokenizer, problem.prompt), tokenizer)
        stats.add(problem, tree, stored.rows, stored.why)
    return chains, prompts, stats, settings_of(folders(search)[0])


def _sft_row(chain: Chain, prompt: str) -> dict[str, Any]:
    return {
        "prompt": [{"role": "user", "content": prompt}],
        "completion": [{"role": "assistant", "content": chain.text}],
        "prompt_ids": chain.prompt_ids,
        "completion_ids": chain.token_ids,
        "problem_id": chain.problem_id,
        "family": chain.family,
        "tokens": chain.length,
        "rank": chain.rank,
        "kinds": chain.kinds,
        "writers": chain.writers,
        "node": chain.node,
    }


def _pair_row(pair: Pair, prompt: str, chains: dict[tuple[str, str], Chain]) -> dict[str, Any]:
    texts = {side: chains[pair.problem_id, getattr(pair, f"{side}_node")].text for side in ("chosen", "rejected")}
    return {
        "prompt": [{"role": "user", "content": prompt}],
        "chosen": [{"role": "assistant", "content": texts["chosen"]}],
        "rejected": [{"role": "assistant", "content": texts["rejected"]}],
        "prompt_ids": pair.prompt_ids,
        "chosen_ids": pair.chosen_ids,
        "rejected_ids": pair.rejected_ids,
        "fork": pair.fork,
        "problem_id": pair.problem_id,
        "family": pair.family,
        "chosen_node": pair.chosen_node,
        "rejected_node": pair.rejected_node,
    }


def _write(out: Path, name: str, rows: Iterable[dict[str, Any]]) -> None:
    """The rows as JSONL and the same as Parquet, each whole or not at all."""
    import pyarrow
    import pyarrow.parquet

    written = list(rows)
    write_rows(out / f"{name}.jsonl", written)
    if not written:  # a table without rows has no columns, and nothing loads it
        (out / f"{name}.parquet").unlink(missing_ok=True)
        return
    aside = out / f".{name}.parquet.tmp"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(written), aside)
    aside.replace(out / f"{name}.parquet")


def _sizes(lengths: list[int]) -> dict[str, int]:
    if not lengths:
        return {"rows": 0, "shortest": 0, "median": 0, "longest": 0}
    middle = round(statistics.median(lengths))
    return {"rows": len(lengths), "shortest": min(lengths), "median": middle, "longest": max(lengths)}


def histogram_lengths(chains: Iterable[Chain]) -> dict[str, dict[str, list[int]]]:
    """By family: tokens of each problem's shortest, medium and longest correct chain (arXiv 2503.01461, Figure 3)."""
    import random

    rules: tuple[LengthRule, ...] = ("shortest", "medium", "longest")
    out: dict[str, dict[str, list[int]]] = {}
    for group in _right(chains):
        each = out.setdefault(group[0].family, {rule: [] for rule in rules})
        for rule in rules:
            each[rule] += [chain.length for chain in pick(group, rule, 1, random.Random(0))]
    return dict(sorted(out.items()))


def _right(chains: Iterable[Chain]) -> Iterator[list[Chain]]:
    for group in by_problem(chains):
        if right := [chain for chain in group if chain.correct]:
            yield right


def _plot(lengths: dict[str, dict[str, list[int]]], file: Path) -> None:
    """The histograms as a picture, where matplotlib is installed (the extra 'view'); the card has them as text."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(lengths), 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    for number, (family, rules) in enumerate(lengths.items(), 1):
        axes = figure.add_subplot(1, len(lengths), number)
        top = max(max(values) for values in rules.values())
        for rule, colour in (("shortest", "tab:blue"), ("medium", "tab:green"), ("longest", "tab:red")):
            axes.hist(rules[rule], bins=30, range=(0, top), alpha=0.35, color=colour, label=rule)
        axes.set(title=family, xlabel="tokens of a chain", ylabel="problems")
        axes.legend(frameon=False)
    figure.savefig(str(file), dpi=120)
