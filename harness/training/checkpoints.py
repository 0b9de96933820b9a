"""Checkpoints and finished models, whole or absent: written aside and renamed, checked before they are used.

The Trainer writes straight into ``checkpoint-N``; it would resume a half-written one with fresh state, or fail.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from safetensors import SafetensorError, safe_open

from harness.errors import TrainingError, first_line
from harness.files import about
from harness.journal import write_whole
from harness.models.loading import load_model
from harness.models.prompts import ends
from harness.training.spec import TrainingFigures, TrainingJob, kept_model

RECORD = "training.json"  # in a finished model's folder and in its working folder: what it is a training of
_ASIDE, _NUMBERED = "unfinished", "checkpoint-[0-9]*"
_PARTS = ("optimizer.pt", "scheduler.pt", "trainer_state.json", "rng_state*.pth")
_WEIGHTS = ("model.safetensors", "adapter_model.safetensors")
# What safetensors and torch.save say of a file that could not be written.
_WRITE_FAILED = ("os error", "I/O error", "PytorchStreamWriter", "inline_container", "iostream error")
_SHARDED = ("pytorch_model_fsdp*", "optimizer_*", "global_step*")  # FSDP and DeepSpeed: renamed whole, not looked into


class Record(BaseModel):
    """What a folder is a training of, and once that is finished its figures."""

    identity: str
    figures: TrainingFigures | None = None


def finished(out: Path) -> TrainingFigures | None:
    """The figures of the training whose model ``out`` holds; None where it holds none."""
    record = _record(out / RECORD)
    return record.figures if record else None


@contextmanager
def claimed(out: Path, identity: str) -> Iterator[TrainingFigures | None]:
    """Make ``out`` the place of the training ``identity`` while the context lasts; its figures if it is done there.

    Of several processes that train together, the first holds the lock. Raises TrainingError where ``out``, or the
    working folder beside it, belongs to something else, or another command trains there at this moment.
    """
    import filelock

    if figures := _done(out, identity):
        yield figures
        return
    work, elsewhere = out.with_name(out.name + ".work"), "or choose another --out"
    with ExitStack() as locks:
        with about(work):
            work.mkdir(parents=True, exist_ok=True)
            try:
                if os.environ.get("RANK", "0") == "0":
                    locks.enter_context(filelock.FileLock(work / "lock").acquire(timeout=0))
            except filelock.Timeout:
                why = "another command trains here at this moment; wait for its end"
                raise TrainingError(f"{work}: {why}, {elsewhere}") from None
        figures = _done(out, identity)  # another command may have finished it in between
        if figures is None:
            begun = _record(work / RECORD)
            if begun and begun.identity != identity:
                raise TrainingError(f"{work} holds a training of other data or settings; remove it, {elsewhere}")
            write_whole(work / RECORD, Record(identity=identity).model_dump_json(exclude_none=True))
        yield figures
    if figures:
        shutil.rmtree(work, ignore_errors=True)


def _done(out: Path, identity: str) -> TrainingFigures | None:
    record = _record(out / RECORD)
    if record and record.identity == identity and record.figures:
        return record.figures
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        what = "another training's model" if record else "something that is no model of ours"
        raise TrainingError(f"{out} holds {what}; choose another --out or remove it")
    return None


def _record(file: Path) -> Record | None:
    try:
        return Record.model_validate_json(file.read_bytes())
    except (OSError, ValueError):
        return None


@contextmanager
def writing(what: str, work: Path) -> Iterator[None]:
    """A full disk ends in one line: every library has an error of its own for it. ``work``: where checkpoints lie."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if not (isinstance(error, OSError) or any(text in str(error) for text in _WRITE_FAILED)):
            raise
        why = f"{first_line(error)}; {shutil.disk_usage(work).free / 2**20:,.0f} MiB free at {work}"
        again = "Make room and run the same command again"
        raise TrainingError(f"{what} could not be written ({why}). {kept(work)}. {again}") from error


