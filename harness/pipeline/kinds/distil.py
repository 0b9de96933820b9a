"""Long chain-of-thought data: the outputs of a teacher as chains in the vocabulary of the model to be trained."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from harness.chains.distilled import Output, Taught, chains_of_outputs, filtered
from harness.errors import RecipeError
from harness.journal import read_records, write_rows
from harness.models.loading import load_tokenizer
from harness.models.spec import ModelSpec
from harness.pipeline.kind import Job, Kind, Params, Planner, Profiled, Report, Stage
from harness.pipeline.sources import searched
from harness.problems.embedded import worked
from harness.spec import Spec, knob
from harness.thoughts import THINK_CLOSE


class DistilStage(Stage):
    """Long chain-of-thought of a teacher: its outputs, or those in the profile's file; graded, correct ones used."""

    kind: Literal["distil"]
    yields = ("chains",)
    needs = {"teacher": "model"}
    teacher: str = knob("", "The model or stage that is asked; default: the profile's file, without one its teacher.")
    plain: bool = knob(False, "Leave outputs as they are where the profile pads them.")

    def line(self, plan: Profiled) -> str:
        scale = plan.scale(DistilScale)
        padded = f", padded by {scale.padding}" if scale.padding and not self.plain else ""
        return (scale.file if scale.file and not self.teacher else f"outputs of {self.teacher or 'teacher'}") + padded


class DistilScale(Spec):
    """Outputs to the problems of the search, or out of a file."""

    file: str | None = knob(None, "A file of outputs; default: the teacher is asked.", how=True)
    family: str = knob("number", "Whose grader the outputs of a file get.")
    problems: int = knob(0, "Outputs taken from the file; 0: all.", ge=0)
    samples: int = knob(4, "Outputs a problem.", ge=1)
    max_tokens: int = knob(512, "Most tokens of an output.", ge=1)
    temperature: float = knob(0.6, "0: greedy.", ge=0)
    seed: int = knob(0, "Seed of sampling and padding.", ge=0)
    padding: int = knob(0, "Formalistic re-checks written into each, at least (embedded families alone).", ge=0)


class Distil(Kind):
    name = "distil"
    line = "{correct_chains:,} correct chains of {mean_tokens:g} tokens"
    stage = DistilStage
    scale = DistilScale
    quick = True

    def jobs(self, plan: Planner, name: str, stage: Stage, seed: int, vocabulary: ModelSpec | None) -> str:
        assert isinstance(stage, DistilStage)
        scale = plan.scale(DistilScale)
        inputs, models = dict[str, str](), dict[str, ModelSpec]()
        if scale.file is not None and not stage.teacher:
            params: Params = {"family": scale.family, "problems": scale.problems}
            how, files = {"file": scale.file}, [Path(scale.file)]
        else:
            problems, how, files = searched(plan)
            sampling = scale.model_dump(include={"samples", "max_tokens", "temperature"})
            params = problems | sampling | {"sampling_seed": scale.seed}
            if stage.teacher:
                inputs, models = plan.trained(stage.teacher, seed)
            else:
                models = {"model": plan.model("teacher")}
        label = name + (f" #{seed}" if inputs and len(plan.seeds) > 1 else "")
        teach = Job(
            kind="teach", name=f"teach {label}", params=params, inputs=inputs, models=models, how=how, stage=name
        )
        padding = 0 if stage.plain else scale.padding
        if padding and not params.get("families"):
            raise RecipeError(
                f"profile {plan.profile_name}: distil.padding writes re-checks for embedded families alone; set it to 0"
            )
        return plan.add(Job(
            kind=self.name, name=f"distil {label}", params={"padding": padding, "seed": scale.seed},
            inputs={"taught": plan.add(teach, files)}, models={"tokenizer": vocabulary or plan.model("student")},
            how={"samples": params.get("samples", 1)}, stage=name,
        ))  # fmt: skip

    def run(self, job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> Params:
        vocabulary = job.models["tokenizer"]
        tokenizer = load_tokenizer(vocabulary.tokenizer or vocabulary.model)
        taught = list(read_records(inputs["taught"] / "taught.jsonl", Taught))
        if job.params["padding"]:
            rng = random.Random(f"padding/{job.params['seed']}")
            taught = [_padded(each, rng, job.params["padding"]) for each in taught]
        kept, left_out = filtered([Output(problem=t.problem, text=t.text) for t in taught], [tokenizer])
        passed = {(output.problem.id, output.text) for output in kept}
        chains = chains_of_outputs([t for t in taught if (t.problem.id, t.text) in passed], tokenizer)
        write_rows(folder / "chains.jsonl", (chain.model_dump() for chain in chains))
        correct = [chain for chain in chains if chain.correct]
        return {
            "correct_chains": len(correct), "wrong_chains": len(chains) - len(correct), "left_out": dict(left_out),
            "mean_tokens": round(sum(c.length for c in correct) / max(1, len(correct)), 1),
        }  # fmt: skip

    def items(self, job: Job, inputs: Mapping[str, int | None]) -> int | None:
        return (outputs := inputs["taught"]) and outputs // int(job.how["samples"])


def _padded(taught: Taught, rng: random.Random, least: int) -> Taught:
    """With formalistic re-checks before the answer: the long-time thinking of arXiv 2503.01461, section 2."""
    spans = worked.padding(taught.problem, rng, least)
    extra = "".join(span.opening + span.text + span.closing for span in spans)
    head, _, tail = taught.text.rpartition(THINK_CLOSE)
    return taught.model_copy(update={"text": head + extra + THINK_CLOSE + tail})
