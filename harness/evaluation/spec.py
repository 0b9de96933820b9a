"""How answers are drawn, and of which problems."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from harness.records import Split
from harness.spec import Spec, knob


class Decoding(Spec):
    """Sampling settings of a run. Each sample's seed derives from the run's, the prompt and the sample's index."""

    max_tokens: int | None = knob(
        None, "Cap on thinking and answer together; default: the task's.", ge=1, option="--max-tokens,--max_gen_toks"
    )
    temperature: float = knob(0.6, "0: greedy.", ge=0)
    top_p: float = knob(1.0, "Nucleus of the distribution.", gt=0, le=1)
    top_k: int = knob(0, "Only the K likeliest tokens; 0: all.", ge=0)
    min_p: float = knob(0.0, "Only tokens with at least this share of the likeliest one's probability.", ge=0, le=1)
    repetition_penalty: float = knob(1.0, "Above 1: less of the tokens that prompt or answer hold already.", gt=0)
    stop: list[str] = knob(
        [], "Ends the answer (not a thought), as do the task's own stop strings; \\n: a line's end.", repeated=True
    )
    thinking_budget: int | None = knob(None, "Tokens after which an open thought is closed.", ge=1, option="-")
    seed: int = knob(0, "Each sample's seed derives from it.", ge=0)
    samples: int = knob(1, "Samples per problem.", ge=1)
    samples_of: dict[str, Annotated[int, Field(ge=1)]] = knob({}, "Samples per problem of single tasks.", option="-")

    def repeats(self, task: str) -> int:
        """Samples of each problem of a task."""
        return self.samples_of.get(task, self.samples)

    @field_validator("stop")
    @classmethod
    def _lines(cls, stops: list[str]) -> list[str]:
        if not all(stops):
            raise ValueError("an empty text would end every answer before it begins")
        return [stop.replace("\\n", "\n") for stop in stops]


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

    def numbers(self, names: Sequence[set[str]]) -> list[int]:
        """Which problems of a task are chosen, by their numbers from 0. ``names``: the ids of each of its problems."""
        if self.names:
            wanted = set(self.names)
            return [number for number, ids in enumerate(names) if (ids | {str(number)}) & wanted]
        return list(range(len(names))[: self.limit])


class ProblemData(Spec):
    """Where problems come from: a folder of benchmark files; split and number of those that are made here."""

    data_dir: Path | None = None
    split: Split | None = None
    count: int | None = None

    def given(self) -> dict[str, Any]:
        """What is not left to the tasks' loaders, as arguments for them."""
        return self.model_dump(mode="json", exclude_none=True)

    @property
    def nltk_data(self) -> Path | None:
        """NLTK's data beside the benchmark files, if they hold any."""
        folder = self.data_dir and self.data_dir / "nltk_data"
        return folder if folder and folder.is_dir() else None
