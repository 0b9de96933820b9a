"""Models kept on the way through a training, whole or absent as the finished one is: points of a learning curve."""

from __future__ import annotations

from typing import Any

from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback

from harness.errors import TrainingError
from harness.training.checkpoints import is_kept, write_kept
from harness.training.spec import TrainingJob, kept_model, step_of


class Keeper(TrainerCallback):
    """Writes ``OUT@SHARE`` at the end of the first step after which that share of the steps is done.

    That comes before the checkpoint of the same step, so a training that goes on from any checkpoint either finds the
    model or passes its step once more.
    """

    def __init__(self, trainer: Any, job: TrainingJob, identity: str) -> None:
        """Raises TrainingError where something else stands in a model's place."""
        self._trainer, self._job, self._identity = trainer, job, identity
        left = [share for share in job.keep if not is_kept(kept_model(job.out, share), identity)]
        # All processes write a model together, so one of them decides for all what is left to write.
        [self._left] = broadcast_object_list([left])

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Raises TrainingError where a model is not there that the checkpoint to go on from is past."""
        for share in self._left:
            if step_of(share, state.max_steps) <= state.global_step:
                gone = kept_model(self._job.out, share)
                past = f"is not there, and the checkpoint of step {state.global_step} is past it"
                raise TrainingError(f"{gone} {past}; to train anew, remove {args.output_dir}")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        due = [share for share in self._left if step_of(share, state.max_steps) == state.global_step]
        if due:
            self._trainer.check_weights()
        for share in due:
            write_kept(self._trainer, self._job, self._identity, share)
            self._left.remove(share)
