"""The problems that a recipe searches."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from harness.errors import RecipeError
from harness.pipeline.kind import Job, Params, Planner
from harness.problems.embedded import FAMILIES, problems
from harness.problems.file import read_problems
from harness.records import Problem
from harness.search.spec import SearchSpec
from harness.spec import Spec, knob


class Source(Spec):
    """Problems to search: a JSONL file, for the grader of ``family``."""

    file: str = knob(..., "A file of problems.", how=True)
    family: str | None = knob(None, "Whose grader its problems get; default: each row names its own.")
    made_by: str = knob("", "The command that makes the file, told where it is missing.", how=True)


class SearchScale(SearchSpec):
    """Which problems are searched and how; without ``sources``, the search split of the suite's embedded families."""

    problems: int = knob(..., "Of each source.", ge=1)
    mix: Literal["search", "suite"] = knob(
        "search", "Levels of embedded problems: where generators are good but fallible, or those of the suite."
    )
    shards: int = knob(2, "Parts that are searched as stages of their own.", ge=1, le=10_000)
    in_flight: int = knob(3, "Nodes of a tree at once.", ge=1)
    window: int = knob(256, "Problems at once, with servers; else all of a shard.", how=True, ge=1)
    sources: list[Source] = knob([], "Files of problems.")


def searched(plan: Planner) -> tuple[Params, Params, list[Path]]:
    """Of the problems to search: parameters, where they lie (``how``), files. Raises RecipeError for none."""
    scale = plan.scale(SearchScale)
    families = [task.name for task in plan.tasks if task.name in FAMILIES]
    if not scale.sources and not families:
        raise RecipeError(
            f"profile {plan.profile_name}: no problems to search; name files under search.sources, for suite "
            f"{plan.suite} has none of the embedded families"
        )
    params: Params = {
        "families": [] if scale.sources else families, "problems": scale.problems, "seed": scale.seed, "mix": scale.mix,
        "sources": [source.family for source in scale.sources],
    }  # fmt: skip
    files = [source.file for source in scale.sources]
    how: Params = {"files": files, "made_by": {source.file: source.made_by for source in scale.sources}}
    return params, how, [Path(file) for file in files]


def missing(jobs: Iterable[Job]) -> list[str]:
    """A line for each file that a job reads and that is not there, with the command that makes it."""
    files = {file: command for job in jobs for file, command in job.how.get("made_by", {}).items()}
    return [
        f"{file}: is not there; make it with: {command}" if command else f"{file}: is not there"
        for file, command in files.items() if not Path(file).exists()
    ]  # fmt: skip


def problems_of(job: Job) -> list[Problem]:
    """All problems of a job, from files or of embedded families. Raises DataError and BadFile for broken files."""
    params, out = job.params, list[Problem]()
    for family in params["families"]:
        levels = FAMILIES[family].SUITE_LEVELS if params["mix"] == "suite" else None
        out += problems(family, "search", params["problems"], params["seed"], levels)
    for file, family in zip(job.how["files"], params["sources"], strict=True):
        out += read_problems(Path(file), family, params["problems"])
    return out


def problem_count(job: Job) -> int:
    """How many problems a job has at most."""
    return int(job.params["problems"]) * max(1, len(job.params["families"]) + len(job.params["sources"]))
