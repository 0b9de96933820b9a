"""Grading: the think splitter, one ``grade()`` for every family, and the killable workers behind it."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import cache
from pathlib import Path

# Libraries whose versions change verdicts: antlr and langdetect, too (docs/graders.md).
PACKAGES = (
    "math-verify", "latex2sympy2_extended", "sympy", "antlr4-python3-runtime", "lm-eval", "langdetect", "nltk",
    "unified-planning", "sacrebleu",
)  # fmt: skip
_OPTIONAL = ("reasoning-gym",)  # named where they are installed


@cache
def grader_version() -> dict[str, str]:
    """``code`` digest and package versions, for manifests; equal versions give equal verdicts."""
    from importlib import metadata

    files = sorted(Path(__file__).parent.glob("*.py"))
    code = hashlib.sha256(b"".join(file.name.encode() + file.read_bytes() for file in files))
    versions = {"code": code.hexdigest()[:12], **dict.fromkeys(PACKAGES, "missing")}
    for package in (*PACKAGES, *_OPTIONAL):
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions
