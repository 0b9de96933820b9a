"""How answers are drawn, and of which problems."""

from __future__ import annotations

from typing import Any, Self

from pydantic import model_validator

from harness.spec import Spec, knob


class Decoding(Spec):
    """Sampling settings of a run. Each sample's seed derives from the run's, the prompt and the sample's index."""

    max_tokens: int | None = knob(
        None, "Cap on thinking and answer together; default: the task's.", ge=1, option="--max-tokens,--max_gen_toks"
    )
    temperature: float = knob(0.6, "0: greedy.", ge=0)
    top_p: float = knob(1.0, "Nucleus of the distribution.", gt=0, le=1)
    seed: int = knob(0, "Each sample's seed derives from it.", ge=0)
    samples: int = knob(1, "Samples per problem.", ge=1)


class Selection(Spec):
    """Which problems of each task: all, the first ``limit``, or those named."""

    limit: int | None = knob(None, "Only the first N problems of each task.", ge=1)
    ids: str = knob("", "Only these problems: ids, native ids or numbers, separated by commas.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.names and self.limit is not None:
            raise ValueError("--ids and --limit exclude each other")
        return self

    @property
    def names(self) -> list[str]:
        """The problems named by ``ids``; empty: no choice by name."""
        return list(dict.fromkeys(name.strip() for name in self.ids.split(",") if name.strip()))

    def numbers(self, documents: list[dict[str, Any]]) -> list[int]:
        """Numbers of the chosen among a task's documents."""
        if self.names:
            names = set(self.names)
            return [i for i, document in enumerate(documents) if names_of(i, document) & names]
        return list(range(min(self.limit or len(documents), len(documents))))


def names_of(number: int, document: dict[str, Any]) -> set[str]:
    """By what names a problem may be chosen: its id, its data set's id, its number."""
    return {str(document.get("id", "")), str(document.get("native_id", "")), str(number)}
