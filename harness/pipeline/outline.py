"""A recipe as a tree of what starts from what."""

from __future__ import annotations

from harness.pipeline.recipe import Profile, Recipe
from harness.view.page import Branch, Page


def tree(recipe: Recipe, profile: Profile) -> Page:
    """Sources of data, then models with what is trained from them and the arms that are scored."""

    def grow(branch: Branch, target: str) -> None:
        for name in recipe.arms:
            arm = recipe.arm(name)
            if arm.model == target:
                of = " of a tree" if arm.decode == "mcts" else ""
                drawn = f", {arm.samples} answers{of}" if arm.samples and arm.samples > 1 else ""
                branch.add(f"▸ arm {name}{drawn}" + (" (control)" if name == recipe.control else ""))
        for name, stage in recipe.stages.items():
            if stage.starts_from == target:
                grow(branch.add(f"{name}: {stage.line(profile)}"), name)

    title = f"{recipe.name} at {profile.name}, suite {profile.suite or recipe.suite}"
    whole = Branch(spans=[(title, "")])
    data = whole.add("data")
    for name, stage in recipe.stages.items():
        if "model" not in stage.yields:
            data.add(f"{name}: {stage.line(profile)}")
    targets = [*(recipe.arm(arm).model for arm in recipe.arms), *recipe.stages]
    for origin in dict.fromkeys(recipe.origin(target) for target in targets):
        if origin not in recipe.stages:
            model = profile.model(origin) if origin in profile.models else None
            grow(whole.add(f"{origin} ({model.model if model else 'not in this profile'})"), origin)
        elif "model" in recipe.stages[origin].yields:
            grow(whole.add(origin), origin)
    return Page(title=title, blocks=[whole])
