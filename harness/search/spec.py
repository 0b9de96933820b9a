"""Settings of a search: when a problem is done, budgets, grammar, policy, and how it is computed."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from harness.spec import Spec, knob

PolicyName = Literal["mcts", "chain_first", "rejection", "original"]


class Goals(Spec):
    """When a problem is done: enough distinct verified chains of both verdicts, or a budget is spent."""

    correct: int = knob(6, "Distinct correct chains wanted of a problem.", ge=0)
    wrong: int = knob(2, "Distinct wrong chains wanted of a problem.", ge=0)
    rollouts: int = knob(16, "Rollouts of a problem that selection may begin.", ge=1)
    reflections: int = knob(16, "Reflections of a problem that wrong verdicts may begin.", ge=0)
    requests: int = knob(200, "Model calls of a problem; 0: no cap.", ge=0)
    tokens: int = knob(0, "Generated tokens of a problem; 0: no cap.", ge=0)
    give_up: int = knob(0, "Rollouts that may end without a correct chain; 0: never give up.", ge=0)
    answers: int = knob(0, "Answers after which a problem is done, right or wrong; 0: no such rule.", ge=0, option="-")


class Limits(Spec):
    """Budgets of one invocation over all problems, and of the time of one problem. 0: no cap."""

    requests: int = knob(0, "Model calls of this run; 0: no cap.", how=True, ge=0, option="--all-requests")
    tokens: int = knob(0, "Generated tokens of this run; 0: no cap.", how=True, ge=0, option="--all-tokens")
    seconds: float = knob(0.0, "Seconds of this run; 0: no cap.", how=True, ge=0, option="--all-seconds")
    problem_seconds: float = knob(0.0, "Seconds of one problem (servers only); 0: no cap.", how=True, ge=0,
                                  option="--seconds")  # fmt: skip


class SearchSpec(Spec):
    """What trees are grown and how many at once; goals and models come beside it."""

    grammar: str = knob("embedded", "Name of a shipped grammar, or path of a YAML file.")
    policy: PolicyName = knob("mcts", "How nodes are selected.")
    seed: int = knob(0, "Seed of selection and sampling; each problem derives its own from it.", ge=0)
    in_flight: int = knob(4, "Nodes of a tree at once.", ge=1)
    window: int = knob(128, "Problems at once.", how=True, ge=1)
    deterministic: bool = knob(
        True, "Results in the order of asking, or as they come (--free).", how=True, option="--deterministic/--free"
    )
    graders: int = knob(1, "Grading processes.", how=True, ge=1)


class Split(Spec):
    """Over how many shards a search goes, and what runs them."""

    shards: int = knob(1, "Split by problem.", how=True, ge=1)
    shard: int | None = knob(None, "Only this shard, from 0.", how=True, ge=0)
    executor: Literal["local", "ray"] = knob("local", "What runs the shards.", how=True)
    address: str | None = knob(None, "Of a Ray cluster; default: start one here.", how=True)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.shard is not None and self.shard >= self.shards:
            raise ValueError(f"--shard {self.shard}: with --shards {self.shards} it is at most {self.shards - 1}")
        return self
