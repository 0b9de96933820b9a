"""``harness train``: SFT and preference training of any causal language model on searched chains."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.options import complain, one_of, show
from harness.errors import Usage


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Train on searched chains: sft, dpo, and what prefix masks change (masks).")
    group.command("sft")(sft)
    group.command("dpo")(dpo)
    group.command("masks")(masks)
    app.add_typer(group, name="train", no_args_is_help=True)


def _option(help: str, metavar: str = "", flag: str | None = None) -> Any:
    """One line of help in 80 columns: the default stands in the text."""
    return typer.Option(*([flag] if flag else []), help=help, metavar=metavar, show_default=False)


Model = Annotated[str, _option("A path, hub name or shipped:NAME.", "MODEL")]
Data = Annotated[Path, _option("A search's export, JSONL, Parquet.", "PATH")]
Out = Annotated[Path, _option("Its folder; the command goes on.", "DIR")]
Epochs = Annotated[float, _option("Passes over the rows (1).", "X")]
Batch = Annotated[int, _option("Rows, or --trees, per step (16).", "N")]
Warmup = Annotated[float, _option("Share of the steps (0.1).", "X")]
Seed = Annotated[int, _option("Order of rows, dropout, adapters (0).", "N")]
MaxTokens = Annotated[int, _option("Of a row (the model's positions).", "N")]
TooLong = Annotated[str, _option("Longer rows: drop, stop (drop).", "RULE")]
LayoutOf = Annotated[str, _option("auto, rows or shared (auto).", "KIND")]
Trees = Annotated[bool, _option("All chains of a prompt in one batch.", flag="--trees")]
Micro = Annotated[int, _option("Rows per forward pass (a step's).", "N")]
Precision = Annotated[str, _option("auto, float32 or bfloat16 (auto).", "KIND")]
Recompute = Annotated[bool, _option("Activation checkpointing.", flag="--recompute")]
Lora = Annotated[int, _option("Rank of adapters (0: all weights).", "N")]
SaveSteps = Annotated[int, _option("Steps between checkpoints (25).", "N")]
DeepSpeed = Annotated[Path | None, _option("A DeepSpeed configuration.", "FILE")]


def sft(
    model: Model,
    data: Data,
    out: Out,
    learning_rate: Annotated[float, _option("Peak, after the warm-up (1e-5).", "X")] = 1e-5,
    epochs: Epochs = 1.0,
    batch_size: Batch = 16,
    warmup: Warmup = 0.1,
    mean: Annotated[str, _option("token_mean or sequence_mean.", "KIND")] = "token_mean",
    seed: Seed = 0,
    max_tokens: MaxTokens = 0,
    too_long: TooLong = "drop",
    layout: LayoutOf = "auto",
    trees: Trees = False,
    micro_batch: Micro = 0,
    precision: Precision = "auto",
    recompute: Recompute = False,
    lora: Lora = 0,
    save_steps: SaveSteps = 25,
    deepspeed: DeepSpeed = None,
    as_json: Annotated[bool, _option("Print JSON and nothing else.", flag="--json")] = False,
) -> None:
    """Supervised fine-tuning on completions. Under 'accelerate launch -m harness train sft ...' on many devices."""
    from harness.training import train

    one_of("--mean", mean, ("token_mean", "sequence_mean"))
    how = _how(layout, trees, micro_batch, precision, recompute, lora, deepspeed)
    path, rows, told = _read(model, data, "sft", max_tokens, too_long)
    dose = train.Dose(learning_rate, epochs, batch_size, warmup, save_steps)
    figures = train.sft(path, rows.rows, dose, seed, out, _progress(), mean, how, told)  # type: ignore[arg-type]
    _report(figures, out, as_json)


def dpo(
    model: Model,
    data: Data,
    out: Out,
    learning_rate: Annotated[float, _option("Peak, after the warm-up (5e-7).", "X")] = 5e-7,
    beta: Annotated[float, _option("Of DPO (0.1).", "X")] = 0.1,
    label_smoothing: Annotated[float, _option("Epsilon of cDPO (0: plain DPO).", "X")] = 0.0,
    alpha: Annotated[float, _option("Weight of the joint SFT term (0).", "X")] = 0.0,
    mean: Annotated[str, _option("Of SFT: sequence_mean, token_mean.", "KIND")] = "sequence_mean",
    mask_prefix: Annotated[str, _option("In terms: none, dpo, sft, both (none).", "KIND")] = "none",
    length_normalized: Annotated[bool, _option("Mean, not summed log-ratios.", flag="--length-normalized")] = False,
    epochs: Epochs = 1.0,
    batch_size: Batch = 16,
    warmup: Warmup = 0.1,
    seed: Seed = 0,
    max_tokens: MaxTokens = 0,
    too_long: TooLong = "drop",
    layout: LayoutOf = "auto",
    trees: Trees = False,
    micro_batch: Micro = 0,
    precision: Precision = "auto",
    recompute: Recompute = False,
    lora: Lora = 0,
    term_norms: Annotated[int, _option("Terms' gradients every N steps (0).", "N")] = 0,
    save_steps: SaveSteps = 25,
    deepspeed: DeepSpeed = None,
    as_json: Annotated[bool, _option("Print JSON and nothing else.", flag="--json")] = False,
) -> None:
    """Preference training: DPO, cDPO, prefix masks, joint SFT term; the reference is the model itself."""
    from dataclasses import replace

    from harness.training import train
    from harness.training.objective import Objective

    one_of("--mean", mean, ("token_mean", "sequence_mean"))
    one_of("--mask-prefix", mask_prefix, ("none", "dpo", "sft", "both"))
    try:
        objective = Objective(
            beta, label_smoothing, alpha, mean, mask_prefix in ("dpo", "both"), mask_prefix in ("sft", "both"),  # type: ignore[arg-type]
            length_normalized,
        )  # fmt: skip
    except ValueError as error:
        raise Usage(str(error)) from None
    how = replace(_how(layout, trees, micro_batch, precision, recompute, lora, deepspeed), term_norms=term_norms)
    path, rows, told = _read(model, data, "pairs", max_tokens, too_long)
    dose = train.Dose(learning_rate, epochs, batch_size, warmup, save_steps)
    figures = train.preference(path, rows.rows, objective, dose, seed, out, _progress(), how, told)
    _report(figures, out, as_json)


def masks(
    model: Model,
    data: Annotated[Path, _option("Preference pairs, as for dpo.", "PATH")],
    reference: Annotated[str | None, _option("The reference model (the model itself).", "MODEL")] = None,
    limit: Annotated[int, _option("Pairs, evenly spaced (64).", "N")] = 64,
    beta: Annotated[float, _option("Of DPO (0.1).", "X")] = 0.1,
    markdown: Annotated[bool, _option("A Markdown table.", flag="--markdown")] = False,
    as_json: Annotated[bool, _option("Print JSON and nothing else.", flag="--json")] = False,
) -> None:
    """When masking the prefix shared by chosen and rejected changes the gradient, and when it cancels."""
    from harness.models.shipped import resolve
    from harness.training.masks import gradient_table
    from harness.view import training as view

    path, rows, _ = _read(model, data, "pairs", 0, "drop")
    chosen = rows.rows[:: max(len(rows.rows) // max(limit, 1), 1)][: max(limit, 1)]
    found = gradient_table(path, resolve(reference or model), chosen, beta=beta)
    show(view.masks(len(chosen), found), "md" if markdown else "table", as_json)


def _how(layout: str, trees: bool, micro: int, precision: str, recompute: bool, lora: int, deepspeed: Any) -> Any:
    from harness.training.train import How

    one_of("--layout", layout, ("auto", "rows", "shared"))
    one_of("--precision", precision, ("auto", "float32", "bfloat16"))
    return How(layout, trees, micro, precision, recompute, lora, 0, deepspeed)  # type: ignore[arg-type]


def _read(model: str, data: Path, kind: Any, max_tokens: int, too_long: str) -> tuple[str, Any, dict[str, Any]]:
    """The model's path, the rows, and what the card says of the data; what was left out is told on stderr."""
    # Threads that spin while they wait stand still where others use the machine, too. Set before torch is loaded, and
    # not for generation: its steps are so short that waiting in earnest halves its speed.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from harness.models.loading import load_tokenizer
    from harness.models.shipped import resolve
    from harness.training.data import read_rows
    from harness.training.train import positions

    one_of("--too-long", too_long, ("drop", "stop"))
    path = resolve(model)
    rows = read_rows(data, kind, load_tokenizer(path), max_tokens or positions(path), too_long)  # type: ignore[arg-type]
    if _main():
        for text, number in (rows.left_out + rows.notes).items():
            complain(f"{number:,} {text}" + (" left out" if text in rows.left_out else ""))
    left_out = dict(rows.left_out)
    return path, rows, {"data": f"{data} ({kind}, digest {rows.digest})", "left_out": left_out or "nothing"}


def _main() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _progress() -> Any:
    """A line on stderr about every twentieth of the steps; a terminal gets one line that is rewritten."""
    live = sys.stderr.isatty()

    def progress(step: int, total: int) -> None:
        if live:
            print(f"\rstep {step:,} of {total:,}", end="\n" if step == total else "", file=sys.stderr, flush=True)
        elif step == total or step % max(total // 20, 1) == 0:
            print(f"step {step:,} of {total:,}", file=sys.stderr, flush=True)

    return progress


def _report(figures: dict[str, Any], out: Path, as_json: bool) -> None:
    from harness.view import training as view

    if _main():
        show(view.trained(figures, out), as_json=as_json)
