"""Exported data load in datasets and train in TRL, hold only whole chains, and say where they come from."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from harness.chains.export import export_data
from harness.chains.select import PairRule, SftRule
from harness.errors import DataError
from harness.grading.grade import Grader
from harness.journal import write_rows
from harness.search.store import Store, trees
from harness.thoughts import TAGS, THINK_CLOSE, THINK_OPEN, common_prefix
from harness.view import data_card
from tests.search.scripted import PROBLEMS, SETTINGS, run, served


@pytest.fixture(scope="module")
def searched(tokenizer, tmp_path_factory):
    """A search through a server of which a fifth of the calls fail."""
    folder = tmp_path_factory.mktemp("searched")
    with Grader() as grader:
        run(served(tokenizer, grader, faults=0.2), folder)
    return folder


@pytest.fixture(scope="module")
def exported(searched, tokenizer, tmp_path_factory):
    out = tmp_path_factory.mktemp("data")
    return out, exported_by(searched, out, tokenizer, per_problem=2)


def exported_by(searched, out, tokenizer, per_problem=1, **more):
    figures = export_data(
        searched, out, tokenizer, sft=SftRule(per_problem=per_problem), pair=PairRule(per_problem=per_problem),
        tokenizer_name="shipped:student", **more,
    )  # fmt: skip
    data_card.write(figures, out)
    return figures


def rows(out, name):
    return [json.loads(line) for line in (out / f"{name}.jsonl").read_text().splitlines()]


def test_rows_are_whole_chains(exported, tokenizer):
    out, figures = exported
    sft, pairs = rows(out, "sft"), rows(out, "pairs")
    assert figures.sft.rows == len(sft) > 5
    assert figures.pairs.rows == len(pairs) > 5
    texts = [(r["prompt"], r["completion"][0]["content"], r["completion_ids"], r["kinds"]) for r in sft]
    for prompt, text, ids, kinds in texts:
        assert tokenizer.decode(ids) == text + tokenizer.eos_token
        assert text.startswith(THINK_OPEN)
        assert text.count(THINK_CLOSE) == 1
        assert kinds[-1] == "answer"
        for tag in TAGS:  # every tag that opens closes, and nothing else stands between
            assert text.count(tag) == kinds.count(tag.strip("</>"))
        assert any(prompt[0]["content"] == problem.prompt for problem in PROBLEMS)
    assert len({(r["problem_id"], r["completion"][0]["content"]) for r in sft}) == len(sft)
    verified = rows(out, "verified")
    assert figures.verified.rows == len(verified) > len(sft)
    both = {label: {(r["problem_id"], r["node"]) for r in verified if r["label"] is label} for label in (True, False)}
    assert both[True] >= {(r["problem_id"], r["node"]) for r in sft} | {
        (r["problem_id"], r["chosen_node"]) for r in pairs
    }
    assert both[False] >= {(r["problem_id"], r["rejected_node"]) for r in pairs}
    for pair in pairs:
        assert pair["fork"] == common_prefix(pair["chosen_ids"], pair["rejected_ids"])
        assert pair["chosen"] != pair["rejected"]


def test_both_files_load_in_datasets_and_hold_the_same(exported):
    from datasets import load_dataset

    out, _ = exported
    for name in ("sft", "pairs", "verified"):
        by_card = load_dataset(str(out), name, split="train", cache_dir=str(out / "cache"))
        by_lines = load_dataset(
            "json", data_files=str(out / f"{name}.jsonl"), split="train", cache_dir=str(out / "cache")
        )
        assert by_card.to_list() == by_lines.to_list() == rows(out, name)


@pytest.mark.slow
def test_trl_trains_on_them_as_they_are(exported, student, tmp_path):
    from datasets import load_dataset
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    out, _ = exported
    common = {"max_steps": 2, "per_device_train_batch_size": 2, "report_to": [], "use_cpu": True, "bf16": False}
    for name, trainer, config in (("sft", SFTTrainer, SFTConfig), ("pairs", DPOTrainer, DPOConfig)):
        data = load_dataset(str(out), name, split="train", cache_dir=str(tmp_path))
        trained = trainer(student, args=config(output_dir=str(tmp_path / name), **common), train_dataset=data).train()
        assert trained.training_loss > 0


def test_the_card_names_search_rules_and_what_was_left_out(exported, searched):
    out, figures = exported
    card = (out / "README.md").read_text()
    assert "config_name: sft" in card
    assert "the longest correct chain" in card
    assert '"policy": "mcts"' in card
    for text, number in figures.left_out.items():
        assert f"Left out: {number:,} {text}." in card
    assert "█" in card
    assert (out / "lengths.png").read_bytes().startswith(b"\x89PNG")


def test_long_chains_are_left_out_and_counted(searched, tokenizer, tmp_path, exported):
    limit = exported[1].sft.median
    figures = exported_by(searched, tmp_path, tokenizer, max_tokens=limit)
    assert figures.sft.longest <= limit
    assert figures.left_out[f"chains of more than {limit} tokens"] > 0


def test_a_search_without_correct_chains_is_no_data(tokenizer, tmp_path):
    with Store(tmp_path / "empty", SETTINGS):
        pass
    with pytest.raises(DataError, match="no problem has a correct chain"):
        exported_by(tmp_path / "empty", tmp_path / "out", tokenizer)


@pytest.mark.slow
def test_an_export_needs_no_more_memory_for_a_larger_search(searched, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("harness.chains.export.GROUP", 8)
    entries = [stored.entry() for stored in trees(searched)]
    peaks = []
    for copies in (1, 4, 24):
        folder = tmp_path / f"search{copies}"
        folder.mkdir()
        (folder / "search.json").write_bytes((searched / "search.json").read_bytes())
        copied = [
            {**entry, "problem": {**entry["problem"], "id": f"{copy}{entry['problem']['id']}"}}
            for entry in entries
            for copy in range(copies)
        ]
        write_rows(folder / "trees-000000.jsonl", copied)
        del copied
        tracemalloc.start()
        exported_by(folder, tmp_path / f"data{copies}", tokenizer)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.5 * peaks[1]  # the first one imports libraries
