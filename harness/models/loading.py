"""Models and tokenizers from a folder or the hub, whole or not at all: what is wrong becomes one line."""

from __future__ import annotations

from typing import Any

from harness.errors import ModelError, first_line


def load_tokenizer(path: str) -> Any:
    """The tokenizer at a local path or hub name; raises ModelError with one clear line."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path)
    except Exception as error:
        raise ModelError(f"{path}: no tokenizer could be loaded ({first_line(error)})") from error


def quiet() -> None:
    """Turn off transformers' progress bars, which would run through our own display and logs."""
    from transformers.utils import logging

    logging.disable_progress_bar()
