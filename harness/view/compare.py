"""Runs: paired comparisons, the gate's verdict, flipped verdicts, differences, listings, figures of their lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from harness.records import Sample
from harness.results import budget
from harness.results.compare import Comparison
from harness.results.frontier import frontier as spending
from harness.results.gate import Check, Verdict
from harness.results.records import Manifest, RunRecord, flat
from harness.results.runs import Run
from harness.results.store import StageFolder, Store
from harness.view import frontier
from harness.view.page import Block, Figure, Line, Page, Row, Section, Series, Style, Table, Text, binned, texts
from harness.view.text import MISSING, clean, hanging, interval, number, one_line, percent, points

_OUTCOMES: dict[str, Style] = {"pass": "good", "regression": "bad", "inconclusive": "open"}
_BINS = 48  # of a histogram of lengths
_LEGEND = (
    "A - B: accuracy in points, paired 95% interval; p: Holm over tasks; flips: items that A does better/worse; na: no "
    "answer, in points; tokens: A over B where both are right; sees: smallest true difference this n would show; "
    "needs: items that would show the observed one",
)


def comparison(
    a: Run, b: Run, comparisons: Sequence[Comparison], notes: Sequence[str], left_out: Sequence[str], flips: int
) -> Page:
    """Paired differences by task, then some flipped items of each."""
    rows, flipped = [], list[Text]()
    for one in comparisons:
        gap = one.accuracy
        ratio = MISSING if one.token_ratio is None else f"x{one.token_ratio.ratio:.2f}"
        rows.append([
            one.task, str(gap.n), f"{points(gap.difference)} {interval(gap.low, gap.high, True)}", f"{one.p_holm:.3f}",
            f"{gap.better}/{gap.worse}", points(one.no_answer.difference), ratio, f"{100 * gap.smallest:.1f}",
            number(one.needed),
        ])  # fmt: skip
        flipped += _flips(one, flips)
    names = ("task", "n", "A - B [95%]", "p", "flips", "na", "tokens", "sees", "needs")
    records = [one.model_dump(exclude={"flips"}) for one in comparisons]
    about = [f"A {a.name}: {a.manifest.model}", f"B {b.name}: {b.manifest.model}"]
    blocks: list[Block] = [
        *texts(*about, *(f"  differs in {one_line(note, 160)}" for note in notes)),
        Table(columns=names, wrap=[0], rows=rows, notes=_LEGEND, records=records),
        *flipped,
        *texts(*([f"not compared, in one run only: {', '.join(left_out)}"] if left_out else [])),
    ]
    tasks = [one.model_dump() for one in comparisons]
    data = {"a": a.name, "b": b.name, "differences": list(notes), "tasks": tasks}
    return Page(title=f"{a.name} against {b.name}", blocks=blocks, data=data)


def _flips(one: Comparison, most: int) -> list[Text]:
    apart = one.first_divergence
    median = "" if apart is None else f"; the others part at token {apart:g} (median)"
    out = texts(f"{one.task}: {percent(one.same_texts)} % of the texts are equal{median}")
    if any(one.guessed):
        a, b = (percent(share) for share in one.guessed)
        out += texts(f"{one.task}: {a} % of A's and {b} % of B's verdicts rest on an answer that nothing marks")
    for flip in one.flips[:most]:
        reasons = f"      A: {one_line(flip.reason, 70)}", f"      B: {one_line(flip.their_reason, 70)}"
        out += texts(f"  {'+' if flip.ours > flip.theirs else '-'} {flip.problem_id}") + texts(*reasons, style="dim")
    more = len(one.flips) - most
    return out + (texts(f"  and {more} more flips (--flips N)") if more > 0 else [])


def gate(run: str, baseline: Path, verdict: Verdict) -> Page:
    """One line a test, the verdict last."""
    rows: list[Row] = []
    for check in verdict.checks:
        rows.append([Line(text=check.outcome, style=_OUTCOMES[check.outcome]), f"{check.task}: {sentence(check)}"])
    end = Text(text=f"{verdict.outcome}: {run} against {baseline}", style=_OUTCOMES[verdict.outcome], wrap=False)
    data = {"run": run, **verdict.model_dump()}
    table = Table(columns=("outcome", "test"), left=2, wrap=[1], rows=rows, records=data["checks"])
    return Page(title=f"gate of {run}", blocks=[table, end], data=data)


def sentence(check: Check) -> str:
    """One line: what changed, its bound, the margin, and what would settle it."""
    # A check counts losses as negative; people expect more missing answers and more tokens to be a plus.
    sign = 100 if check.metric == "accuracy" else -100
    name, unit = check.metric.replace("_", "-"), "%" if check.metric == "tokens" else "points"
    worst = f"at worst {sign * check.low + 0.0:+.1f}, margin {100 * check.margin:g}, n = {check.n}"
    text = f"{name} {sign * check.change + 0.0:+.1f} {unit} ({worst})"
    if check.outcome == "inconclusive":
        more = "no number of items: the loss is past the margin"
        text += f"; to settle: {more if check.needed is None else f'about {check.needed} items'}"
    return text


def junit(verdict: Verdict, run: str) -> str:
    """A JUnit report: a regression is a failure, an inconclusive test an error (a tool must not read it as a pass)."""
    count = Counter[str](check.outcome for check in verdict.checks)
    suite = ElementTree.Element(
        "testsuite", name=clean(f"harness gate {run}"), tests=str(len(verdict.checks)),
        failures=str(count["regression"]), errors=str(count["inconclusive"]),
    )  # fmt: skip
    for check in verdict.checks:
        case = ElementTree.SubElement(suite, "testcase", classname=clean(check.task), name=check.metric)
        if check.outcome != "pass":
            tag = "failure" if check.outcome == "regression" else "error"
            ElementTree.SubElement(case, tag, message=clean(sentence(check)), type=check.outcome)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def github(verdict: Verdict) -> list[str]:
    """GitHub workflow commands, one for each test that did not pass."""
    out = []
    for check in (check for check in verdict.checks if check.outcome != "pass"):
        level = "error" if check.outcome == "regression" else "warning"
        # ``clean`` makes line breaks spaces.
        title, message = (clean(text).replace("%", "%25") for text in (f"harness gate {check.task}", sentence(check)))
        out.append(f"::{level} title={title.replace(':', '%3A').replace(',', '%2C')}::{message}")
    return out


def rescored(run: Run, samples: Sequence[Sample], most: int, dry_run: bool) -> Page:
    """Verdicts that flip when a run is graded again."""
    records = [
        {"task": a.task, "problem_id": a.problem_id, "index": a.index, "before": a.grade.verdict,
         "after": b.grade.verdict, "reason_before": a.grade.reason, "reason_after": b.grade.reason}
        for a, b in zip(run.samples, samples, strict=True)
        if a.grade.verdict != b.grade.verdict
    ]  # fmt: skip
    kinds = Counter(f"{flip['before']} -> {flip['after']}" for flip in records)
    lines = [f"{run.name}: {len(samples)} samples graded again, {len(records)} verdicts flip"]
    lines += [f"  {count} x {kind}" for kind, count in kinds.most_common()]
    for flip in records[:most]:
        reasons = f"{one_line(flip['reason_before'], 60)} -> {one_line(flip['reason_after'], 60)}"
        lines.append(f"  {flip['task']} {flip['problem_id']} #{flip['index']}: {reasons}")
    lines.append("nothing was changed (--dry-run)" if dry_run else "verdicts and manifest are those of today's graders")
    data = {"run": run.name, "samples": len(samples), "flips": records, "kept": not dry_run}
    return Page(title=f"{run.name} graded again", blocks=texts(*lines, wrap=False), data=data)


def listing(store: Store) -> Page:
    """Finished recipes and evaluations of a store."""
    rows, recipes, runs = [], store.recipes(), store.evaluations()
    for folder, record in recipes:
        seeds = len(record.manifest.seeds)
        what = f"recipe {record.recipe} at {record.profile}; {len(record.arms)} arms, {seeds} seed(s)"
        rows.append(hanging(f"{folder.name}  {record.manifest.date:<20}  ", what))
    for folder, kept in runs:
        how = f"temperature {kept.decoding.temperature}, {kept.decoding.samples} sample(s)"
        rows.append(hanging(f"{folder.name}  {kept.date:<20}  ", f"{kept.model} on {', '.join(kept.tasks)}; {how}"))
    blocks = [Text(text=row, verbatim=True) for row in rows]
    blocks = blocks or texts(f"no finished recipes or evaluations in {store.folder}", wrap=False)
    data = {
        "recipes": [{"folder": str(folder), **record.known()} for folder, record in recipes],
        "runs": [{"folder": str(folder), **kept.known()} for folder, kept in runs],
    }
    return Page(title=f"runs in {store.folder}", blocks=blocks, data=data)


def manifest(folder: Path, record: RunRecord | Manifest) -> Page:
    """A run's manifest, key by key; of a recipe also its stages and where its report is."""
    kept = record.model_dump(mode="json", exclude_unset=True, exclude={"manifest": {"stages"}})
    lines = [str(folder), *(f"  {key.removeprefix('manifest.')}: {value}" for key, value in flat(kept).items())]
    stages = record.manifest.stages if isinstance(record, RunRecord) else {}
    lines += [f"  {digest[:8]} {stage.name:<24} {stage.seconds} s" for digest, stage in stages.items()]
    lines += [f"report: {report}" for report in [folder / "report.html"] if report.exists()]
    return Page(title=folder.name, blocks=texts(*lines, wrap=False), data={"folder": str(folder), **record.known()})


