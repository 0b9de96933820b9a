"""Tree search at test time (arXiv 2503.01461, Table 7): N answers a problem from one tree, no gold answer looked at.

Samples of a problem are the tree's answers in a drawn order. Branches are worth the share of the tree's answers
that agree with theirs. The baseline is plain sampling, at as many answers and at as many generated tokens.
"""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ModelError
from harness.evaluation.plan import EvalPlan, Progress, load_samples
from harness.grading.grade import FAMILIES, Grader
from harness.models.base import Completion, seed_of
from harness.models.sampling import Asked, Plain
from harness.records import Finish, Problem, Sample
from harness.results.statistics import Gap, paired, test_at_n, wilson
from harness.results.summary import scores_by_item
from harness.thoughts import THINK_OPEN, THINK_TAGS

if TYPE_CHECKING:
    from harness.search.tree.core import Tree


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
        decode(self, asked)


def decode(how: Trees, asked: Asked) -> None:
    """Search one tree for each problem asked about and hand its answers to ``asked.done``."""
    from harness.search.run.driver import Search
    from harness.search.run.roles import Role
    from harness.search.run.verify import Blind, GraderVerifier
    from harness.search.store import Store, folded

    if asked.tags != THINK_TAGS:
        raise ModelError(f"tree decoding writes <think> tags, but this model uses {asked.tags[0]}")
    requests, places, missing, done = asked.requests, asked.places, asked.missing, asked.done
    groups: dict[str, list[int]] = defaultdict(list)
    if not missing:
        return
    left = set(missing)
    for index in range(len(requests)):  # all of them: which trees share a batch must not hang on what is missing
        groups[f"{places[index][0]}/{seed_of(requests[index].prompt_ids):012x}"].append(index)
    problems, prompts = [], {}
    for name, indices in groups.items():
        doc = asked.documents[indices[0]]
        if not isinstance(doc, dict) or doc.get("family") not in FAMILIES:
            raise ModelError("tree decoding needs to read answers, so it works on harness's own tasks only")
        if int(doc.get("turn") or 1) > 1:
            raise ModelError("conversations of several turns cannot be decoded by a tree")
        problems.append(Problem(id=name, family=doc["family"], prompt=doc["prompt"], gold=_gold(doc)))
        ids = list(requests[indices[0]].prompt_ids)
        opened = asked.tokenizer.decode(ids[-8:]).rstrip().endswith(THINK_OPEN)
        prompts[name] = (ids, opened)

    def prompt(problem: Problem, role: str) -> list[int]:
        ids, opened = prompts[problem.id]
        return ids if opened else ids + list(asked.tokenizer.encode(THINK_OPEN, add_special_tokens=False))

    def finished(problem: Problem, tree: Tree) -> None:
        found = _guesses(tree, asked.tokenizer, prompts[problem.id][1])
        empty = Completion("", (), "length")  # the tree brought fewer answers than were asked for
        wanted = [(index, places[index][2]) for index in groups[problem.id] if index in left]
        done([(index, found[number] if number < len(found) else empty) for index, number in wanted])

    settings = _settings(how, asked)
    role = Role([asked.completer], asked.tokenizer, getattr(asked.completer, "batch_size", 64))
    with Grader() as grader, Store(asked.folder / "trees", settings) as store:
        search = Search(
            settings, {"generator": role, "critic": role}, Blind(GraderVerifier(grader)), window=256, prompt=prompt,
            each=finished,
        )  # fmt: skip
        for stored, tree, _ in folded(store.folder):
            if stored.why and stored.problem.id in groups:
                finished(stored.problem, tree)
        search.run(problems, store)


def _settings(how: Trees, asked: Asked) -> Any:
    from harness.search.grammar.load import load
    from harness.search.store import Settings
    from harness.search.tree.nodes import Goals

    change = {"temperature": asked.requests[0].temperature, "top_p": asked.requests[0].top_p, "same": 1.0}
    goals = Goals(10**6, 10**6, 3 * how.budget, 0, 0, answers=how.budget)
    models = {"generator": asked.completer.digest, "critic": asked.completer.digest}
    grammar = load(how.grammar).model_copy(update=change)
    return Settings(grammar, goals, "decoding", asked.seed, how.in_flight, "votes", models)


