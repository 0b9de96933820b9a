"""The finished model: weights, tokenizer, chat template, training log and card, whole under its name or not at all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any


def write_model(trainer: Any, base: str, out: Path, figures: dict[str, Any], told: dict[str, Any]) -> None:
    """Write the trainer's model to ``out``; adapters are merged into ``base`` and kept in ``out/adapter`` as well."""
    aside = out.with_name(out.name + ".part")
    main = trainer.accelerator.is_main_process
    lora = hasattr(trainer.accelerator.unwrap_model(trainer.model), "peft_config")
    if main:
        shutil.rmtree(aside, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    trainer.save_model(str(aside / "adapter" if lora else aside))  # gathers the shards of FSDP and DeepSpeed
    trainer.accelerator.wait_for_everyone()
    if main:
        if lora:
            _merge(base, aside)
        for name in ("training_args.bin", "adapter/training_args.bin"):  # a pickle: no one should have to load it
            (aside / name).unlink(missing_ok=True)
        trainer.processing_class.save_pretrained(aside)
        log = trainer.state.log_history
        (aside / "training.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
        (aside / "README.md").write_text(card(base, out.name, figures, told))
        shutil.rmtree(out, ignore_errors=True)  # a model whose job was killed before it was recorded
        os.replace(aside, out)
        shutil.rmtree(trainer.args.output_dir, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()


def _merge(base: str, aside: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    PeftModel.from_pretrained(model, str(aside / "adapter")).merge_and_unload().save_pretrained(aside)


def card(base: str, name: str, figures: dict[str, Any], told: dict[str, Any]) -> str:
    """A model card: what it was trained from, on what, under which objective, and how training went."""
    rows = [("base model", f"`{base}`"), *((key.replace("_", " "), _cell(value)) for key, value in told.items())]
    rows += [(key.replace("_", " "), _cell(value)) for key, value in figures.items()]
    table = "\n".join(f"| {key} | {value} |" for key, value in rows)
    head = "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags: [harness]\n---\n"
    return f"{head}\n# {name}\n\n| | |\n| --- | --- |\n{table}\n\nEvery logged step is in `training.jsonl`.\n"


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_cell(each)}" for key, each in value.items() if each not in (None, False, 0, ""))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value).replace("|", "\\|")
