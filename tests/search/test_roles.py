"""Replicas and slots of a role."""

from __future__ import annotations

import asyncio

from harness.search.run.roles import Role


def test_a_problem_stays_on_its_replica_until_that_is_full():
    class Slow:
        digest = "slow"
        lockstep = False

        def __init__(self):
            self.calls = 0

        async def complete(self, request):
            from harness.models.base import Completion

            self.calls += 1
            await asyncio.sleep(0.01)
            return Completion("", (), "stop")

    async def go(many):
        replicas = [Slow(), Slow(), Slow()]
        role = Role(replicas, None, slots=2)
        await asyncio.gather(*(role.complete(None, "one problem") for _ in range(many)))
        return sorted(replica.calls for replica in replicas)

    assert asyncio.run(go(2)) == [0, 0, 2]
    assert asyncio.run(go(6)) == [2, 2, 2]


def test_deeper_nodes_get_free_slots_first():
    order = []

    class Model:
        digest = "model"
        lockstep = False

        async def complete(self, request):
            from harness.models.base import Completion

            order.append(request)
            await asyncio.sleep(0)
            return Completion("", (), "stop")

    async def go():
        role = Role([Model()], None, slots=1)
        await asyncio.gather(*(role.complete(depth, "p", depth) for depth in (0, 1, 3, 2)))

    asyncio.run(go())
    assert order == [0, 3, 2, 1]
