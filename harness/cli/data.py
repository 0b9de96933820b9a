"""``harness data``: problems to search for training data, compared with the suites that models are tested on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from harness.cli import options
from harness.cli.options import DataDir, Json
from harness.cli.specs import Options
from harness.errors import Usage, nearest
from harness.grading.gym import GYM
from harness.problems import overlap
from harness.problems.dataset import DataRules, write_data
from harness.problems.file import read_problems
from harness.problems.reasoning_gym import drawn
from harness.problems.sources import SOURCES
from harness.view import problem_card


def data(
    source: Annotated[str, Argument(help=f"{', '.join(SOURCES)}, {GYM}NAME, or a file of your own.")],
    out: Annotated[Path, Argument(help="Folder for problems.jsonl and its data card.")],
    rules: Annotated[DataRules, Options()],
    family: Annotated[str | None, Option(help="Family or grader of a file's rows without one.")] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Write problems with gold answers for 'harness search', each once, and compare them with every suite.

    Exit 0: none is in a suite. Exit 1: some are. Exit 3: a suite could not be compared with. Both: see --allow.
    """
    problem_card.check_place(out)
    if source in SOURCES:
        problems = SOURCES[source](rules.seed, str(data_dir) if data_dir else None)
    elif source.startswith(GYM):
        problems = drawn(source, "search", rules.seed)
    elif Path(source).exists():
        problems = read_problems(Path(source), family)
    else:
        raise Usage(f"{source}: neither a file nor one of {', '.join(SOURCES)}{nearest(source, SOURCES)}")
    figures = write_data(source, problems, out, overlap.index_of(rules.against, data_dir), rules)
    problem_card.write(figures, out)
    options.show(problem_card.page(figures, out), as_json=as_json)
    raise typer.Exit(1 if figures.failing else 3 if figures.unseen else 0)
