"""The in-process backend: equal to transformers' own generate, one seed per row, exact batches."""

from __future__ import annotations

import asyncio

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ModelError
from harness.models.backends.hf import HFCompleter
from harness.models.base import Completer, Completion, Request, complete_in_chunks, sharing
from harness.models.loading import load_tokenizer, model_digest, names, resolve
from harness.models.prompts import prompt_ids
from harness.problems.embedded import FAMILIES, problems


@pytest.fixture(scope="module")
def completer(student):
    return HFCompleter(student, threads=1)


def requests(tokenizer, n=4, **settings):
    found = [p for family in FAMILIES for p in problems(family, "dev", n)]
    return [
        Request(prompt_ids(tokenizer, p.prompt), seed=i, **({"max_tokens": 60} | settings)) for i, p in enumerate(found)
    ]


def test_is_a_completer(completer):
    assert isinstance(completer, Completer)


@pytest.mark.parametrize("name", ["generator-qwen2", "generator-llama", "student"])
def test_greedy_equals_transformers_generate(name):
    own = HFCompleter(resolve(f"shipped:{name}"), threads=1)
    asked = requests(own.tokenizer)
    ours = own.generate(asked)
    for request, completion in zip(asked, ours, strict=True):
        ids = torch.tensor([request.prompt_ids])
        with torch.inference_mode():
            theirs = own.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=60)
        assert theirs[0, ids.shape[1] :].tolist() == list(completion.token_ids)


def test_sampling_follows_the_models_distribution(completer):
    """Draws of one token against its probability, five standard errors."""
    request = requests(completer.tokenizer, 1, max_tokens=1, temperature=1.3)[0]
    with torch.inference_mode():
        logits = completer.model(torch.tensor([request.prompt_ids])).logits[0, -1].double()
    probability = torch.softmax(logits / 1.3, -1)
    draws = [
        c.token_ids[0]
        for start in range(0, 1200, 60)
        for c in completer.generate([Request(request.prompt_ids, 1, 1.3, seed=s) for s in range(start, start + 60)])
    ]
    top = int(probability.argmax())
    p = float(probability[top])
    assert abs(draws.count(top) / 1200 - p) < 5 * (p * (1 - p) / 1200) ** 0.5 + 1e-9


def test_top_p_keeps_the_head_of_the_distribution(completer):
    asked = requests(completer.tokenizer, 4, max_tokens=40, temperature=1.5, top_p=1e-9)
    greedy = requests(completer.tokenizer, 4, max_tokens=40)
    assert [c.token_ids for c in completer.generate(asked)] == [c.token_ids for c in completer.generate(greedy)]


def test_a_row_depends_on_its_seed_and_a_batch_on_nothing_else(completer):
    asked = requests(completer.tokenizer, temperature=1.0)
    assert completer.generate(asked) == completer.generate(asked)
    other = [Request(r.prompt_ids, r.max_tokens, r.temperature, r.top_p, r.seed + 1000) for r in asked]
    assert completer.generate(other) != completer.generate(asked)


def test_finish_reasons(completer):
    tokenizer = completer.tokenizer
    prompt = requests(tokenizer, 1)[0].prompt_ids
    cut, whole = completer.generate([Request(prompt, 2), Request(prompt, 300)])
    assert (cut.finish, len(cut.token_ids)) == ("length", 2)
    assert whole.finish == "stop"
    assert tokenizer.eos_token not in whole.text
    full = completer.generate([Request((5,) * 2048, 4), Request((5,) * 2046, 4)])
    assert [c.finish for c in full] == ["context", "context"]
    assert [len(c.token_ids) for c in full] == [0, 2]


@pytest.fixture
def speaking(student):
    """A completer whose model says what it is told to: ``say(text)``."""
    speaker = HFCompleter(student, threads=1)
    script: list[int] = []

    def scripted(module, given, output):
        output.logits = torch.zeros_like(output.logits)
        output.logits[..., script.pop(0)] = 1.0
        return output

    speaker.model.register_forward_hook(scripted)
    end = [speaker.tokenizer.eos_token_id]
    speaker.say = lambda text: script.__setitem__(
        slice(None), speaker.tokenizer.encode(text, add_special_tokens=False) + end
    )
    return speaker


