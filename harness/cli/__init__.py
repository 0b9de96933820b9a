"""The command line: one thin function per command; nothing is decided here."""

from __future__ import annotations

import gc
import os
import signal
import sys

from harness.errors import BUG, INTERRUPTED, HarnessError


def main() -> None:
    """Entry point: errors of ``harness.errors`` become one line and their exit code; a bug shows its traceback.

    All other imports stand within, so that an interrupt is one line from the first moment on.
    """
    # Libraries make a million objects that stay: to look for garbage among them at every step takes a fifth of a start.
    gc.set_threshold(50_000, 20, 50)
    try:
        from harness.cli.commands import application

        application()(standalone_mode=True)
    except (KeyboardInterrupt, SystemExit) as end:
        code = INTERRUPTED if isinstance(end, KeyboardInterrupt) else end.code
        if code == INTERRUPTED:
            signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))  # a second one, while Python ends
            print("interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(code)
    except HarnessError as error:
        from harness.cli.options import complain

        complain(str(error))
        sys.exit(error.code)
    except Exception:
        import traceback

        traceback.print_exc()
        sys.exit(BUG)
