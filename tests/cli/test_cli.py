"""The real command line: exit codes, clean JSON, light start, one-line errors."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.commands import here

HEAVY = (
    "torch", "transformers", "trl", "lm_eval", "datasets", "sympy", "vllm", "ray", "scipy", "statsmodels", "aiohttp",
)  # fmt: skip


def harness(*args, cwd=None, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "harness", *args], capture_output=True, text=True, cwd=cwd, timeout=300
    )
    assert done.returncode == code, done.stderr[-2000:]
    return done


@pytest.mark.parametrize(
    "args",
    [["--help"], ["tasks"], ["recipes"], ["run-recipe", "--help"], ["eval", "--help"], ["runs"], ["gate", "--help"]],
)
def test_light_commands_import_nothing_heavy(args):
    code = (
        "import sys; sys.argv = ['harness', *sys.argv[1:]]\n"
        "from harness.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print('HEAVY', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=True).stdout
    assert out.strip().endswith("HEAVY []")


@pytest.mark.parametrize("backend", ["mock", "openai"])
def test_an_evaluation_asks_first_and_imports_what_is_heavy_later(tmp_path, backend):
    """It took five seconds of a processor to the first request: torch, lm-eval, datasets, scipy."""
    code = (
        "import os, sys; sys.argv = ['harness', *sys.argv[1:]]\n"
        "from harness.cli import main\n"
        "from harness.models.server.client import Client\n"
        "def ask(*_, **__):\n"
        f"    print('HEAVY', sorted(set({HEAVY!r}) & set(sys.modules) - {{'transformers', 'aiohttp'}}), flush=True)\n"
        "    os._exit(0)\n"
        "Client.ask = ask\n"
        "if __name__ == '__main__': main()"
    )
    (tmp_path / "first.py").write_text(code)
    out = subprocess.run(
        [sys.executable, tmp_path / "first.py", "eval", "--backend", backend, "--model", "shipped:student",
         "--suite", "embedded", "--limit", "2", "--out", tmp_path / "run"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert out.strip() == "HEAVY []"


def test_tasks_as_json():
    data = json.loads(here("tasks", "--json").stdout)
    assert "gsm8k" in [row["task"] for row in data["tasks"]]
    assert data["suites"]["embedded"] == ["mini_math", "mini_blocks", "mini_rules"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["eval", "--model", "shipped:student", "--tasks", "mini_maths"], "did you mean 'mini_math'"),
        (["eval", "--model", "shipped:teacher", "--suite", "embedded"], "no such shipped model"),
        (["eval", "--model", "/nowhere/model", "--suite", "embedded"], "no such folder"),
        (["eval", "--model", "shipped:student", "--tasks", "gsm8k", "--data-dir", "/nowhere"], "no such file"),
        (
            ["eval", "--model", "shipped:student", "--suite", "embedded", "--backend", "carrier-pigeon"],
            "use hf, mock, openai, vllm",
        ),
        (["run-recipe", "ablation_ful"], "did you mean 'ablation_full'"),
        (["run-recipe", "ablation_full", "--profile", "tinny"], "did you mean 'tiny'"),
        (["run-recipe", "ablation_full", "--arms", "+cdp"], "did you mean '+cdpo'"),
        (["leaderboard", "--store", "/nowhere/runs"], "harness run-recipe"),
        (["tasks", "--task-path", "/nowhere"], "no such folder"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(args, message, tmp_path):
    done = here(*args, cwd=tmp_path, code=2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("harness: ")


def test_eval_prints_clean_json_and_goes_on_where_it_was(tmp_path):
    args = [
        "eval",
        "--model",
        "shipped:student",
        "--suite",
        "embedded",
        "--limit",
        "4",
        "--max-tokens",
        "120",
        "--json",
    ]
    first = json.loads(harness(*args, cwd=tmp_path).stdout)
    assert [row["n"] for row in first["rows"]] == [4, 4, 4]
    again = json.loads(here(*args, cwd=tmp_path).stdout)
    assert again == first
    folder = tmp_path / "runs" / "evals" / first["run"]
    assert len((folder / "samples.jsonl").read_text().splitlines()) == 12
    assert len((folder / "generated.jsonl").read_text().splitlines()) == 12
    assert json.loads((folder / "manifest.json").read_text())["model"] == "shipped:student"


def test_eval_of_gsm8k_says_why_it_scores_nothing(tmp_path, shared_data):
    done = harness(
        "eval", "--model", "shipped:student", "--tasks", "gsm8k", "--limit", "6", "--max-tokens", "64",
        "--data-dir", str(shared_data), cwd=tmp_path,
    )  # fmt: skip
    assert "gsm8k" in done.stdout
    assert "(unfinished)" in done.stdout


def test_dry_run_lists_stages(tmp_path):
    out = here("run-recipe", "ablation_full", "--dry-run", cwd=tmp_path).stdout
    assert "eval +masking #1" in out
    assert "to run" in out


def test_every_listed_command_can_be_loaded():
    from harness.cli.commands import COMMANDS, loaded

    listed = harness("--help").stdout
    for name, (_, about) in COMMANDS.items():
        assert loaded(name).name == name
        assert f" {name} " in listed
        assert about in listed


def test_output_into_a_closed_pipe_is_no_regression():
    code = f"{sys.executable} -m harness recipes cat ablation_full | head -c 0; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 141
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("moment", ["typer", "typer.core", "harness.cli.runs", "harness.pipeline.preview"])
def test_an_interrupt_during_the_first_imports_is_one_line(moment, tmp_path):
    """A SIGINT arrives when the module ``moment`` is about to be imported."""
    code = (
        "import os, signal, sys\n"
        "class Interrupts:\n"
        "    def find_spec(name, path, target=None):\n"
        f"        if name == {moment!r}: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupts)\n"
        "sys.argv = ['harness', 'runs']\n"
        "from harness.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 130
    assert done.stderr == "interrupted; the same command goes on from here\n"
