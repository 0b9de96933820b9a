"""The data card of an export: what is in it, by which rules, from which search, and how long its chains are."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from harness.chains.export import ExportFigures, Sizes
from harness.errors import BadFile
from harness.files import about
from harness.journal import write_whole
from harness.view.page import Block, Figure, Page, Section, Series, Table, Text, binned, columns, texts
from harness.view.render import markdown, picture
from harness.view.text import percent

_HEAD = """---
configs:
- config_name: sft
  data_files: sft.parquet
"""
_PAIRS = """- config_name: pairs
  data_files: pairs.parquet
"""


def check_place(out: Path) -> None:
    """Raises BadFile where the folder has a README.md that is no data card."""
    file = out / "README.md"
    with about(file):
        if file.exists() and "sft.parquet" not in file.read_text(errors="replace"):
            raise BadFile(f"{file}: is there already, and is no data card; give the data a folder of its own")


def write(figures: ExportFigures, out: Path) -> None:
    """README.md, and the lengths of its chains as a picture."""
    write_whole(out / "README.md", card(figures))
    picture.save(lengths(figures), out / "lengths.png")


def card(figures: ExportFigures) -> str:
    """README.md of a data set; its header makes ``datasets.load_dataset(FOLDER, "sft")`` work."""
    names = columns("configuration", "format of TRL", "rows", "tokens: shortest, median, longest", left=2)
    pairs = f"{_range(figures.pairs)} (chosen), {_range(figures.rejected)} (rejected)"
    rows = [
        ["sft", "prompt-completion", f"{figures.sft.rows:,}", _range(figures.sft)],
        ["pairs", "preference", f"{figures.pairs.rows:,}", pairs],
    ]
    settings = Text(text=figures.settings.model_dump_json(indent=1), verbatim=True)
    blocks: list[Block] = [
        Table(columns=names, rows=rows),
        Section(title="Rules", blocks=texts(*_rules(figures))),
        Section(title="Search", blocks=texts(*_search(figures))),
        Section(title="Lengths of correct chains", blocks=[lengths(figures)]),
        Section(title="Settings", blocks=[settings]),
    ]
    page = Page(title="Chains of thought from tree search", blocks=blocks)
    return _HEAD + (_PAIRS if figures.pairs.rows else "") + "---\n" + markdown.render(page)


def lengths(figures: ExportFigures) -> Figure:
    """By family, tokens of each problem's shortest, medium and longest correct chain (arXiv 2503.01461, Figure 3)."""
    groups = {f"{family}, {rule}": each for family, rules in figures.lengths.items() for rule, each in rules.items()}
    high = max((n for each in groups.values() for n in each), default=1) or 1
    series = []
    for label, each in groups.items():
        note = f"{len(each):,} from {min(each):g} to {max(each):g}, median {median(each):g}" if each else "none"
        series.append(Series(label=label, y=binned(each, high, 40), note=note))
    return Figure(name="lengths", title="correct chains", x="tokens of a chain", y="problems", series=series, bins=high)


def _rules(figures: ExportFigures) -> list[str]:
    sft, pair = figures.rules.sft, figures.rules.pair
    return [
        f"SFT: the {sft.rule} correct chain of a problem, {sft.per_problem} at most.",
        f"Pairs: the {pair.chosen} correct chain against the wrong one with the {pair.prefix} common prefix, "
        f"{pair.per_problem} at most of a problem; the column fork is the length of the prefix in tokens.",
        f"Token ids (columns ending in _ids) are those of {figures.tokenizer}; completions begin with the thinking's "
        "opening.",
        "Lengths are relative to the problem's own tree (arXiv 2503.01461, section 3).",
        "Nodes cut by a limit, left open or with a foreign tag are on no chain; equal chains count once.",
        *[f"Left out: {count:,} {text}." for text, count in figures.left_out.items()],
    ]


def _search(figures: ExportFigures) -> list[str]:
    search, settings = figures.search, figures.settings
    roles = "; ".join(f"{role}: {settings.names.get(role)} ({digest})" for role, digest in settings.models.items())
    return [
        f"{search['problems']:,} problems; {percent(search['with_correct'])} % with a correct chain, "
        f"{percent(search['with_both'])} % with both.",
        f"Policy {settings.policy}, grammar {settings.grammar.name}, seed {settings.seed}; {roles}.",
        f"Generated tokens: {sum(search['tokens'].values()):,}; reflections {search['reflections']:,}, followed "
        f"{search['reflections_followed']:,}.",
        "Texts are those of the models. A chain is called correct because its final answer is; its thoughts were not "
        "verified.",
    ]


def _range(each: Sizes) -> str:
    return f"{each.shortest:,}, {each.median:,}, {each.longest:,}"
