"""Two hundred boxes ask in the same second: an orderly queue, and not one collision."""

import asyncio
import math
from collections import Counter
from pathlib import Path

import pytest

from fibrewatch_agent.slots.reservation import reserve
from fibrewatch_agent.transfer.iperf3 import Sum
from tests.support.certificates import Authority
from tests.support.iperf3 import box
from tests.support.leftovers import nothing_left
from tests.support.slots import MBIT, Over, Responder, tool_version, transfer, wish

SITES, BOXES = 50, 4
CAPACITY, RATE = 40 * MBIT, 2 * MBIT
NAMES = [f"paris/site-{site}/box-{number}" for number in range(BOXES) for site in range(SITES)]
HOLDER = "paris/holder/box"
PATIENT = 'claim = "60 s"\nmargin = "60 s"'
"""A busy machine takes its time to start four hundred processes."""


@pytest.mark.calm
async def test_two_hundred_at_once_are_served_in_order_without_a_collision(tmp_path: Path) -> None:
    boxes = [*NAMES, HOLDER]
    with Responder(
        tmp_path / "r", boxes, capacity="40 Mbit/s", tls=Authority(tmp_path / "ca"), limits=PATIENT
    ) as responder:
        await tool_version()
        async with nothing_left():
            figures = await _all(responder)
        holder, *slots = responder.over()
    assert holder.agent == HOLDER
    assert len(slots) == len(NAMES)
    assert {slot.agent for slot in slots} == set(NAMES)
    assert {slot.why for slot in slots} == {"done"}
    _no_collision(slots)
    _in_turns(slots)
    _as_both_ends_say(figures, {slot.agent: slot.bytes for slot in slots})


async def _all(responder: Responder) -> dict[str, Sum]:
    """The first has the whole line until everybody has asked."""
    holding = reserve(responder.control(HOLDER), wish(rate=None), box(), patience_s=60)
    async with asyncio.TaskGroup() as group, holding:
        tasks = [group.create_task(_measure(responder, name, i % 2 == 0)) for i, name in enumerate(NAMES)]
        while (await asyncio.to_thread(responder.status, HOLDER))["queued"] < len(NAMES):
            await asyncio.sleep(0.05)
    return {name: task.result() for name, task in zip(NAMES, tasks, strict=True)}


async def _measure(responder: Responder, name: str, up: bool) -> Sum:
    direction = "up" if up else "down"
    asked = wish(rate=RATE, direction=direction)
    async with reserve(responder.control(name), asked, box(), patience_s=240) as slot:
        run = await transfer(slot, rate=RATE, direction=direction)
    assert run.failure is None, f"{name}: {run.failure}"
    received = run.report.end.sum_received
    assert received is not None
    return received


def _as_both_ends_say(figures: dict[str, Sum], moved: dict[str, float]) -> None:
    """Nobody had more than it expected, or was told what another one moved; a machine that stalls makes it less."""
    for name, received in figures.items():
        assert received.bytes
        assert received.seconds
        assert received.bytes / received.seconds <= 1.3 * RATE
        assert received.bytes == pytest.approx(moved[name], rel=0.25), (
            "sent last is on its way when one end stops to count"
        )


def _no_collision(slots: list[Over]) -> None:
    """From before each server's start until after its end."""
    for slot in slots:
        beside = [other for other in slots if other.began <= slot.began < other.ended]
        assert sum(other.need for other in beside) <= CAPACITY * 1.001
        assert max(Counter(other.site for other in beside).values()) == 1


def _in_turns(slots: list[Over]) -> None:
    """No site is served again before each other one was; those that are served at once may begin in any order."""
    at_once = math.ceil(CAPACITY / RATE)
    for turn in range(BOXES):
        assert len({slot.site for slot in slots[turn * SITES : (turn + 1) * SITES]}) >= SITES - at_once