def _guesses(tree: Tree, tokenizer: Any, opened: bool) -> list[Completion]:
    """The tree's answers as whole responses in a drawn order, so that the first k are any k; those cut come last."""
    from harness.chains.extract import chain_ids, spans_of
    from harness.search.run.writer import render

    out = []
    head = list(tokenizer.encode(THINK_OPEN, add_special_tokens=False)) if opened else []
    leaves = [node for node in tree.written() if node.kind == "answer"]
    for leaf in sorted(leaves, key=lambda node: (bool(node.spoilt), seed_of(tree.seed, "guess", node.id))):
        ids, text = chain_ids(leaf, tree.grammar, tokenizer), render(tree.grammar, spans_of(leaf))
        finish: Finish = "length" if leaf.spoilt else "stop"
        ids = ids[:-1] if leaf.spoilt else ids  # what was cut did not end its turn
        out.append(Completion(text.removeprefix(THINK_OPEN) if opened else text, tuple(ids[len(head) :]), finish))
    return out


def _gold(doc: dict[str, Any]) -> dict[str, Any]:
    import json

    return dict(json.loads(doc["gold"])) if isinstance(doc["gold"], str) else dict(doc["gold"])


@dataclass(frozen=True)
class AtBudget:
    """One decoding on one task: Test@N at its last N with a 95% interval, tokens a problem, and Test@k below it."""

    name: str
    guesses: int
    tokens: float
    test: float
    low: float
    high: float
    at: dict[int, float]


def compare_decodings(
    plan: EvalPlan, run: Callable[[EvalPlan, Path, Progress], Any], folder: Path, progress: Progress
) -> dict[str, tuple[list[AtBudget], Gap]]:
    """Evaluate ``plan`` by trees and by plain sampling, at equal answers and at equal tokens; by task.

    ``run`` evaluates a plan into a folder. The gap is Test@N of the trees against plain sampling at equal tokens.
    """
    budget = plan.decoding.samples
    searched, plain = plan, replace(plan, sampler=Plain())
    run(searched, folder, progress)
    run(plain, folder / "plain", progress)
    mine, theirs = load_samples(folder), load_samples(folder / "plain")
    spent = _tree_tokens(folder / "trees")
    affordable = {}
    for task in plan.tasks:
        total = sum(len(sample.token_ids) for sample in theirs if sample.task == task.name)
        affordable[task.name] = max(1, round(spent[task.lm_eval_name] / max(1, total) * budget))
    most = max(affordable.values())
    if most > budget:
        more = replace(plain, decoding=plain.decoding.model_copy(update={"samples": most}))
        target = folder / f"plain-{most}"
        target.mkdir(exist_ok=True)
        if not (target / "generated.jsonl").exists():  # what was sampled at fewer guesses is part of this
            shutil.copy(folder / "plain" / "generated.jsonl", target / "generated.jsonl")
        run(more, target, progress)
        theirs = load_samples(target)
    out = {}
    for task in plan.tasks:
        a, b = ([s for s in side if s.task == task.name] for side in (mine, theirs))
        m = affordable[task.name]
        share = spent[task.lm_eval_name] / len({s.problem_id for s in a})
        rows = [_at("tree", a, budget, share), _at("plain, answers", b, budget), _at("plain, tokens", b, m)]
        out[task.name] = (rows, paired(_solved(a, budget), _solved(b, m)))
    return out


def _at(name: str, samples: list[Sample], guesses: int, tokens: float | None = None) -> AtBudget:
    scores = [item[:guesses] for item in scores_by_item(samples).values()]
    test = test_at_n(scores)["test"]
    at = {k: test[k] for k in dict.fromkeys((*(2**i for i in range(10) if 2**i < guesses), guesses))}
    low, high = wilson(at[guesses] * len(scores), len(scores))
    if tokens is None:
        tokens = sum(len(s.token_ids) for s in samples if s.index < guesses) / len(scores)
    return AtBudget(name, guesses, tokens, at[guesses], low, high, at)


def _solved(samples: list[Sample], guesses: int) -> dict[str, list[float]]:
    return {item: [float(any(scores[:guesses]))] for item, scores in scores_by_item(samples).items()}


def _tree_tokens(folder: Path) -> Counter[str]:
    """Generated tokens of all trees, by lm-eval's name of their task."""
    from harness.search.store import trees

    out: Counter[str] = Counter()
    for stored in trees(folder):
        out[stored.problem.id.partition("/")[0]] += sum(row["generated"] for row in stored.rows)
    return out