def differences(changes: Sequence[tuple[str, Any, Any]]) -> Page:
    """Every difference between two runs."""
    records = [{"key": key, "a": a, "b": b} for key, a, b in changes]
    rows = [[key, one_line(a), one_line(b)] for key, a, b in changes]
    table = Table(columns=("key", "a", "b"), left=3, wrap=range(3), rows=rows, records=records)
    blocks = [table] if changes else texts("the same in everything but their dates and times")
    return Page(title="differences", blocks=blocks, data={"differences": records})


def stages(unused: Sequence[StageFolder], kept: Sequence[StageFolder], deleted: bool) -> Page:
    """Stages that nobody needs, and for what the others are kept."""
    freed = sum(stage.bytes for stage in unused)
    lines = [f"{stage.digest[:8]}  {stage.bytes / 1e6:>8.1f} MB  {stage.name}" for stage in unused]
    lines += [f"{count} kept: {why}" for why, count in Counter(stage.why for stage in kept).items()]
    done = "deleted" if deleted else "not needed by any recipe ('--delete' deletes them)"
    lines.append(f"{len(unused)} stages, {freed / 1e6:.1f} MB {done}")
    records = [stage.model_dump(mode="json", exclude={"why"}) for stage in unused]
    reasons = [stage.model_dump(mode="json") for stage in kept]
    data = {"deleted": deleted, "bytes": freed, "stages": records, "kept": reasons}
    return Page(title="unused stages", blocks=texts(*lines), data=data)


