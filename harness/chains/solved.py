"""What the student solves already: verdicts on samples of an evaluation or of ``harness score``, by problem."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from harness.errors import DataError
from harness.evaluation.preflight import Finding
from harness.problems.file import read_rows as rows_of

ONE_SIDED = 0.9  # share of problems that are solved always, or never, above which there is little to learn
_VERDICTS = {"correct": True, "wrong": False, "no_answer": False, "unfinished": False}


def verdicts(samples: Path) -> dict[str, list[bool]]:
    """Whether each sample of each problem is right, of a run's folder, its samples.jsonl, or verdicts of ``score``.

    Samples that could not be graded are left out. Raises DataError, BadFile.
    """
    found: dict[str, list[bool]] = defaultdict(list)
    for where, row in rows_of(samples / "samples.jsonl" if samples.is_dir() else samples):
        name, grade = row.get("problem_id") or row.get("id"), row.get("grade")
        verdict = grade.get("verdict") if isinstance(grade, dict) else grade
        if name is None or not isinstance(verdict, str):
            raise DataError(f"{where}: no sample: needs problem_id (or id) and grade, as eval and score write them")
        if verdict in _VERDICTS:
            found[str(name)].append(_VERDICTS[verdict])
    return found


def named(samples: Path) -> dict[str, str]:
    """The problem of each question of a run, where the file is in its folder."""
    file = (samples if samples.is_dir() else samples.parent) / "problems.jsonl"
    return {str(row.get("prompt")): str(row.get("id")) for _, row in rows_of(file)} if file.exists() else {}


def solved(samples: Path, questions: Iterable[tuple[str, str]]) -> Finding:
    """How many of the data's problems the student solves always, never and sometimes."""
    found, ids = verdicts(samples), named(samples)
    asked = {name or ids.get(question, "") for name, question in questions} - {""}
    of = [rights for name, rights in found.items() if name in asked] if asked else [*found.values()]
    if not of:
        text = f"{samples}: holds no graded sample of a problem of this data (by problem_id, or by the question)"
        return Finding(what="solved", status="missing", text=text)
    always, never = sum(map(all, of)), sum(not any(each) for each in of)
    which = "of the data's" if asked else "of the samples' (the data name no problems)"
    shares = {"always": always, "sometimes": len(of) - always - never, "never": never}
    text = ", ".join(f"{how} {n / len(of):.0%}" for how, n in shares.items())
    text += f" {which} {len(of):,} problems, {sum(map(len, of)) / len(of):.1f} samples each"
    if always > ONE_SIDED * len(of):
        return Finding(what="solved", status="failed", text=f"{text}: little is left to learn; take harder problems")
    if never > ONE_SIDED * len(of):
        return Finding(what="solved", status="failed", text=f"{text}: out of the student's reach; take easier problems")
    return Finding(what="solved", status="ok", text=text)
