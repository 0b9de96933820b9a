"""Models by name (shipped with the project, in a folder, on the hub): loaded whole or not at all, and identified."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from harness.errors import ModelError, first_line
from harness.files import about

PREFIX = "shipped:"
# Weights, configurations, vocabularies and templates; not cards and logs.
_IDENTITY = {".safetensors", ".bin", ".json", ".jinja", ".model", ".txt"}
_VOCABULARY = (
    "tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "tokenizer_config.json", "chat_template.jinja",
)  # fmt: skip
# By the type of a model and the class that its tokenizer's configuration names.
_PLAIN, _QWEN = ("PreTrainedTokenizerFast", "TokenizersBackend"), ("Qwen2Tokenizer", "Qwen2TokenizerFast")
_CLASSES = {
    ("llama", "GPT2Tokenizer"): "GPT2Tokenizer",
    **{(model, name): "PreTrainedTokenizerFast" for model in ("llama", "qwen3") for name in _PLAIN},
    **{("qwen2", name): "Qwen2Tokenizer" for name in (*_PLAIN, *_QWEN)},
    **{("qwen3", name): "Qwen2Tokenizer" for name in _QWEN},
}
# Written into configurations by libraries; they do not change what a model says.
_VERSIONS = ("transformers_version", "_name_or_path", "is_local", "local_files_only", "backend", "tokenizer_class")


def folder() -> Path:
    return Path(__file__).parent.parent / "assets" / "tiny"


def names() -> list[str]:
    return sorted(path.parent.name for path in folder().glob("*/model.safetensors"))


def resolve(name: str) -> str:
    """``shipped:NAME`` as a path; anything else is a local path (``~`` is expanded) or a hub name.

    Raises ModelError for a shipped model or a folder that is not there.
    """
    name = os.path.expanduser(name)
    if not name.startswith(PREFIX):
        if name.startswith((".", "/", "~")) and not Path(name).is_dir():
            raise ModelError(f"{name}: no such folder; give a model's folder, a name on the hub, or {PREFIX}NAME")
        return name
    path = folder() / name.removeprefix(PREFIX)
    if not (path / "model.safetensors").exists():
        raise ModelError(f"{name}: no such shipped model; there are {', '.join(PREFIX + n for n in names()) or 'none'}")
    return str(path)


def load_tokenizer(path: str) -> Any:
    """The tokenizer at a local path or hub name; raises ModelError with one clear line."""
    import transformers

    # Importing AutoTokenizer imports torch: two seconds of a processor, for a server's client, too.
    chosen = getattr(transformers, _tokenizer_class(Path(path)) or "AutoTokenizer")
    try:
        return chosen.from_pretrained(path)
    except Exception as error:
        raise ModelError(f"{path}: no tokenizer could be loaded ({first_line(error)})") from error


def _tokenizer_class(folder: Path) -> str:
    """The class that AutoTokenizer takes for a folder, as far as that is known here (a test compares); else empty."""
    try:
        model, about = (json.loads((folder / name).read_bytes()) for name in ("config.json", "tokenizer_config.json"))
        known = (folder / "tokenizer.json").is_file() and not {"auto_map"} & (model.keys() | about.keys())
        return _CLASSES.get((model["model_type"], about["tokenizer_class"]), "") if known else ""
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return ""  # loading it says what is wrong


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
    with suppress(OSError, ValueError, RecursionError, TypeError):
        if said := json.loads((Path(path) / "config.json").read_bytes()).get("max_position_embeddings"):
            return int(said)  # without importing torch
    from transformers import AutoConfig

    try:
        return context_of(AutoConfig.from_pretrained(path))
    except Exception as error:
        raise ModelError(f"{path}: no configuration could be loaded ({first_line(error)})") from error


# --- what identifies weights and vocabulary, read from their files without loading them --------------------------


def model_digest(path: str) -> str:
    """Digest of a local model's weights, configuration and tokenizer; of name and commit for a hub model.

    Raises BadFile for a file that cannot be read.
    """
    return _digest(path, lambda folder: sorted(f for f in folder.iterdir() if f.suffix in _IDENTITY), ".json")


def tokenizer_digest(path: str) -> str:
    """The same of a local tokenizer's vocabulary and chat template alone. Raises BadFile."""
    return _digest(path, lambda folder: [folder / name for name in _VOCABULARY], "_config.json")


def _digest(path: str, files: Callable[[Path], Iterable[Path]], versioned: str) -> str:
    """Of the ``files`` that a folder has; of names that end in ``versioned`` without the versions of libraries."""
    folder, total = Path(path), hashlib.sha256()
    if not folder.is_dir():
        return _hub_digest(path)
    for file in filter(Path.is_file, files(folder)):
        total.update(file.name.encode())
        with about(file), file.open("rb") as content:
            if file.name.endswith(versioned):
                total.update(_without_versions(content.read()))
            else:  # piece by piece: weights may be larger than the memory
                hashlib.file_digest(content, lambda: total)
    return total.hexdigest()[:16]


def _without_versions(content: bytes) -> bytes:
    with suppress(ValueError, RecursionError):  # loading it will say what is wrong
        data = json.loads(content)
        if isinstance(data, dict):
            return json.dumps({k: v for k, v in data.items() if k not in _VERSIONS}, sort_keys=True).encode()
    return content


def _hub_digest(name: str) -> str:
    """Of the name and the commit that the local cache holds; of the name alone while nothing is cached. No network."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    with suppress(HFValidationError):  # no name of the hub
        for file in ("config.json", "tokenizer_config.json"):
            if isinstance(path := try_to_load_from_cache(name, file), str):
                name = f"{name}@{Path(path).parent.name}"  # the cache's snapshots are named by commit
                break
    return hashlib.sha256(name.encode()).hexdigest()[:16]
