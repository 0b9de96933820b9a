"""Verdicts for a search: the one grader, asked from an event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from harness.grading.grade import Grader
from harness.records import Finish, Grade, Problem


class Verifier(Protocol):
    """Anything that judges a response. The benchmark's simulated world has its own."""

    async def verify(self, problem: Problem, response: str, finish: Finish) -> Grade:
        """The verdict on a response, or what prevented one (GraderBroken)."""


class WithoutVerdicts:
    """What ``verifier`` reads as the answer, without its verdict: for search at test time."""

    def __init__(self, verifier: Verifier) -> None:
        self.verifier = verifier

    async def verify(self, problem: Problem, response: str, finish: Finish) -> Grade:
        grade = await self.verifier.verify(problem, response, finish)
        return Grade(verdict="no_answer", reason="not looked at", answer=" ".join(grade.answer.lower().split()))


class GraderVerifier:
    """``grader`` behind threads that wait for its worker processes; ``workers`` verdicts at once."""

    def __init__(self, grader: Grader, workers: int = 4) -> None:
        self.grader = grader
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="verify")

    async def verify(self, problem: Problem, response: str, finish: Finish) -> Grade:
        loop = asyncio.get_running_loop()
        arguments = (problem.family, problem.gold, response, finish)
        return await loop.run_in_executor(self._threads, self.grader.grade, *arguments)
