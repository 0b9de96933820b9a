"""TRL's trainers on a model's own answers, with our prompts and graders: GRPO and on-policy distillation.

Prompts are token ids, as they are asked with. The order of all passes is drawn before the training, and each step draws
its answers with a seed of its own, so a training that goes on from a checkpoint samples what it would have sampled.
Rests on names of TRL 1.16 that are not public (``_tokenize_prompts``, ``_generate``, ``_metrics`` and others).
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback
from trl import DistillationConfig, DistillationTrainer, GRPOConfig, GRPOTrainer

from harness.errors import TrainingError
from harness.grading.grade import Grader
from harness.models.loading import load_model, load_tokenizer
from harness.models.prompts import ends
from harness.spec import digest
from harness.training.batches import passes
from harness.training.rewards import verdict_reward
from harness.training.spec import GrpoObjective, OpdObjective, TrainingJob
from harness.training.trainer import Kept, Progress, adapters


class _Online(Kept):
    """What both trainers do alike: prompts of token ids, answers drawn with the step's seed, their tokens counted."""

    # What is logged under names of ours, extremes, and what differs from run to run.
    unread = ("completions/", "clip_ratio/", "rewards/", "frac_reward_zero_std", "num_tokens", "step_time")

    def __init__(self, *, progress: Progress = lambda step, total: None, **kwargs: Any) -> None:
        self.progress = progress
        super().__init__(**kwargs)

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[Any], None, dict[str, Any]]:
        return prompts, None, {}

    def _generate_single_turn(self: Any, *args: Any, **kwargs: Any) -> Any:
        place = (self.args.seed, self.state.global_step, self.accelerator.process_index)
        torch.manual_seed(int(digest(*place), 16))
        return super()._generate_single_turn(*args, **kwargs)  # type: ignore[misc]

    def _generate_and_score_completions(self: Any, inputs: Any) -> Any:
        seen, log = self.state.num_input_tokens_seen, self._metrics["train"]
        out = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        processes = self.accelerator.num_processes
        log["answer_tokens"].append(log["completions/mean_length"][-1])
        log["share_cut"].append(log["completions/clipped_ratio"][-1])
        log["tokens/sampled"].append(round(log["answer_tokens"][-1] * len(inputs) * processes))
        log["tokens/rows"].append(self.state.num_input_tokens_seen - seen)
        log["tokens/network"].append((out["prompt_ids"].numel() + out["completion_ids"].numel()) * processes)
        return out


class VerdictTrainer(_Online, GRPOTrainer):
    """``GRPOTrainer`` whose reward is the verdict of our graders."""

    remedy = "its prompts may have been answered all right or all wrong: take others, more answers, a higher rate"

    def __init__(self, *, grader: Grader, **kwargs: Any) -> None:
        self.close = grader.close  # type: ignore[method-assign]
        super().__init__(**kwargs)

    def _generate_and_score_completions(self: Any, inputs: Any) -> Any:
        out, log = super()._generate_and_score_completions(inputs), self._metrics["train"]
        log["share_zero_variance"].append(log["frac_reward_zero_std"][-1])
        return out


class TeacherTrainer(_Online, DistillationTrainer):
    """``DistillationTrainer`` under reverse KL, on the first ``share`` of each answer's tokens, rounded up."""

    def __init__(self, *, share: float, **kwargs: Any) -> None:
        self.share = share
        super().__init__(**kwargs)

    def _generate(self, prompts: list[Any]) -> Any:
        """With a mask of the tokens that are trained on, in the place of the one for what tools wrote."""
        prompt_ids, completion_ids, _, *rest = super()._generate(prompts)
        counts = [math.ceil(self.share * len(ids) - 1e-9) for ids in completion_ids]
        masks = [[1] * count + [0] * (len(ids) - count) for ids, count in zip(completion_ids, counts, strict=True)]
        return prompt_ids, completion_ids, masks, *rest


def trainer_of(job: TrainingJob, rows: Sequence[tuple[Any, ...]], arguments: dict[str, Any], progress: Progress) -> Any:
    """The trainer of ``job``. Raises TrainingError.

    ``rows``: (token ids of the prompt, family, gold); ``arguments``: what TRL's configurations have in common.
    """
    objective = job.objective
    assert isinstance(objective, OpdObjective | GrpoObjective)
    model, tokenizer = load_model(job.model, dtype=torch.float32), load_tokenizer(job.model)
    known = model.generation_config.eos_token_id
    stops = ends(tokenizer) | {*([] if known is None else known if isinstance(known, list) else [known])}
    model.generation_config.eos_token_id = sorted(stops)
    batch = arguments["per_device_train_batch_size"] * arguments["gradient_accumulation_steps"]
    batch *= int(os.environ.get("WORLD_SIZE", "1"))
    order = passes(len(rows), job.training.epochs, batch, job.seed)
    # Gold answers of several families have no columns in common.
    data = [{"prompt": p, "family": family, "gold": json.dumps(gold)} for p, family, gold in (rows[i] for i in order)]
    drawn = {"max_completion_length": objective.answer_tokens, "temperature": objective.temperature}
    common = arguments | drawn | {"num_train_epochs": 1, "shuffle_dataset": False}
    del common["max_length"]
    whole: dict[str, Any] = {
        "model": model, "processing_class": tokenizer, "train_dataset": Dataset.from_list(data), "progress": progress,
        "peft_config": adapters(job.training.lora),
    }  # fmt: skip
    trainer: Any
    if isinstance(objective, GrpoObjective):
        logging.getLogger("trl.trainer.grpo_trainer").setLevel(logging.ERROR)  # else it prints ungraded answers
        common["per_device_train_batch_size"] *= objective.answers
        workers = max(1, min(8, (os.cpu_count() or 1) // 2))
        grader = Grader(workers)
        reward = verdict_reward(grader, workers, tokenizer, stops, objective.answers, objective.length)
        args = GRPOConfig(
            **common, num_generations=objective.answers, scale_rewards=objective.scale,
            mask_truncated_completions=not objective.train_cut,
        )  # fmt: skip
        trainer = VerdictTrainer(grader=grader, args=args, reward_funcs=[reward], **whole)
    else:
        trainer = TeacherTrainer(
            args=DistillationConfig(**common), share=objective.share, teacher_model=_teacher(job, model, tokenizer),
            **whole,
        )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    return trainer


def _teacher(job: TrainingJob, model: Any, tokenizer: Any) -> Any:
    """The teacher's model. Raises TrainingError where its tokens are not the student's."""
    if not job.teacher:
        raise TrainingError("on-policy distillation needs a teacher")
    teacher = load_model(job.teacher, dtype=torch.float32)
    ours, theirs = tokenizer.get_vocab(), load_tokenizer(job.teacher).get_vocab()
    sizes = [each.config.get_text_config().vocab_size for each in (model, teacher)]
    other = sorted({*ours.items()} ^ {*theirs.items()})
    if other or sizes[0] != sizes[1]:
        how = f"{len(other)} tokens differ, first {other[0][0]!r}" if other else f"{sizes[1]} logits and {sizes[0]}"
        why = f"has another vocabulary than {job.model} ({how}), and distributions are compared token by token"
        raise TrainingError(f"teacher {job.teacher} {why}; take a teacher of the same family")
    return teacher