@pytest.mark.parametrize(
    "stop", ["</sub-task>", " +", "b-ta", "Ends here.\n", "\n", "\n\n", " ", "a + ", "\t", "é", "世界", "naïve ", "界"]
)
def test_stop_strings_end_generation_wherever_tokens_fall(speaking, stop):
    said = "12 + a + 5</sub-task> Ends here.\n\nA naïve 世界 café\tand more of it, and more of it, and more of it."
    speaking.say(said)
    free = speaking.generate([Request((1, 2), 200)])[0]
    assert free.text == said
    speaking.say(said)
    stopped = speaking.generate([Request((1, 2), 200, stop=(stop,))])[0]
    assert stopped.text == said.split(stop)[0]
    assert stopped.finish == "stop"
    written = speaking.tokenizer.decode(stopped.token_ids)
    assert len(stopped.token_ids) < len(free.token_ids)
    assert written.startswith(stopped.text + stop)
    assert stop not in speaking.tokenizer.decode(stopped.token_ids[:-1])


def test_an_interrupted_completer_goes_on(completer):
    """Ctrl-C in the middle of a batch, others waiting: the next calls are answered, and by the same tokens."""
    asked = requests(completer.tokenizer, 2, temperature=1.0)

    async def all_of_them():
        return await asyncio.gather(*(completer.complete(request) for request in asked))

    def interrupt(module, given):
        raise KeyboardInterrupt

    undisturbed = asyncio.run(all_of_them())
    hook = completer.model.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(all_of_them())
    hook.remove()
    assert asyncio.run(asyncio.wait_for(all_of_them(), 60)) == undisturbed


def test_waiting_requests_share_batches(completer):
    async def both():
        return await asyncio.gather(*(completer.complete(r) for r in requests(completer.tokenizer, 3)))

    assert asyncio.run(both()) == completer.generate(requests(completer.tokenizer, 3))


def test_a_resumed_chunk_is_completed_whole():
    """Whatever was known before, the same requests share a batch."""
    seen: list[list[int]] = []

    class Spy:
        digest = "spy"
        lockstep = True
        batch_size, batch_tokens = 4, 0

        def __init__(self):
            self.waiting = []

        async def complete(self, request):
            self.waiting.append(request.seed)
            await asyncio.sleep(0)
            if self.waiting:
                seen.append(self.waiting)
                self.waiting = []
            return Completion("", (), "stop")

    asked = [Request((1,) * (1 + i % 3), 5, seed=i) for i in range(10)]
    runs = []
    for known in (set(), {0, 3, 6}, {0, 3, 6, 9, 1, 4}):
        seen = []
        got: list[int] = []
        asyncio.run(
            complete_in_chunks(Spy(), asked, known.__contains__, lambda r, got=got: got.extend(i for i, _ in r))
        )
        assert sorted(got) == sorted(set(range(10)) - known)
        runs.append([sorted(batch) for batch in seen])
    assert runs[1] == runs[0]
    assert all(batch in runs[0] for batch in runs[2])
    assert len(runs[2]) == 2


def test_keys_cover_everything_that_makes_a_sample():
    base = Request((1, 2), 5, 0.5, 0.9, 7, ("x",))
    keys = {
        base.key("m"),
        base.key("other"),
        base.key("m", 1),
        *(
            Request(**(vars(base) | change)).key("m")
            for change in (
                {"prompt_ids": (1, 3)},
                {"max_tokens": 6},
                {"temperature": 0.6},
                {"top_p": 1.0},
                {"seed": 8},
                {"stop": ()},
            )
        ),
    }
    assert len(keys) == 9


def test_missing_models_are_one_clear_line(tmp_path):
    for call in (HFCompleter, load_tokenizer):
        with pytest.raises(ModelError, match="could be loaded"):
            call(str(tmp_path / "nothing"))
    with pytest.raises(ModelError, match="shipped:student"):
        resolve("shipped:teacher")


