"""The store as a whole: listing, differences by name, collecting what nobody needs."""

from __future__ import annotations

import json

import filelock
import pytest

from tests.commands import here as harness


def record(store, run, stages, **changes):
    manifest = {
        "date": f"2026-01-0{len(run)}", "seconds": 1.0, "seeds": [0], "packages": {"torch": "2.13.0"},
        "hardware": {"cores": 2},
        "stages": {
            digest: {"name": name, "kind": "eval", "params": {"count": 3}, "inputs": {}, "models": {}, "figures": {},
                     "depends": {"code": f"c{digest}"[:2]},
                     "seconds": 1.0}
            for digest, name in stages.items()
        },
    }  # fmt: skip
    data = {"run": run, "recipe": "r", "profile": "tiny", "control": "", "arms": {}, "manifest": manifest | changes}
    (store / "recipes" / run).mkdir(parents=True)
    (store / "recipes" / run / "run.json").write_text(json.dumps(data))
    for digest in stages:
        folder = store / "stages" / digest
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "done.json").write_text(json.dumps({"name": stages[digest]}))


@pytest.fixture
def store(tmp_path):
    record(tmp_path, "aa", {"d1": "eval base", "d2": "eval sft"})
    record(tmp_path, "bbb", {"d1": "eval base", "d3": "eval sft"}, packages={"torch": "2.14.0"}, seeds=[0, 1])
    for folder in ("old", "half.work"):
        (tmp_path / "stages" / folder).mkdir()
        (tmp_path / "stages" / folder / "big.bin").write_bytes(b"x" * 1000)
    return tmp_path


def test_ls_and_show(store):
    out = harness("runs", "ls", "--store", store, code=0).stdout
    assert out.index("bbb") < out.index("aa  ")
    assert harness("runs", "--store", store, code=0).stdout == out
    assert "packages.torch: 2.13.0" in harness("runs", "show", "aa", "--store", store, code=0).stdout
    assert "no finished recipe or evaluation 'x'" in harness("runs", "show", "x", "--store", store, code=2).stderr
    both = harness("runs", "show", "", "--store", store, code=2).stderr
    assert "no finished recipe" in both


def test_diff_names_every_difference_and_nothing_else(store):
    done = harness("runs", "diff", "aa", "bbb", "--store", store, code=1)
    assert {" ".join(line.split()) for line in done.stdout.splitlines()[2:]} == {
        "manifest.seeds [0] [0, 1]", "manifest.packages.torch 2.13.0 2.14.0", "stages.eval sft.digest d2 d3",
    }  # fmt: skip
    assert "the same in everything" in harness("runs", "diff", "aa", "aa", "--store", store, code=0).stdout


def test_gc_deletes_only_what_no_recipe_needs_and_nobody_works_on(store):
    shown = harness("runs", "gc", "--store", store, code=0).stdout
    assert "2 stages" in shown
    assert (store / "stages" / "old").exists()
    with filelock.FileLock(store / "stages" / "half.lock"):
        harness("runs", "gc", "--delete", "--store", store, code=0)
    assert sorted(f.name for f in (store / "stages").glob("*") if f.is_dir()) == ["d1", "d2", "d3", "half.work"]
