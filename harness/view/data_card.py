"""The data card of an export: what is in it, by which rules, from which search, and how long its chains are."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from string import Template

from harness.chains.export import ExportFigures, Sizes
from harness.errors import BadFile
from harness.files import about
from harness.journal import write_whole
from harness.view.page import Figure, Series, Table, binned
from harness.view.render import markdown, picture
from harness.view.render.terminal import drawn
from harness.view.text import percent

_CARD = Template(Path(__file__).with_name("card.md").read_text(encoding="utf-8"))


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
    names = ("configuration", "format of TRL", "rows", "tokens: shortest, median, longest")
    pairs = f"{_range(figures.pairs)} (chosen), {_range(figures.rejected)} (rejected)"
    rows = [
        ["sft", "prompt-completion", f"{figures.sft.rows:,}", _range(figures.sft)],
        ["pairs", "preference", f"{figures.pairs.rows:,}", pairs],
        ["verified", "unpaired preference", f"{figures.verified.rows:,}", _range(figures.verified)],
    ]
    sft, pair, settings, search = figures.rules.sft, figures.rules.pair, figures.settings, figures.search
    roles = "; ".join(f"{role}: {settings.names.get(role)} ({digest})" for role, digest in settings.models.items())
    values = {
        "sft_rule": sft.rule, "per_problem": sft.per_problem, "chosen": pair.chosen, "prefix": pair.prefix,
        "pairs_per_problem": pair.per_problem, "tokenizer": figures.tokenizer, "problems": f"{search['problems']:,}",
        "with_correct": percent(search["with_correct"]), "with_both": percent(search["with_both"]),
        "policy": settings.policy, "grammar": settings.grammar.name, "seed": settings.seed, "roles": roles,
        "tokens": f"{sum(search['tokens'].values()):,}", "reflections": f"{search['reflections']:,}",
        "followed": f"{search['reflections_followed']:,}",
    }  # fmt: skip
    left_out = (markdown.line(f"Left out: {count:,} {text}.") + "\n\n" for text, count in figures.left_out.items())
    configs = ["sft", "pairs", "verified"] if figures.pairs.rows else ["sft", "verified"]
    head = "".join(f"- config_name: {name}\n  data_files: {name}.parquet\n" for name in configs)
    return f"---\nconfigs:\n{head}---\n" + _CARD.substitute(
        {name: markdown.escape(value) for name, value in values.items()},
        table=markdown.table(Table(columns=names, rows=rows, left=2)),
        left_out="".join(left_out),
        lengths=markdown.fenced("\n".join(drawn(lengths(figures)))),
        settings=markdown.fenced(settings.model_dump_json(indent=1)),
    )


def lengths(figures: ExportFigures) -> Figure:
    """By family, tokens of each problem's shortest, medium and longest correct chain (arXiv 2503.01461, Figure 3)."""
    groups = {f"{family}, {rule}": each for family, rules in figures.lengths.items() for rule, each in rules.items()}
    high = max((n for each in groups.values() for n in each), default=1) or 1
    series = []
    for label, each in groups.items():
        note = f"{len(each):,} from {min(each):g} to {max(each):g}, median {median(each):g}" if each else "none"
        series.append(Series(label=label, y=binned(each, high, 40), note=note))
    return Figure(name="lengths", title="correct chains", x="tokens of a chain", y="problems", series=series, bins=high)


def _range(each: Sizes) -> str:
    return f"{each.shortest:,}, {each.median:,}, {each.longest:,}"