@pytest.mark.parametrize("name", ["generator-qwen2", "generator-llama", "student"])
def test_autotokenizer_keeps_the_words_of_every_shipped_model(name, tmp_path):
    """For some model types AutoTokenizer swaps in a class with a pre-tokenizer of its own; ours must survive that."""
    from harness.models.loading import folder

    loaded = load_tokenizer(resolve(f"shipped:{name}"))
    frozen = load_tokenizer(str(folder() / "tokenizer"))
    loaded.save_pretrained(tmp_path)
    saved = load_tokenizer(str(tmp_path))
    texts = [p.prompt for family in FAMILIES for p in problems(family, "dev", 20)]
    texts += ["Wait, let me check again.", "naïve 世界 \n\t ¡12.5%! <think>x</think>"]
    for text in texts:
        ids = frozen.encode(text, add_special_tokens=False)
        assert loaded.encode(text, add_special_tokens=False) == ids == saved.encode(text, add_special_tokens=False)
        assert loaded.decode(ids) == text
    assert max(len(frozen.encode(text)) for text in texts[:-1]) < 110


def test_gsm8k_encodes_without_loss(tokenizer, shared_data):
    for line in (shared_data / "gsm8k" / "test.jsonl").read_text().splitlines()[:300]:
        assert tokenizer.decode(tokenizer.encode(line, add_special_tokens=False)) == line


def test_digest_follows_weights_not_library_versions(student, tmp_path):
    import json
    import shutil

    shutil.copytree(student, tmp_path / "m")
    config = tmp_path / "m" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"transformers_version": "0.0.1"}))
    assert model_digest(str(tmp_path / "m")) == model_digest(student)
    weights = tmp_path / "m" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert model_digest(str(tmp_path / "m")) != model_digest(student)


def test_shipped_models_fit_the_budget():
    from harness.models.loading import folder

    sizes = {name: (folder() / name / "model.safetensors").stat().st_size for name in names()}
    assert set(sizes) == {"generator-llama", "generator-qwen2", "student"}
    assert sum(sizes.values()) < 20_000_000


def test_tokens_are_told_while_a_batch_runs(student, tmp_path, monkeypatch):
    from harness.evaluation.evaluate import evaluate
    from harness.evaluation.plan import EvalPlan
    from harness.evaluation.spec import Decoding, Selection
    from harness.problems.registry import select

    clock = iter(range(1_000_000))
    monkeypatch.setattr("harness.models.backends.hf.time", type("Clock", (), {"monotonic": lambda: next(clock)}))
    model = HFCompleter(student, threads=1)
    seen: list[tuple[int, int, int]] = []
    plan = EvalPlan(
        tasks=select(["mini_math"], None, []), decoding=Decoding(max_tokens=20), selection=Selection(limit=8)
    )
    evaluate(model, model.tokenizer, plan, tmp_path, lambda *told: seen.append(told))
    during = [tokens for done, total, tokens in seen if total == 8 and done == 0]
    assert during == sorted(during)
    assert len(set(during)) > 10
    done, total, tokens = seen[-1]
    assert (done, total) == (8, 8)
    assert tokens == model.generated_tokens >= during[-1]


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1), st.integers(1, 9), st.integers(0, 300))
def test_a_batch_holds_no_more_rows_and_tokens_than_it_may(shapes, rows, tokens):
    asked = [Request((1,) * prompt, answer) for prompt, answer in shapes]
    size = sharing(asked, rows, tokens)
    assert 1 <= size <= min(rows, len(asked))

    def padded(size: int) -> int:
        return size * (max(prompt for prompt, _ in shapes[:size]) + max(answer for _, answer in shapes[:size]))

    fits = size == 1 or not tokens or padded(size) <= tokens
    full = size == min(rows, len(asked)) or padded(size + 1) > tokens > 0
    assert fits
    assert full


def test_a_batch_for_which_memory_is_short_is_halved_and_one_prompt_too_long_is_refused(student, monkeypatch):
    completer = HFCompleter(student)
    asked = requests(completer.tokenizer, 3, max_tokens=8)[:7]
    halves = [completer.generate(part) for part in (asked[:1], asked[1:3], asked[3:5], asked[5:])]
    decode = HFCompleter._decode

    def short(self, live):
        if len(live) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        decode(self, live)

    monkeypatch.setattr(HFCompleter, "_decode", short)
    most = 2
    assert completer.generate(asked) == [completion for part in halves for completion in part]
    most = 0
    with pytest.raises(ModelError, match=r"memory of cpu is too small for one prompt of \d+ tokens .*--max-tokens"):
        completer.generate(asked)