def save_whole(trainer: Any, save: Callable[[Any, Any], None], model: Any, trial: Any) -> None:
    """Run the Trainer's own ``save`` in a folder aside, then rename the checkpoint into place and rotate."""
    from transformers.trainer_utils import rotate_checkpoints

    work = Path(trainer.args.output_dir)
    aside, name = work / _ASIDE, f"checkpoint-{trainer.state.global_step}"
    main, wait = trainer.accelerator.is_main_process, trainer.accelerator.wait_for_everyone
    if main:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
    wait()
    trainer._get_output_dir = lambda trial: str(aside)
    try:
        with writing(name, work):
            save(model, trial)
    finally:
        del trainer._get_output_dir
    wait()
    if main:
        _to_disk(aside / name)
        shutil.rmtree(work / name, ignore_errors=True)
        os.replace(aside / name, work / name)
        shutil.rmtree(aside)
        rotate_checkpoints(str(work), trainer.args.save_total_limit)
    wait()


def _whole(folder: Path) -> dict[int, Path]:
    """Whole checkpoints by their step."""
    named = [(path.name.removeprefix("checkpoint-"), path) for path in folder.glob(_NUMBERED)]
    return {int(step): path for step, path in named if step.isdecimal() and _complete(path, int(step))}


def last_complete(folder: Path) -> Path | None:
    """The newest whole checkpoint; incomplete ones are removed.

    Whole means: weights, optimizer, scheduler and random state are there, the weights' header and length agree, and the
    state names the step of the folder.
    """
    shutil.rmtree(folder / _ASIDE, ignore_errors=True)
    whole = _whole(folder)
    for path in {*folder.glob(_NUMBERED)} - {*whole.values()}:
        shutil.rmtree(path, ignore_errors=True)
    return whole[max(whole)] if whole else None


def kept(folder: Path) -> str:
    """A sentence on what a stopped training can go on from."""
    whole = _whole(folder)
    return f"The checkpoint of step {max(whole)} is kept in {folder}" if whole else "There is no checkpoint yet"


def _complete(path: Path, step: int) -> bool:
    sharded = any(list(path.glob(pattern)) for pattern in _SHARDED)
    if not all(list(path.glob(name)) for name in (_PARTS[2:] if sharded else _PARTS)):
        return False
    weights = [path / name for name in _WEIGHTS if (path / name).exists()]
    try:
        index = path / "model.safetensors.index.json"
        if index.exists():
            weights += [path / name for name in set(json.loads(index.read_bytes())["weight_map"].values())]
        for file in weights:
            with safe_open(file, "np"):  # reads the header, and refuses one that does not fit the file's length
                pass
        state = json.loads((path / "trainer_state.json").read_bytes())
        return bool(weights or sharded) and state.get("global_step") == step
    except (OSError, ValueError, KeyError, SafetensorError):
        return False


