"""Command lines run in this process, through the same entry point: a process of its own costs seconds of imports."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock


class Done(NamedTuple):
    """What a command left: its exit code and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def here(*args: object, code: int | None = None, cwd: Path | None = None) -> Done:
    """Run ``harness ARGS`` at 80 columns; with ``code`` the exit code must be that."""
    from harness.cli import main

    out, err, ended = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.object(sys, "argv", ["harness", *map(str, args)]),
        mock.patch.dict(os.environ, {"COLUMNS": "80"}),
        contextlib.chdir(cwd or Path.cwd()),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            ended = int(end.code or 0)
    done = Done(ended, out.getvalue(), err.getvalue())
    assert code is None or done.returncode == code, (done.returncode, done.stdout[-800:], done.stderr[-1500:])
    return done
