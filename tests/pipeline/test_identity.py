"""What a job's digest depends on: all that its result does, found by itself, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from harness.pipeline import identity
from harness.pipeline.graph import Graph, build
from harness.pipeline.kinds import all_kinds
from harness.pipeline.recipe_files import load_profile, load_recipe

HERE = Path(identity.__file__).parent.parent


def graph(*settings: str) -> Graph:
    return build(load_recipe("smoke"), load_profile("smoke", settings))


def changed(before: Graph, after: Graph) -> set[str]:
    """Kinds of which a job has changed by itself, and not only because its inputs have."""
    first, second = (
        [(job.kind, job.name, job.params, job.models, job.depends) for job in each.jobs.values()]
        for each in (before, after)
    )
    assert [job[:2] for job in first] == [job[:2] for job in second]
    return {one[0] for one, other in zip(first, second, strict=True) if one != other}


@pytest.fixture
def edit(tmp_path, monkeypatch) -> Callable[[str], None]:
    """Appends a comment to a source file, in a copy of the package that digests are then made of."""
    copy = tmp_path / "harness"
    shutil.copytree(HERE, copy, ignore=shutil.ignore_patterns("assets", "__pycache__"))
    monkeypatch.setattr(identity, "ROOT", copy)

    def append(file: str) -> None:
        with (copy / file).open("a") as text:
            text.write("\n# edited\n")

    return append


SEARCHING = {"search", "chains", "eval tree"}
TRAINING = {"sft", "preference"}


@pytest.mark.parametrize(
    ("file", "yes", "no"),
    [
        ("search/tree/core.py", SEARCHING, TRAINING | {"teach", "distil", "eval"}),
        ("chains/extract.py", {"chains"}, TRAINING | {"search", "teach", "distil", "eval", "eval tree"}),
        ("chains/select.py", TRAINING, {"search", "chains", "teach", "eval"}),
        ("training/checkpoints.py", TRAINING, SEARCHING | {"teach", "distil", "eval"}),
        ("grading/numbers.py", {"search", "teach", "eval", "eval tree"}, TRAINING),
        ("pipeline/kinds/sft.py", {"sft"}, SEARCHING | {"preference", "teach", "distil", "eval"}),
        ("evaluation/bridge.py", {"eval", "eval tree"}, TRAINING | {"search", "chains", "teach", "distil"}),
        ("view/compare.py", set(), {*all_kinds()}),
        ("pipeline/runner.py", set(), {*all_kinds()}),
        ("cli/recipes.py", set(), {*all_kinds()}),
    ],
)
def test_a_change_of_code_changes_the_kinds_that_run_it(edit, file, yes, no):
    before = graph()
    edit(file)
    kinds = changed(before, graph())
    assert yes <= kinds
    assert not kinds & no


@pytest.mark.parametrize(
    ("package", "yes", "no"),
    [
        ("math-verify", {"search", "teach", "eval", "eval tree"}, TRAINING),
        ("antlr4-python3-runtime", {"search", "teach", "eval", "eval tree"}, TRAINING),
        ("peft", TRAINING, SEARCHING | {"teach", "distil", "eval"}),
        ("accelerate", TRAINING, SEARCHING | {"teach", "distil", "eval"}),
        ("ruff", set(), {*all_kinds()}),
    ],
)
def test_another_version_of_a_package_changes_the_kinds_that_use_it(monkeypatch, package, yes, no):
    before, version = graph(), metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0.0.1" if name == package else version(name))
    kinds = changed(before, graph())
    assert yes <= kinds
    assert not kinds & no


def test_a_change_of_a_grammar_changes_all_that_search_by_it(tmp_path):
    from harness.search.grammar import source

    file = tmp_path / "mine.yaml"
    file.write_text(source("embedded"))
    before = graph(f"search.grammar={file}")
    file.write_text(source("embedded").replace("temperature: 0.9", "temperature: 0.1", 1))
    assert file.read_text() != source("embedded")
    assert changed(before, graph(f"search.grammar={file}")) == SEARCHING


@pytest.mark.parametrize("name", ["mini_math.yaml", "functions.py"])
def test_a_change_of_a_task_changes_evaluations_alone(tmp_path, monkeypatch, name):
    from harness.problems import registry

    copy = tmp_path / "tasks"
    shutil.copytree(registry.shipped("tasks"), copy)
    monkeypatch.setattr(registry, "shipped", lambda name: copy)
    before = graph()
    with (copy / "embedded" / name).open("a") as text:
        text.write("\n# edited\n")
    assert changed(before, graph()) == {"eval", "eval tree"}


def test_a_change_of_a_data_file_changes_what_reads_it(tmp_path):
    file = tmp_path / "mine.jsonl"
    settings = f"search.sources=[{{file: {file}, family: number}}]", "distil.padding=0"
    absent = graph(*settings)
    file.write_text('{"id": "a", "problem": "1+1?", "answer": "2"}\n')
    before = graph(*settings)
    assert changed(absent, before) == {"search", "chains", "teach"}
    file.write_text('{"id": "a", "problem": "1+2?", "answer": "3"}\n')
    assert changed(before, graph(*settings)) == {"search", "chains", "teach"}


def test_addresses_and_batch_sizes_change_nothing():
    before = graph()
    assert graph("eval.concurrency=7", "sft.micro_batch=2", "sft.launch=x", "search.window=3").jobs.keys() == (
        before.jobs.keys()
    )
    assert changed(before, graph("sft.learning_rate=0.1")) == {"sft"}


@pytest.mark.parametrize("kind", all_kinds().values(), ids=lambda kind: kind.name)
def test_code_stays_within_what_a_kind_runs(kind):
    """Were the scheduler, or the list of all kinds, part of it, every change would make all results again."""
    names = set(identity.closure(type(kind).__module__))
    assert not {n for n in names if n.startswith(("harness.view", "harness.cli", "harness.results.store"))}
    assert not {f"harness.pipeline.{n}" for n in ("graph", "recipe", "runner", "worker", "estimate")} & names
