"""Programs that end with the process that started them, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

_KEPT = "HARNESS_KEPT"  # set for programs that run_kept starts
_GRACE = 20.0  # seconds between asking a program to end and killing it


def follow_launcher() -> None:
    """In a process below ``run_kept``: end when its parent does. Does nothing in any other process."""
    if _KEPT in os.environ:
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.3)
    os._exit(1)


def run_kept(command: Sequence[str]) -> int:
    """Run a program, output to stderr, and return its exit code; nothing of its process group outlives this process.

    A keeper in a session of its own stands in between: it sees this process end, also by SIGKILL, and then ends the
    program and all that it started. Ctrl-C reaches this process alone.
    """
    keeper = [sys.executable, "-P", __file__, str(os.getpid()), *command]
    process = subprocess.Popen(  # noqa: S603 - the program and arguments are the user's own
        keeper, stdin=subprocess.DEVNULL, stdout=2, start_new_session=True,
        env=os.environ | {_KEPT: "1"},
    )  # fmt: skip
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _keep(parent: int, command: Sequence[str]) -> int:
    """Run ``command`` in a group of its own until it ends, ``parent`` does, or SIGTERM asks for the end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # else the program inherits that it is ignored
    try:
        process = subprocess.Popen(command, process_group=0)  # noqa: S603
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    try:
        while process.poll() is None and os.getppid() == parent:
            time.sleep(0.2)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _end_group(process)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_GRACE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    sys.exit(_keep(int(sys.argv[1]), sys.argv[2:]))
