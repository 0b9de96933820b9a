"""What is wrong with a recipe beyond its keys: names that stand for nothing, models that come from nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from harness.errors import nearest
from harness.pipeline.kinds import all_kinds
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
        if target in recipe.stages and "model" not in (stage := recipe.stages[target]).yields:
            yield ("arms", name), f"arm {name!r} names the {stage.kind} stage {target!r}, which yields no model"
    if recipe.arms and recipe.control not in recipe.arms:
        yield ("control",), f"control {recipe.control!r} is no arm{nearest(recipe.control, recipe.arms)}"


def _claims(recipe: Recipe) -> Iterator[Finding]:
    for name, claim in recipe.claims.items():
        for key in ("arm", "against"):
            arm = getattr(claim, key)
            if arm not in recipe.arms:
                yield ("claims", name, key), f"claim {name!r}: {arm!r} is no arm{nearest(arm, recipe.arms)}"
        known = sorted(path.stem for path in shipped("reference").glob("*.json"))
        if claim.published and claim.published not in known:
            hint = nearest(claim.published, known)
            text = f"no published rows {claim.published!r}{hint}; there are {', '.join(known)}"
            yield ("claims", name, "published"), f"claim {name!r}: {text}"


def _stages(recipe: Recipe) -> Iterator[Finding]:
    for name, stage in recipe.stages.items():
        for key, product in stage.needs.items():
            target = getattr(stage, key)
            known = [n for n, other in recipe.stages.items() if product in other.yields]
            if product == "model" and target in recipe.stages and target not in known:
                yield (
                    ("stages", name, key),
                    f"stage {name!r}: model {target!r} is a {recipe.stages[target].kind} stage, which yields no model",
                )
            elif product != "model" and target not in known:
                kinds = (kind for kind in all_kinds().values() if kind.stage and product in kind.stage.yields)
                what = " or ".join(kind.name for kind in kinds)
                yield (
                    ("stages", name, key),
                    f"stage {name!r}: {key} {target!r} is no {what} stage{nearest(target, known)}",
                )
        line = recipe.line(name)
        if line[-1] in line[:-1]:
            by = ", ".join(line[:-1])
            yield ("stages", line[-2], "model"), f"stage {name!r} starts from itself, by way of {by}"
