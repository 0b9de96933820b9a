"""``python tools/tiny_tokenizer.py FOLDER``: the tiny models' tokenizer, made anew.

Whole words, stock phrases and single digits, with the 256 bytes behind them.

Words and phrases are *added tokens*, matched longest first; all other text falls apart into bytes, so every text
encodes without loss. Added tokens survive ``AutoTokenizer``: for some model types (qwen2 is one) it puts a class of its
own in place of the file's pre-tokenizer, which would split words differently and scramble a model silently. For the
same reason the built file is frozen with the weights (harness/assets/tiny/tokenizer).
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.problems.embedded import FAMILIES, LEVELS, draw, mini_blocks, mini_math, worked
from harness.thoughts import TAGS, THINK_CLOSE, THINK_OPEN, render

PAD, BOS, USER, ASSISTANT, END = "<|pad|>", "<|bos|>", "<|user|>", "<|assistant|>", "<|end|>"
SPECIALS = (PAD, BOS, USER, ASSISTANT, END)
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}"
    "{{ '<|assistant|>' }}{% generation %}{{ message['content'] + '<|end|>' }}{% endgeneration %}"
    "{% else %}{{ '<|user|>' + message['content'] + '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

# Wording that the suite repeats in every problem of a family: one token each keeps prompts short on a CPU.
PHRASES = (
    mini_blocks.INTRO, mini_blocks.QUESTION, " " + mini_math.FORMAT, "As initial conditions I have that,",
    ".\nMy goal is to have that", " the hand is empty", " is on top of", " is on the table", " is clear",
    " from on top of", " on top of", "pick up", "put down", "\\boxed{",
    *(f" the {color} block" for color in mini_blocks.COLORS),
)  # fmt: skip
_WORDS = r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]|\s"


def _texts() -> Iterator[str]:
    rng = random.Random(0)
    for family in FAMILIES:
        for level in LEVELS:
            for _ in range(400):
                problem = draw(family, rng, level, "pretrain")
                yield problem.prompt
                yield render(worked.chain(problem, rng, worked.GENERATOR))
    yield from worked.PHRASES
    yield "0 1 2 3 4 5 6 7 8 9"


def build(folder: Path) -> None:
    """Write tokenizer files to ``folder``. The result depends on the code of the families alone."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

    pattern = "|".join([*(re.escape(phrase) for phrase in sorted(PHRASES, key=len, reverse=True)), _WORDS])
    split = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    tags = (THINK_OPEN, THINK_CLOSE, *TAGS)
    words: set[str] = set()
    for text in _texts():
        for tag in tags:
            text = text.replace(tag, "\0")
        for piece in text.split("\0"):
            words |= {word for word, _ in split.pre_tokenize_str(piece)}
    # In the order of their byte-level spelling, in which blanks sort after every printable ASCII character.
    spelling = str.maketrans({" ": "\u0120", "\n": "\u010a"})
    ordered = sorted((word for word in words if len(word) > 1), key=lambda word: word.translate(spelling))
    entries = [*SPECIALS, *tags, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={entry: i for i, entry in enumerate(entries)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIALS])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in (*tags, *ordered)])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 2048,
        "bos_token": BOS,
        "eos_token": END,
        "pad_token": PAD,
        "unk_token": PAD,
        "clean_up_tokenization_spaces": False,
        "add_bos_token": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
