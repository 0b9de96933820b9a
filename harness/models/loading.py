"""Models and tokenizers from a folder or the hub, whole or not at all: what is wrong becomes one line."""

from __future__ import annotations

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
    from transformers.utils import logging

    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # no table of weights that do not fit
    try:
        model, loading = AutoModelForCausalLM.from_pretrained(
            path, output_loading_info=True, ignore_mismatched_sizes=True, **options
        )
    except Exception as error:
        pickled = "pickled weights that hold more than tensors; save them as safetensors"
        why = pickled if isinstance(error, UnpicklingError) else first_line(error)
        raise ModelError(f"{path}: no causal language model could be loaded ({why})") from error
    finally:
        logging.set_verbosity(verbosity)
    shapes = [(name, *("x".join(map(str, shape)) for shape in both)) for name, *both in loading["mismatched_keys"]]
    kinds = {
        "missing": loading["missing_keys"], "without a place": loading["unexpected_keys"],
        "of another shape": [f"{name}: {was}, not {is_now}" for name, was, is_now in shapes],
    }  # fmt: skip
    defects = [
        f"{len(names)} {kind} ({', '.join(sorted(names)[:2])}{', ...' if len(names) > 2 else ''})"
        for kind, names in kinds.items() if names
    ]  # fmt: skip
    if defects:
        advice = "is a file lost, or config.json changed?"
        raise ModelError(f"{path}: the weights do not fit config.json: {'; '.join(defects)}; {advice}")
    return model


def context_of(config: Any) -> int:
    """Tokens that a model of this configuration can hold; 0 where it does not say."""
    return int(getattr(config, "max_position_embeddings", 0) or 0)


def context_length(path: str) -> int:
    """The same of the model at a local path or hub name. Raises ModelError when it has no configuration."""
    from transformers import AutoConfig

    try:
        return context_of(AutoConfig.from_pretrained(path))
    except Exception as error:
        raise ModelError(f"{path}: no configuration could be loaded ({first_line(error)})") from error
