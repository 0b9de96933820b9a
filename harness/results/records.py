"""Records of what was run and what came out; docs/metrics.md and docs/statistics.md define the figures."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from harness.errors import BadFile, first_line
from harness.evaluation.spec import Decoding
from harness.files import reason_of
from harness.records import Problem, Record

Data = dict[str, Any]  # JSON whose form is another room's
MAIN = "sampled"  # what the main decoding of a recipe is called, among further ones
SCHEMA = 1  # records that have no schema_version are of this one, too


def flat(data: Any, above: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dots between the steps of a key; lists stay whole."""
    if not isinstance(data, dict):
        return {above: data}
    out: dict[str, Any] = {}
    for key, value in data.items():
        out |= flat(value, f"{above}.{key}" if above else str(key))
    return out


def _absent(description: str = "") -> Any:
    """A figure that not every task has: left out of its JSON, not null."""
    return Field(default=None, description=description, exclude_if=lambda value: value is None)


class Summary(Record):
    """One model on one task. Rates are from 0 to 1; lengths are tokens of the model (words, where none was named).

    With several samples an item, ``accuracy`` is the mean over items of item means; the other rates are shares of all
    samples, a failed one not correct. What further metrics of responses (``METRICS``) sum up to needs no field here.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | None] = Field(init=False)

    n: int = Field(description="items")
    samples: int
    accuracy: float
    low: float = Field(description="of accuracy's 95% interval, which counts items")
    high: float
    accuracy_answered: float | None = Field(description="accuracy of the samples with an answer; None: no answers")
    guessed: float | None = Field(
        None, description="share of verdicts on an answer that nothing marks (docs/metrics.md); None: not known"
    )
    accuracy_marked: float | None = Field(
        None, description="accuracy where such a verdict counts as not right; None: not known"
    )
    no_answer: float = Field(description="share of samples without a verdict correct or wrong")
    unfinished: float = Field(description="of the samples without an answer, those cut before one")
    empty: float = Field(description="those that ended and gave none")
    failed: float = Field(description="those whose grader ran out of time, or whose model call or grader failed")
    wrong: float
    cut: float = Field(description="share of samples that met the limit of tokens or the context's end")
    loops: float = Field(description="share of samples that end in a repetition loop")
    ngram_loops: float | None
    median_thinking_tokens: float = Field(description="thoughts that were cut or closed from outside right-censored")
    median_thinking_over: bool = Field(False, description="the median is larger: half or more did not end")
    mean_thinking_tokens: float
    median_answer_tokens: float
    reflection_per_1000: float = Field(description="reflection words per 1,000 thinking tokens")
    switches_per_1000: float | None = Field(None, description="phrases that open another line of thought, likewise")
    tokens_per_correct: float | None = Field(description="all tokens over correct samples; None: none is correct")
    seq_rep_4: float | None
    first_correct: float | None
    efficiency: float | None
    underthinking: float | None
    redundant: float | None
    oscillations: float | None
    abandoned: float | None
    error_types: dict[str, float] = Field(description="share of samples by type of error")
    auc: float | None = Field(description="AUC_OAA up to 1,000 thinking tokens (docs/metrics.md)")
    auc_100: float | None = Field(None, description="the same up to 100, for tiny models")
    test_at: dict[str, dict[int, float]] | None = _absent(
        "'pass' (pass@k) and 'test' (Test@N) by k; items with the same several samples"
    )
    prompt_strict: float | None = _absent("IFEval's four figures, of its tasks alone")
    instruction_strict: float | None = _absent()
    prompt_loose: float | None = _absent()
    instruction_loose: float | None = _absent()
    forced: float = Field(0.0, description="share of samples whose thought was closed at the thinking budget")
    relocated: float | None = _absent("median tokens that answers after such a thought are longer than the others")
    seeds: int | None = _absent("on a leaderboard: trainings behind these figures")
    answers: int | None = _absent("on a leaderboard: answers an item, where there are several")
    solved: float | None = _absent("on a leaderboard: share of items right in any of them")


class Gap(Record):
    """A paired difference of means over items (ours - others) with its 95% interval and its standard ``error``.

    ``smallest``: the true difference that would show in 80% of runs. ``better``: items with a higher mean score.
    """

    difference: float
    low: float
    high: float
    n: int
    error: float
    smallest: float
    better: int
    worse: int
    p: float


class Kept(Record):
    """A file of a store, with the version of its form."""

    schema_version: int = SCHEMA

    def known(self) -> Data:
        """The fields that were set, as JSON data."""
        return self.model_dump(mode="json", exclude_unset=True)


class Manifest(Kept):
    """``manifest.json`` of an evaluation. None and empty: not known. Keys of other versions are kept."""

    model_config = ConfigDict(extra="allow")

    run: str = ""
    model: str = ""
    model_digest: str | None = None
    backend: str | None = None
    tokenizer: str | None = None
    tasks: list[str] = []
    task_files: list[str] = Field(default=[], description="digests; 'lm-eval': a task of lm-eval's own")
    selection: Data = {}
    prompting: Data | None = None
    decoding: Decoding = Decoding()
    settings: dict[str, str] = {}
    think_tags: tuple[str, str] | None = None
    prompt_ids_hash: str | None = Field(default=None, description="digest of all prompts: equal digests, equal prompts")
    grader: dict[str, str] | None = Field(default=None, description="versions of what graded the samples")
    packages: dict[str, str] | None = None
    python: str = ""
    machine: str | None = None
    computed: dict[str, str] = Field(default={}, description="dtype and device of a model in this process")
    server: Data = Field(default={}, description="what the server said of itself, and the usage that it reported")
    date: str = ""


class AskedProblem(Record):
    """A line of an evaluation's ``problems.jsonl``. ``gold`` is JSON, as graders read it."""

    model_config = ConfigDict(extra="ignore")

    task: str
    id: str
    family: str
    prompt: str
    gold: str

    def problem(self) -> Problem:
        """The problem, as graders read it. Raises BadFile."""
        try:
            return Problem.of_document(self.model_dump())
        except ValueError as error:
            raise BadFile(f"problem {self.id} of {self.task}: {first_line(error)}; run the evaluation again") from None


