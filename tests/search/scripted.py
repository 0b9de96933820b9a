"""Searches over a scripted model: answers are right about half the time, as a function of the whole prompt."""

from __future__ import annotations

from harness.models.backends.mock import scripted_server
from harness.models.base import seed_of
from harness.problems.embedded import problems
from harness.search.grammar import load
from harness.search.launch import run as drive
from harness.search.run.roles import Role
from harness.search.run.work import GraderVerifier, Search
from harness.search.spec import Goals
from harness.search.store import Settings, Store, trees

PROBLEMS = problems("mini_math", "search", 12)
GOLD = {p.prompt: p.gold["answer"] for p in PROBLEMS}
SETTINGS = Settings(
    grammar=load("embedded"), goals=Goals(correct=4, wrong=2, rollouts=8, reflections=6), seed=1, in_flight=3
)


def reply(prompt: str, seed: int = 0) -> str:
    tag = prompt[prompt.rfind("<") :]
    gold = next(answer for text, answer in GOLD.items() if text in prompt)
    roll = seed_of(prompt, seed) % 10
    if tag.startswith("</think>"):
        return f"The answer is \\boxed{{{gold + (roll >= 5)}}}."
    kind = tag[1:].partition(">")[0]
    return f"{gold} + {roll} = 7.</{kind}>"


def served(tokenizer, grader, settings=SETTINGS, faults=0.0, latency=0.0, slots=16, retries=12, **more) -> Search:
    """A search over two scripted servers; ``roles[...].replicas[0].sent`` holds the bodies that were posted."""
    roles = {}
    for role in ("generator", "critic"):
        completer = scripted_server(tokenizer, 64, faults, latency, retries, reply)
        completer.digest = role
        completer.sent = []
        completer._given_post = _recorded(completer, completer._given_post)
        roles[role] = Role([completer], tokenizer, slots=slots)
    return Search(settings=settings, roles=roles, verifier=GraderVerifier(grader), **more)


def sent(search: Search) -> int:
    """Calls that the models of a search were asked for."""
    models = (role.replicas[0] for role in search.roles.values())
    return sum(len(model.sent) if hasattr(model, "sent") else model.calls for model in models)


def _recorded(completer, post):
    async def send(body: bytes):
        completer.sent.append(body)
        return await post(body)

    return send


def run(search: Search, folder, problems=PROBLEMS):
    with Store(folder, search.settings) as store:
        drive(search, problems, store)
    return state_of(folder)


def state_of(folder):
    """What a folder's trees consist of, whatever the order in which it was written."""
    out = {}
    for stored in trees(folder):
        rows = sorted((row for row in stored.rows), key=lambda row: row["node"])
        out[stored.problem.id] = (stored.why, rows)
    return out
