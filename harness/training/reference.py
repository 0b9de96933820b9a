"""The reference model's log-probs, computed once for a model and its rows and kept under their digest.

They are kept per token, so that every objective, mask and normalisation over the same pairs reads the same file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path

from harness.models.loading import model_digest
from harness.training.groups import GroupRow

Logps = list[list[list[float]]]  # [group][chain][token]


def reference_file(folder: Path, model: str, groups: Sequence[GroupRow], numbers: str) -> Path:
    """``numbers``: what else changes the figures, such as the number format."""
    rows = [[group["prompt"], group["chains"]] for group in groups]
    content = json.dumps([model_digest(model), numbers, rows], separators=(",", ":"))
    return folder / f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.safetensors"


def load_logps(file: Path, chains: Sequence[list[list[int]]]) -> Logps | None:
    """The log-probs of ``chains`` [group][chain][token], or None where there is no usable file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        flat = load_file(file)["logps"].tolist()
    except (SafetensorError, OSError, KeyError):
        return None
    if len(flat) != sum(len(ids) for group in chains for ids in group):
        return None
    values = iter(flat)
    return [[list(islice(values, len(ids))) for ids in group] for group in chains]


def save_logps(file: Path, values: Logps) -> None:
    """Whole or not at all; two processes may write the same file."""
    import numpy as np
    from safetensors.numpy import save_file

    flat = np.array([*chain.from_iterable(chain.from_iterable(values))], dtype=np.float32)
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_suffix(f".{os.getpid()}.part")
    save_file({"logps": flat}, aside)
    os.replace(aside, file)
