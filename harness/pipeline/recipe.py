"""Recipes and profiles: what an ablation consists of, and at which scale it runs. Unknown keys are errors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.errors import RecipeError, nearest
from harness.models.spec import ModelSpec
from harness.results.records import Claim
from harness.shipped import shipped


class Strict(BaseModel):
    """Frozen, and every unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


LengthRule = Literal["shortest", "medium", "longest", "mixed", "balanced"]


class SearchStage(Strict):
    """Tree search by two models: distinct ``correct`` and ``wrong`` chains wanted per problem, ``rollouts`` at most."""

    kind: Literal["search"]
    generator: str = "generator"
    critic: str = "critic"
    correct: int = Field(default=6, ge=1)
    wrong: int = Field(default=2, ge=0)
    rollouts: int = Field(default=16, ge=1)


class DistilStage(Strict):
    """Long chain-of-thought of a ``teacher``: its outputs, or those in the profile's file; graded, correct ones used.

    ``plain``: as they are, where the profile pads them.
    """

    kind: Literal["distil"]
    teacher: str = "teacher"
    plain: bool = False


class SftStage(Strict):
    """SFT on the correct chains of a search or of a teacher."""

    kind: Literal["sft"]
    model: str
    chains: str
    rule: LengthRule = "longest"
    per_problem: int = Field(default=2, ge=1)


class ObjectiveSpec(Strict):
    """Switches of the preference objective; beta comes with the dose, the same for every arm that names none."""

    beta: float | None = Field(default=None, gt=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    sft_weight: float = Field(default=0.0, ge=0)
    sft_normalization: Literal["sequence_mean", "token_mean"] = "sequence_mean"
    mask_prefix_dpo: bool = False
    mask_prefix_sft: bool = False
    length_normalized: bool = False


class PreferenceStage(Strict):
    """DPO in any of its variants, on pairs of a search."""

    kind: Literal["preference"]
    model: str
    chains: str
    chosen: LengthRule = "longest"
    prefix: Literal["shortest", "longest", "random"] = "shortest"
    per_problem: int = Field(default=2, ge=1)
    objective: ObjectiveSpec = ObjectiveSpec()


class PretrainStage(Strict):
    """A tiny model from scratch, by the name of its spec."""

    kind: Literal["pretrain"]
    spec: str


Stage = Annotated[SearchStage | DistilStage | SftStage | PreferenceStage | PretrainStage, Field(discriminator="kind")]


class Arm(Strict):
    """A model decoded in its own way: ``samples`` answers a problem, each drawn alone or all from one tree."""

    model: str
    samples: int = Field(default=1, ge=1)
    decode: Literal["sample", "mcts"] = "sample"


class Recipe(Strict):
    """``arms`` maps a table row to a model: one of the profile, or the output of a stage; ``control`` is one of them.

    ``profile`` and ``seeds`` hold where the command line names none.
    """

    name: str
    about: str = ""
    profile: str = "tiny"
    suite: str = "embedded"
    seeds: list[int] | None = Field(default=None, min_length=1)
    control: str = ""
    stages: dict[str, Stage]
    arms: dict[str, str | Arm] = {}
    claims: dict[str, Claim] = {}

    def arm(self, name: str) -> Arm:
        """An arm in its long form."""
        found = self.arms[name]
        return Arm(model=found) if isinstance(found, str) else found


class DoseSpec(Strict):
    """How much training, and (from ``micro_batch`` on) how it is computed. ``launch``: a program that starts the
    training in several processes, such as ``accelerate launch --num_processes 8``."""

    learning_rate: float = Field(gt=0)
    epochs: float = Field(default=1.0, gt=0)
    batch_size: int = Field(default=16, ge=1)
    warmup: float = Field(default=0.1, ge=0)
    save_steps: int = Field(default=25, ge=1)
    beta: float = Field(default=0.1, gt=0)
    lora: int = Field(default=0, ge=0)
    max_tokens: int = Field(default=0, ge=0)
    micro_batch: int = Field(default=0, ge=0)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    recompute: bool = False
    launch: str = ""


class Source(Strict):
    """Problems to search: a JSONL file, for the grader of ``family``."""

    file: str
    family: str | None = None


class SearchScale(Strict):
    """``problems`` of each source; without sources, of the search split of each of the suite's embedded families."""

    problems: int = Field(ge=1)
    shards: int = Field(default=2, ge=1)
    seed: int = 0
    grammar: str = "embedded"
    sources: list[Source] = []


class DistilScale(Strict):
    """``samples`` outputs a problem of the search; or a ``file`` of outputs, of which ``problems`` are taken (0: all).

    ``padding`` > 0 writes at least that many formalistic re-checks into each (embedded families alone)."""

    file: str | None = None
    family: str = "number"
    problems: int = Field(default=0, ge=0)
    samples: int = Field(default=4, ge=1)
    max_tokens: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.6, ge=0)
    seed: int = 0
    padding: int = Field(default=0, ge=0)


class EvalScale(Strict):
    """``count`` and ``split`` are for embedded families; ``limit`` takes the first problems of every task (0: all)."""

    count: int = Field(default=300, ge=1)
    split: Literal["eval", "dev", "search"] = "eval"
    limit: int = Field(default=0, ge=0)
    max_tokens: int | None = Field(default=512, ge=1)
    temperature: float = Field(default=0.6, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int = 0
    backend: Literal["hf", "vllm"] = "hf"
    concurrency: int = Field(default=64, ge=1)
    vllm: str = "vllm"
    vllm_arguments: list[str] = []
    data_dir: str | None = None


class PretrainScale(Strict):
    """``steps`` of pretraining a tiny model; 0: as many as its spec says."""

    steps: int = Field(default=0, ge=0)


class Profile(Strict):
    """A scale. ``models`` set to null are not there: arms that need them are left out, and that is told.

    ``suite`` replaces the recipe's. ``workers``: stages at once.
    """

    name: str
    about: str = ""
    models: dict[str, ModelSpec | str | None]
    suite: str | None = None
    search: SearchScale
    distil: DistilScale = DistilScale()
    pretrain: PretrainScale = PretrainScale()
    eval: EvalScale
    sft: DoseSpec
    preference: DoseSpec
    seeds: list[int] = Field(default=[0], min_length=1)
    workers: int = Field(default=2, ge=1)

    def model(self, name: str) -> ModelSpec | None:
        """A model in its long form; None where this profile leaves it out."""
        found = self.models[name]
        return ModelSpec(model=found) if isinstance(found, str) else found


def recipe_names() -> list[str]:
    return sorted(path.stem for path in shipped("recipes").glob("*.yaml"))


def profile_names() -> list[str]:
    return sorted(path.stem for path in (shipped("recipes") / "profiles").glob("*.yaml"))


def find(name: str, folder: Path, kind: str) -> Path:
    """The file of a recipe or profile given by name or path."""
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.exists():
            raise RecipeError(f"{name}: no such file")
        return path
    known = sorted(p.stem for p in folder.glob("*.yaml"))
    if name not in known:
        hint = nearest(name, known)
        if kind == "recipe" and name in profile_names():
            raise RecipeError(f"{name} is a profile: give a recipe, and --profile {name}")
        raise RecipeError(f"no {kind} {name!r}{hint}; there are {', '.join(known)}, or give a path ending in .yaml")
    return folder / f"{name}.yaml"
