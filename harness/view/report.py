"""One page for each run of a recipe, as HTML without outside requests and as Markdown: what ran, what came out, why to
believe it, and how to do it again. Model text is shown escaped and shortened, never as markup."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.journal import read, write_whole
from harness.pipeline.recipe import Claim
from harness.records import Sample
from harness.results import board
from harness.results.claims import VERDICTS, Finding, findings, published
from harness.results.summary import ERROR_TYPES
from harness.view import charts

_EXAMPLES = 2  # of each type of error
_SHOWN = 700  # characters of a text: its beginning and its end


def write_report(store: Path, file: Path, claims: Mapping[str, Claim]) -> list[Path]:
    """Write ``report.html`` and ``report.md`` beside a run's record. Raises NoRuns where samples are gone."""
    data = json.loads(file.read_text())
    samples = board.samples_of(store, data["arms"])
    told = _told(store, data, claims, samples)
    out = []
    for name, template in (("report.html", "report.html.j2"), ("report.md", "report.md.j2")):
        write_whole(file.parent / name, _render(template, told))
        out.append(file.parent / name)
    return out


def _render(template: str, told: dict[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    where = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(
        loader=where, autoescape=template.startswith("report.html"), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "percent": board.percent, "signed": lambda x, d=1: f"{100 * x:+.{d}f}", "cell": _markdown_text,
        "interval": board.interval,
    }  # fmt: skip
    return environment.get_template(template).render(told)


def _markdown_text(text: object) -> str:
    """Text inside a table of Markdown: one line that opens no cell and no tag."""
    line = " ".join(str(text).split())
    for char, instead in (("&", "&amp;"), ("<", "&lt;"), ("|", "&#124;"), ("`", "&#96;")):
        line = line.replace(char, instead)
    return line


def _told(
    store: Path, data: dict[str, Any], claims: Mapping[str, Claim], samples: dict[str, list[list[Sample]]]
) -> dict[str, Any]:
    table = board.build(f"{data['recipe']} ({data['profile']})", data["control"], data["arms"], samples)
    found = findings(claims, samples)
    flat = {arm: [s for one in seeds for s in one] for arm, seeds in samples.items()}
    manifest = data["manifest"]
    stages = list(manifest["stages"].items())
    return {
        "run": data["run"], "recipe": data["recipe"], "profile": data["profile"], "about": manifest["recipe"]["about"],
        "control": data["control"], "left_out": data["left_out"], "board": table,
        "sizes": {task: table.cells[data["control"], task].figures["n"] for task in table.tasks},
        "claims": [_claim(name, claim, found) for name, claim in claims.items() if any(f.claim == name for f in found)],
        "tally": [(v, sum(f.verdict == v for f in found)) for v in VERDICTS], "tests": len(found),
        "colours": {arm: charts.colour(i) for i, arm in enumerate(flat)},
        "plots": [(task, *_plots(flat, task)) for task in table.tasks],
        "failures": list(_failures(store, data["arms"], samples)),
        "errors": _errors(flat), "error_types": ERROR_TYPES,
        "stages": [(digest, stage, _summary(stage)) for digest, stage in stages],
        "seconds": sum(stage["seconds"] or 0 for _, stage in stages), "manifest": manifest,
        "again": manifest["command"], "raw": json.dumps({k: v for k, v in manifest.items() if k != "stages"}, indent=1),
    }  # fmt: skip


def _claim(name: str, claim: Claim, found: Sequence[Finding]) -> dict[str, Any]:
    return {"claim": claim, "published": published(claim), "found": [f for f in found if f.claim == name]}


def _plots(flat: Mapping[str, Sequence[Sample]], task: str) -> tuple[str, str]:
    mine = {arm: [s for s in samples if s.task == task] for arm, samples in flat.items()}
    return charts.lengths(mine), charts.budgets(mine)


def _errors(flat: Mapping[str, Sequence[Sample]]) -> list[tuple[str, int, list[int]]]:
    """For each arm its samples, and how many of each type of error."""
    out = []
    for arm, samples in flat.items():
        count = Counter(s.metrics.error_type for s in samples)
        out.append((arm, len(samples), [count[kind] for kind in ERROR_TYPES]))
    return out


def _failures(
    store: Path, arms: Mapping[str, Sequence[str]], samples: Mapping[str, Sequence[Sequence[Sample]]]
) -> Iterator[dict[str, Any]]:
    """Some samples of each type of error, from different arms as far as there are any."""
    for kind in ERROR_TYPES:
        shown = 0
        for arm, seeds in samples.items():
            sample = next((s for one in seeds for s in one if s.metrics.error_type == kind), None)
            if sample is None or shown >= _EXAMPLES:
                continue
            shown += 1
            rows = read(store / "stages" / arms[arm][0] / "problems.jsonl")
            prompt = next((row["prompt"] for row in rows if row["id"] == sample.problem_id), "")
            yield {"kind": kind, "arm": arm, "sample": sample, "prompt": _short(prompt), "text": _short(sample.text),
                   "tokens": len(sample.token_ids)}  # fmt: skip


def _short(text: str) -> str:
    """Beginning and end of a long text."""
    if len(text) <= _SHOWN:
        return text
    return f"{text[: _SHOWN // 2]}\n… {len(text) - _SHOWN:,} characters left out …\n{text[-_SHOWN // 2 :]}"


def _summary(stage: dict[str, Any]) -> str:
    """The figures of a stage that are single numbers."""
    figures = {k: v for k, v in stage["figures"].items() if isinstance(v, int | float) and not isinstance(v, bool)}
    return ", ".join(f"{name.replace('_', ' ')} {value:,.6g}" for name, value in list(figures.items())[:6])
