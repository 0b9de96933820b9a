"""The server that is started for a model: found, waited for, behind its clients, and ended with what it left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from harness.errors import ModelError
from harness.models.backends.vllm import serve, served
from harness.models.spec import ModelSpec

SERVER = """
    import os, subprocess, sys
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
        def log_message(self, *args): ...

    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(f"pids {os.getpid()} {worker.pid}", flush=True)
    port = int(sys.argv[sys.argv.index("--port") + 1])
    HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


ARGUMENTS = SERVER.replace("worker = ", "print(*sys.argv[1:], flush=True)\n    worker = ")


def program(folder: Path, text: str = SERVER) -> str:
    file = folder / "server.py"
    file.write_text(textwrap.dedent(text))
    return f"{sys.executable} {file}"


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_a_proxy_is_not_asked_for_this_machines_server(tmp_path, monkeypatch, name) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with serve("model", tmp_path / "log", program(tmp_path), patience=20.0):
        pass


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, "--dtype bfloat16 --generation-config vllm"),
        ({"dtype": "float16"}, "--dtype float16 --generation-config vllm"),
        ({"revision": "v1"}, "--revision v1 --dtype bfloat16 --generation-config vllm"),
        ({"data_parallel_size": 2}, "--dtype bfloat16 --generation-config vllm --data-parallel-size 2"),
        (
            {"vllm_arguments": ["--dtype", "auto"]},
            "--dtype bfloat16 --generation-config vllm --dtype auto",  # the last one counts
        ),
    ],
)
def test_a_model_is_served_in_the_same_numbers_and_without_its_own_sampling(tmp_path, given, sent) -> None:
    spec = ModelSpec(model="maker/model", backend="vllm", vllm=program(tmp_path, ARGUMENTS), **given)
    with served(spec, spec.located, tmp_path / "log"):
        words = (tmp_path / "log").read_text().splitlines()[0]
    assert words.startswith("--model maker/model --host")
    assert words.endswith(f"--served-model-name {spec.located} {sent}")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
def test_the_server_lets_its_clients_go_first_and_ends_with_its_workers(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serve("model", log, program(tmp_path)) as url:
        assert url.startswith("http://127.0.0.1:")
        _, server, worker = log.read_text().split()
        assert os.getpriority(os.PRIO_PROCESS, int(server)) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)
        group = Path(f"/proc/{server}/autogroup")
        assert not group.exists() or not group.read_text().strip() or group.read_text().split()[-1] == "5"
        assert alive(int(worker))
    assert not alive(int(server))
    assert not alive(int(worker))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_server_is_left_when_its_client_is_ended(tmp_path: Path, how: signal.Signals) -> None:
    log = tmp_path / "log"
    client = f"""
        import time
        from pathlib import Path
        from harness.models.backends.vllm import serve
        with serve("model", Path({str(log)!r}), {program(tmp_path)!r}):
            print("up", flush=True)
            time.sleep(600)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(client)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    server = int(log.read_text().split()[1])
    assert alive(server)
    process.send_signal(how)
    assert process.wait(timeout=30) == (143 if how == signal.SIGTERM else -9)
    deadline = time.monotonic() + 10
    while alive(server) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(server)


def test_a_server_that_ends_is_reported_with_its_last_error(tmp_path: Path) -> None:
    text = "import sys; sys.exit('ValueError: no such architecture')"
    ended = pytest.raises(ModelError, match="ended with code 1: ValueError: no such architecture")
    with ended, serve("model", tmp_path / "log", program(tmp_path, text)):
        raise AssertionError("it never answered")


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    missing = pytest.raises(ModelError, match="no/such/vllm: no such program")
    with missing, serve("model", tmp_path / "log", "no/such/vllm"):
        raise AssertionError("there is nothing to start")
    quotes = pytest.raises(ModelError, match="No closing quotation")
    with quotes, serve("model", tmp_path / "log", "/home/o'brien/vllm"):
        raise AssertionError("there is nothing to start")
