"""Processes that end with the one that started them, and interrupts (SIGINT, Ctrl-C) in those that have workers.

Run as a program (see ``kept``) it needs nothing of the package.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TypeVar, cast

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_KEPT = "HARNESS_KEPT"  # set for programs that run_kept starts
_GRACE = 20.0  # seconds between asking a program to end and killing it


def follow_parent(parent: int) -> None:
    """Make this worker process leave interrupts to ``parent`` and end when it does, however it ends.

    A worker that outlived a killed parent would hold the locks that the next run needs.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def follow_launcher() -> None:
    """In a process below ``run_kept``: end when its parent does. Does nothing in any other process."""
    if _KEPT in os.environ:
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.3)
    os._exit(1)


@contextmanager
def interrupts_end_twice(deferred: bool = False) -> Iterator[Callable[[], bool]]:
    """The first SIGINT raises KeyboardInterrupt, a second one ends this process with 130 at once.

    ``deferred``: for code that an exception would leave broken (locks, pools), the first is passed on at the context's
    end; the function that is yielded says whether it came, so that long work may stop early. Does nothing where SIGINT
    is left to a parent, and beside the main thread.
    """
    came: list[int] = []
    left = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if left or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def handle(number: int, frame: object) -> None:
        came.append(number)
        if len(came) > 1:
            os._exit(128 + signal.SIGINT)
        if not deferred:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: bool(came)
    finally:
        if deferred or not came:  # after one that raised, a second may come until the very end
            signal.signal(signal.SIGINT, before)
        if deferred and came and callable(before):
            before(signal.SIGINT, None)


def in_threads(work: Callable[[_Item], _Result], items: Iterable[_Item], threads: int) -> list[_Result]:
    """``work`` of each item, in order. An interrupt ends it with KeyboardInterrupt, after the few items in work."""
    with interrupts_end_twice(deferred=True) as interrupted, ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(lambda item: None if interrupted() else work(item), items))
    return cast("list[_Result]", results)  # all are there: else the interrupt has been passed on


def kept(command: Sequence[str]) -> list[str]:
    """A command under a keeper, to be started in a session of its own: nothing of it outlives this process.

    The keeper sees this process end, also by SIGKILL, or gets SIGTERM, and then ends the command's process group.
    """
    return [sys.executable, "-P", __file__, str(os.getpid()), *command]


def run_kept(command: Sequence[str]) -> int:
    """Run a program, output to stderr, and return its exit code; see ``kept``. Ctrl-C reaches this process alone."""
    process = subprocess.Popen(  # noqa: S603 - the program and arguments are the user's own
        kept(command), stdin=subprocess.DEVNULL, stdout=2, start_new_session=True, env=os.environ | {_KEPT: "1"}
    )
    try:
        return process.wait()
    finally:
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
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_GRACE)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


if __name__ == "__main__":
    sys.exit(_keep(int(sys.argv[1]), sys.argv[2:]))