def figures(task: str, groups: Mapping[str, Sequence[Sample]]) -> list[Figure]:
    """Lengths of a task's samples, and accuracy within token budgets, of each group by its label."""
    top = max((budget.length(s) for samples in groups.values() for s in samples), default=1) or 1
    lengths, accuracies = [], []
    for label, samples in groups.items():
        known, curve = budget.lengths(samples), budget.curve(samples)
        ended, cut = (
            binned((budget.length(s) for s in samples if budget.cut(s) is was_cut), top, _BINS)
            for was_cut in (False, True)
        )
        median = "over half are cut" if known.median is None else f"median {known.median:g}"
        note = f"{median}, cut {100 * known.censored:.1f} %"
        lengths.append(Series(label=label, y=ended, second=cut, note=note))
        enough = budget.saturation(curve)
        accuracies.append(Series(
            label=label, x=[p.budget for p in curve], y=[p.accuracy for p in curve], low=[p.low for p in curve],
            high=[p.high for p in curve], second=[p.answered for p in curve],
            note="" if enough is None else f"95 % of the accuracy within {enough} tokens",
        ))  # fmt: skip
    return [
        Figure(name=f"lengths.{task}", title=task, x="tokens per sample", y="samples", series=lengths, bins=top,
               kinds=("ended", "cut")),
        Figure(name=f"budget.{task}", title=task, x="budget of tokens", y="accuracy", series=accuracies,
               kinds=("accuracy", "answered")),
    ]  # fmt: skip


def plot(runs: Sequence[Run]) -> Page:
    """Figures of every task, the runs in one figure; its data are curves, Kaplan-Meier lengths and what was spent."""
    labels = {run.name: f"{run.name[:12]}  {Path(run.manifest.model).name}" for run in runs}
    data: dict[str, dict[str, Any]] = {run.name: {} for run in runs}
    sections = []
    for task in dict.fromkeys(task for run in runs for task in run.tasks):
        groups = {labels[run.name]: run.of(task) for run in runs if task in run.tasks}
        for run in (run for run in runs if task in run.tasks):
            curve = [point.model_dump() for point in budget.curve(run.of(task))]
            [spent] = spending({run.name: [run.of(task)]})
            costs = spent.model_dump(include={"tokens", "accuracy", "tokens_per_correct"})
            data[run.name][task] = {"curve": curve, "lengths": budget.lengths(run.of(task)).model_dump()} | costs
        drawn = figures(task, groups)
        if len(groups) > 1:
            drawn.append(frontier.figure(task, {label: [samples] for label, samples in groups.items()}))
        sections.append(Section(title=task, blocks=drawn))
    record = {"runs": [{"run": name, "tasks": tasks} for name, tasks in data.items()]}
    return Page(title=f"lengths and budgets of {', '.join(labels)}", blocks=sections, data=record)
