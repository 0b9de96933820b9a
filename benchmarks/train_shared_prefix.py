"""Training on trees with shared prefixes computed once, against stock TRL on the same rows.

    python benchmarks/train_shared_prefix.py [--chains FILE] [--rounds 3] [--shapes tiny] [--memory] [--quick] [--json]

Two data sets: trees like the original's (300 prompt tokens, about 150 a node; random ids) and trees that the shipped
tiny models searched, from a small search run here or from ``--chains`` (a chains.jsonl of a recipe's store). Every arm
trains on the same rows; arms of one comparison run alternately and their fastest rounds are compared. ``--shapes``:
tiny (1.1M parameters, float32), and on a GPU qwen2.5-0.5b and qwen2.5-1.5b (random weights, bfloat16). ``--memory``
runs each arm once more in a process of its own for its peak.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

Row = tuple[list[int], list[int]]
Pair = tuple[list[int], list[int], list[int]]
TARGETS = {  # name: (bound, least value on a GPU, least value on a CPU; None: no target there)
    "tree_sft_tokens_ratio": ("at least", 2.5, 2.5),
    "tree_sft_speedup": ("at least", 1.8, 1.3),
    "pair_speedup": ("at least", 1.4, None),
    "tree_dpo_tokens_ratio": ("at least", 3.0, 3.0),
    "tree_dpo_speedup": ("at least", 2.0, 2.0),
    "no_sharing_speed": ("at least", 0.95, 0.95),
    "stock_overhead": ("at most", 1.05, 1.05),
}
RECENT = 20
SHAPES = {
    "qwen2.5-0.5b": {"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14},
    "qwen2.5-1.5b": {
        "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12,
    },
    "quick": {
        "hidden_size": 32, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 512,
    },
}  # fmt: skip


def synthetic(
    trees: int, rng: random.Random, size: int = 256, node: int = 150
) -> list[tuple[list[int], list[list[int]]]]:
    """Prompts of 300 tokens, nodes of about 150, 8 chains a tree; they hold about 2.8 times their unique tokens.

    That share is what the visited chains of the original's demonstration trees have (2.7 to 2.9). ``size``: of the
    vocabulary; ``node``: another mean length of a node, the rest in proportion.
    """

    def ids(n: int) -> list[int]:
        return [rng.randrange(1, size) for _ in range(n)]

    out = []
    for _ in range(trees):
        nodes: list[tuple[list[int], int]] = [([], 0)]
        leaves: list[list[int]] = []
        while len(leaves) < 8:
            text, depth = rng.choice(nodes[-RECENT:])
            child = (text + ids(rng.randint(node * 2 // 3, node * 4 // 3)), depth + 1)
            nodes.append(child)
            if child[1] >= 3:
                leaves.append(child[0] + ids(rng.randint(node * 2 // 15, node * 2 // 5)))
        out.append((ids(2 * node), leaves))
    return out


def searched(file: Path | None, problems: int) -> list[tuple[list[int], list[list[int]], list[list[int]]]]:
    """(prompt, correct chains, wrong chains) of every problem that has both."""
    from harness.chains.select import by_problem
    from harness.journal import read
    from harness.records import Chain

    chains = [Chain.model_validate(row) for row in read(file)] if file else _search(problems)
    out = []
    for group in by_problem(chains):
        right, wrong = ([c.token_ids for c in group if c.correct == correct] for correct in (True, False))
        if right and wrong:
            out.append((group[0].prompt_ids, right, wrong))
    return out


def _search(problems: int) -> Any:
    from harness.chains.extract import chains_of
    from harness.grading.grade import shared_grader
    from harness.models.backends.hf import HFCompleter
    from harness.models.loading import resolve
    from harness.models.prompts import prompt_ids
    from harness.problems.embedded import problems as embedded
    from harness.search.grammar import load
    from harness.search.launch import run as run_search
    from harness.search.run.roles import Role
    from harness.search.run.work import GraderVerifier, Search
    from harness.search.spec import Goals
    from harness.search.store import Settings, Store, folded

    models = {"generator": "shipped:generator-qwen2", "critic": "shipped:generator-llama"}
    completers = {role: HFCompleter(resolve(name), threads=1) for role, name in models.items()}
    roles = {role: Role([completer], completer.tokenizer) for role, completer in completers.items()}
    settings = Settings(grammar=load("embedded"), goals=Goals(correct=6, wrong=4, rollouts=20), models=models)
    out = []
    with tempfile.TemporaryDirectory() as folder:
        search = Search(
            settings=settings, roles=roles, verifier=GraderVerifier(shared_grader()), window=problems
        )  # fmt: skip
        with Store(Path(folder) / "tree", settings) as store:
            run_search(search, embedded("mini_math", "search", problems), store)
        tokenizer = roles["generator"].tokenizer
        for stored, tree, _ in folded(Path(folder) / "tree"):
            ids = prompt_ids(tokenizer, stored.problem.prompt)
            out += chains_of(tree, stored.problem, ids, tokenizer)
    return out


def model_of(shape: str) -> Any:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from harness.models.loading import load_model, resolve
    from harness.training.attention import register

    if shape == "tiny":
        return load_model(resolve("shipped:student"), dtype=torch.float32, attn_implementation=register())
    torch.manual_seed(0)
    config = Qwen2Config(
        **{"vocab_size": 151936, "num_key_value_heads": 2, "max_position_embeddings": 32768} | SHAPES[shape],
        tie_word_embeddings=True,
    )
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):  # a processor would draw for half a minute
        return Qwen2ForCausalLM._from_config(config, attn_implementation=register(), dtype=torch.float32)


def arm(
    name: str, rows: Sequence[Any], batch: int, shape: str, trees: bool = False, layout: str = "auto", parts: int = 1
) -> Any:
    """A trainer for one pass over ``rows``; ``batch`` counts rows of a step, or trees where ``trees``.

    ``parts``: micro-batches that a step is cut into.
    """
    import torch
    from datasets import Dataset, disable_progress_bars
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    from harness.models.loading import load_tokenizer, resolve
    from harness.training.attention import NAME
    from harness.training.batches import Collator, groups_of
    from harness.training.spec import Objective, SftObjective
    from harness.training.trainer import ChainSFTTrainer, PreferenceTrainer, reference_file

    disable_progress_bars()
    gpu = torch.cuda.is_available()
    model, tokenizer = model_of(shape), load_tokenizer(resolve("shipped:student"))
    assert model.config._attn_implementation == NAME
    common: dict[str, Any] = {
        "output_dir": tempfile.mkdtemp(), "per_device_train_batch_size": batch // parts,
        "gradient_accumulation_steps": parts, "num_train_epochs": 1, "seed": 0,
        "learning_rate": 1e-5, "bf16": gpu, "use_cpu": not gpu, "gradient_checkpointing": False, "max_length": None,
        "save_strategy": "no", "report_to": "none", "disable_tqdm": True, "logging_steps": 1,
        "dataloader_pin_memory": False,
    }  # fmt: skip
    ours = {"remove_unused_columns": False, "logging_nan_inf_filter": False}
    reference = {"precompute_ref_log_probs": True, "precompute_ref_batch_size": batch // parts}
    pad = tokenizer.pad_token_id
    if name == "ours sft":
        return ChainSFTTrainer(
            objective=SftObjective(), model=model, processing_class=tokenizer,
            train_dataset=Dataset.from_list(groups_of(rows, trees)), data_collator=Collator(pad=pad, choice=layout),  # type: ignore[arg-type]
            args=SFTConfig(**common, **ours, dataset_kwargs={"skip_prepare_dataset": True}),
        )  # fmt: skip
    if name == "trl sft":
        data = [{"input_ids": [*p, *c], "labels": [-100] * len(p) + list(c)} for p, c in rows]
        return SFTTrainer(
            model=model, processing_class=tokenizer, train_dataset=Dataset.from_list(data), args=SFTConfig(**common)
        )
    if name == "ours dpo":
        groups = groups_of(rows, trees)
        return PreferenceTrainer(
            objective=Objective(), reference=reference_file(Path(common["output_dir"]), shape, groups, ""),
            model=model, processing_class=tokenizer, train_dataset=Dataset.from_list(groups),
            data_collator=Collator(pad=pad, choice=layout, objective=Objective()),  # type: ignore[arg-type]
            args=DPOConfig(**common, **ours, **reference, beta=0.1),
        )  # fmt: skip

    class Stock(DPOTrainer):
        def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
            return dataset  # token ids: the same rows, token for token

    data = [{"prompt_ids": list(p), "chosen_ids": list(c), "rejected_ids": list(r)} for p, c, r in rows]
    return Stock(
        model=model, processing_class=tokenizer, train_dataset=Dataset.from_list(data),
        args=DPOConfig(**common, **reference, beta=0.1),
    )  # fmt: skip


def timed(trainer: Any) -> dict[str, float]:
    """Seconds of one pass, from step to step, the first step left out as warm-up; rows tokens and network tokens."""
    import torch
    from transformers import PrinterCallback, TrainerCallback

    marks: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            marks.append(time.perf_counter())

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Clock())
    with contextlib.redirect_stdout(open(os.devnull, "w")):
        trainer.train()
    log = [row for row in trainer.state.log_history if "loss" in row]
    through = sum(row.get("tokens/network", 0.0) for row in log[1:])
    return {"seconds": marks[-1] - marks[0], "network": through, "steps": len(marks) - 1}


Case = tuple[str, Sequence[Any], int, dict[str, Any]]


def tree_cases(made: list[tuple[list[int], list[list[int]]]], trees: int) -> dict[str, tuple[Case, Case, int]]:
    """The comparisons on trees, with so many ``trees`` a step; see ``cases``."""
    rows = [(prompt, chain) for prompt, chains in made for chain in chains]
    sides = [(p, chains[::2], chains[1::2]) for p, chains in made]  # 4 chains called right and 4 wrong
    tree_pairs = [(p, c, wrong[(i + j) % 4]) for p, right, wrong in sides for i, c in enumerate(right) for j in (0, 1)]
    near = [(p, c, max(wrong, key=lambda w: _common(c, w))) for p, right, wrong in sides for c in right]
    return {
        "tree_sft": _sft(rows, 8 * trees, trees),
        "pair": _dpo(near, 4 * trees),
        "tree_dpo": _dpo(tree_pairs, 8 * trees, trees),
    }


def _sft(data: list[Row], batch: int, trees: int = 0) -> tuple[Case, Case, int]:
    ours: Case = ("ours sft", data, trees or batch, {"trees": bool(trees)})
    return ours, ("trl sft", data, batch, {}), sum(len(p) + len(c) for p, c in data)


def _dpo(data: list[Pair], batch: int, trees: int = 0, layout: str = "auto") -> tuple[Case, Case, int]:
    ours: Case = ("ours dpo", data, trees or batch, {"trees": bool(trees), "layout": layout})
    return ours, ("trl dpo", data, batch, {}), sum(2 * len(p) + len(c) + len(r) for p, c, r in data)


def cases(told: argparse.Namespace, shape: str) -> dict[str, tuple[Case, Case, int]]:
    """Comparison -> (ours, stock, tokens that the stock rows hold)."""
    rng = random.Random(0)
    made = synthetic(told.trees, rng)
    apart = [([rng.randrange(1, 256) for _ in range(40)], [rng.randrange(1, 256) for _ in range(rng.randint(200, 400))])
             for _ in range(16 * told.trees)]  # fmt: skip
    apart_pairs = [(p, c, [rng.randrange(1, 256) for _ in range(len(c))]) for p, c in apart[: 8 * told.trees]]

    out = tree_cases(made, 2) | {
        "no_sharing_sft": _sft(apart, 16),
        "no_sharing_dpo": _dpo(apart_pairs, 8),
        "stock_overhead": _dpo(apart_pairs, 8, layout="rows"),
    }
    wanted = told.only.split(",") if told.only else []
    if shape == "tiny" and (not wanted or any(name.startswith("searched") for name in wanted)):
        found = searched(told.chains, told.search)[: told.search]
        small = [(p, c) for p, right, wrong in found for c in [*right, *wrong]]
        each = max(round(len(small) / len(found)), 1)
        few = [(p, c, w) for p, right, wrong in found for c, w in zip(right * 4, wrong * 4, strict=False)]
        pairs = list({json.dumps(pair): pair for pair in few}.values())
        out["searched_tree_sft"] = _sft(small, 4 * each, 4)
        out["searched_tree_dpo"] = _dpo(pairs, max(round(4 * len(pairs) / len(found)), 1), 4)
    return out


def _common(a: list[int], b: list[int]) -> int:
    from harness.thoughts import common_prefix

    return common_prefix(a, b)


def run_shape(told: argparse.Namespace, shape: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, (ours, stock, tokens) in cases(told, shape).items():
        if told.only and name not in told.only.split(","):
            continue
        times: dict[str, list[dict[str, float]]] = {"ours": [], "stock": []}
        for number in range(told.rounds):
            both = [("ours", ours), ("stock", stock)]
            for side, (kind, rows, batch, more) in both if number % 2 else both[::-1]:
                times[side].append(timed(arm(kind, rows, batch, shape, **more)))
        best = {side: min(each, key=lambda t: t["seconds"] / t["steps"]) for side, each in times.items()}
        share = best["ours"]["steps"] / (best["ours"]["steps"] + 1)  # the first step is in no time
        stock_share = best["stock"]["steps"] / (best["stock"]["steps"] + 1)
        seconds = {"ours": best["ours"]["seconds"] / share, "stock": best["stock"]["seconds"] / stock_share}
        result = {
            "tokens_ratio": round(tokens * share / best["ours"]["network"], 3),
            "speedup": round(seconds["stock"] / seconds["ours"], 3),
            "tokens_per_second": {side: round(tokens / value) for side, value in seconds.items()},
        }
        if told.memory:
            sides = (("ours", ours), ("stock", stock))
            result["peak_mib"] = {side: round(peak(told, shape, name, side)) for side, _ in sides}
        out[name] = result
        if not told.json:
            print(f"{shape:<14}{name:<20}{json.dumps(result)}", flush=True)
    return out


def peak(told: argparse.Namespace, shape: str, name: str, side: str) -> float:
    """Peak memory of one arm in its own process, above that of the process before it trains (on a GPU: allocated)."""
    import subprocess

    command = [sys.executable, __file__, "--worker", f"{shape}:{name}:{side}", "--only", name]
    command += ["--trees", str(told.trees)]
    command += ["--search", str(told.search)] + (["--chains", str(told.chains)] if told.chains else [])
    done = subprocess.run(  # noqa: S603 - this file itself
        command, capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def worker(told: argparse.Namespace) -> None:
    import torch

    shape, name, side = told.worker.split(":")
    kind, rows, batch, more = cases(told, shape)[name][0 if side == "ours" else 1]
    trainer = arm(kind, rows, batch, shape, **more)
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew (Linux)
    timed(trainer)
    gpu = torch.cuda.is_available()
    print(torch.cuda.max_memory_allocated() / 2**20 if gpu else _resident("VmHWM") - before)


def _resident(name: str) -> float:
    """MiB from this process's status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chains", type=Path, help="chains.jsonl of a search; without it a small search runs first")
    parser.add_argument("--search", type=int, default=48, help="problems whose searched trees are used")
    parser.add_argument("--trees", type=int, default=8, help="synthetic trees")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shapes", default="", help="tiny, qwen2.5-0.5b, qwen2.5-1.5b; default by device")
    parser.add_argument("--only", default="", help="these comparisons")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--quick", action="store_true", help="6 synthetic trees, 16 searched, 2 rounds")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.quick:
        told = argparse.Namespace(**vars(told) | {"trees": 6, "search": 16, "rounds": 2})
    import torch

    gpu = torch.cuda.is_available()
    if told.worker:
        worker(told)
        return
    shapes = told.shapes.split(",") if told.shapes else ["qwen2.5-0.5b", "qwen2.5-1.5b"] if gpu else ["tiny"]
    found = {shape: run_shape(told, shape) for shape in shapes}
    first = found[shapes[0]]

    def of(name: str, key: str) -> Any:
        return first.get(name, {}).get(key)

    plain = [x for x in (of("no_sharing_sft", "speedup"), of("no_sharing_dpo", "speedup")) if x]
    figures = {
        "tree_sft_tokens_ratio": of("tree_sft", "tokens_ratio"),
        "tree_sft_speedup": of("tree_sft", "speedup"),
        "pair_speedup": of("pair", "speedup"),
        "tree_dpo_tokens_ratio": of("tree_dpo", "tokens_ratio"),
        "tree_dpo_speedup": of("tree_dpo", "speedup"),
        "no_sharing_speed": min(plain) if plain else None,
        "stock_overhead": round(1 / of("stock_overhead", "speedup"), 3) if of("stock_overhead", "speedup") else None,
    }
    device = torch.cuda.get_device_name() if gpu else f"CPU, {torch.get_num_threads()} threads"
    if told.json:
        print(json.dumps(figures | {"device": device, "shapes": found}, indent=1))
        return
    print(f"\n{device}")
    for name, value in figures.items():
        which, on_gpu, on_cpu = TARGETS[name]
        bound = on_gpu if gpu else on_cpu
        if value is None or bound is None:
            print(f"{name:<24}{value if value is not None else '–':>8}")
            continue
        met = value >= bound if which == "at least" else value <= bound
        print(f"{name:<24}{value:8.3f}   target: {which} {bound:g}   {'met' if met else 'MISSED'}")


if __name__ == "__main__":
    main()
