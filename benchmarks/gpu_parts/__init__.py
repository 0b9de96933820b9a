"""The parts of benchmarks/gpu.py, each run in a process of its own: what one breaks on the card the others never see.

A part is a module here whose ``measurements(quick)`` gives, by name, what it measures: functions without arguments that
return JSON data. ``fault`` in it says what is wrong with a result.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A part's share of the time, the packages it needs, and the figures worth a line on the screen."""

    share: float
    needs: tuple[str, ...]
    shown: tuple[str, ...]

    def absent(self) -> list[str]:
        return [name for name in self.needs if importlib.util.find_spec(name) is None]


_MODELS = ("torch", "transformers", "pydantic", "numpy", "safetensors")
_TRAINING = (*_MODELS, "trl", "datasets", "accelerate", "peft", "filelock")
PARTS = {
    "exactness": Part(0.13, _TRAINING, ("float32_gradient", "bfloat16_gradient", "float32_loss", "bfloat16_loss")),
    "training": Part(0.5, _TRAINING, ("speedup", "memory_ratio", "tokens_ratio")),
    "generation": Part(0.18, _MODELS, ("harness", "bare", "ratio", "equal_answers")),
    "family": Part(0.19, (*_TRAINING, "jinja2"), ("first_loss", "last_loss", "tokens_per_second", "parameters")),
}
