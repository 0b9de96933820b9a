"""A job: one cacheable unit of a recipe's work, and the graph of jobs that a recipe becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harness.errors import RecipeError, nearest
from harness.models.spec import ModelSpec

# Plain JSON data: what a kind of stage writes into its jobs and reads again, and the figures that it returns.
Params = dict[str, Any]
# (items done, items in all, tokens generated so far)
Report = Callable[[int, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """``inputs`` maps a role to the digest of another job, ``models`` to a model. ``stage``: of the recipe.

    ``how`` is what the result does not depend on: addresses, batch sizes, programs.
    ``depends``: digests of the models (for a tokenizer: vocabulary and template), of data files, of code; packages.
    """

    name: str
    kind: str
    digest: str
    params: Params = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    models: dict[str, ModelSpec] = field(default_factory=dict)
    how: Params = field(default_factory=dict)
    stage: str = ""
    depends: Params = field(default_factory=dict)

    def path(self, role: str) -> str:
        """Where the model of ``role`` is: a folder or a hub name."""
        return self.models[role].model


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Jobs in an order in which inputs come first, and the evaluation jobs of each arm, one per seed.

    ``left_out``: arms whose models the profile does not have, with the name of the model.
    """

    jobs: dict[str, Job]
    arms: dict[str, list[str]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()

    def until(self, stage: str) -> Graph:
        """The jobs of one stage and all that they need; no arms. Raises RecipeError for an unknown stage."""
        known = dict.fromkeys(job.stage for job in self.jobs.values() if job.stage)
        if stage not in known:
            raise RecipeError(f"--until {stage}: no such stage among {', '.join(known)}{nearest(stage, known)}")
        wanted = [digest for digest, job in self.jobs.items() if job.stage == stage]
        needed: set[str] = set()
        while wanted:
            digest = wanted.pop()
            if digest not in needed:
                needed.add(digest)
                wanted += self.jobs[digest].inputs.values()
        return Graph(jobs={d: job for d, job in self.jobs.items() if d in needed}, seeds=self.seeds)
