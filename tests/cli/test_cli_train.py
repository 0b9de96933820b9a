"""``harness train`` as a user runs it: formats in, models out, clear lines for bad input."""

from __future__ import annotations

import importlib
import json
import resource
from pathlib import Path

import pytest

from harness.models.prompts import prompt_ids
from tests.commands import here as harness


def write(path: Path, rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def message(role, content):
    return [{"role": role, "content": content}]


SFT = [
    {"prompt": message("user", f"What is {i} + 1?"), "completion": message("assistant", f"\\boxed{{{i + 1}}}")}
    for i in range(12)
]
PAIRS = [
    {"prompt": row["prompt"], "chosen": row["completion"], "rejected": message("assistant", f"\\boxed{{{i}}}")}
    for i, row in enumerate(SFT)
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write(folder / "sft.jsonl", SFT)
    write(folder / "pairs.jsonl", PAIRS)
    return folder


def test_sft_then_dpo_then_an_answer_through_the_chat_template(data, tmp_path):
    base, tuned = tmp_path / "sft", tmp_path / "dpo"
    done = harness("train", "sft", "--model", "shipped:student", "--data", data, "--out", base,
                   "--learning-rate", 3e-3, "--epochs", 20, "--batch-size", 12)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "20 steps on 12 rows" in done.stdout
    done = harness("train", "dpo", "--model", base, "--data", data, "--out", tuned, "--trees", "--alpha", 1, "--beta",
                   0.3, "--label-smoothing", 0.1, "--learning-rate", 1e-4, "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["pairs"] == 12
    assert figures["last"]["sft"] < 1.0
    again = harness("train", "dpo", "--model", base, "--data", data, "--out", tuned, "--trees", "--alpha", 1, "--beta",
                    0.3, "--label-smoothing", 0.1, "--learning-rate", 1e-4)  # fmt: skip
    assert "chosen rose by 0.00 nat\n" in again.stdout  # logged before the only step

    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(tuned), AutoModelForCausalLM.from_pretrained(tuned)
    inputs = tokenizer.apply_chat_template(SFT[3]["prompt"], add_generation_prompt=True, return_tensors="pt")
    output = model.generate(**inputs, max_new_tokens=12, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    assert tokenizer.decode(output, skip_special_tokens=True).replace(" ", "").startswith("\\boxed{")


def test_formats_give_the_same_ids(tokenizer, tmp_path):
    from harness.training.data import read_rows

    rows = read_rows(write(tmp_path / "a.jsonl", SFT), "sft", tokenizer)
    prompt, completion = rows.rows[3]
    assert prompt == list(prompt_ids(tokenizer, "What is 3 + 1?"))
    assert completion == [*tokenizer.encode("\\boxed{4}", add_special_tokens=False), tokenizer.eos_token_id]
    chats = [{"messages": [*row["prompt"], *row["completion"]]} for row in SFT]
    ids = [{"prompt_ids": p, "completion_ids": c} for p, c in rows.rows]
    both = [row | some for row, some in zip(SFT, ids, strict=True)]
    for name, given in {"chat": chats, "ids": ids, "both": both}.items():
        assert read_rows(write(tmp_path / f"{name}.jsonl", given), "sft", tokenizer).digest == rows.digest
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(SFT), tmp_path / "a.parquet")
    assert read_rows(tmp_path / "a.parquet", "sft", tokenizer).digest == rows.digest
    foreign = [row | {"prompt_ids": [5, 6, 7], "completion_ids": [5]} for row in SFT]
    read = read_rows(write(tmp_path / "foreign.jsonl", foreign), "sft", tokenizer)
    assert read.digest == rows.digest
    assert sum(read.notes.values()) == 12


@pytest.mark.parametrize(
    ("reply", "written"),
    [
        ("{{ m.content | upper }}<|end|>", "yes <think> no"),  # rewritten: the reply stands as it is
        ("{{ m.content }}<|end|>\n", "yes <think> no"),
        ("{{ m.content }}\n", "yes"),  # a turn without an ending token
    ],
)
def test_templates_of_all_kinds_leave_the_reply_and_one_end(reply, written, tokenizer, tmp_path):
    from copy import deepcopy

    from harness.training.data import read_rows

    mine = deepcopy(tokenizer)
    mine.chat_template = (
        "{% for m in messages %}{% if m.role == 'user' %}Q {{ m.content }} A {% else %}"
        + reply
        + "{% endif %}{% endfor %}"
    )
    row = {"prompt": message("user", "is it?"), "completion": message("assistant", written)}
    [(prompt, completion)] = read_rows(write(tmp_path / "a.jsonl", [row]), "sft", mine).rows
    assert mine.decode(prompt).strip() == "Q is it? A"
    assert completion == [*mine.encode(written, add_special_tokens=False), mine.eos_token_id]


def test_what_is_left_out_is_told(data, tmp_path):
    long = {"prompt": message("user", "hi"), "completion": message("assistant", "1 + " * 400)}
    file = write(tmp_path / "mixed.jsonl", [*SFT, long, SFT[0] | {"completion": []}])
    train = ("train", "sft", "--model", "shipped:student", "--data", file, "--out", tmp_path / "m", "--max-tokens", 200)
    done = harness(*train)
    assert done.returncode == 0, done.stderr
    assert "1 rows of more than 200 tokens left out" in done.stderr
    assert "1 rows with an empty prompt or completion left out" in done.stderr
    assert "rows of more than 200 tokens 1" in (tmp_path / "m" / "README.md").read_text()
    done = harness(*train, "--too-long", "stop")
    assert done.returncode == 2
    assert "mixed.jsonl:13" in done.stderr


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", ":1: not JSON"),
        ("[]", ":1: not an object"),
        ('{"prompt": "a"}', ":1: has neither prompt, completion"),
        ('{"prompt": 3, "completion": "b"}', ":1: prompt is neither a text nor a list of messages"),
        ('{"prompt": "a", "completion": [{"role": "assistant", "content": "b"}]}', "both be texts or both be messages"),
        ('{"messages": [{"role": "user", "content": "b"}]}', "do not end in the assistant's reply"),
        (
            '{"prompt": [{"role": "user", "content": "a"}], "completion": [{"role": "user", "content": "b"}]}',
            "one message of the assistant",
        ),
        ('{"prompt_ids": [999999], "completion_ids": [1]}', "token ids for this tokenizer"),
        ("", "no row to train on"),
    ],
)
def test_bad_rows_are_named(row, said, tokenizer, tmp_path):
    from harness.errors import DataError
    from harness.training.data import read_rows

    (tmp_path / "bad.jsonl").write_text(row + "\n")
    with pytest.raises(DataError, match=r"bad\.jsonl") as error:
        read_rows(tmp_path / "bad.jsonl", "sft", tokenizer)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--data", "nowhere.jsonl"), "nowhere.jsonl"),
        (("--label-smoothing", "0.5"), "--label-smoothing: Input should be less than 0.5"),
        (("--mask-prefix", "all"), "--mask-prefix all: use none, dpo, sft, both"),
        (("--layout", "tree"), "--layout tree: use auto, rows, shared"),
        (("--micro-batch", "5"), "multiple of both"),
        (("--model", "shipped:studnt"), "student"),
    ],
)
def test_bad_options_are_one_line(more, said, data, tmp_path):
    options = {"--model": "shipped:student", "--data": str(data), "--out": str(tmp_path / "m")} | {more[0]: more[1]}
    done = harness("train", "dpo", *[word for pair in options.items() for word in pair])
    assert done.returncode in (2, 3)
    assert len(done.stderr.strip().splitlines()) == 1
    assert said in done.stderr


