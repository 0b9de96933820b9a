"""What is wrong with a recipe beyond its keys: names that stand for nothing, models that come from nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from harness.errors import nearest
from harness.pipeline.recipe import Recipe
from harness.problems.registry import SUITES
from harness.shipped import shipped

Finding = tuple[tuple[str, ...], str]


def findings(recipe: Recipe) -> list[Finding]:
    """Every defect with the key it is about. Whether models exist depends on the profile and is asked there."""
    return [*_arms(recipe), *_claims(recipe), *_stages(recipe)]


def _arms(recipe: Recipe) -> Iterator[Finding]:
    if recipe.suite not in SUITES:
        yield ("suite",), f"no suite {recipe.suite!r}{nearest(recipe.suite, SUITES)}; there are {', '.join(SUITES)}"
    for name in recipe.arms:
        target = recipe.arm(name).model
        if target in recipe.stages and recipe.stages[target].kind in ("search", "distil"):
            kind = recipe.stages[target].kind
            yield ("arms", name), f"arm {name!r} names the {kind} stage {target!r}, which yields no model"
    if recipe.arms and recipe.control not in recipe.arms:
        yield ("control",), f"control {recipe.control!r} is no arm{nearest(recipe.control, recipe.arms)}"


def _claims(recipe: Recipe) -> Iterator[Finding]:
    for name, claim in recipe.claims.items():
        for key in ("arm", "against"):
            arm = getattr(claim, key)
            if arm not in recipe.arms:
                yield ("claims", name, key), f"claim {name!r}: {arm!r} is no arm{nearest(arm, recipe.arms)}"
        if claim.published and not (shipped("reference") / f"{claim.published}.json").exists():
            known = sorted(path.stem for path in shipped("reference").glob("*.json"))
            hint = nearest(claim.published, known)
            text = f"no published rows {claim.published!r}{hint}; there are {', '.join(known)}"
            yield ("claims", name, "published"), f"claim {name!r}: {text}"


def _stages(recipe: Recipe) -> Iterator[Finding]:
    for name, stage in recipe.stages.items():
        chains = getattr(stage, "chains", None)
        if chains is not None:
            allowed = ("search",) if stage.kind == "preference" else ("search", "distil")
            known = [n for n, s in recipe.stages.items() if s.kind in allowed]
            if chains not in known:
                what = " or ".join(allowed)
                yield (
                    ("stages", name, "chains"),
                    f"stage {name!r}: chains {chains!r} is no {what} stage{nearest(chains, known)}",
                )
        yield from _line(recipe, name)


def _line(recipe: Recipe, name: str) -> Iterator[Finding]:
    """What is wrong with the line of models that stage ``name`` starts from."""
    seen = [name]
    while (model := getattr(recipe.stages[seen[-1]], "model", None)) in recipe.stages:
        key = ("stages", seen[-1], "model")
        if model in seen:
            yield key, f"stage {name!r} starts from itself, by way of {', '.join(seen)}"
            return
        if recipe.stages[model].kind in ("search", "distil"):
            yield (
                key,
                f"stage {seen[-1]!r}: model {model!r} is a {recipe.stages[model].kind} stage, which yields no model",
            )
            return
        seen.append(model)
