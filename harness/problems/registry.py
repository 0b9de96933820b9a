"""Which tasks and suites there are, read from the YAML files that lm-eval accepts, without importing lm-eval."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import Usage, nearest
from harness.files import read_text, shipped
from harness.grading.gym import GYM

SUITES: dict[str, tuple[str, ...]] = {
    "embedded": ("mini_math", "mini_blocks", "mini_rules"),
    "overthinking": ("mini_premise",),
    "paper": ("gsm8k", "math500", "aime", "blocksworld", "ifeval", "multi_if_en", "multi_if_zh", "multi_if_other"),
    "quick": ("gsm8k", "blocksworld", "ifeval"),
    "mgsm": tuple(f"mgsm_{code}" for code in ("bn", "de", "en", "es", "fr", "ja", "ru", "sw", "te", "th", "zh")),
}
# Of a file of training problems, these are compared with where they are there; their absence is no failure.
BEYOND = ("mgsm",)

# Our tasks carry this prefix for lm-eval, whose own tasks have the plain names; users leave it out.
PREFIX = "harness_"
# What every task file of ours says.
_OURS = {
    "test_split": "test", "output_type": "generate_until", "doc_to_text": "prompt", "doc_to_target": "gold",
    "process_results": "functions.process_results",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Task:
    """``name`` is what users type, ``lm_eval_name`` what the task file says; lm-eval's own tasks have no ``file``.

    ``max_tokens``: to generate for each problem, of a shipped task whose file holds nothing but that and names; None:
    lm-eval has to read the file.
    """

    name: str
    lm_eval_name: str
    group: str = "lm_eval"
    title: str = ""
    source: str = "lm-eval"
    items: str = ""
    file: Path | None = None
    max_tokens: int | None = None


def include_paths(extra: Sequence[Path] = ()) -> list[Path]:
    """Folders to search for tasks, the user's first. Raises Usage for a folder that does not exist."""
    for path in extra:
        if not path.is_dir():
            raise Usage(f"--task-path {path}: no such folder")
    return [*extra, shipped("tasks")]


def tasks(extra: Sequence[Path] = ()) -> dict[str, Task]:
    """All tasks by name."""
    out: dict[str, Task] = {}
    for folder in include_paths(extra):
        for file in sorted(folder.rglob("*.yaml")):
            state = file.stat()
            if task := _task(file, state.st_mtime_ns, state.st_size):
                out.setdefault(task.name, task)
    return out


def entry_of(file: Path) -> dict[str, Any]:
    """What a task file says; empty for a file of something else. Raises Usage naming a file that cannot be read."""
    import yaml

    text = re.sub(r"!function\s", " ", read_text(file))  # lm-eval's tag: nothing is imported to list tasks
    try:
        entry = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise Usage(f"{file}: not YAML: {' '.join(str(error).split())[:200]}") from None
    return entry if isinstance(entry, dict) and "task" in entry else {}


@cache
def _task(file: Path, changed: int, size: int) -> Task | None:
    """The task of a file in this state; None for one that holds none. Raises Usage naming one that cannot be read."""
    entry = entry_of(file)
    if not entry:
        return None
    metadata = entry.get("metadata") or {}
    about = (metadata.get("harness") or {}) if isinstance(metadata, dict) else None
    if not isinstance(entry["task"], str) or not isinstance(about, dict):
        raise Usage(f"{file}: 'task' must be a name, 'metadata' and its 'harness' keys with values")
    texts = {key: str(about.get(key, "")) for key in ("title", "source", "items")}
    name = entry["task"].removeprefix(PREFIX)
    return Task(
        name=name, lm_eval_name=entry["task"], group=file.parent.name, file=file, **texts,
        max_tokens=_max_tokens(name, entry) if file.is_relative_to(shipped("tasks")) else None,
    )  # fmt: skip


def _max_tokens(name: str, entry: dict[str, Any]) -> int | None:
    """Tokens to generate, if all else in the file of a task is as in every file of ours."""
    settings, about = entry.get("generation_kwargs") or {}, entry.get("metadata") or {}
    rest = {key: value for key, value in entry.items() if key not in ("generation_kwargs", "metadata")}
    usual = rest == {**_OURS, "task": PREFIX + name, "custom_dataset": f"functions.{name}"}
    return settings.get("max_gen_toks") if usual and about.keys() <= {"version", "harness", "planning"} else None


def select(names: Sequence[str], suite: str | None, extra: Sequence[Path] = (), foreign: bool = False) -> list[Task]:
    """The tasks asked for, in order and without repeats. Raises Usage naming the nearest valid name.

    A suite's name among ``names`` stands for its tasks. ``foreign``: names that are not ours are looked up among
    lm-eval's own tasks (which takes seconds).
    """
    known = tasks(extra)
    if suite is not None and suite not in SUITES:
        raise Usage(f"no suite {suite!r}{nearest(suite, SUITES)}; suites: {', '.join(SUITES)}")
    given = [task for name in names for task in ((name,) if name in known else SUITES.get(name, (name,)))]
    wanted = list(dict.fromkeys(name.removeprefix(PREFIX) for name in (*given, *SUITES.get(suite or "", ()))))
    if not wanted:
        raise Usage("no tasks named: use --tasks a,b or --suite NAME ('harness tasks' lists them)")
    for name in wanted:
        if name.startswith(GYM):
            known[name] = Task(
                name=name, lm_eval_name=PREFIX + name, group="reasoning_gym", title=name.removeprefix(GYM),
                source="reasoning-gym", items="any number", max_tokens=4096,
            )  # fmt: skip
        if name not in known:
            if not (foreign and not difflib.get_close_matches(name, list(known), 1, 0.8) and _in_lm_eval(name)):
                raise Usage(f"no task {name!r}{nearest(name, known)}; 'harness tasks' lists all")
            known[name] = Task(name=name, lm_eval_name=name)
    return [known[name] for name in wanted]


def _in_lm_eval(name: str) -> bool:
    """Whether lm-eval has a task file of this name, by a search of its files: its own index takes half a minute."""
    import importlib.util

    spec = importlib.util.find_spec("lm_eval")
    if spec is None or spec.origin is None or not re.fullmatch(r"[\w.-]+", name):
        return False
    pattern = re.compile(rf"^task:\s*['\"]?{re.escape(name)}['\"]?\s*$", re.MULTILINE)
    folder = Path(spec.origin).parent / "tasks"
    return any(pattern.search(file.read_text(errors="replace")) for file in folder.rglob("*.yaml"))
