"""What a training takes on GPUs, by arithmetic from a model's size and its dose; rough, and for dry runs alone."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from harness.files import read_text
from harness.spec import Spec, knob
from harness.yaml_files import parse

# Bytes of a parameter: float32 weights, gradient, two moments; frozen weights with adapters; what bfloat16 adds.
_TRAINED, _ADAPTED, _COPY = 16, 4.5, 2
# Layers times width of a model of 1e9 parameters, which grow with the power 2/3: fitted to Qwen2.5 and Llama 3, 0.5B to
# 72B, within a quarter.
_WIDTH = 34_400
# Bytes for each token, layer and unit of width that the backward pass of Qwen2 and Llama needs under bfloat16: of all
# layers (counted: 61 to 76), or each layer's input in float32 and the one layer that is computed again.
_STORED, _AGAIN = 70, 7
_USED = 0.4  # of the peak: large trainings reach 30 to 50 %


class Gpu(Spec):
    """A GPU that a profile is for."""

    name: str = knob(..., "What it is called.")
    memory: float = knob(..., "Gigabytes (10^9 bytes).", gt=0)
    tflops: float = knob(..., "Peak in bfloat16, without sparsity.", gt=0)


def processes(words: Sequence[str]) -> tuple[int, bool]:
    """How many processes an ``accelerate launch`` starts, and whether they share the model out. Raises BadFile."""
    given = dict(pairwise(words))
    config = given.get("--config_file")
    settings = parse(read_text(Path(config)), config).data if config else {}
    number = str(given.get("--num_processes", settings.get("num_processes", 1)))
    return int(number) if number.isdecimal() else 1, "--use_fsdp" in words or "fsdp_config" in settings


def training_bytes(dose: Mapping[str, Any], parameters: int, sides: int, words: Sequence[str]) -> int:
    """Bytes on each GPU. ``dose``: a TrainingScale's keys; ``sides``: chains of a row, each as long as may be."""
    number, shared = processes(words)
    whole = parameters * ((_ADAPTED if dose["lora"] else _TRAINED) + (0 if dose["precision"] == "float32" else _COPY))
    rows = sides * (dose["micro_batch"] or -(-dose["batch_size"] // number))
    layers = _WIDTH * (parameters / 1e9) ** (2 / 3) * (_AGAIN if dose["recompute"] else _STORED)
    return int(whole / (number if shared else 1) + layers * rows * dose["max_tokens"])


def training_seconds(dose: Mapping[str, Any], parameters: int, tokens: int, words: Sequence[str], gpu: Gpu) -> float:
    return operations(dose) * parameters * tokens / (processes(words)[0] * _USED * gpu.tflops * 1e12)


def operations(dose: Mapping[str, Any]) -> int:
    """Of each parameter and token: 2 forward, 2 back, 2 for the weights, 2 where activations are computed again."""
    return 6 - 2 * bool(dose["lora"]) + 2 * bool(dose["recompute"])


def basis(dose: Mapping[str, Any], words: Sequence[str], gpu: Gpu) -> str:
    """What ``training_seconds`` computes, in words."""
    at = f"{_USED:.0%} of {processes(words)[0]} × {gpu.tflops:g} TFLOP/s ({gpu.name})"
    return f"{operations(dose)} × parameters × tokens at {at}"