@pytest.mark.parametrize("command", ["sft", "dpo"])
def test_help_is_one_screen(command):
    lines = harness("train", command, "--help").stdout.splitlines()
    assert len(lines) <= 44
    assert max(map(len, lines)) <= 80


def test_masks_shows_where_the_prefix_cancels(data):
    done = harness("train", "masks", "--model", "shipped:student", "--data", data, "--json")
    assert done.returncode == 0, done.stderr
    change = {(row["objective"], row["masked"]): row["change"]["float32"] for row in json.loads(done.stdout)["rows"]}
    for (objective, masked), value in change.items():
        if masked == "preference" and "length" not in objective:
            assert value < 1e-5
        else:
            assert value > 1e-3


@pytest.mark.parametrize(
    ("module", "name", "times", "what"),
    [("checkpoints", "save_whole", 1, "checkpoint-2"), ("train", "write_model", 0, "m")],
)
def test_a_disk_that_fills_up_keeps_the_last_good_checkpoint(module, name, times, what, data, tmp_path, monkeypatch):
    """Files are capped below the weights' size from the second checkpoint on, or for the finished model."""
    place = importlib.import_module(f"harness.training.{module}")
    save, seen, limits = getattr(place, name), [], resource.getrlimit(resource.RLIMIT_FSIZE)

    def capped(*args):
        if len(seen) == times:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
        seen.append(1)
        save(*args)

    monkeypatch.setattr(place, name, capped)
    try:
        done = harness("train", "sft", "--model", "shipped:student", "--data", data, "--out", tmp_path / "m",
                       "--batch-size", 4, "--save-steps", 1, code=3)  # fmt: skip
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"{what} could not be written" in done.stderr
    step = 1 if times else 3
    assert f"checkpoint of step {step} is kept" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "m.work" / f"checkpoint-{step}" / "trainer_state.json").exists()
    assert not (tmp_path / "m").exists()
