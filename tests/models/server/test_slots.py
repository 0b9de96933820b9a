"""Concurrency yields to a server that says it is too much, and comes back."""

from __future__ import annotations

import asyncio

import pytest

from harness.models.server.slots import Slots


def peak_of(slots: Slots, calls: int) -> int:
    """How many of so many calls were in flight at once."""
    now = most = 0

    async def call() -> None:
        nonlocal now, most
        async with slots.one():
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1
            slots.served()

    async def go() -> None:
        await asyncio.gather(*(call() for _ in range(calls)))

    asyncio.run(go())
    return most


@pytest.mark.parametrize("most", [1, 3, 8])
def test_no_more_calls_than_allowed(most):
    assert peak_of(Slots(most), 20) == most


def test_a_refusal_halves_and_served_calls_bring_back():
    slots = Slots(8)

    async def refuse() -> None:
        slots.refused(0.0)

    asyncio.run(refuse())
    assert slots.limit == 4
    peak_of(slots, 4 + 5 + 6 + 7)
    assert slots.limit == 8
    peak_of(slots, 100)
    assert slots.limit == 8


def test_refusals_of_one_moment_count_once_and_one_call_stays():
    slots = Slots(8)

    async def refuse() -> None:
        for _ in range(5):
            slots.refused(10.0)

    asyncio.run(refuse())
    assert slots.limit == 4
    for _ in range(5):
        slots._quiet_until = 0.0

        async def once() -> None:
            slots.refused(0.0)

        asyncio.run(once())
    assert slots.limit == 1


def test_nobody_calls_until_the_time_that_was_asked_for():
    slots, started = Slots(2), []

    async def go() -> None:
        loop = asyncio.get_running_loop()
        slots.refused(0.05)
        before = loop.time()
        async with slots.one():
            started.append(loop.time() - before)

    asyncio.run(go())
    assert started[0] >= 0.05


def test_a_call_that_fails_gives_its_slot_back():
    slots = Slots(1)

    async def fails() -> None:
        async with slots.one():
            raise ConnectionError

    async def go() -> None:
        for _ in range(3):
            with pytest.raises(ConnectionError):
                await fails()

    asyncio.run(go())
