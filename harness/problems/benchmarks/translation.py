"""Translation: NTREX (aclanthology 2022.sumeval-1.4), news of WMT 2019, and a few sentences that ship with harness."""

from __future__ import annotations

from functools import partial

from harness.files import shipped
from harness.problems.benchmarks.files import Loaders, published
from harness.problems.file import read_problems
from harness.records import Problem

FORMAT = "Translate this text into {}. Answer with the translation alone.\n\n{}"


def ntrex(task: str, language: str, code: str, settings: dict[str, float | str], data_dir: str | None) -> list[Problem]:
    """1997 English sentences of 123 articles with one reference each. ``settings``: further keys of a gold answer."""
    sources, wanted = (
        published(task, 1997, data_dir, f"ntrex/newstest2019-{part}.txt") for part in ("src.eng", f"ref.{code}")
    )
    return [
        Problem(
            id=f"{task}-{number:04d}", family="translation", prompt=FORMAT.format(language, row["text"]),
            gold={"reference": reference["text"], **settings}, native_id=str(number), source=row["text"],
        )
        for number, (row, reference) in enumerate(zip(sources, wanted, strict=True))
    ]  # fmt: skip


def mini_translation(data_dir: str | None) -> list[Problem]:
    """Short English sentences to be put into German, with our own references."""
    return list(read_problems(shipped("tasks") / "translation" / "mini_translation.jsonl", "translation"))


LOADERS: Loaders = {
    "mini_translation": mini_translation,
    "ntrex_de": partial(ntrex, "ntrex_de", "German", "deu", {}),
    "ntrex_zh": partial(ntrex, "ntrex_zh", "Chinese", "zho-CN", {"tokenize": "zh", "at_least": 30}),
}
