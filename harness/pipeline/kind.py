"""What a kind of stage is, and the jobs that its stages become. Each kind is one file of ``pipeline/kinds/``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from pydantic import BaseModel

from harness.models.spec import ModelSpec
from harness.spec import Spec

_Spec = TypeVar("_Spec", bound=Spec)
_Model = TypeVar("_Model", bound=BaseModel)
# Plain JSON data: what a kind of stage writes into its jobs and reads again, and the figures that it returns.
Params = dict[str, Any]
Report = Callable[[int, int, int], None]  # (items done, items in all, tokens generated so far)
# Bytes of a parameter in memory to sample from it (float32 here, bfloat16 on a GPU), and of a stored token in JSON.
SAMPLING, TOKEN = 4, 12


def part_of(model: type[_Model], values: Mapping[str, Any]) -> _Model:
    """A spec or record from those of ``values`` that are its fields."""
    return model.model_validate({name: values[name] for name in model.model_fields if name in values})


@dataclass(frozen=True, kw_only=True)
class Job:
    """One unit of a recipe's work, of a ``stage`` of it. Its result is kept under its ``digest``.

    ``inputs`` maps a role to the digest of another job, ``models`` to a model; the first is what takes the time.
    ``how``: what the result does not depend on (addresses, batch sizes). The planner adds digest and ``depends``:
    digests of the models (for a tokenizer: vocabulary and template), of data files, of code; packages.
    """

    name: str
    kind: str
    params: Params = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    models: dict[str, ModelSpec] = field(default_factory=dict)
    how: Params = field(default_factory=dict)
    stage: str = ""
    depends: Params = field(default_factory=dict)
    digest: str = ""


class Profiled(Protocol):
    """Settings of a profile, by the class that a kind declares as its ``scale``."""

    def scale(self, of: type[_Spec]) -> _Spec: ...


class Stage(Spec):
    """A stage of a recipe. A subclass adds its keys, and ``kind: Literal[...]`` with the name of its kind."""

    kind: str
    says: ClassVar[str] = "{kind}"  # the stage in one line, as a format of its keys
    # What other stages may take from it: "model"; "chains" to train on; "pairs": chains of both verdicts.
    yields: ClassVar[tuple[str, ...]] = ()
    # Keys that name another stage, with what that stage must yield. "model" may also name a model of the profile.
    needs: ClassVar[Mapping[str, str]] = {}

    def takes(self) -> dict[tuple[str, ...], tuple[str, str]]:
        """By key: the other stage (or model) that stands there, and what it must yield."""
        given = {key: str(getattr(self, key)) for key in self.needs}
        return {
            (k,): (given[k], product) for k, product in self.needs.items() if given[k] or k in self.model_fields_set
        }

    @property
    def starts_from(self) -> str:
        """The model or stage that training starts from; empty for a stage that needs none."""
        return str(getattr(self, "model", "")) if "model" in self.needs else ""

    def line(self, plan: Profiled) -> str:
        """The stage in one line, without its name."""
        return self.says.format_map(vars(self))


class Planner(Profiled, Protocol):
    """What a kind may ask while it turns a stage into jobs."""

    profile_name: str
    suite: str
    tasks: list[Any]  # those of the suite, as problems.registry has them
    retention: list[Any]  # tasks beside them that nothing is trained on
    seeds: tuple[int, ...]

    def model(self, name: str) -> ModelSpec:
        """A model of the profile. Raises RecipeError when it has none of this name."""

    def trained(self, name: str, seed: int) -> tuple[dict[str, str], dict[str, ModelSpec]]:
        """(inputs, models) of a job that uses the model of a stage, or of the profile, by its name."""

    def stage(self, name: str, seed: int, reader: str = "") -> str:
        """The digest of the job that holds the result of a stage; its chains are in the vocabulary of a ``reader``."""

    def add(self, job: Job, reads: Sequence[str | Path] = ()) -> str:
        """Add a job, unless it is there; its digest. ``reads``: all that it reads, as files or as text."""


class Kind:
    """Base of all kinds. ``stage`` and ``scale``: the schemas in a recipe and in a profile; ``quick``: no estimate."""

    name: ClassVar[str]
    line: ClassVar[str] = ""  # the result, as a format of the figures
    stage: ClassVar[type[Stage] | None] = None
    scale: ClassVar[type[Spec] | None] = None
    quick: ClassVar[bool] = False

    def jobs(self, plan: Planner, name: str, stage: Stage, seed: int, vocabulary: ModelSpec | None) -> str:
        """Add the jobs of a stage of a recipe; the digest of the one that holds its result."""
        raise NotImplementedError

    def run(self, job: Job, folder: Path, inputs: dict[str, Path], report: Report) -> Params:
        """Do a job in ``folder``, going on with what an interrupted run left there; its figures."""
        raise NotImplementedError

    def summary(self, figures: Params) -> str:
        """The result in one line; lines more stand under the table of a run's stages."""
        return self.line.format_map(figures)

    def spent(self, figures: Params) -> tuple[int, int]:
        """What a finished job took: (tokens generated or through the network, problems, rows or answers of it)."""
        return 0, 0

    def items(self, job: Job, inputs: Mapping[str, int | None]) -> int | None:
        """Problems, rows or answers of a job, at most; None: not known. ``inputs``: those of its inputs, by role."""
        return None

    def most(self, job: Job) -> int | None:
        """The bound that a job's budgets set to the tokens of one item."""
        return job.params.get("max_tokens")

    def bytes_of(self, job: Job, parameters: int | None, tokens: int | None) -> tuple[int | None, int | None]:
        """Bytes of memory that a model of so many ``parameters`` takes here, and of the result on the disk."""
        memory = None if self.quick or parameters is None else parameters * SAMPLING
        return memory, None if tokens is None else tokens * TOKEN
