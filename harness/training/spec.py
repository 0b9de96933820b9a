"""How much training, under which objective, how it is computed, and what comes of it."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from harness.spec import Spec, knob

Normalization = Literal["sequence_mean", "token_mean"]
MaskPrefix = Literal["none", "dpo", "sft", "both"]
LayoutChoice = Literal["auto", "rows", "shared"]


def _ascending(shares: list[float]) -> list[float]:
    if any(a >= b for a, b in pairwise(shares)):
        raise ValueError("give shares of the steps in ascending order, each once")
    return shares


# Shares of a training's steps, above 0; 1 is its end.
Shares = Annotated[list[Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]], AfterValidator(_ascending)]


def kept_model(model: Path, share: float) -> Path:
    """Where a training that ends in ``model`` keeps what it was after this share of its steps."""
    return model.with_name(f"{model.name}@{share}")


def step_of(share: float, steps: int) -> int:
    """The first step after which this share of all steps is done."""
    return max(1, math.ceil(share * steps - 1e-9))  # 0.1 of 30 is 3, whatever the last bit of the product says


class TrainingSpec(Spec):
    """The dose of a training, and how it is computed (fields marked ``how``: nothing but rounding depends on them)."""

    learning_rate: float = knob(1e-5, "Peak, after the warm-up.", gt=0, allow_inf_nan=False)
    epochs: float = knob(1.0, "Passes over the rows.", gt=0, le=1e6, allow_inf_nan=False)
    batch_size: int = knob(16, "Rows a step; --trees: prompts.", ge=1)
    warmup: float = knob(0.1, "Share of the steps.", ge=0, lt=1)
    lora: int = knob(0, "Rank of adapters; 0: all weights.", ge=0)
    precision: Literal["auto", "float32", "bfloat16"] = knob("auto", "Of forward passes")
    trees: bool = knob(False, "All chains of a prompt in one batch.")
    max_tokens: int = knob(0, "Of a row; 0: all the model takes.", ge=0)
    save_steps: int = knob(25, "Steps between checkpoints.", how=True, ge=1)
    layout: LayoutChoice = knob("auto", "Batches", how=True)
    micro_batch: int = knob(0, "Rows a pass; 0: all of a step.", how=True, ge=0)
    recompute: bool = knob(False, "Activation checkpointing.", how=True)
    term_norms: int = knob(0, "Terms' gradients every N steps.", how=True, ge=0)
    deepspeed: Path | None = knob(None, "A DeepSpeed configuration.", how=True)
    report_to: Literal["none", "tensorboard", "trackio", "wandb"] = knob("none", "Gets the log", how=True, hidden=True)


class SftObjective(Spec):
    """Supervised fine-tuning on completions."""

    columns: ClassVar[tuple[str, ...]] = ("prompt_ids", "completion_ids")  # of a row
    normalization: Normalization = knob("token_mean", "Of the loss", option="--mean")
    dft: bool = knob(False, "Tokens weigh as likely as they are.")


class Objective(Spec):
    """Switches of the preference objective: ablations of arXiv 2503.01461, and other answers to DPO's length bias.

    SimPO (arXiv 2405.14734) is ``reference_free`` and ``length_normalized`` with ``gamma``; LD-DPO (arXiv 2409.06411)
    is ``ld_alpha`` below 1.
    """

    columns: ClassVar[tuple[str, ...]] = ("prompt_ids", "chosen_ids", "rejected_ids")  # of a row
    beta: float = knob(0.1, "Pull to the reference.", gt=0, allow_inf_nan=False)
    label_smoothing: float = knob(0.0, "Epsilon of cDPO; 0: plain DPO.", ge=0, lt=0.5)
    sft_weight: float = knob(0.0, "Weight of the joint SFT term.", ge=0, allow_inf_nan=False, option="--alpha")
    sft_normalization: Normalization = knob("sequence_mean", "Of SFT", option="--mean")
    mask_prefix: MaskPrefix = knob("none", "Shared prefix left out of")
    length_normalized: bool = knob(False, "Means, not sums, of log-ratios.")
    reference_free: bool = knob(False, "No reference, as in SimPO.")
    gamma: float = knob(0.0, "Margin to exceed, as in SimPO.", ge=0, allow_inf_nan=False)
    ld_alpha: float = knob(1.0, "LD-DPO: past the shorter side.", ge=0, le=1)

    @model_validator(mode="after")
    def _one_length_rule(self) -> Self:
        if self.length_normalized and self.ld_alpha != 1:
            raise ValueError("ld_alpha weighs sums and length_normalized takes means: use one of the two")
        return self

    @property
    def masks_dpo(self) -> bool:
        return self.mask_prefix in ("dpo", "both")

    @property
    def masks_sft(self) -> bool:
        return self.mask_prefix in ("sft", "both")


class Sampling(Spec):
    """How a model's own answers are drawn while it is trained on them."""

    columns: ClassVar[tuple[str, ...]] = ("prompt_ids", "family", "gold")  # of a row
    answer_tokens: int = knob(512, "Most tokens of an answer.", ge=1)
    temperature: float = knob(1.0, "Of sampling.", gt=0, allow_inf_nan=False)


