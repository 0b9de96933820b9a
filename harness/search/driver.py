"""The driver: many trees in flight over two models, every expansion journalled, exact resume.

Works in rounds. In a round each unfinished tree asks for a few nodes; each role's requests are completed in fixed
chunks; answers are verified; every finished chunk goes to the journal in one write; then the trees are told in the
order of asking. A round is a function of the seed and of earlier rounds, so a resumed search replays its journal and
goes on exactly where it was: nothing that was written is generated again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.grading.grade import Grader
from harness.journal import Journal, read
from harness.models.base import Completer, Completion, Request, complete_in_chunks, seed_of
from harness.models.prompts import prompt_ids
from harness.records import Problem
from harness.search.grammar import Grammar
from harness.search.tree import Expansion, Goals, Result, Tree
from harness.thoughts import THINK_OPEN, Span, closing, opening, render


@dataclass
class Search:
    """Everything one search needs. ``completers`` maps role to model; ``in_flight`` nodes of a tree at once."""

    grammar: Grammar
    goals: Goals
    completers: dict[str, Completer]
    tokenizer: Any
    grader: Grader
    seed: int = 0
    in_flight: int = 3
    chunk: int = 64
    progress: Callable[[int, int, int], None] = lambda done, total, tokens: None
    tokens: dict[str, int] = field(default_factory=lambda: {"generator": 0, "critic": 0})

    def run(self, problems: Sequence[Problem], journal: Path) -> dict[str, Tree]:
        """Search every problem; returns the finished trees by problem id. The journal alone can rebuild them."""
        return asyncio.run(self._run(problems, journal))

    def replay(self, problems: Sequence[Problem], journal: Path) -> dict[str, Tree]:
        """The trees of a finished search from its journal alone. Raises ValueError if the journal is incomplete."""
        known = {(row["problem"], row["node"]): _result(row) for row in read(journal)}
        trees = {problem.id: self._tree(problem) for problem in problems}
        for name, tree in trees.items():
            while asked := [e for _ in range(self.in_flight) if (e := tree.ask()) is not None]:
                for expansion in asked:
                    if (name, expansion.node) not in known:
                        raise ValueError(f"{journal}: node {expansion.node} of {name} is missing; run its search again")
                    tree.tell(expansion.node, known[name, expansion.node])
        return trees

    async def _run(self, problems: Sequence[Problem], path: Path) -> dict[str, Tree]:
        states = [_State(p, prompt_ids(self.tokenizer, p.prompt), self._tree(p)) for p in problems]
        with Journal(path) as journal:
            known = {(row["problem"], row["node"]): row for row in read(path)}
            while True:
                asked = [(s, e) for s in states for e in self._asks(s)]
                if not asked:
                    break
                await self._round(asked, known, journal)
                for state, expansion in asked:
                    state.tree.tell(expansion.node, _result(known[state.problem.id, expansion.node]))
                finished = sum(s.tree.done for s in states)
                self.progress(finished, len(states), sum(self.tokens.values()))
        return {s.problem.id: s.tree for s in states}

    def _tree(self, problem: Problem) -> Tree:
        return Tree(self.grammar, self.goals, seed_of(self.seed, problem.id))

    def _asks(self, state: _State) -> Iterable[Expansion]:
        for _ in range(self.in_flight):
            expansion = state.tree.ask()
            if expansion is None:
                return
            yield expansion

    async def _round(
        self, asked: list[tuple[_State, Expansion]], known: dict[tuple[str, str], dict[str, Any]], journal: Journal
    ) -> None:
        jobs = []
        for role, completer in self.completers.items():
            mine = [(s, e) for s, e in asked if self.grammar.kinds[e.kind].role == role]
            jobs.append(self._complete(role, completer, mine, known, journal))
        await asyncio.gather(*jobs)

    async def _complete(
        self,
        role: str,
        completer: Completer,
        asked: list[tuple[_State, Expansion]],
        known: dict[tuple[str, str], dict[str, Any]],
        journal: Journal,
    ) -> None:
        requests = [self._request(state, expansion) for state, expansion in asked]

        def is_known(index: int) -> bool:
            state, expansion = asked[index]
            return (state.problem.id, expansion.node) in known

        def done(results: list[tuple[int, Completion]]) -> None:
            rows = [self._row(*asked[index], role, completion) for index, completion in results]
            journal.append(rows)
            known.update({(row["problem"], row["node"]): row for row in rows})
            self.tokens[role] += sum(len(row["ids"]) for row in rows)

        await complete_in_chunks(completer, requests, is_known, done, self.chunk)

    def _request(self, state: _State, expansion: Expansion) -> Request:
        kind = self.grammar.kinds[expansion.kind]
        # A chat template may open the think block itself.
        opened = self.tokenizer.decode(state.prompt[-8:]).rstrip().endswith(THINK_OPEN)
        ids = [*state.prompt, *([] if opened else self._ids(THINK_OPEN))]
        for ancestor in expansion.ancestors:
            node = state.tree.nodes[ancestor]
            assert node.result is not None
            ids += self._span_ids(node.kind or "", node.result.token_ids)
        ids += self._ids(opening(expansion.kind) + kind.prefill)
        stop = (closing(expansion.kind),) if closing(expansion.kind) else ()
        return Request(
            tuple(ids), kind.max_tokens, temperature=self.grammar.temperature, seed=expansion.seed, stop=stop
        )

    def _span_ids(self, kind: str, content: Sequence[int]) -> list[int]:
        return [*self._ids(opening(kind)), *content, *self._ids(closing(kind) or self.tokenizer.eos_token)]

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def _row(self, state: _State, expansion: Expansion, role: str, completion: Completion) -> dict[str, Any]:
        prefill = self.grammar.kinds[expansion.kind].prefill
        ids = self._content_ids(expansion.kind, completion)
        ended = expansion.kind != "answer" and completion.token_ids[-1:] == (self.tokenizer.eos_token_id,)
        row: dict[str, Any] = {
            "problem": state.problem.id,
            "node": expansion.node,
            "role": role,
            "text": prefill + completion.text,
            "ids": [*self._ids(prefill), *ids] if prefill else ids,
            # A thought that ends the whole turn did not close its tag: it is no part of a chain.
            "finish": "end of turn" if ended else completion.finish,
        }
        if expansion.kind == "answer":
            spans = [Span(n.kind or "", n.result.text) for n in self._path(state, expansion) if n.result]
            response = render([*spans, Span("answer", row["text"])])
            grade = self.grader.grade(state.problem.family, state.problem.gold, response, completion.finish)
            row |= {"verdict": grade.verdict, "reason": grade.reason}
        return row

    def _path(self, state: _State, expansion: Expansion) -> list[Any]:
        return [state.tree.nodes[name] for name in expansion.ancestors]

    def _content_ids(self, kind: str, completion: Completion) -> list[int]:
        """Ids of the text alone: as sampled where they decode to it, else the text encoded anew."""
        ids = list(completion.token_ids)
        end = self._ids(closing(kind) or self.tokenizer.eos_token)
        if ids[-len(end) :] == end:
            ids = ids[: -len(end)]
        if self.tokenizer.decode(ids) != completion.text:
            ids = self._ids(completion.text)
        return ids


@dataclass
class _State:
    problem: Problem
    prompt: tuple[int, ...]
    tree: Tree


def _result(row: dict[str, Any]) -> Result:
    return Result(row["text"], tuple(row["ids"]), row["finish"], row.get("verdict", ""), row.get("reason", ""))


def figures(trees: dict[str, Tree], path: Path) -> dict[str, Any]:
    """What a search yielded: shares of problems with chains, reflections written and followed, tokens per role."""
    total = max(1, len(trees))
    written, followed = map(sum, zip(*(tree.reflections() for tree in trees.values()), strict=True))
    tokens: dict[str, int] = {}
    nodes: dict[str, int] = {}
    for row in read(path):
        tokens[row["role"]] = tokens.get(row["role"], 0) + len(row["ids"])
        nodes[row["role"]] = nodes.get(row["role"], 0) + 1
    return {
        "problems": len(trees),
        "with_correct": sum(bool(t.correct) for t in trees.values()) / total,
        "with_both": sum(bool(t.correct) and bool(t.wrong) for t in trees.values()) / total,
        "correct_chains": sum(len(t.correct) for t in trees.values()),
        "wrong_chains": sum(len(t.wrong) for t in trees.values()),
        "rollouts": sum(t.rollouts for t in trees.values()),
        "reflections": written,
        "reflections_followed": followed,
        "nodes": nodes,
        "tokens": tokens,
    }
