"""A recipe at a profile as an outline: sources of data, then models with what is trained from them and scored."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.pipeline.recipe import Profile, Recipe


@dataclass(kw_only=True)
class Outline:
    """A line of text and what stands beneath it."""

    text: str
    below: list[Outline] = field(default_factory=list)

    def add(self, text: str) -> Outline:
        self.below.append(Outline(text=text))
        return self.below[-1]


def outline(recipe: Recipe, profile: Profile) -> Outline:
    whole = Outline(text=f"{recipe.name} at {profile.name}, suite {profile.suite or recipe.suite}")
    data = whole.add("data")
    for name, stage in recipe.stages.items():
        if "model" not in stage.yields:
            data.add(f"{name}: {stage.line(profile)}")
    targets = [*(recipe.arm(arm).model for arm in recipe.arms), *recipe.stages]
    for origin in dict.fromkeys(recipe.origin(target) for target in targets):
        if origin in recipe.stages:
            if "model" in recipe.stages[origin].yields:
                _grow(whole.add(origin), recipe, profile, origin)
        else:
            model = profile.model(origin) if origin in profile.models else None
            _grow(whole.add(f"{origin} ({model.model if model else 'not in this profile'})"), recipe, profile, origin)
    return whole


def _grow(branch: Outline, recipe: Recipe, profile: Profile, target: str) -> None:
    for name in recipe.arms:
        arm = recipe.arm(name)
        if arm.model == target:
            drawn = f", {arm.samples} answers" if arm.samples and arm.samples > 1 else ""
            tree = " of a tree" if arm.decode == "mcts" else ""
            branch.add(f"▸ arm {name}{drawn}{tree}" + (" (control)" if name == recipe.control else ""))
    for name, stage in recipe.stages.items():
        if stage.starts_from == target:
            _grow(branch.add(f"{name}: {stage.line(profile)}"), recipe, profile, name)