def write_model(trainer: Any, job: TrainingJob, identity: str, figures: TrainingFigures) -> None:
    """Write the trainer's model to ``job.out``; adapters are merged into the base and kept in ``adapter`` as well.

    Raises TrainingError, with the checkpoints kept, where a sharded model was not gathered.
    """
    _write(trainer, job, job.out, {
        "training.jsonl": "".join(json.dumps(row) + "\n" for row in trainer.state.log_history),
        "README.md": _card(job, job.out.name, figures.model_dump(exclude_none=True)),
        RECORD: Record(identity=identity, figures=figures).model_dump_json(indent=1, exclude_none=True) + "\n",
    })  # fmt: skip
    if trainer.accelerator.is_main_process:
        shutil.rmtree(trainer.args.output_dir, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()


def write_kept(trainer: Any, job: TrainingJob, identity: str, share: float) -> None:
    """Write what the trainer's model is now, after a ``share`` of its steps, as ``write_model`` does at the end.

    The training goes on as if nothing had been written: its random numbers and the form of its checkpoints stay.
    """
    out, at = kept_model(job.out, share), {"step": trainer.state.global_step, "of steps": trainer.state.max_steps}
    record = Record(identity=identity).model_dump_json(indent=1, exclude_none=True) + "\n"
    _write(trainer, job, out, {"README.md": _card(job, out.name, at), RECORD: record})


def is_kept(out: Path, identity: str) -> bool:
    """Whether ``out`` is a whole model of the training ``identity``. Raises TrainingError for anything else there."""
    if not out.exists():
        return False
    record = _record(out / RECORD)
    if record is None or record.identity != identity:
        raise TrainingError(f"{out} holds something that is not of this training; remove it, or choose another --out")
    return True


def _write(trainer: Any, job: TrainingJob, out: Path, texts: dict[str, str]) -> None:
    """Write the trainer's model, with files of these ``texts``, to a folder aside that becomes ``out`` once whole."""
    aside = out.with_name(out.name + ".part")
    work, main = Path(trainer.args.output_dir), trainer.accelerator.is_main_process
    lora = hasattr(trainer.accelerator.unwrap_model(trainer.model), "peft_config")
    if main:
        shutil.rmtree(aside, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    with writing(out.name, work), _gathered(trainer):
        trainer.save_model(str(aside / "adapter" if lora else aside))
    trainer.accelerator.wait_for_everyone()
    if main:
        if not list(aside.rglob("*.safetensors")):
            how = "With DeepSpeed stage 3 set stage3_gather_16bit_weights_on_model_save"
            raise TrainingError(f"{out.name}: no whole weights were written; the checkpoints are kept in {work}. {how}")
        with writing(out.name, work):
            if lora:
                _merge(job.model, aside)
            trainer.processing_class.save_pretrained(aside)
            _end_turns(aside, trainer.processing_class)
            for name, text in texts.items():
                (aside / name).write_text(text, encoding="utf-8")
        for name in ("training_args.bin", "adapter/training_args.bin"):  # a pickle: no one should have to load it
            (aside / name).unlink(missing_ok=True)
        _to_disk(aside)
        if out.exists():  # an empty folder: claimed() refused any other
            out.rmdir()
        os.replace(aside, out)
    trainer.accelerator.wait_for_everyone()


@contextmanager
def _gathered(trainer: Any) -> Iterator[None]:
    """While this lasts, the shards of an FSDP model are gathered for a whole one, whatever its checkpoints are."""
    if not trainer.is_fsdp_enabled:
        yield
        return
    plugin = trainer.accelerator.state.fsdp_plugin
    before = plugin.state_dict_type
    plugin.set_state_dict_type("FULL_STATE_DICT")
    try:
        yield
    finally:
        plugin.set_state_dict_type(before)


def _merge(model: str, folder: Path) -> None:
    """Write ``model`` with the adapters of ``folder``. New adapters draw random numbers, which are given back."""
    import torch
    from peft import PeftModel

    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        base = load_model(model, dtype=torch.float32)
        PeftModel.from_pretrained(base, str(folder / "adapter")).merge_and_unload().save_pretrained(folder)


def _to_disk(folder: Path) -> None:
    """Make sure that the files of a folder outlast a failure of power: what is renamed must be whole."""
    for file in filter(Path.is_file, folder.rglob("*")):
        with file.open("rb") as opened:
            os.fsync(opened.fileno())


def _end_turns(folder: Path, tokenizer: Any) -> None:
    """Name every end of turn in the model's own settings, so that it stops wherever it is served."""
    from transformers import GenerationConfig

    file = folder / "generation_config.json"
    generation = GenerationConfig.from_pretrained(folder) if file.exists() else GenerationConfig()
    known = generation.eos_token_id
    known = [] if known is None else known if isinstance(known, list) else [known]
    if missing := ends(tokenizer) - {*known}:
        generation.eos_token_id = [*sorted(missing), *known]
        generation.save_pretrained(folder)


def _card(job: TrainingJob, name: str, figures: dict[str, Any]) -> str:
    """A model card: what it was trained from, on what, under which objective, and how training went."""
    dumped = job.model_dump(mode="json")
    settings = {name: dumped[name] for name in ("objective", "teacher", "training", "seed") if dumped[name] is not None}
    rows = settings | job.about | figures
    cells = [("base model", f"`{job.model}`"), *((key.replace("_", " "), _cell(value)) for key, value in rows.items())]
    table = "\n".join(f"| {key} | {value} |" for key, value in cells)
    head = "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags: [harness]\n---\n"
    return f"{head}\n# {name}\n\n| | |\n| --- | --- |\n{table}\n\nEvery logged step is in `training.jsonl`.\n"


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_cell(each)}" for key, each in value.items() if each not in (None, False, 0, ""))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value).replace("|", "\\|")
