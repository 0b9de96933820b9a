"""What is wrong with a recipe beyond its keys: names that stand for nothing, models that come from nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from harness.errors import nearest
from harness.pipeline.kinds import all_kinds
from harness.pipeline.recipe import Recipe
from harness.problems.registry import SUITES
from harness.shipped import shipped


def findings(recipe: Recipe) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every defect with the key it is about. Whether models exist depends on the profile and is asked there."""
    arms, stages = recipe.arms, recipe.stages
    if recipe.suite not in SUITES:
        yield ("suite",), f"no suite {recipe.suite!r}{nearest(recipe.suite, SUITES)}; there are {', '.join(SUITES)}"
    for name in arms:
        target = recipe.arm(name).model
        if target in stages and "model" not in (stage := stages[target]).yields:
            yield ("arms", name), f"arm {name!r} names the {stage.kind} stage {target!r}, which yields no model"
    if arms and recipe.control not in arms:
        yield ("control",), f"control {recipe.control!r} is no arm{nearest(recipe.control, arms)}"
    published = sorted(path.stem for path in shipped("reference").glob("*.json"))
    for name, claim in recipe.claims.items():
        for key, arm in (("arm", claim.arm), ("against", claim.against)):
            if arm not in arms:
                yield ("claims", name, key), f"claim {name!r}: {arm!r} is no arm{nearest(arm, arms)}"
        if claim.published and claim.published not in published:
            text = f"no published rows {claim.published!r}{nearest(claim.published, published)}"
            yield ("claims", name, "published"), f"claim {name!r}: {text}; there are {', '.join(published)}"
    for name, stage in stages.items():
        for key, product in stage.needs.items():
            target = getattr(stage, key)
            known = [other for other in stages if product in stages[other].yields]
            if product == "model" and target in stages and target not in known:
                text = f"model {target!r} is a {stages[target].kind} stage, which yields no model"
            elif product != "model" and target not in known:
                kinds = (kind.name for kind in all_kinds().values() if kind.stage and product in kind.stage.yields)
                text = f"{key} {target!r} is no {' or '.join(kinds)} stage{nearest(target, known)}"
            else:
                continue
            yield ("stages", name, key), f"stage {name!r}: {text}"
        *line, last = recipe.line(name)
        if last in line:
            yield ("stages", line[-1], "model"), f"stage {name!r} starts from itself, by way of {', '.join(line)}"
