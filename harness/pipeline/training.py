"""What the kinds of stages that train have in common: chains in, a checkpoint out."""

import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import Any, ClassVar

from pydantic import field_serializer, field_validator

from harness.errors import ModelError, TrainingError
from harness.files import shipped
from harness.journal import read_records, write_rows, write_whole
from harness.models.spec import ModelSpec
from harness.pipeline.kind import SAMPLING, Job, Kind, Params, Planner, Profiled, Report, Stage, part_of
from harness.processes import run_kept
from harness.records import Chain
from harness.spec import knob
from harness.training.checkpoints import finished
from harness.training.spec import AnyObjective, Objective, Shares, TrainingFigures, TrainingJob, TrainingSpec

# Bytes of a parameter: weights, gradient and two moments; and the moments that a checkpoint holds beside the weights.
_TRAINING, _MOMENTS = 16, 12
_LORA = 0.2  # of that, with adapters alone
_SHIPPED = "shipped:"
Row = dict[str, Any]  # token ids: the prompt's, then those of each side; verdicts, or what a grader needs
Switches = AnyObjective


class LearningStage(Stage):
    """Trains ``model``."""

    yields = ("model",)
    needs = {"model": "model"}
    model: str = knob(..., "A model of the profile, or a stage that yields one.")
    dose: TrainingSpec | None = knob(None, "Keys of the profile's dose that are this stage's own.")
    curve: Shares = knob([], "Shares of its steps after which the model is kept and scored, too.")

    @property
    def sources(self) -> dict[str, str]:
        """By role: the stages whose chains it reads."""
        return {}

    @property
    def points(self) -> list[float]:
        """The shares before the end, where the model is there anyway."""
        return [share for share in self.curve if share < 1]

    def line(self, plan: Profiled) -> str:
        return super().line(plan) + (f"; curve at {', '.join(map(str, self.points))}" if self.points else "")

    @field_serializer("dose")
    def _given(self, value: TrainingSpec | None) -> Params | None:
        return None if value is None else value.model_dump(mode="json", exclude_unset=True)


class ChainsStage(LearningStage):
    """Trains ``model`` on ``chains``."""

    needs = {"model": "model", "chains": "chains"}
    chains: str = knob(..., "The stage that yields the data.")

    @property
    def sources(self) -> dict[str, str]:
        return {"chains": self.chains}


class TrainedStage(ChainsStage):
    """Trains ``model`` on some of each problem's ``chains``."""

    per_problem: int = knob(2, "Chains or pairs taken of a problem.", ge=1)


class TrainingScale(TrainingSpec):
    """The dose of a kind of training, and how it is computed."""

    learning_rate: float = knob(..., "Peak, after the warm-up.", gt=0)
    launch: str = knob(
        "", "Starts it in several processes: 'accelerate launch --config_file FILE'; shipped:FILE is one of recipes/.",
        how=True,
    )  # fmt: skip

    @field_validator("launch")
    @classmethod
    def _words(cls, value: str) -> str:
        for word in shlex.split(value):  # which raises ValueError, too
            if _shipped(word).startswith(_SHIPPED):
                raise ValueError(
                    f"{word}: there is no such file; there are {', '.join(_SHIPPED + f for f in _files())}"
                )
        return value


