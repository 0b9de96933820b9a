"""The finished model: weights, tokenizer, chat template, training log and card, whole under its name or not at all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from harness.errors import TrainingError
from harness.training.checkpoints import RECORD, Record, writing
from harness.training.spec import TrainingFigures, TrainingJob


def write_model(trainer: Any, job: TrainingJob, identity: str, figures: TrainingFigures) -> None:
    """Write the trainer's model to ``job.out``; adapters are merged into the base and kept in ``adapter`` as well.

    Raises TrainingError, with the checkpoints kept, where a sharded model was not gathered.
    """
    out, work = job.out, Path(trainer.args.output_dir)
    aside = out.with_name(out.name + ".part")
    main = trainer.accelerator.is_main_process
    lora = hasattr(trainer.accelerator.unwrap_model(trainer.model), "peft_config")
    if main:
        shutil.rmtree(aside, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    if trainer.is_fsdp_enabled:  # its shards are gathered for the whole model, whatever its checkpoints are
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    with writing(out.name, work):
        trainer.save_model(str(aside / "adapter" if lora else aside))
    trainer.accelerator.wait_for_everyone()
    if main:
        if not list(aside.rglob("*.safetensors")):
            raise TrainingError(
                f"{out.name}: no whole weights were written; the checkpoints are kept in {work}. "
                "With DeepSpeed stage 3 set stage3_gather_16bit_weights_on_model_save"
            )
        with writing(out.name, work):
            if lora:
                _merge(job.model, aside)
            trainer.processing_class.save_pretrained(aside)
            log = trainer.state.log_history
            (aside / "training.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
            (aside / "README.md").write_text(_card(job, figures))
            record = Record(identity=identity, figures=figures)
            (aside / RECORD).write_text(record.model_dump_json(indent=1, exclude_none=True) + "\n")
        for name in ("training_args.bin", "adapter/training_args.bin"):  # a pickle: no one should have to load it
            (aside / name).unlink(missing_ok=True)
        if out.exists():  # an empty folder: claimed() refused any other
            out.rmdir()
        os.replace(aside, out)
        shutil.rmtree(work, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()


def _merge(base: str, aside: Path) -> None:
    import torch
    from peft import PeftModel

    from harness.models.loading import load_model

    model = load_model(base, dtype=torch.float32)
    PeftModel.from_pretrained(model, str(aside / "adapter")).merge_and_unload().save_pretrained(aside)


def _card(job: TrainingJob, figures: TrainingFigures) -> str:
    """A model card: what it was trained from, on what, under which objective, and how training went."""
    dumped = job.model_dump(mode="json")
    settings = {name: dumped[name] for name in ("objective", "training", "seed")}
    rows = settings | job.about | figures.model_dump(exclude_none=True)
    cells = [("base model", f"`{job.model}`"), *((key.replace("_", " "), _cell(value)) for key, value in rows.items())]
    table = "\n".join(f"| {key} | {value} |" for key, value in cells)
    head = "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags: [harness]\n---\n"
    return f"{head}\n# {job.out.name}\n\n| | |\n| --- | --- |\n{table}\n\nEvery logged step is in `training.jsonl`.\n"


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_cell(each)}" for key, each in value.items() if each not in (None, False, 0, ""))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value).replace("|", "\\|")
