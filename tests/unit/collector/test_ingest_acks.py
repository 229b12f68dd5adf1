"""Acknowledgements: of each stream the newest, soon enough for a box that waits."""

import asyncio

from fibrewatch.wire import AgentId
from fibrewatch_collector.acks import ENOUGH, PendingAcks
from tests.support.measurements import AGENT, STREAM

KEY = (AGENT, STREAM)
NEVER_S = 3600.0


async def test_box_that_waits_is_answered_at_once() -> None:
    acks = PendingAcks(hold_s=NEVER_S)
    acks.add({KEY: 4}, {KEY: 1})
    acks.add({KEY: 12}, {KEY: ENOUGH - 1})
    async with asyncio.timeout(10):
        assert await acks.take() == (KEY, 12)
    assert len(acks) == 0


async def test_single_batch_is_answered_after_a_moment_and_only_once() -> None:
    acks = PendingAcks(hold_s=0.01)
    acks.add({KEY: 1}, {KEY: 1})
    async with asyncio.timeout(10):
        assert await acks.take() == (KEY, 1)
        acks.add({KEY: 2}, {KEY: ENOUGH})
        assert await acks.take() == (KEY, 2)
        other = (AgentId("p", "s", "b"), STREAM)
        acks.add({other: 5}, {other: 1})
        assert await acks.take() == (other, 5)


async def test_older_number_never_takes_a_newer_one_back() -> None:
    acks = PendingAcks(hold_s=NEVER_S)
    acks.add({KEY: 9}, {KEY: 1})
    acks.add({KEY: 7}, {KEY: ENOUGH})
    async with asyncio.timeout(10):
        assert await acks.take() == (KEY, 9)


async def test_streams_are_answered_each_for_itself() -> None:
    acks = PendingAcks(hold_s=NEVER_S)
    keys = [(AgentId("p", "s", f"b{n}"), STREAM) for n in range(3)]
    acks.add({key: n for n, key in enumerate(keys)}, dict.fromkeys(keys, ENOUGH))
    async with asyncio.timeout(10):
        assert [await acks.take() for _ in keys] == [(key, n) for n, key in enumerate(keys)]
