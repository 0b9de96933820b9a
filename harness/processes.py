"""Helpers for worker processes and for interrupts (SIGINT, Ctrl-C) in processes that have workers."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

from harness.errors import INTERRUPTED

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def follow_parent(parent: int) -> None:
    """Make this worker process leave interrupts to ``parent`` and end when it does, however it ends.

    A worker that outlived a killed parent would hold the locks that the next run needs.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.3)
    os._exit(1)


@contextmanager
def interrupts_end_twice() -> Iterator[None]:
    """For a command: the first SIGINT raises KeyboardInterrupt, a second one ends this process with 130 at once.

    Does nothing where SIGINT is left to a parent, and beside the main thread.
    """
    if not _interruptible():
        yield
        return
    count = 0

    def handle(number: int, frame: object) -> None:
        nonlocal count
        count += 1
        if count > 1:
            os._exit(INTERRUPTED)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        if not count:  # after the first, a second one may come until the very end
            signal.signal(signal.SIGINT, before)


@contextmanager
def interrupts_deferred() -> Iterator[Callable[[], bool]]:
    """For code that an exception would leave broken (locks, pools): the first SIGINT raises at the context's end.

    Yields a function that says whether one came, so that long work may stop early. A second ends the process with 130.
    """
    if not _interruptible():
        yield lambda: False
        return
    count = 0

    def handle(number: int, frame: object) -> None:
        nonlocal count
        count += 1
        if count > 1:
            os._exit(INTERRUPTED)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: count > 0
    finally:
        signal.signal(signal.SIGINT, before)
        if count and callable(before):
            before(signal.SIGINT, None)


def in_threads(work: Callable[[_Item], _Result], items: Iterable[_Item], threads: int) -> list[_Result]:
    """``work`` of each item, in order. An interrupt ends it with KeyboardInterrupt, after the few items in work."""
    results: list[_Result] = []
    waiting: deque[Future[_Result]] = deque()
    with interrupts_deferred() as interrupted, ThreadPoolExecutor(threads) as pool:

        def take() -> None:
            while not waiting[0].done() and not interrupted():
                wait([waiting[0]], timeout=0.1)
            if not interrupted():
                results.append(waiting.popleft().result())

        try:
            for item in items:
                if interrupted():
                    break
                waiting.append(pool.submit(work, item))
                if len(waiting) > 4 * threads:
                    take()
            while waiting and not interrupted():
                take()
        finally:
            for future in waiting:
                future.cancel()
    return results


def _interruptible() -> bool:
    main = threading.current_thread() is threading.main_thread()
    return main and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