class StageResult(Record):
    """``done.json`` of a finished stage: what it is and what came out. ``figures`` depend on its kind.

    ``inputs``: by role, digests of the stages it was made from; ``models``: by role, what it asked or trained.
    """

    name: str = ""
    kind: str = ""
    params: Data = {}
    inputs: dict[str, str] = {}
    models: dict[str, str] = {}
    figures: Data = {}
    seconds: float = 0.0


class StageRecord(StageResult):
    """A stage in the record of a recipe. ``depends``: what its digest covers beside parameters and inputs."""

    depends: Data = {}

    @field_validator("seconds", mode="before")
    @classmethod
    def _not_known(cls, value: float | None) -> float:
        return value or 0.0  # older records hold null for a stage that had not been run


class Hardware(Record):
    processor: str = ""
    cores: int | None = None
    memory_gib: int | None = None
    gpus: list[str] = []
    python: str = ""
    system: str = ""


class RecipeManifest(Record):
    """What made the run of a recipe. ``recipe`` and ``profile`` as they were read; ``stages`` by digest."""

    date: str
    seeds: list[int] = []
    commit: str = ""
    packages: dict[str, str] = {}
    grader: dict[str, str] = {}
    hardware: Hardware = Hardware()
    seconds: float = 0.0
    command: str = ""
    recipe: Data = {}
    profile: Data = {}
    stages: dict[str, StageRecord] = {}


class Claim(Record):
    """A comparison of two arms that a paper makes, on every task. ``solved``: at least one of an item's samples right.

    ``same``: within ``margin`` (a share) either way. ``published``: a file of rows in results/reference with both arms.
    ``decoding``: under which of the profile's further decodings it is tested; empty: under the main one.
    """

    says: str
    arm: str
    against: str
    metric: Literal["accuracy", "no_answer", "solved"] = "accuracy"
    expect: Literal["higher", "lower", "same"] = "higher"
    margin: float = Field(default=0.03, gt=0, lt=1)
    published: str = ""
    decoding: str = ""

    @field_validator("decoding")
    @classmethod
    def _main(cls, value: str) -> str:
        return "" if value == MAIN else value


class RunRecord(Kept):
    """``run.json`` of a finished recipe. ``arms``: by arm, digests of its evaluations, one for each training seed.

    ``decodings``: the same under further decodings, by their names. Equal digests are one evaluation: greedy answers
    of an untrained model are the same for every seed.
    """

    run: str = ""
    recipe: str
    profile: str
    control: str
    arms: dict[str, list[str]]
    decodings: dict[str, dict[str, list[str]]] = {}
    curves: dict[str, dict[float, list[str]]] = Field(
        default={}, description="by arm and share of its training: 0 is what it starts from, 1 the arm itself"
    )
    retention: list[str] = Field(default=[], description="tasks beside the suite that nothing was trained on")
    left_out: dict[str, str] = Field(default={}, description="arms that were not run, with the model that is missing")
    manifest: RecipeManifest

    @property
    def title(self) -> str:
        return f"{self.recipe} ({self.profile})"

    @property
    def claims(self) -> dict[str, Claim]:
        """The claims that the recipe made when it was run. Raises BadFile where they are of another version."""
        try:
            return TypeAdapter(dict[str, Claim]).validate_python(self.manifest.recipe.get("claims", {}))
        except ValidationError as error:
            raise BadFile(f"run {self.run}: its claims are of another version ({reason_of(error)})") from None


class Wanted(Kept):
    """``wanted.json`` of a recipe that began: the stages it will be made from, and who began it when."""

    digests: list[str]
    command: str = ""
    host: str = ""
    pid: int = 0
    date: AwareDatetime
