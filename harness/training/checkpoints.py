"""Checkpoints that are whole or absent: written aside and renamed, checked before they are used.

The Trainer writes straight into ``checkpoint-N``; it would resume a half-written one with fresh state, or fail.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from harness.errors import TrainingError
from harness.journal import write_whole

RECORD = "training.json"  # in a finished model's folder and in its working folder: what it is a training of
_ASIDE = "unfinished"
_PARTS = ("optimizer.pt", "scheduler.pt", "trainer_state.json")
_WEIGHTS = ("model.safetensors", "adapter_model.safetensors")
_SHARDED = ("pytorch_model_fsdp*", "optimizer_*", "global_step*")  # FSDP and DeepSpeed: renamed whole, not looked into


def claim(out: Path, identity: str) -> dict[str, Any] | None:
    """Make ``out`` the place of the training ``identity``; the figures if it is already done there.

    Raises TrainingError where ``out``, or the working folder beside it, belongs to something else.
    """
    found = _record(out / RECORD)
    if found.get("identity") == identity:
        return dict(found["figures"])
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        what = "another training's model" if found else "something that is no model of ours"
        raise TrainingError(f"{out} holds {what}; choose another --out or remove it")
    work = out.with_name(out.name + ".work")
    begun = _record(work / RECORD)
    if begun.get("identity", identity) != identity:
        raise TrainingError(f"{work} holds a training of other data or settings; remove it, or choose another --out")
    work.mkdir(parents=True, exist_ok=True)
    write_whole(work / RECORD, json.dumps({"identity": identity}))
    return None


def _record(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError):
        return {}


@contextmanager
def writing(what: str, work: Path) -> Iterator[None]:
    """A full disk ends in one line: every library has an error of its own for it. ``work``: where checkpoints lie."""
    try:
        yield
    except TrainingError:
        raise
    except (OSError, RuntimeError, SafetensorError) as error:
        free, why = shutil.disk_usage(work).free / 2**20, str(error).strip().splitlines()[0][:200]
        raise TrainingError(
            f"{what} could not be written ({why}; {free:,.0f} MiB free at {work}). "
            f"{kept(str(work))}. Make room and run the same command again"
        ) from error


def save_whole(trainer: Any, save: Callable[[Any, Any], None], model: Any, trial: Any) -> None:
    """Run the Trainer's own ``save`` in a folder aside, then rename the checkpoint into place and rotate."""
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
        for file in (aside / name).rglob("*"):
            _sync(file)
        shutil.rmtree(work / name, ignore_errors=True)
        os.replace(aside / name, work / name)
        shutil.rmtree(aside)
        for _, old in sorted(_numbered(work))[: -(trainer.args.save_total_limit or 2)]:
            shutil.rmtree(old)
    wait()


def _sync(file: Path) -> None:
    if file.is_file():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    found = [(path.name.removeprefix("checkpoint-"), path) for path in folder.glob("checkpoint-*")]
    return [(int(step), path) for step, path in found if step.isdigit()]


def last_complete(folder: Path) -> Path | None:
    """The newest whole checkpoint; incomplete ones are removed.

    Whole means: weights, optimizer, scheduler and random state are there, the weights' header and length agree, and the
    state names the step of the folder.
    """
    shutil.rmtree(folder / _ASIDE, ignore_errors=True)
    whole = []
    for step, path in _numbered(folder):
        if _complete(path, step):
            whole.append((step, path))
        else:
            shutil.rmtree(path, ignore_errors=True)
    return max(whole)[1] if whole else None


def kept(folder: str) -> str:
    """A sentence on what a stopped training can go on from."""
    steps = [step for step, path in _numbered(Path(folder)) if _complete(path, step)]
    return f"The checkpoint of step {max(steps)} is kept in {folder}" if steps else "There is no checkpoint yet"


def _complete(path: Path, step: int) -> bool:
    sharded = any(list(path.glob(pattern)) for pattern in _SHARDED)
    parts = _PARTS[2:] if sharded else _PARTS
    if not all((path / name).exists() for name in parts) or not list(path.glob("rng_state*.pth")):
        return False
    weights = [path / name for name in _WEIGHTS if (path / name).exists()]
    try:
        index = path / "model.safetensors.index.json"
        if index.exists():
            weights += [path / name for name in set(json.loads(index.read_text())["weight_map"].values())]
        state = json.loads((path / "trainer_state.json").read_text())
        whole = bool(weights or sharded) and all(_whole(file) for file in weights)
    except (OSError, ValueError, KeyError):
        return False
    return bool(whole and state.get("global_step") == step)


def _whole(file: Path) -> bool:
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(length))
    end = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
    return file.stat().st_size == 8 + length + int(end)
