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
from harness.grading.grade import Grader
from harness.models.base import Asked, Completion, seed_of
from harness.records import Finish, Problem
from harness.search.grammar import load
from harness.search.launch import run
from harness.search.run.roles import Role
from harness.search.run.work import GraderVerifier, Search
from harness.search.spec import Goals
from harness.search.store import Settings, Store, folded, trees
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
        problems, prompts, opened = [], {}, {}
        opening = list(asked.tokenizer.encode(THINK_OPEN, add_special_tokens=False))
        for name, indices in groups.items():
            doc = asked.documents[indices[0]]
            if not isinstance(doc, dict) or doc.get("family") not in FAMILIES:
                raise ModelError("tree decoding needs to read answers, so it works on harness's own tasks only")
            if int(doc.get("turn") or 1) > 1:
                raise ModelError("conversations of several turns cannot be decoded by a tree")
            problems.append(Problem.of_document(doc).model_copy(update={"id": name}))
            ids = list(requests[indices[0]].prompt_ids)
            opened[name] = asked.tokenizer.decode(ids[-8:]).rstrip().endswith(THINK_OPEN)
            prompts[name] = ids if opened[name] else ids + opening

        def finished(problem: Problem, tree: Tree) -> None:
            answers = _guesses(tree, asked.tokenizer, opened[problem.id])
            empty = Completion("", (), "length")  # the tree brought fewer answers than were asked for
            wanted = [(index, places[index][2]) for index in groups[problem.id] if index in left]
            asked.done([(index, answers[number] if number < len(answers) else empty) for index, number in wanted])

        slots = asked.completer.batch_size
        roles = dict.fromkeys(("generator", "critic"), Role([asked.completer], asked.tokenizer, slots=slots))
        change = {"temperature": requests[0].temperature, "top_p": requests[0].top_p, "same": 1.0}
        most, n = 10**6, self.budget
        settings = Settings(
            goals=Goals(correct=most, wrong=most, rollouts=3 * n, reflections=0, requests=0, answers=n),
            grammar=load(self.grammar).changed(**change), policy="decoding", reward="votes", seed=asked.seed,
            in_flight=self.in_flight, models={name: role.name for name, role in roles.items()},
            names=dict.fromkeys(roles, ""),
        )  # fmt: skip
        with Store(asked.folder / "trees", settings) as store, Grader() as grader:
            for stored, tree, _ in folded(store.folder):
                if stored.why and stored.problem.id in prompts:  # by an earlier run
                    finished(stored.problem, tree)
            search = Search(
                settings=settings, roles=roles, verifier=GraderVerifier(grader, blind=True), window=256, chunk=slots,
                prompt=lambda problem, role: prompts[problem.id], each=finished,
            )  # fmt: skip
            run(search, problems, store)


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
