"""Helpers for worker processes."""

from __future__ import annotations

import os
import signal
import threading
import time


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
