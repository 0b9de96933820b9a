"""``harness probe``: answers forced from the thoughts of a stored run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from harness.cli import options
from harness.cli.options import DataDir, Json, RunName, Store
from harness.cli.specs import Options
from harness.evaluation.spec import ProblemData
from harness.grading.grade import Grader
from harness.models.spec import ModelSpec
from harness.processes import interrupts_end_twice
from harness.results import probes, runs
from harness.view import probe as view
from harness.view.progress import OneLine


def probe(
    run: RunName,
    model: Annotated[ModelSpec, Options(panel="Backend", defaults={"model": ""})],
    tasks: Annotated[str, Option(help="Only these of its tasks, separated by commas.")] = "",
    limit: Annotated[int | None, Option(min=1, help="Only the first N problems of each task.")] = None,
    cuts: Annotated[int, Option(min=1, max=100, help="Equal parts of a thought at whose ends it is cut.")] = 10,
    answer_tokens: Annotated[int, Option(min=1, help="Cap on a forced answer.")] = 512,
    data_dir: DataDir = None,
    store: Store = Path("runs"),
    out: Annotated[Path | None, Option(help="Where answers and figures go; default: RUN/probe.")] = None,
    as_json: Json = False,
) -> None:
    """Cut a stored run's thoughts short, let its model answer, and grade that. The same command goes on.

    Without --model the run's own is asked, with the run's backend and numbers.
    """
    kept = runs.load(options.results(store), run)
    folder = out or kept.folder / "probe"
    spec = probes.located(model, kept)
    nltk_data = ProblemData(data_dir=data_dir).nltk_data
    with interrupts_end_twice(), Grader(2, nltk_data=nltk_data) as grader, OneLine(as_json) as progress:
        rows, left = probes.execute(
            kept, spec, grader, folder, tasks=options.names(tasks), limit=limit, cuts=cuts,
            answer_tokens=answer_tokens, progress=progress.samples,
        )  # fmt: skip
    data = probes.as_data(kept.name, kept.manifest, rows, left)
    options.show(view.page(rows, left, folder, data), as_json=as_json)