class Training(Kind):
    """A kind that trains. Its params: the stage's rules and curve, its seed, ``dose``: identity of a TrainingScale."""

    scale: ClassVar[type[TrainingScale]]

    def jobs(self, plan: Planner, name: str, stage: Stage, seed: int, vocabulary: ModelSpec | None) -> str:
        assert isinstance(stage, LearningStage)
        return self.job(plan, name, stage, seed, Job(name="", kind=self.name))

    def job(
        self, plan: Planner, name: str, stage: LearningStage, seed: int, more: Job, reads: Sequence[Path] = ()
    ) -> str:
        """Add the job that trains, with what is in ``more`` beside the model, the stage's rules and the dose."""
        inputs, models = plan.trained(stage.model, seed)
        inputs = inputs | {role: plan.stage(source, seed, stage.model) for role, source in stage.sources.items()}
        own = stage.dose.model_dump(exclude_unset=True) if stage.dose else {}
        dose = plan.scale(self.scale).model_copy(update=own)
        named = dict.fromkeys(("kind", "dose", "curve", *stage.needs), True) | {"mix": {"chains"}}
        rules = stage.model_dump(exclude=named)
        params = rules | {"seed": seed, "dose": dose.identity()} | ({"curve": stage.points} if stage.points else {})
        how = dose.model_dump(mode="json", exclude={*params["dose"]})
        label = f"train {name}" + (f" #{seed}" if len(plan.seeds) > 1 else "")
        job = Job(
            kind=self.name, name=label, params=params | more.params, inputs=inputs | more.inputs,
            models=models | more.models, how=how | more.how, stage=name,
        )  # fmt: skip
        return plan.add(job, reads)

    def data(self, job: Job, folder: Path, chains: Iterator[Chain]) -> tuple[list[Row], Switches, Params]:
        """What a job trains on, as token ids, and with which objective; figures of the data."""
        raise NotImplementedError

    def maker(self) -> Any:
        """What makes its trainer; imported here, for it takes seconds."""
        from harness.training.trainer import trainer_of

        return trainer_of

    def run(self, job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> Params:
        files = {role: path / "chains.jsonl" for role, path in inputs.items() if role not in ("model", "teacher")}
        chains = {role: read_records(file, Chain) for role, file in files.items()}
        return self.train(job, folder, inputs, report, *self.data(job, folder, **chains))

    def train(
        self, job: Job, folder: Path, inputs: dict[str, Path], report: Report, rows: list[Row],
        objective: Switches, more: Params,
    ) -> Params:  # fmt: skip
        """Train the job's model on ``rows``; the figures of the training and ``more``."""
        write_rows(folder / "rows.jsonl", rows)
        task = TrainingJob(
            model=place("model", job, inputs) or "", teacher=place("teacher", job, inputs),
            data=folder / "rows.jsonl", out=folder / "model", seed=job.params["seed"],
            # Arms that differ in the objective alone share what is computed of their reference.
            reference=folder.parent.parent / "reference" if isinstance(objective, Objective) else None,
            training=part_of(TrainingSpec, job.params["dose"] | job.how), objective=objective,
            keep=job.params.get("curve", []),
            about={"stage": job.name, "digest of the stage and all before it": job.digest, "data": job.params},
        )  # fmt: skip
        launch = job.how.get("launch", "")
        figures = _run(task, launch, folder, lambda step, total: report(step, total, 0), self.maker)
        return figures.model_dump(exclude_none=True) | more

    def items(self, job: Job, inputs: Mapping[str, int | None]) -> int | None:
        return (problems := inputs["chains"]) and problems * int(job.params["per_problem"])

    def spent(self, figures: Params) -> tuple[int, int]:
        return figures.get("tokens_in_rows", 0), figures.get("rows") or figures.get("pairs") or 0

    def most(self, job: Job) -> int | None:
        return round(job.params["dose"]["max_tokens"] * job.params["dose"]["epochs"]) or None

    def bytes_of(self, job: Job, parameters: int | None, tokens: int | None) -> tuple[int | None, int | None]:
        if parameters is None:
            return super().bytes_of(job, parameters, tokens)
        share = _LORA if job.params["dose"]["lora"] else 1
        kept = 1 + len(job.params.get("curve", []))
        return round(parameters * _TRAINING * share), parameters * (SAMPLING * kept + _MOMENTS)


def place(role: str, job: Job, inputs: Mapping[str, Path]) -> str | None:
    """Where the model in this role lies: that of a stage, or of the profile; None where a job has none."""
    if role in inputs:
        return str(inputs[role] / "model")
    return job.models[role].model if role in job.models else None


def fitting(job: Job, rows: list[Row], what: str) -> list[Row]:
    """Rows of which the prompt and each side have at most the dose's tokens. Raises ModelError when none is left."""
    longest = job.params["dose"]["max_tokens"]
    lengths = [[len(ids) for ids in row.values()] for row in rows]
    fits = [not longest or prompt + max(sides) <= longest for prompt, *sides in lengths]
    kept = list(compress(rows, fits))
    if not kept:
        limit = f" of at most {longest} tokens" if longest and rows else ""
        raise ModelError(f"no {what}{limit} to train on; search more problems, or look at the search's figures")
    return kept


def _files() -> list[str]:
    return sorted(f"accelerate/{file.name}" for file in (shipped("recipes") / "accelerate").glob("*.yaml"))


def _shipped(word: str) -> str:
    """The path behind ``shipped:FILE``, where there is such a file; any other word as it is."""
    file = shipped("recipes") / word.removeprefix(_SHIPPED)
    return str(file) if word.startswith(_SHIPPED) and file.is_file() else word


def _run(
    job: TrainingJob, launch: str, folder: Path, progress: Callable[[int, int], None], maker: Callable[[], Any]
) -> TrainingFigures:
    """The training here, or as ``LAUNCH -m harness train job FILE``. Raises ModelError and TrainingError."""
    if not launch.strip():
        from harness.training.train import run

        return run(job, progress, maker())
    try:
        words = [_shipped(word) for word in shlex.split(launch)]
    except ValueError as error:
        raise ModelError(f"launch {launch!r}: {error}") from None
    if shutil.which(words[0]) is None:
        raise ModelError(f"launch {launch!r}: there is no program {words[0]}")
    write_whole(folder / "job.json", job.model_dump_json(indent=1))
    code = run_kept([*words, "-m", "harness", "train", "job", str(folder / "job.json")])
    figures = finished(job.out)
    if code or figures is None:
        raise TrainingError(f"launch {launch!r}: the training ended with {code}; its log says why")
    return figures
