"""Training data from a search: SFT rows, preference pairs and all verified chains, as TRL takes them.

``sft`` has TRL's prompt-completion format, ``pairs`` its preference format, ``verified`` its format for unpaired
preferences (``label``: whether a chain is correct), all conversational; beside them stand the same as token ids of the
model to be trained, where a chain forks from its pair, and where it came from. Problems are read, picked from and
written one after the other, so a search may be larger than memory.
"""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from harness.chains.extract import chains_of_search
from harness.chains.select import LengthRule, PairRule, Picker, SftRule, pick
from harness.errors import BadFile, DataError
from harness.files import about
from harness.journal import replacing, row_line
from harness.records import Chain, Pair
from harness.search.stats import SearchYield
from harness.search.store import Forest, Settings

Row = dict[str, Any]  # of a file to train on, as JSON
GROUP = 256  # rows of a Parquet row group: what is in memory at once
_OF_PAIRS = (
    "prompt_ids", "chosen_ids", "rejected_ids", "fork", "problem_id", "family", "chosen_node", "rejected_node",
)  # fmt: skip

# By family and length rule: tokens of each problem's correct chain (arXiv 2503.01461, Figure 3).
Lengths = dict[str, dict[str, list[int]]]


class Sizes(BaseModel):
    """Rows of a file, and tokens of its shortest, median and longest."""

    rows: int = 0
    shortest: int = 0
    median: int = 0
    longest: int = 0

    @classmethod
    def of(cls, lengths: Sequence[int]) -> Sizes:
        if not lengths:
            return cls()
        middle = round(statistics.median(lengths))
        return cls(rows=len(lengths), shortest=min(lengths), median=middle, longest=max(lengths))


class ExportRules(BaseModel):
    """By which rules an export was made. ``max_tokens`` 0: chains of any length."""

    sft: SftRule
    pair: PairRule
    max_tokens: int
    seed: int


class ExportFigures(BaseModel):
    """What an export holds. ``pairs``: lengths of chosen chains; ``left_out``: how many of what were not taken."""

    sft: Sizes
    pairs: Sizes
    rejected: Sizes
    verified: Sizes
    left_out: dict[str, int]
    rules: ExportRules
    tokenizer: str
    search: dict[str, Any]
    settings: Settings
    lengths: Lengths


def export_data(
    search: Path, out: Path, tokenizer: Any, *, sft: SftRule, pair: PairRule, max_tokens: int = 0, seed: int = 0,
    tokenizer_name: str = "",
) -> ExportFigures:  # fmt: skip
    """Write ``sft``, ``pairs`` and ``verified`` (JSONL and Parquet) into ``out``.

    Raises DataError without any correct chain, BadFile without a search or where ``out`` holds one.
    """
    if (out / "search.json").exists():
        raise BadFile(f"{out}: holds a search; give the data a folder of its own")
    forest, total, picker = Forest(search), SearchYield(), Picker(sft, pair, seed)
    left_out, lengths = Counter[str](), Lengths()
    rows, chosen, rejected, verified = list[int](), list[int](), list[int](), list[int]()
    too_long = f"chains of more than {max_tokens:,} tokens"
    with ExitStack() as stack:
        add_row = stack.enter_context(_table(out, "sft"))
        add_pair = stack.enter_context(_table(out, "pairs"))
        add_verified = stack.enter_context(_table(out, "verified"))
        for problem, chains in chains_of_search(forest, forest.ids, tokenizer, total):
            kept = [chain for chain in chains if not max_tokens or chain.length <= max_tokens]
            left_out[too_long] += len(chains) - len(kept)
            right = picker.rows(kept)
            left_out["problems without a correct chain"] += not right
            both = len({chain.correct for chain in kept}) == 2
            left_out["problems with a correct but no wrong chain (no pair)"] += bool(right) and not both
            _measure(kept, lengths)
            for chain in right:
                add_row(_sft_row(chain, problem.prompt))
                rows.append(chain.length)
            for chain in kept:
                add_verified(_sft_row(chain, problem.prompt) | {"label": chain.correct})
                verified.append(chain.length)
            texts = {chain.node: chain.text for chain in kept}
            for picked in picker.pairs(kept):
                add_pair(_pair_row(picked, problem.prompt, texts))
                chosen.append(len(picked.chosen_ids))
                rejected.append(len(picked.rejected_ids))
        if not rows:
            within = f" of at most {max_tokens:,} tokens" if max_tokens else ""
            raise DataError(f"{search}: no problem has a correct chain{within}, so there is nothing to train on")
    figures = total.figures()
    left_out |= Counter({f"nodes never on a chain: {why}": n for why, n in figures["discarded"].items()})
    return ExportFigures(
        sft=Sizes.of(rows), pairs=Sizes.of(chosen), rejected=Sizes.of(rejected),
        verified=Sizes.of(verified),
        left_out={text: number for text, number in left_out.items() if number},
        rules=ExportRules(sft=sft, pair=pair, max_tokens=max_tokens, seed=seed), tokenizer=tokenizer_name,
        search=figures, settings=forest.settings, lengths=dict(sorted(lengths.items())),
    )  # fmt: skip


def _measure(chains: Iterable[Chain], lengths: Lengths) -> None:
    rules: tuple[LengthRule, ...] = ("shortest", "medium", "longest")
    if right := [chain for chain in chains if chain.correct]:
        each = lengths.setdefault(right[0].family, {rule: [] for rule in rules})
        for rule in rules:
            each[rule] += [chain.length for chain in pick(right, rule, 1, random.Random(0))]


def _sft_row(chain: Chain, prompt: str) -> Row:
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


def _pair_row(pair: Pair, prompt: str, texts: dict[str, str]) -> Row:
    """``texts``: those of the problem's chains, by their nodes."""
    return {
        "prompt": [{"role": "user", "content": prompt}],
        "chosen": [{"role": "assistant", "content": texts[pair.chosen_node]}],
        "rejected": [{"role": "assistant", "content": texts[pair.rejected_node]}],
    } | {name: getattr(pair, name) for name in _OF_PAIRS}


@contextmanager
def _table(out: Path, name: str) -> Iterator[Callable[[Row], None]]:
    """Takes rows of a file as JSONL and as Parquet; each takes its place when the context ends well.

    A Parquet file's columns are those of its first row group.
    """
    from pyarrow import Table, parquet

    final, aside = out / f"{name}.parquet", out / f".{name}.parquet.tmp"
    waiting, writer = list[Row](), None

    def flush() -> None:
        nonlocal writer
        table = Table.from_pylist(waiting, schema=writer.schema if writer else None)
        writer = writer or parquet.ParquetWriter(aside, table.schema)
        writer.write_table(table)
        waiting.clear()

    def add(row: Row) -> None:
        lines.write(row_line(row))
        waiting.append(row)
        if len(waiting) >= GROUP:
            flush()

    with replacing(out / f"{name}.jsonl") as lines, about(final):
        try:
            yield add
            if waiting:
                flush()
            if writer:
                writer.close()
                aside.replace(final)
            else:  # a table without rows has no columns, and nothing loads it
                final.unlink(missing_ok=True)
        finally:
            aside.unlink(missing_ok=True)
