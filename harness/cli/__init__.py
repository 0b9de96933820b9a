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
    """Entry point: errors of ``harness.errors`` become one line and their exit code; a bug shows its traceback."""
    import os
    import sys

    from harness.errors import BUG, CLOSED_PIPE, INTERRUPTED, HarnessError

    try:
        application()(standalone_mode=True)
        sys.stdout.flush()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            print("interrupted; the same command goes on from here", file=sys.stderr)
        raise
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)
        sys.exit(error.code)
    except BrokenPipeError:  # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nothing more is written there at the interpreter's end
        sys.exit(CLOSED_PIPE)
    except Exception:
        import traceback

        traceback.print_exc()
        sys.exit(BUG)
