"""A recipe and its stages as ``view`` shows them: rows of a table, and a tree of what starts from what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.pipeline.estimate import estimates
from harness.pipeline.graph import Graph, Job
from harness.pipeline.recipe import Profile, Recipe
from harness.pipeline.runner import result_of
from harness.view.page import Branch, Page
from harness.view.recipes import StageRow
from harness.view.text import percent


def finished_rows(graph: Graph, store: Path) -> list[StageRow]:
    """The stages that are done, with their results in words."""
    out = []
    for digest, job in graph.jobs.items():
        done = result_of(store, digest)
        if done is not None:
            details = _yielded(done["figures"]) if job.kind == "chains" else []
            out.append(StageRow(
                digest=digest, name=job.name, done=True, seconds=done["seconds"], summary=summary(job, done),
                details=details,
            ))  # fmt: skip
    return out


def planned_rows(graph: Graph, store: Path) -> list[StageRow]:
    """All stages: finished ones with their seconds, the others with what they would take."""
    found = estimates(graph, store)
    out = []
    for digest, job in graph.jobs.items():
        done, e = result_of(store, digest), found[digest]
        if done is not None:
            out.append(StageRow(digest=digest, name=job.name, done=True, seconds=done["seconds"]))
        else:
            out.append(StageRow(
                digest=digest, name=job.name, done=False, seconds=e.seconds, quick=job.kind in ("chains", "distil"),
                tokens=e.tokens, at_most=e.most, memory=e.memory, disk=e.disk,
            ))  # fmt: skip
    return out


def summary(job: Job, payload: dict[str, Any]) -> str:
    """The result of a stage in one line."""
    f = payload["figures"]
    if job.kind == "search":
        return f"{f['problems']} problems, {sum(f['tokens'].values()):,} tokens, {f['rollouts']:,} rollouts"
    if job.kind == "chains":
        return f"{f['correct_chains']:,} correct and {f['wrong_chains']:,} wrong chains"
    if job.kind == "sft":
        return f"{f['rows']} rows of {f['mean_tokens']:g} tokens, {f['steps']} steps, loss {f['loss']:g}"
    if job.kind == "preference":
        lengths = f"{f['chosen_tokens']:g} against {f['rejected_tokens']:g} tokens"
        return f"{f['pairs']} pairs, {lengths}, {f['steps']} steps, loss {f['loss']:g}"
    if job.kind == "teach":
        verdicts = ", ".join(f"{n} {verdict}" for verdict, n in f["verdicts"].items()) or "none fit to train on"
        return f"{f['outputs']} outputs: {verdicts}"
    if job.kind == "distil":
        return f"{f['correct_chains']:,} correct chains of {f['mean_tokens']:g} tokens"
    if job.kind == "eval":
        return ", ".join(percent(row["accuracy"]) for row in f["rows"].values()) + " % right"
    return f"{f['steps']} steps, loss {f['loss']:g}"


def _yielded(f: dict[str, Any]) -> list[str]:
    """What the search behind the chains yielded and cost."""
    generator, critic = (f"{f['nodes'][r]:,} nodes, {f['tokens'][r]:,} tokens" for r in ("generator", "critic"))
    lines = [
        "",
        f"search: {f['problems']} problems; {percent(f['with_correct'])} % got a verified correct chain,",
        f"  {percent(f['with_both'])} % a correct and a wrong one; {f['rollouts']:,} rollouts",
        f"  backtracking: {f['reflections']:,} reflections by the critic, {f['reflections_followed']:,} followed",
        f"  generator: {generator}; critic: {critic}",
    ]
    for family, each in f["by_family"].items():
        lines.append(
            f"  {family}: {each['with_correct']} with a correct chain, {each['with_both']} with both; "
            f"{each['correct_chains']} and {each['wrong_chains']} chains"
        )
    return lines


def tree(plan: Recipe, scale: Profile) -> Page:
    """Sources of data, then models with what is trained from them and the arms that are scored."""
    title = f"{plan.name} at {scale.name}, suite {scale.suite or plan.suite}"
    whole = Branch(spans=[(title, "")])
    data = whole.add("data")
    for name, stage in plan.stages.items():
        if stage.kind == "search":
            data.add(f"{name}: search by {stage.generator} and {stage.critic}")
        elif stage.kind == "distil":
            padded = f", padded by {scale.distil.padding}" if scale.distil.padding and not stage.plain else ""
            data.add(f"{name}: " + (scale.distil.file or f"outputs of {stage.teacher}") + padded)
    for root in dict.fromkeys(filter(None, _roots(plan))):
        spec = scale.models.get(root)
        about = spec if isinstance(spec, str) else getattr(spec, "model", "not in this profile")
        _grow(whole.add(f"{root} ({about})" if root not in plan.stages else root), plan, root)
    return Page(title=title, blocks=[whole])


def _roots(plan: Recipe) -> list[str]:
    targets = [*(plan.arm(arm).model for arm in plan.arms), *plan.stages]
    out = []
    for target in targets:
        while target in plan.stages and getattr(plan.stages[target], "model", None):
            target = getattr(plan.stages[target], "model", "")
        kind = plan.stages[target].kind if target in plan.stages else ""
        out.append("" if kind in ("search", "distil") else target)
    return out


def _grow(branch: Branch, plan: Recipe, target: str) -> None:
    for name in plan.arms:
        arm = plan.arm(name)
        if arm.model == target:
            of = " of a tree" if arm.decode == "mcts" else ""
            drawn = "" if arm.samples == 1 else f", {arm.samples} answers{of}"
            branch.add(f"▸ arm {name}{drawn}" + (" (control)" if name == plan.control else ""))
    for name, stage in plan.stages.items():
        if getattr(stage, "model", None) == target:
            length = getattr(stage, "rule", getattr(stage, "chosen", ""))
            _grow(branch.add(f"{name}: {stage.kind} on {getattr(stage, 'chains', '')}, {length}"), plan, name)
