"""The report of a recipe's run, as HTML without outside requests and as Markdown: what ran, what came out, why to
believe it, and how to do it again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.journal import read_records, write_whole
from harness.results import board as boards
from harness.results.claims import findings as tested
from harness.results.collapses import collapses
from harness.results.curves import Curve, curves
from harness.results.doses import Response, responses
from harness.results.records import AskedProblem, Claim, RunRecord
from harness.results.statistics import Samples, of_task
from harness.results.store import Store, read_kept
from harness.results.summary import ERROR_TYPES
from harness.view import board, claims, doses, frontier, trainings
from harness.view import curves as view
from harness.view.compare import figures
from harness.view.page import Block, Page, Section, Table, Text, texts
from harness.view.render import html, markdown
from harness.view.text import ends

_EXAMPLES = 2  # of each type of error
_SHOWN = 700  # characters of a text: its beginning and its end


def write_report(store: Store, file: Path, claimed: Mapping[str, Claim]) -> list[Path]:
    """Write ``report.html`` and ``report.md`` beside the record ``file`` of a run. Raises NoRuns and BadFile.

    The Markdown has neither pictures nor texts of models, so that it can be kept beside the results.
    """
    record = read_kept(file, RunRecord)
    every, beside = boards.all_samples(record, store)
    samples, learned, dosed = next(iter(every.values())), curves(record, store), responses(record.control, every)
    head = [*_head(record), *_tables(record, every, beside, claimed), _frontiers(every), *_trainings(record)]
    end, errors = _end(record), _errors(samples)
    recipe = json.dumps(record.manifest.model_dump(exclude={"stages"}), indent=1, ensure_ascii=False)
    whole = [
        *head, *_doses(dosed, pictures=True), *_curves(learned, pictures=True), _figures(samples),
        Section(title="Failures", blocks=[errors, *_examples(store, record.arms, samples)]), *end,
        Section(title="recipe and profile as they were read", folded=True, blocks=[Text(text=recipe, verbatim=True)]),
    ]  # fmt: skip
    drawn = [*_doses(dosed, pictures=False), *_curves(learned, pictures=False)]
    short = [*head, *drawn, Section(title="Failures", blocks=[errors]), *end]
    out = [file.parent / "report.html", file.parent / "report.md"]
    for target, form, blocks in zip(out, (html, markdown), (whole, short), strict=True):
        write_whole(target, form.render(Page(title=f"{record.recipe} at {record.profile}", blocks=blocks)))
    return out


def _head(record: RunRecord) -> list[Block]:
    manifest, machine, stages = record.manifest, record.manifest.hardware, record.manifest.stages
    commit = f", commit {manifest.commit}" if manifest.commit else ""
    seconds = sum(stage.seconds for stage in stages.values())
    gpus = "".join(f", {gpu}" for gpu in machine.gpus)
    left_out = [f"Arm {arm} was left out: this profile has no model {m}." for arm, m in record.left_out.items()]
    about = (
        f"Run {record.run}, {manifest.date}{commit}, {len(record.arms)} arms, seeds "
        f"{', '.join(map(str, manifest.seeds))}; {seconds / 60:.0f} minutes of work in {len(stages)} stages on "
        f"{machine.processor}, {machine.cores} cores{gpus}."
    )
    lines = [*texts(f"{manifest.recipe.get('about', '')}."), *texts(about, *left_out, style="dim"), *texts("Again:")]
    return [*lines, Text(text=manifest.command, verbatim=True)]


def _tables(
    record: RunRecord, every: Mapping[str, Samples], beside: Mapping[str, Samples], claimed: Mapping[str, Claim]
) -> Iterator[Section]:
    about = (
        f"Accuracy in % over all items [95% interval]; Δ to {record.control} in points [paired 95% interval], * where "
        "it excludes 0; items without an answer; median thinking tokens. Both intervals count items and trainings."
    )
    for decoding, arms in every.items():
        whole = boards.of_samples(record, decoding, arms, beside.get(decoding))
        title = f"Arms, {decoding}" if len(every) > 1 else "Arms"
        apart = [board.table(board.beside(whole))] if whole.retention else []
        yield Section(title=title, blocks=[board.table(whole), *texts(about, style="dim"), *apart])
    if results := tested(claimed, every):
        about = (
            "One test a claim: the mean over tasks, trainings paired by seed, items and trainings in the error. "
            "Published differences are of the paper's models and tasks."
        )
        table = claims.table(claimed, results, collapses=collapses(every))
        yield Section(title="Claims", blocks=[table, *texts(about, style="dim")])


def _frontiers(every: Mapping[str, Samples]) -> Section:
    about = (
        "Means over tasks. Tokens: thinking and answer, of cut answers what they got, of a tree's answers their own, "
        "not those of the search; per correct: tokens / accuracy. "
        "An arm is beaten (hollow) where another one is as accurate on as few tokens, and better in one of them. "
        "Intervals count items and trainings."
    )
    shown = [frontier.figure(decoding, samples) for decoding, samples in every.items()]
    return Section(title="Accuracy and tokens", blocks=[*texts(about, style="dim"), *shown])


def _trainings(record: RunRecord) -> list[Section]:
    table = trainings.table(record.manifest.stages)
    about = (
        "A loss on differences falls as well where chosen and rejected chains both become less likely. Where the "
        "chosen ones do, the model moves to texts that nobody chose."
    )
    return [Section(title="Likelihood of chosen chains", blocks=[*texts(about, style="dim"), table])] if table else []


def _doses(dosed: Sequence[Response], pictures: bool) -> list[Section]:
    if not dosed:
        return []
    about = "Means over tasks; differences to the control, trainings paired by seed." + (
        " Dashed: items without an answer." if pictures else ""
    )
    drawn = doses.figures(dosed) if pictures else []
    return [Section(title="Dose and response", blocks=[*doses.tables(dosed), *texts(about, style="dim"), *drawn])]


def _curves(learned: Sequence[Curve], pictures: bool) -> list[Section]:
    if not learned:
        return []
    drawn = "; dashed: items without an answer" if pictures else ""
    about = (
        f"Accuracy in % [95% interval] of models on the way through an arm's training, {learned[0].decoding}; "
        f"Δ to the first point{drawn}. Intervals count items and trainings."
    )
    shown = [view.table(learned), *texts(about, style="dim"), *(view.figures(learned) if pictures else ())]
    return [Section(title="Learning curves", blocks=shown)]


def _figures(samples: Samples) -> Section:
    blocks: list[Block] = []
    for task in dict.fromkeys(sample.task for seeds in samples.values() for sample in seeds[0]):
        blocks += figures(
            task, {arm: of_task([s for one in seeds for s in one], task) for arm, seeds in samples.items()}
        )
    return Section(title="Lengths and budgets", blocks=blocks)


def _errors(samples: Samples) -> Table:
    """For each arm its samples, and how many of each type of error."""
    rows = []
    for arm, seeds in samples.items():
        kinds: list[str | None] = [s.metrics.error_type for one in seeds for s in one]
        rows.append([arm, str(len(kinds)), *(str(kinds.count(kind)) for kind in ERROR_TYPES)])
    return Table(columns=["arm", "samples", *(kind.replace("_", " ") for kind in ERROR_TYPES)], rows=rows)


def _examples(store: Store, arms: Mapping[str, Sequence[str]], samples: Samples) -> Iterator[Section]:
    """Some samples of each type of error, from different arms as far as there are any."""
    for kind in ERROR_TYPES:
        found = []
        for arm, seeds in samples.items():
            found += [(arm, s) for one in seeds for s in one if s.metrics.error_type == kind][:1]
        for arm, sample in found[:_EXAMPLES]:
            problems = read_records(store.stage(arms[arm][0]) / "problems.jsonl", AskedProblem)
            prompt = next((problem.prompt for problem in problems if problem.id == sample.problem_id), "")
            shown = [Text(text=ends(text, _SHOWN), verbatim=True) for text in (prompt, sample.text)]
            named, verdict = kind.replace("_", " "), sample.grade.verdict.replace("_", " ")
            about = f"{named}: {arm} on {sample.task}, {len(sample.token_ids)} tokens, {verdict}"
            reason = texts(f"{sample.problem_id}: {sample.grade.reason}", style="dim")
            yield Section(title=about, folded=True, blocks=[*reason, *shown])


def _end(record: RunRecord) -> list[Block]:
    manifest, rows = record.manifest, []
    for digest, stage in manifest.stages.items():
        single = [(k, v) for k, v in stage.figures.items() if isinstance(v, int | float) and not isinstance(v, bool)]
        shown = ", ".join(f"{name.replace('_', ' ')} {value:,.6g}" for name, value in single[:6])
        rows.append([digest[:8], stage.name, shown, str(stage.seconds)])
    table = Table(columns=("digest", "stage", "figures", "seconds"), left=3, rows=rows)
    packages = ", ".join(f"{name} {version}" for name, version in manifest.packages.items())
    kept = f"{packages}; Python {manifest.hardware.python}; grader {manifest.grader.get('code', '')}."
    took = texts(f"This command took {manifest.seconds} s.", style="dim")
    return [
        Section(title="Costs", blocks=[*took, table]),
        Section(title="Manifest", blocks=texts(kept)),
    ]
