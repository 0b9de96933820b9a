"""The reference model's log-probs, computed once for a model and its rows and kept under their digest.

They are kept per token, so that every objective, mask and normalisation over the same pairs reads the same file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.models.digests import model_digest
from harness.training.groups import GroupRow


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Where the log-probs of ``chains`` (their numbers of tokens, by group) lie, or will."""

    file: Path
    sizes: list[list[int]]

    @classmethod
    def of(cls, folder: Path, model: str, groups: Sequence[GroupRow], numbers: str) -> Reference:
        """``numbers``: what else changes the figures, such as the number format."""
        rows = [[group["prompt"], group["chains"]] for group in groups]
        content = json.dumps([model_digest(model), numbers, rows], separators=(",", ":"))
        name = hashlib.sha256(content.encode()).hexdigest()[:16]
        sizes = [[len(chain) for chain in group["chains"]] for group in groups]
        return cls(file=folder / f"{name}.safetensors", sizes=sizes)

    def load(self) -> list[list[list[float]]] | None:
        """[group][chain][token], or None where there is no usable file."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        if not self.file.exists():
            return None
        try:
            flat = load_file(self.file)["logps"]
        except (SafetensorError, OSError, KeyError):
            return None
        if len(flat) != sum(size for group in self.sizes for size in group):
            return None
        values, at, out = flat.tolist(), 0, []
        for group in self.sizes:
            out.append([values[at + sum(group[:i]) : at + sum(group[: i + 1])] for i in range(len(group))])
            at += sum(group)
        return out

    def save(self, values: list[list[list[float]]]) -> None:
        """Whole or not at all; two processes may write the same file."""
        import numpy as np
        from safetensors.numpy import save_file

        flat = np.array([x for group in values for chain in group for x in chain], dtype=np.float32)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        aside = self.file.with_suffix(f".{os.getpid()}.part")
        save_file({"logps": flat}, aside)
        os.replace(aside, self.file)
