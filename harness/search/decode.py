"""Search at test time (arXiv 2503.01461, Table 7): N answers a problem from one tree, no gold answer looked at.

Samples of a problem are the tree's answers in a drawn order. Branches are worth the share of the tree's answers
that agree with theirs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import ModelError
from harness.grading.families import FAMILIES
from harness.models.base import Asked, Completion, seed_of
from harness.records import Finish, Problem
from harness.search.grammar.load import load
from harness.search.launch import AtTest, Plan, execute
from harness.search.run.roles import Role
from harness.search.spec import Goals, SearchSpec
from harness.search.store import trees
from harness.search.tree.core import Tree
from harness.search.tree.nodes import chain_ids, render, spans_of
from harness.thoughts import THINK_OPEN, THINK_TAGS


@dataclass(frozen=True, kw_only=True)
class Trees:
    """A Sampler: ``budget`` answers a problem, from one tree by this grammar. No gold answer is looked at."""

    budget: int
    grammar: str = "embedded"
    in_flight: int = 4

    @property
    def identity(self) -> str:
        return f"tree:{self.budget}:{self.grammar}:{self.in_flight}"

    def __call__(self, asked: Asked) -> None:
        """Search one tree for each problem and hand over its answers, one for each sample that is missing.

        Raises ModelError for think tags other than ours, for conversations and for tasks without a reader of answers.
        """
        if asked.tags != THINK_TAGS:
            raise ModelError(f"tree decoding writes <think> tags, but this model uses {asked.tags[0]}")
        if not asked.missing:
            return
        requests, places, left = asked.requests, asked.places, set(asked.missing)
        groups: dict[str, list[int]] = defaultdict(list)
        for index, request in enumerate(requests):  # all: which trees share a batch must not hang on what is missing
            groups[f"{places[index][0]}/{seed_of(request.prompt_ids):012x}"].append(index)
        problems, prompts = [], {}
        for name, indices in groups.items():
            doc = asked.documents[indices[0]]
            if not isinstance(doc, dict) or doc.get("family") not in FAMILIES:
                raise ModelError("tree decoding needs to read answers, so it works on harness's own tasks only")
            if int(doc.get("turn") or 1) > 1:
                raise ModelError("conversations of several turns cannot be decoded by a tree")
            problems.append(Problem.of_document(doc).model_copy(update={"id": name}))
            ids = list(requests[indices[0]].prompt_ids)
            opened = asked.tokenizer.decode(ids[-8:]).rstrip().endswith(THINK_OPEN)
            prompts[name] = (ids, opened)

        def prompt(problem: Problem, role: str) -> list[int]:
            ids, opened = prompts[problem.id]
            return ids if opened else ids + list(asked.tokenizer.encode(THINK_OPEN, add_special_tokens=False))

        def finished(problem: Problem, tree: Tree) -> None:
            answers = _guesses(tree, asked.tokenizer, prompts[problem.id][1])
            empty = Completion("", (), "length")  # the tree brought fewer answers than were asked for
            wanted = [(index, places[index][2]) for index in groups[problem.id] if index in left]
            asked.done([(index, answers[number] if number < len(answers) else empty) for index, number in wanted])

        # Batches of a model in this process have always the same size; a server takes what it takes at once.
        slots = 64 if asked.completer.lockstep else asked.completer.batch_size
        change = {"temperature": requests[0].temperature, "top_p": requests[0].top_p, "same": 1.0}
        at_test = AtTest(
            role=Role([asked.completer], asked.tokenizer, slots=slots), prompt=prompt, each=finished,
            grammar=load(self.grammar).model_copy(update=change),
        )  # fmt: skip
        goals = Goals(
            correct=10**6, wrong=10**6, rollouts=3 * self.budget, reflections=0, requests=0, answers=self.budget
        )  # fmt: skip
        spec = SearchSpec(grammar=self.grammar, seed=asked.seed, in_flight=self.in_flight, window=256)
        execute(Plan(search=spec, goals=goals, models={}), problems, asked.folder / "trees", at_test=at_test)


def _guesses(tree: Tree, tokenizer: Any, opened: bool) -> list[Completion]:
    """The tree's answers as whole responses in a drawn order, so that the first k are any k; those cut come last."""
    out = []
    head = len(tokenizer.encode(THINK_OPEN, add_special_tokens=False)) if opened else 0
    leaves = [node for node in tree.written() if node.kind == "answer"]
    for leaf in sorted(leaves, key=lambda node: (bool(node.spoilt), seed_of(tree.seed, "guess", node.id))):
        ids, text = chain_ids(leaf, tree.grammar, tokenizer), render(tree.grammar, spans_of(leaf))
        finish: Finish = "length" if leaf.spoilt else "stop"
        ids = ids[:-1] if leaf.spoilt else ids  # what was cut did not end its turn
        out.append(Completion(text.removeprefix(THINK_OPEN) if opened else text, tuple(ids[head:]), finish))
    return out


def tokens_of_trees(folder: Path) -> Counter[str]:
    """Generated tokens of all trees of a decoding, by lm-eval's name of their task."""
    out: Counter[str] = Counter()
    for stored in trees(folder):
        out[stored.problem.id.partition("/")[0]] += sum(row["generated"] for row in stored.rows)
    return out
