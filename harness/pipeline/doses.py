"""The same arms at several doses of training: a short form of many stages and arms that differ in their ``dose``."""

from collections.abc import Iterable
from typing import Any

from pydantic import Field, field_serializer

from harness.spec import Spec, knob
from harness.training.spec import TrainingSpec

AT = "@"  # between the name of an arm or stage and that of its dose


class Dose(TrainingSpec):
    """Keys of a stage's ``dose``, and how often it is trained."""

    seeds: int | None = knob(None, "Only the first so many of the run's seeds; default: all.", ge=1)

    def given(self) -> dict[str, Any]:
        """The keys of training that were given."""
        return self.model_dump(exclude_unset=True, exclude={"seeds"})


class Doses(Spec):
    """Arm ``a`` of stage ``s`` becomes, for every dose ``d``, an arm ``a@d`` of a stage ``s@d``; ``a`` itself goes."""

    arms: list[str] = Field(min_length=1)
    at: dict[str, Dose] = Field(min_length=1)

    @field_serializer("at")
    def _given(self, value: dict[str, Dose]) -> dict[str, Any]:
        return {name: dose.model_dump(mode="json", exclude_unset=True) for name, dose in value.items()}


def split(arm: str) -> tuple[str, str]:
    """(name, dose) of an arm that was spread over doses; of another one the dose is empty."""
    name, _, dose = arm.rpartition(AT)
    return (name, dose) if name else (arm, "")


def families(arms: Iterable[str]) -> dict[str, dict[str, str]]:
    """Arms that were spread over doses, by name and dose; those of a single dose are left out."""
    out: dict[str, dict[str, str]] = {}
    for arm in arms:
        name, dose = split(arm)
        if dose:
            out.setdefault(name, {})[dose] = arm
    return {name: doses for name, doses in out.items() if len(doses) > 1}
