"""What the kinds of stages that train a model have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from harness.pipeline.kind import SAMPLING, Kind, Planner, Profiled, Spent, Stage
from harness.spec import Spec, knob
from harness.training.spec import TrainingSpec

if TYPE_CHECKING:
    from harness.models.spec import ModelSpec
    from harness.pipeline.job import Graph, Job, Params, Report

# Bytes of a parameter: weights, gradient and two moments; and the moments that a checkpoint holds beside the weights.
_TRAINING, _MOMENTS = 16, 12
_LORA = 0.2  # of that, with adapters alone


_Spec = TypeVar("_Spec", bound=Spec)


def fields_of(spec: type[_Spec], params: Params) -> _Spec:
    """A spec from those of ``params`` that are its fields."""
    return spec.model_validate({name: params[name] for name in spec.model_fields})


class TrainedStage(Stage):
    """Trains ``model`` on ``chains``."""

    yields: ClassVar[tuple[str, ...]] = ("model",)
    needs: ClassVar[Mapping[str, str]] = {"model": "model", "chains": "chains"}
    model: str = knob(..., "A model of the profile, or a stage that yields one.")
    chains: str = knob(..., "The stage that yields the data.")
    per_problem: int = knob(2, "Chains or pairs taken of a problem.", ge=1)

    def line(self, plan: Profiled) -> str:
        return f"{self.kind} on {self.chains}, {self.length}"

    @property
    def length(self) -> str:
        """The rule by which chains are picked."""
        raise NotImplementedError


class TrainingScale(TrainingSpec):
    """The dose of a kind of training, and how it is computed."""

    learning_rate: float = knob(..., "Peak, after the warm-up.", gt=0)
    launch: str = knob(
        "", "Starts the training in several processes: 'accelerate launch --num_processes 8'.", how=True
    )  # fmt: skip


class Training(Kind):
    """A kind that trains. Its params: the stage's rules, its seed, and ``dose``: the identity of a TrainingScale."""

    scale: ClassVar[type[TrainingScale]]

    def jobs(self, plan: Planner, name: str, stage: Stage, seed: int, vocabulary: ModelSpec | None) -> str:
        assert isinstance(stage, TrainedStage)
        inputs, models = plan.trained(stage.model, seed)
        inputs = inputs | {"chains": plan.stage(stage.chains, seed, plan.vocabulary(stage.model))}
        dose = plan.scale(self.scale)
        params = stage.model_dump(exclude={"kind", "model", "chains"}) | {"seed": seed, "dose": dose.identity()}
        how = {key: value for key, value in dose.model_dump(mode="json").items() if key not in params["dose"]}
        label = f"train {name}" + (f" #{seed}" if len(plan.seeds) > 1 else "")
        return plan.add(self.name, label, params=params, inputs=inputs, models=models, how=how, stage=name)

    def given(self, job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> Params:
        """What every training is given: data, model, dose and seed, how it is launched, what its card says."""
        return {
            "chains": inputs["chains"] / "chains.jsonl",
            "model": str(inputs["model"] / "model") if "model" in inputs else job.path("model"),
            "folder": folder,
            "training": fields_of(TrainingSpec, job.params["dose"] | job.how),
            "seed": job.params["seed"],
            "launch": job.how["launch"],
            "about": {"stage": job.name, "digest of the stage and all before it": job.digest, "data": job.params},
            "progress": lambda step, total: report(step, total, 0),
        }

    def items(self, graph: Graph, job: Job) -> int | None:
        from harness.pipeline.kinds import kind_of

        chains = graph.jobs[job.inputs["chains"]]
        problems = kind_of(chains.kind).items(graph, chains)
        return None if problems is None else problems * int(job.params["per_problem"])

    def spent(self, figures: Params) -> Spent:
        return Spent(figures.get("tokens_in_rows", 0), figures.get("rows") or figures.get("pairs") or 0)

    def most(self, job: Job) -> int | None:
        return round(job.params["dose"]["max_tokens"] * job.params["dose"]["epochs"]) or None

    def memory(self, job: Job, parameters: int) -> int | None:
        return round(parameters * _TRAINING * (_LORA if job.params["dose"]["lora"] else 1))

    def disk(self, job: Job, parameters: int | None, tokens: int | None) -> int | None:
        return super().disk(job, None, tokens) if parameters is None else parameters * (SAMPLING + _MOMENTS)
