"""Models and tokenizers from a folder or the hub, whole or not at all: what is wrong becomes one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pickle import UnpicklingError
from typing import Any

from harness.errors import ModelError, first_line


def load_tokenizer(path: str) -> Any:
    """The tokenizer at a local path or hub name; raises ModelError with one clear line."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path)
    except Exception as error:
        raise ModelError(f"{path}: no tokenizer could be loaded ({first_line(error)})") from error


def load_model(path: str, **options: Any) -> Any:
    """The causal language model at a local path or hub name, with every weight from its files.

    ``options`` (dtype and others) go to transformers' ``from_pretrained``. Raises ModelError with one clear line, also
    for what transformers only warns of: weights that are missing or of another shape, which it would draw at random,
    and weights that the model has no place for.
    """
    from transformers import AutoModelForCausalLM

    with _quiet():
        try:
            model, loading = AutoModelForCausalLM.from_pretrained(
                path, output_loading_info=True, ignore_mismatched_sizes=True, **options
            )
        except Exception as error:
            pickled = "pickled weights that hold more than tensors; save them as safetensors"
            why = pickled if isinstance(error, UnpicklingError) else first_line(error)
            raise ModelError(f"{path}: no causal language model could be loaded ({why})") from error
    reshaped = [f"{name}: {_shape(old)}, not {_shape(new)}" for name, old, new in loading["mismatched_keys"]]
    defects = [
        *_defect("missing", loading["missing_keys"]), *_defect("without a place", loading["unexpected_keys"]),
        *_defect("of another shape", reshaped),
    ]  # fmt: skip
    if defects:
        advice = "is a file lost, or config.json changed?"
        raise ModelError(f"{path}: the weights do not fit config.json: {'; '.join(defects)}; {advice}")
    return model


def context_of(config: Any) -> int:
    """Tokens that a model of this configuration can hold; 0 where the configuration does not say."""
    return int(getattr(config, "max_position_embeddings", 0) or 0)


def context_length(path: str) -> int:
    """Tokens that the model at a local path or hub name can hold, by its configuration; 0: not known.

    Raises ModelError when it has no configuration.
    """
    from transformers import AutoConfig

    try:
        return context_of(AutoConfig.from_pretrained(path))
    except Exception as error:
        raise ModelError(f"{path}: no configuration could be loaded ({first_line(error)})") from error


def _defect(kind: str, names: Iterable[str]) -> list[str]:
    ordered = sorted(names)
    return [f"{len(ordered)} {kind} ({', '.join(ordered[:2])}{', ...' if ordered[2:] else ''})"] if ordered else []


def _shape(sizes: Iterable[int]) -> str:
    return "x".join(map(str, sizes))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bars, for good, and its table of weights that do not fit."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
