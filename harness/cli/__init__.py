"""The command line: one thin function per command; nothing is decided here."""

from __future__ import annotations

import typer


def application() -> typer.Typer:
    """The whole command line. A new one each time: registering on one that is kept would add every command again."""
    from harness.cli import check, compare, evaluate, leaderboard, recipes, runs, score, search, tasks, train

    app = typer.Typer(
        name="harness",
        help="Evaluation-centred bench for reasoning distillation: search, train, score, compare.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for module in (evaluate, check, score, compare, runs, leaderboard, recipes, search, train, tasks):
        module.register(app)
    return app


def main() -> None:
    """Entry point: user errors become one line and an exit code, never a traceback."""
    import sys

    try:
        application()(standalone_mode=True)
    except SystemExit as end:
        if end.code == 130:
            print("interrupted; the same command goes on from here", file=sys.stderr)
        raise
    except Exception as error:
        code = _exit_code(error)
        if code is None:  # a bug: its traceback is wanted, but not the exit code of a regression
            import traceback

            traceback.print_exc()
            sys.exit(70)
        print(f"harness: {_words(error)}", file=sys.stderr)
        sys.exit(code)


def _words(error: Exception) -> str:
    """An error in one line; of the system's errors the file and the reason, without their number."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _exit_code(error: Exception) -> int | None:
    """2 for what the user can mend, 3 for work that ended incomplete, None for a bug (its traceback is wanted)."""
    name = type(error).__name__
    if name in {
        "BadResponses", "DataError", "GrammarError", "ModelError", "NoGrader", "NoRuns", "NotComparable", "RecipeError",
        "NothingToExport", "SearchMismatch", "UnknownTask", "Usage",
    }:  # fmt: skip
        return 2
    if isinstance(error, OSError):
        return 2
    if name in {
        "ClusterFailed",
        "SearchIncomplete",
        "StageFailed",
        "SamplesMissing",
        "JournalBusy",
        "JournalBroken",
        "TrainingError",
        "GraderBroken",
    }:
        return 3
    return None
