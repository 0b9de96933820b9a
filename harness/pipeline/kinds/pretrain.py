"""A tiny model from scratch, by the name of its spec."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import field_validator

from harness.errors import nearest
from harness.models.loading import folder as assets
from harness.models.loading import load_tokenizer
from harness.models.spec import ModelSpec
from harness.pipeline.kind import Job, Kind, Params, Planner, Report, Stage
from harness.spec import Spec, knob


class PretrainStage(Stage):
    kind: Literal["pretrain"]
    yields = ("model",)
    spec: str = knob(..., "The name of the tiny model.")

    @field_validator("spec")
    @classmethod
    def _known(cls, value: str) -> str:
        from harness.training.tiny import SPECS

        if value not in SPECS:
            raise ValueError(f"no tiny model {value!r}{nearest(value, SPECS)}; there are {', '.join(SPECS)}")
        return value


class PretrainScale(Spec):
    """How long tiny models are pretrained."""

    steps: int = knob(0, "Steps; 0: as many as the spec of the model says.", ge=0)


class Pretrain(Kind):
    name = "pretrain"
    line = "{steps} steps, loss {loss:g}"
    stage = PretrainStage
    scale = PretrainScale

    def jobs(self, plan: Planner, name: str, stage: Stage, seed: int, vocabulary: ModelSpec | None) -> str:
        assert isinstance(stage, PretrainStage)
        steps = plan.scale(PretrainScale).steps
        params: Params = {"spec": stage.spec} | ({"steps": steps} if steps else {})
        return plan.add(Job(kind=self.name, name=f"pretrain {stage.spec}", params=params, stage=name))

    def run(self, job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> Params:
        from harness.training.tiny import SPECS, pretrain

        spec = SPECS[job.params["spec"]]
        if "steps" in job.params:
            spec = replace(spec, steps=job.params["steps"], warmup=1)
        return pretrain(spec, load_tokenizer(str(assets() / "tokenizer")), folder / "model", report)
