"""TRL's DPO trainer with our objective: data handling, reference pass and logging are TRL's, the loss is ours.

Rests on private names of TRL 1.16 (``_compute_loss``, ``_prepare_dataset``, ``_precompute_ref_logps``); the pin in
constraints.txt and the numeric tests hold it to them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import DataLoader
from trl import DPOTrainer

from harness.training.objective import Objective, dpo_mask, loss, sequence_scores, shared_prefix_mask


class PreferenceTrainer(DPOTrainer):
    """``DPOTrainer`` on rows of ``prompt_ids``, ``chosen_ids``, ``rejected_ids`` under an ``Objective``."""

    def __init__(self, objective: Objective, **kwargs: Any) -> None:
        self.objective = objective
        super().__init__(**kwargs)

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset  # rows are token ids already: what was sampled is what is trained on

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        # TRL caches these under a key that knows nothing of our masks, and would reuse them across arms.
        chosen: list[float] = []
        rejected: list[float] = []
        for batch in DataLoader(dataset, batch_size=batch_size, collate_fn=self.data_collator, shuffle=False):
            batch = {key: value.to(self.accelerator.device) for key, value in batch.items()}
            scores = self.compute_ref_log_probs(self.model, batch)
            chosen += scores[0].tolist()
            rejected += scores[1].tolist()
        return dataset.add_column("ref_chosen_logps", chosen).add_column("ref_rejected_logps", rejected)

    def compute_ref_log_probs(self, model: Any, inputs: dict[str, Any]) -> Any:
        """(chosen, rejected) reference scores, each (B,), under the objective's mask and normalisation."""
        was_training = model.training
        model.eval()
        with torch.no_grad(), self.accelerator.autocast():
            logps, completion, shared = self._token_logps(model, inputs)
        model.train(was_training)
        mask = dpo_mask(self.objective, completion, shared)
        return sequence_scores(logps, mask, self.objective.length_normalized).chunk(2)

    def _token_logps(self, model: Any, inputs: dict[str, Any]) -> tuple[Any, Any, Any]:
        """Per-token log-probs with the masks of the tokens they predict, each (2B, T-1)."""
        ids, completion = inputs["input_ids"], inputs["completion_mask"]
        labels = ids.masked_fill(completion == 0, -100)
        outputs = model(
            input_ids=ids, attention_mask=inputs["attention_mask"], labels=labels, use_cache=False, fused_lm_head=True
        )
        shared = shared_prefix_mask(ids, completion)
        return outputs.log_probs[:, -(ids.shape[1] - 1) :], completion[:, 1:], shared[:, 1:]

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        if return_outputs:
            raise NotImplementedError("preference training reports its terms in the log, not as outputs")
        logps, completion, shared = self._token_logps(model, inputs)
        reference = torch.cat([inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]]).to(logps.dtype)
        value, terms = loss(logps, reference, completion, shared, self.objective)
        mode = "train" if self.model.training else "eval"
        for name, term in terms.items():
            self._metrics[mode][name].append(float(term))
        return value
