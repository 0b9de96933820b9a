"""The data card of an export: what is in it, by which rules, from which search, and how long its chains are."""

from __future__ import annotations

from pathlib import Path

from harness.chains.export import ExportFigures, Lengths, Sizes
from harness.errors import BadFile
from harness.files import about
from harness.journal import write_whole

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
    """README.md and, with matplotlib, a plot of lengths."""
    write_whole(out / "README.md", card(figures))
    plot(figures.lengths, out / "lengths.png")


def card(figures: ExportFigures) -> str:
    """README.md of a data set; its header makes ``datasets.load_dataset(FOLDER, "sft")`` work."""
    sft, pair, search, settings = figures.rules.sft, figures.rules.pair, figures.search, figures.settings
    lines = [
        _HEAD + (_PAIRS if figures.pairs.rows else "") + "---",
        "# Chains of thought from tree search",
        "",
        "| configuration | format of TRL | rows | tokens: shortest, median, longest |",
        "| --- | --- | --- | --- |",
        f"| sft | prompt-completion | {figures.sft.rows:,} | {_range(figures.sft)} |",
        f"| pairs | preference | {figures.pairs.rows:,} | {_range(figures.pairs)} (chosen), "
        f"{_range(figures.rejected)} (rejected) |",
        "",
        "## Rules",
        "",
        f"- SFT: the {sft.rule} correct chain of a problem, {sft.per_problem} at most.",
        f"- Pairs: the {pair.chosen} correct chain against the wrong one with the {pair.prefix} common prefix, "
        f"{pair.per_problem} at most of a problem; `fork` is the length of the prefix in tokens.",
        f"- Token ids (`*_ids`) are those of `{figures.tokenizer}`; completions begin with the thinking's opening.",
        "- Lengths are relative to the problem's own tree (arXiv 2503.01461, section 3).",
        "- Nodes cut by a limit, left open or with a foreign tag are on no chain; equal chains count once.",
        *[f"- Left out: {number:,} {text}." for text, number in figures.left_out.items()],
        "",
        "## Search",
        "",
        f"- {search['problems']:,} problems; {100 * search['with_correct']:.1f} % with a correct chain, "
        f"{100 * search['with_both']:.1f} % with both.",
        f"- Policy {settings.policy}, grammar {settings.grammar.name}, seed {settings.seed}; "
        + "; ".join(f"{role}: `{settings.names.get(role)}` ({digest})" for role, digest in settings.models.items())
        + ".",
        f"- Generated tokens: {sum(search['tokens'].values()):,}; reflections {search['reflections']:,}, followed "
        f"{search['reflections_followed']:,}.",
        "- Texts are those of the models. A chain is called correct because its final answer is; its thoughts were not "
        "verified.",
        "",
        "## Lengths of correct chains, in tokens",
        "",
    ]
    for family, by_rule in figures.lengths.items():
        lines += [f"### {family}", "", "```", *histogram(by_rule), "```", ""]
    lines += ["## Settings", "", "```json", settings.model_dump_json(indent=1), "```", ""]
    return "\n".join(lines)


def _range(each: Sizes) -> str:
    return f"{each.shortest:,}, {each.median:,}, {each.longest:,}"


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


def plot(lengths: Lengths, file: Path) -> None:
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
    with about(file):
        figure.savefig(str(file), dpi=120)
