"""``python tools/publish_tiny.py FOLDER``: measure freshly trained tiny models and ship them.

FOLDER holds one folder per spec with the trained model and its ``pretrain.jsonl``, or is the store in which recipe
``tiny_models`` ran. Weights and a model card go into the package; scores are measured here, on ``search`` and ``dev``
problems, never on ``eval``.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from harness.training.tiny import SPECS, TinySpec

_FILES = ("config.json", "generation_config.json", "model.safetensors")
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def score(path: str, split: str, count: int, temperature: float) -> dict[str, dict[str, float]]:
    """Share right, share without answer and mean tokens per family, one sample a problem."""
    from harness.grading.grade import shared_grader
    from harness.models.backends.hf import HFCompleter
    from harness.models.base import Request, seed_of
    from harness.models.prompts import prompt_ids
    from harness.problems.embedded import FAMILIES, problems

    completer = HFCompleter(path, threads=1)
    out = {}
    for family in FAMILIES:
        drawn = problems(family, split, count)  # type: ignore[arg-type]
        requests = [
            Request(prompt_ids(completer.tokenizer, p.prompt), 512, temperature, seed=seed_of("card", p.id))
            for p in drawn
        ]

        async def complete(asked: list[Request]) -> list[Any]:
            return await asyncio.gather(*(completer.complete(r) for r in asked))

        done = asyncio.run(complete(requests))
        grades = [shared_grader().grade(family, p.gold, c.text, c.finish) for p, c in zip(drawn, done, strict=True)]
        out[family] = {
            "right": sum(g.correct for g in grades) / count,
            "no_answer": sum(g.verdict in ("no_answer", "unfinished") for g in grades) / count,
            "tokens": sum(len(c.token_ids) for c in done) / count,
        }
    return out


def card(
    spec: TinySpec,
    figures: dict[str, Any],
    scores: dict[str, dict[str, dict[str, float]]],
    parameters: int,
    digest: str,
) -> str:
    """The model card in Markdown."""
    styles = "30% good chains, 70% careless ones (30% of those without a thought)" if spec.name == "student" else (
        "good chains, a fifth of them with an error that is noticed and repaired"
    )  # fmt: skip
    lines = [
        f"# {spec.name}",
        "",
        f"A {spec.architecture} model of {parameters:,} parameters ({spec.layers} layers of {spec.hidden}), trained "
        "from scratch for the embedded profile of harness. It knows three procedural families and nothing else.",
        "",
        f"- Data: `pretrain` split of mini_math, mini_blocks, mini_rules, made on the fly; {styles}.",
        f"- Training: {figures['step']:,} steps, {figures['tokens']:,} tokens, {figures['trained']:,} of them trained; "
        f"Muon {spec.muon_lr:g} and AdamW {spec.adam_lr:g}, linear decay over the last {spec.decay:.0%}; "
        f"last loss {figures['loss']:.3f}.",
        f"- Wall time: {figures['seconds'] / 60:.0f} minutes on one thread, other work beside it on the same cores.",
        f"- Digest of weights and tokenizer: `{digest}`.",
        f"- Again: `harness run-recipe tiny_models` (spec `{spec.name}`).",
        "",
        "Share right per sample (no-answer share, mean tokens):",
        "",
        "| measured on | mini_math | mini_blocks | mini_rules |",
        "| --- | --- | --- | --- |",
    ]
    for where, families in scores.items():
        cells = [f"{f['right']:.0%} ({f['no_answer']:.0%}, {f['tokens']:.0f})" for f in families.values()]
        lines.append(f"| {where} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def trained(folder: Path, name: str) -> Path | None:
    """Where the finished model of a spec lies: in a folder of its own, or as a stage of a recipe's store."""
    candidates = [folder / name]
    for file in folder.glob("stages/*/done.json"):
        done = json.loads(file.read_text())
        if done["params"].get("spec") == name:
            candidates.append(file.parent / "model")
    return next((path for path in candidates if (path / "model.safetensors").exists()), None)


def publish(folder: Path, target: Path) -> None:
    """Copy each trained model into ``target`` with the frozen tokenizer and a card."""
    from safetensors import safe_open

    from harness.models.loading import model_digest

    for name, spec in SPECS.items():
        source = trained(folder, name)
        if source is None:
            print(f"{name}: not trained in {folder}, left as it is")
            continue
        out = target / name
        out.mkdir(parents=True, exist_ok=True)
        for file in _FILES:
            shutil.copyfile(source / file, out / file)
        for file in _TOKENIZER:
            shutil.copyfile(target / "tokenizer" / file, out / file)
        figures = json.loads((source / "pretrain.jsonl").read_text().splitlines()[-1])
        with safe_open(out / "model.safetensors", "pt") as weights:
            parameters = sum(weights.get_tensor(key).numel() for key in weights.keys())  # noqa: SIM118 - not a dict
        scores = {
            "search, temperature 0.9": score(str(out), "search", 200, 0.9),
            "dev, temperature 0.6": score(str(out), "dev", 200, 0.6),
        }
        (out / "README.md").write_text(card(spec, figures, scores, parameters, model_digest(str(out))))
        print((out / "README.md").read_text())


if __name__ == "__main__":
    from harness.models.loading import folder as shipped

    publish(Path(sys.argv[1]), shipped())
