"""Prompts of several turns, prefilled thoughts, and tasks that are lm-eval's own."""

from __future__ import annotations

import json

import pytest

from harness.errors import ModelError
from harness.evaluation.plan import EvalPlan, load_samples
from harness.evaluation.spec import Decoding, ProblemData, Selection
from harness.models.prompts import is_prefilled, prompt_ids, think_tags
from harness.models.spec import Prompting
from harness.problems.registry import select
from harness.results.runs import evaluate_and_summarise
from tests.replies import MockCompleter

FOREIGN = """task: adding
custom_dataset: !function local.rows
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["\\n"]}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
"""
LOCAL = """from datasets import Dataset
def rows(**_):
    return {"test": Dataset.from_list([{"question": f"{n} + 1 =", "answer": str(n + 1)} for n in range(4)])}
"""


@pytest.mark.parametrize("ids", [("1019:16:en#1", "1019:16:en#2", "1019:16:en#3"), ("1019:16:en#3",)])
def test_a_later_turn_sees_the_earlier_answers_without_their_thinking(tokenizer, shared_data, tmp_path, ids):
    seen = []

    def reply(prompt):
        seen.append(prompt)
        return f"<think>secret {len(seen)}</think>answer {len(seen)}"

    plan = EvalPlan(
        tasks=select(["multi_if_en_turns"], None), decoding=Decoding(max_tokens=64, temperature=0.0),
        selection=Selection(ids=",".join(ids)),
        data=ProblemData(data_dir=shared_data),
    )  # fmt: skip
    rows = evaluate_and_summarise(MockCompleter(tokenizer, reply), tokenizer, plan, tmp_path)
    assert rows["multi_if_en_turns"].n == 3
    assert "answer 1" in seen[1]
    assert "answer 1" in seen[2]
    assert "answer 2" in seen[2]
    assert not any("secret" in prompt for prompt in seen)
    assert "Two young boys" in seen[2]


def test_lm_evals_own_tasks_are_judged_on_the_visible_answer(tokenizer, tmp_path):
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "adding.yaml").write_text(FOREIGN)
    (folder / "local.py").write_text(LOCAL)
    replies = {
        "0 + 1": "<think>9</think>1\nmore",
        "1 + 1": "<think>it is 2",
        "2 + 1": "<think>3</think>4",
        "3 + 1": "<think>4</think>",
    }

    def reply(prompt):
        return next(text for start, text in replies.items() if start in prompt)

    plan = EvalPlan(
        tasks=select(["adding"], None, [folder]), decoding=Decoding(max_tokens=64, temperature=0.0), task_paths=[folder]
    )
    rows = evaluate_and_summarise(MockCompleter(tokenizer, reply), tokenizer, plan, tmp_path / "run")
    verdicts = [sample.grade.verdict for sample in load_samples(tmp_path / "run")]
    assert verdicts == ["correct", "unfinished", "wrong", "no_answer"]
    assert rows["adding"].accuracy == 0.25
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["lm_eval"]["adding"] == 0.25


class Templated:
    """A tokenizer's face: its template opens the think block unless thinking is off."""

    chat_template = "... <think> ... </think>"
    bos_token_id = 1

    def apply_chat_template(self, messages, enable_thinking=True, **_):
        return "".join(m["content"] for m in messages) + ("<think>\n" if enable_thinking else "<think>\n\n</think>\n\n")

    def encode(self, text, add_special_tokens):
        return [1, 1, 2] if "twice" in text else [1, 2, 3]


def test_templates_that_prefill_switch_and_double_the_bos():
    tokenizer = Templated()
    tags = think_tags(tokenizer)
    assert tags == ("<think>", "</think>")
    assert is_prefilled(tokenizer.apply_chat_template([{"content": "q"}]), tags)
    assert not is_prefilled(tokenizer.apply_chat_template([{"content": "q"}], enable_thinking=False), tags)
    assert prompt_ids(tokenizer, "once", Prompting(thinking="off")) == (1, 2, 3)
    with pytest.raises(ModelError, match="two BOS"):
        prompt_ids(tokenizer, "twice")
    assert think_tags(tokenizer, Prompting(think_tags="<a>,</a>")) == ("<a>", "</a>")
