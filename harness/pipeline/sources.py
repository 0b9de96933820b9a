"""The problems that a recipe searches, and the models it asks, from a job's plain parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.models.backends import opened
from harness.models.spec import ModelSpec
from harness.pipeline.graph import Job
from harness.records import Problem


def problems_of(job: Job, shard: int | None = None) -> list[Problem]:
    """All problems of a job, or every ``shards``-th of them: from files, or of the embedded families' search split.

    Raises DataError and OSError for a file that is broken or not there.
    """
    from harness.problems.embedded import problems
    from harness.problems.file import read_problems
    from harness.search.launch import shard as part

    params = job.params
    out = [p for family in params["families"] for p in problems(family, "search", params["problems"], params["seed"])]
    for source in job.how.get("sources", ()):
        out += read_problems(Path(source["file"]), source["family"], params["problems"])
    return out if shard is None else list(part(out, shard, params["shards"]))


@contextmanager
def loaded(model: dict[str, Any], folder: Path) -> Iterator[tuple[Any, Any]]:
    """The completer of a model (its first server) and its tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    with opened(ModelSpec.model_validate(model).replicas()[0], folder) as both:
        yield both
