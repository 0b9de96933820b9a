"""The same arms at several doses of training: a short form of many stages and arms that differ in their ``dose``."""

from typing import Any

from pydantic import Field, field_serializer

from harness.spec import Spec, knob
from harness.training.spec import TrainingSpec


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
