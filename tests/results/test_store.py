"""The store as a whole: listing, differences by name, collecting what nobody needs."""

from __future__ import annotations

import json

import filelock
import pytest

from harness.results.store import Store
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


def test_names_are_no_patterns(store):
    for name in ("", "*", "a**", "/no/such", "[a", "x" * 300, "a/../a"):
        for command in (("runs", "show", name), ("compare", name, "aa"), ("plot", name)):
            done = harness(*command, "--store", store, code=2)
            assert len(done.stderr.strip().splitlines()) == 1, (command, done.stderr)


BROKEN = ("", "{", "[]", "{}", "5", "null", '{"manifest": {"date": []}}', "[" * 100_000, b"\xff")


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_record_is_skipped_with_a_note_and_refused_when_it_is_named(store, text):
    data = text if isinstance(text, bytes) else text.encode()
    before = harness("runs", "ls", "--store", store, code=0).stdout
    for file in (store / "recipes" / "zz" / "run.json", store / "evals" / "ee" / "manifest.json"):
        file.parent.mkdir(parents=True)
        file.write_bytes(data)
    done = harness("runs", "ls", "--store", store, code=0)
    assert before.strip() in done.stdout
    assert "zz/run.json" in done.stderr
    assert "no finished recipe of 'nobody'" in harness("leaderboard", "nobody", "--store", store, code=2).stderr
    assert "makes no claims" in harness("claims", "--store", store, code=2).stderr
    refused = harness("runs", "show", "zz", "--store", store, code=2)
    assert "zz/run.json" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_a_record_of_another_version_is_refused_in_one_line(store):
    file = store / "recipes" / "aa" / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"schema_version": 99}))
    assert "another version of harness (schema 99" in harness("runs", "show", "aa", "--store", store, code=2).stderr


def test_gc_keeps_all_that_a_record_may_name_which_cannot_be_read(store):
    (store / "recipes" / "bbb" / "run.json").write_text("{")
    done = harness("runs", "gc", "--delete", "--store", store, code=0)
    assert "cannot be read" in " ".join(done.stdout.split())
    assert "bbb/run.json" in done.stderr
    assert {f.name for f in (store / "stages").iterdir() if f.is_dir()} == {"d1", "d2", "d3", "old"}


def test_gc_keeps_what_a_running_or_young_recipe_wants(store):
    kept = Store(store)

    def stages():
        return {f.name for f in (store / "stages").iterdir() if f.is_dir()}

    with kept.wanting("ccc", ["old", "half"], "harness run-recipe r"):
        shown = harness("runs", "gc", "--older-than", 0, "--delete", "--store", store, code=0).stdout
        assert "wanted by 'harness run-recipe r', begun" in " ".join(shown.split())
        assert "which is running" in " ".join(shown.split())
        assert {"old", "half.work"} <= stages()
    rows = json.loads(harness("runs", "gc", "--delete", "--store", store, "--json", code=0).stdout)
    assert {row["why"] for row in rows["kept"] if row["folder"].endswith("old")} != {""}
    assert {"old", "half.work"} <= stages()  # it ended without a result less than two weeks ago
    harness("runs", "gc", "--older-than", 0, "--delete", "--store", store, code=0)
    assert stages() == {"d1", "d2", "d3"}


def test_two_processes_may_run_one_recipe(store):
    with Store(store).wanting("ccc", ["old"]), Store(store).wanting("ccc", ["old"]):
        assert Store(store).is_running("ccc")
    assert not Store(store).is_running("ccc")


def test_gc_deletes_only_what_no_recipe_needs_and_nobody_works_on(store):
    shown = harness("runs", "gc", "--store", store, code=0).stdout
    assert "2 stages" in shown
    assert (store / "stages" / "old").exists()
    with filelock.FileLock(store / "stages" / "half.lock"):
        harness("runs", "gc", "--delete", "--store", store, code=0)
    assert sorted(f.name for f in (store / "stages").glob("*") if f.is_dir()) == ["d1", "d2", "d3", "half.work"]
