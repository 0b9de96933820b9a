"""What the kinds of stages that train a model on its own answers have in common: problems in, a checkpoint out."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from harness.models.loading import context_length, load_tokenizer
from harness.pipeline.kind import Job, Params, Planner, Report, Stage, part_of
from harness.pipeline.sources import problem_count, problems_of, searched
from harness.pipeline.training import LearningStage, Training, TrainingScale, place
from harness.spec import knob
from harness.training.data import asked_rows
from harness.training.spec import GrpoObjective, OpdObjective, Sampling


class OnlineScale(TrainingScale, Sampling):
    """The dose; ``batch_size`` counts prompts."""

    learning_rate: float = knob(1e-6, "Peak, after the warm-up.", gt=0)


class Online(Training):
    """A kind that trains on answers to the problems of the search; ``objective`` is made of its stage and its dose."""

    objective: ClassVar[type[OpdObjective | GrpoObjective]]

    def jobs(self, plan: Planner, name: str, stage: Stage, seed: int, vocabulary: object) -> str:
        assert isinstance(stage, LearningStage)
        params, how, files = searched(plan)
        more = Job(name="", kind=self.name, params={"problems": params}, how=how)
        if teacher := getattr(stage, "teacher", ""):
            stages, models = plan.trained(teacher, seed)
            named = {"teacher": stages["model"]} if stages else {}
            more = replace(more, inputs=named, models={"teacher": models["model"]} if models else {})
        return self.job(plan, name, stage, seed, more, files)

    def maker(self) -> Any:
        from harness.training.online import trainer_of

        return trainer_of

    def run(self, job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> Params:
        path, objective = place("model", job, inputs) or "", part_of(self.objective, job.params | job.params["dose"])
        room = job.params["dose"]["max_tokens"] or context_length(path)
        asked = asked_rows(problems_of(_asked(job)), load_tokenizer(path), objective.answer_tokens, room)
        rows = [{"prompt_ids": ids, "family": family, "gold": gold} for ids, family, gold in asked.rows]
        return self.train(job, folder, inputs, report, rows, objective, {"left_out": dict(asked.left_out)})

    def items(self, job: Job, inputs: Mapping[str, int | None]) -> int | None:
        return problem_count(_asked(job))

    def most(self, job: Job) -> int | None:
        dose = job.params["dose"]
        return int(dose["answer_tokens"] * dose.get("answers", 1) * dose["epochs"])


def _asked(job: Job) -> Job:
    """The job as one that asks its problems, which have a seed of their own."""
    return replace(job, params=job.params["problems"])
