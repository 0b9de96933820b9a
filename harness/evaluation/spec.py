"""How answers are drawn, and of which problems."""

from __future__ import annotations

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
    """Which problems of each task."""

    limit: int | None = knob(None, "Only the first N problems of each task.", ge=1)
    ids: str = knob("", "Only these problems: ids, native ids or numbers, separated by commas.")
