"""Models at any place (see ``places``): loaded whole or not at all, and identified."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from harness.errors import ModelError, first_line
from harness.files import about, file_digest
from harness.models.places import adapted, commit_of, is_gguf, source
from harness.models.places import folder as folder
from harness.models.places import names as names
from harness.models.places import resolve as resolve

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
# Written into configurations by libraries; they do not change what a model says (an adapter's base has its own digest).
_VERSIONS = (
    "transformers_version", "_name_or_path", "is_local", "local_files_only", "backend", "tokenizer_class",
    "base_model_name_or_path",
)  # fmt: skip


def load_tokenizer(path: str) -> Any:
    """The tokenizer at a local path or hub name; raises ModelError with one clear line.

    An adapter's is its own, where its folder holds one, else its base model's.
    """
    import transformers

    place, options = source(_vocabulary_of(path))
    # Importing AutoTokenizer imports torch: two seconds of a processor, for a server's client, too.
    chosen = getattr(transformers, ("" if options else _tokenizer_class(Path(place))) or "AutoTokenizer")
    try:
        return chosen.from_pretrained(place, **options)
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


def _vocabulary_of(path: str) -> str:
    """Where a model's tokenizer is: an adapter's folder may hold none."""
    base = None if any((Path(path) / name).exists() for name in _VOCABULARY[:3]) else adapted(path)
    return _vocabulary_of(base) if base else path


def load_model(path: str, **options: Any) -> Any:
    """The causal language model at a local path or hub name, with every weight from its files.

    ``options`` (dtype and others) go to transformers' ``from_pretrained``. Raises ModelError with one clear line, also
    for what transformers only warns of: weights that are missing or of another shape, which it would draw at random,
    and weights that the model has no place for. An adapter is merged into its base model.
    """
    if base := adapted(path):
        return _merged(path, base, **options)
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    place, where = source(path)
    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # no table of weights that do not fit
    try:
        model, loading = AutoModelForCausalLM.from_pretrained(
            place, output_loading_info=True, ignore_mismatched_sizes=True, **where, **options
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


def _merged(path: str, base: str, **options: Any) -> Any:
    """The base model with the adapter in it; merged in float32, as training merges, whatever ``dtype`` is asked for."""
    import torch
    from peft import PeftModel

    try:
        model = load_model(base, **options | {"dtype": torch.float32})
    except ModelError as error:
        raise ModelError(f"{path}: is an adapter, and its base model cannot be used: {error}") from error
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*missing adapter keys.*")  # it would draw them at random
            merged: Any = PeftModel.from_pretrained(model, path).merge_and_unload()
    except Exception as error:
        raise ModelError(f"{path}: the adapter does not fit its base model {base} ({first_line(error)})") from error
    vars(merged).pop("peft_config", None)
    merged.requires_grad_(True)  # it may be trained whole
    merged.name_or_path = merged.config._name_or_path = path  # what an adapter that is trained from here calls its base
    return merged.to(options.get("dtype", torch.float32))


def context_of(config: Any) -> int:
    """Tokens that a model of this configuration can hold; 0 where it does not say."""
    return int(getattr(config, "max_position_embeddings", 0) or 0)


def cache_bytes(config: Any, number: int) -> int:
    """Bytes of keys and values that a token takes in all layers, of numbers of so many bytes."""
    config = config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * width * number)


def context_length(path: str) -> int:
    """The same of the model at a local path or hub name. Raises ModelError when it has no configuration."""
    if base := adapted(path):
        return context_length(base)
    with suppress(OSError, ValueError, RecursionError, TypeError):
        if said := json.loads((Path(path) / "config.json").read_bytes()).get("max_position_embeddings"):
            return int(said)  # without importing torch
    from transformers import AutoConfig

    place, options = source(path)
    try:
        return context_of(AutoConfig.from_pretrained(place, **options))
    except Exception as error:
        raise ModelError(f"{path}: no configuration could be loaded ({first_line(error)})") from error


# --- what identifies weights and vocabulary, read from their files without loading them --------------------------


def model_digest(path: str) -> str:
    """Digest of a local model's weights, configuration and tokenizer; of name and commit for a hub model.

    That of an adapter covers its base model too. Raises BadFile for a file that cannot be read.
    """
    digest = _digest(path, lambda folder: sorted(f for f in folder.iterdir() if f.suffix in _IDENTITY), ".json")
    return f"{digest}+{model_digest(base)}" if (base := adapted(path)) else digest


def tokenizer_digest(path: str) -> str:
    """The same of a local tokenizer's vocabulary and chat template alone. Raises BadFile."""
    return _digest(_vocabulary_of(path), lambda folder: [folder / name for name in _VOCABULARY], "_config.json")


def _digest(path: str, files: Callable[[Path], Iterable[Path]], versioned: str) -> str:
    """Of the ``files`` that a folder has; of names that end in ``versioned`` without the versions of libraries."""
    if is_gguf(path):
        return file_digest(Path(path))
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
    """Of the name and the commit; of the name alone while no commit is known. No network."""
    commit = commit_of(name)
    return hashlib.sha256((f"{source(name)[0]}@{commit}" if commit else name).encode()).hexdigest()[:16]