class OpdSwitches(Spec):
    """Switches of on-policy distillation."""

    share: float = knob(1.0, "Share of each answer, from its beginning, that is trained on.", gt=0, le=1)


class OpdObjective(OpdSwitches, Sampling):
    """On-policy distillation: the teacher's distribution at every token of the student's own answers (reverse KL)."""


class Grouped(Sampling):
    """How groups of answers to one prompt are drawn."""

    answers: int = knob(8, "Answers of a prompt.", ge=2)


class GrpoSwitches(Spec):
    """Switches of GRPO: what an answer earns, and which answers are trained on."""

    length: float = knob(0.0, "Weight of the length among a prompt's correct answers.", ge=0, lt=1)
    scale: Literal["group", "none"] = knob("group", "Deviation that advantages are divided by, of their")
    train_cut: bool = knob(False, "Train on answers that were cut, too.")


class GrpoObjective(GrpoSwitches, Grouped):
    """GRPO (arXiv 2402.03300) with the verdicts of the graders as reward."""


class KtoObjective(Spec):
    """KTO (arXiv 2402.01306): chains that are desirable or not, each by itself."""

    columns: ClassVar[tuple[str, ...]] = ("prompt_ids", "completion_ids", "desirable")  # of a row
    beta: float = knob(0.1, "Pull to the reference.", gt=0, allow_inf_nan=False)
    desirable: float = knob(1.0, "Weight of the desirable chains.", gt=0, allow_inf_nan=False)
    undesirable: float = knob(1.0, "Weight of the others.", gt=0, allow_inf_nan=False)


AnyObjective = Objective | SftObjective | OpdObjective | GrpoObjective | KtoObjective


class TrainingTask(Spec):
    """What is trained on which rows, and where the model goes."""

    model: str = knob(..., "A path, hub name or shipped:NAME.")
    data: Path = knob(..., "An export, JSONL or Parquet.")
    out: Path = knob(..., "Its folder; a rerun goes on.")
    seed: int = knob(0, "Order of rows, dropout, adapters.", ge=0, lt=2**32)


class TrainingJob(TrainingTask):
    """A whole training as a file: what a launched program receives. ``data`` is JSONL of token ids."""

    training: TrainingSpec = knob(..., "Dose, and how it is computed.")
    objective: AnyObjective = knob(..., "What is trained for.")
    teacher: str | None = knob(None, "A model's path, for on-policy distillation.", how=True)
    reference: Path | None = knob(None, "Where the reference's log-probs are kept; default: beside out.", how=True)
    about: dict[str, JsonValue] = knob({}, "Goes into the model card.", how=True)
    keep: Shares = knob([], "Shares of the steps after which the model is kept, too, as OUT@SHARE.", how=True)


class TrainingFigures(BaseModel):
    """What a finished training reports. ``loss`` is the mean over all steps in nats, ``last`` the last step's log.

    ``end``: means of what was logged over the last quarter of the steps, which say more than a single batch.
    ``tokens_through_network`` and ``tokens_in_rows``: summed over all steps; a shared prefix passes the network once.
    ``sampled_tokens``: of the model's own answers, where it was trained on these; ``rows`` are their prompts then.
    """

    model_config = ConfigDict(frozen=True)

    rows: int | None = None
    completion_tokens: int | None = None
    pairs: int | None = None
    steps: int
    loss: float
    last: dict[str, float]
    end: dict[str, float] = {}
    torch: str
    tokens_through_network: int
    tokens_in_rows: int
    sampled_tokens: int | None = None
    processes: int
