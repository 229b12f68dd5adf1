"""A responder that starts anew while boxes measure and wait, and boxes that share one token."""

import asyncio
import itertools
import time
from pathlib import Path

import pytest

from fibrewatch.results.throughput import Params
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.probes.throughput import throughput
from fibrewatch_agent.responder.watch import activity
from fibrewatch_agent.slots.far_desk import Slot
from fibrewatch_agent.slots.reservation import reserve
from tests.support.iperf3 import box
from tests.support.leftovers import nothing_left
from tests.support.slots import Responder, transfer, wish
from tests.support.waiting import until

BOX, HOLDER = "paris/cargo/box-01", "paris/holder/box"


@pytest.mark.parametrize("direction", ["down", "up"])
async def test_transfer_of_a_responder_that_starts_anew_is_reset_and_the_next_one_is_served(
    tmp_path: Path, direction: str
) -> None:
    with Responder(tmp_path) as responder:
        here = box()
        here.control = responder.control()
        settings = {"omit_s": 0.0, "streams": 2, "latency": "off", "early_stop": False, "max_bytes": None}

        def measure(duration_s: float) -> asyncio.Task[object]:
            made = Params(direction=direction, duration_s=duration_s, **settings)  # type: ignore[arg-type]
            return asyncio.create_task(throughput(made, here))

        async with nothing_left():
            first = measure(30.0)
            await until(lambda: any((activity(pid).moved or 0) > 1_000_000 for pid in responder.servers()))
            await asyncio.to_thread(responder.restart)
            with pytest.raises(ProbeError) as caught:
                await first
            assert caught.value.error in ("reset", "refused")
            await measure(1.0)
        await responder.is_over("done", BOX)


async def test_box_that_waits_is_served_by_the_responder_that_was_started_anew(tmp_path: Path) -> None:
    with Responder(tmp_path, (BOX, HOLDER)) as responder:
        async with nothing_left(), asyncio.TaskGroup() as group:
            holding = group.create_task(_held(responder))
            await until(lambda: responder.status()["running"] == 1)
            waiting = group.create_task(_slot(responder))
            await until(lambda: responder.status()["queued"] == 1)
            await asyncio.to_thread(responder.restart)
            slot = await waiting
            holding.cancel()
        assert slot.port in range(responder.first, responder.first + 200)


async def _held(responder: Responder) -> None:
    async with reserve(responder.control(HOLDER), wish(rate=None, duration=60.0), box(), 5):
        await asyncio.Event().wait()


async def _slot(responder: Responder) -> Slot:
    async with reserve(responder.control(BOX), wish(rate=None), box(), 60) as slot:
        return slot


async def test_two_boxes_with_one_token_take_turns_and_have_no_password_in_common(tmp_path: Path) -> None:
    """A card that was copied: whoever has the token is that box, and its site has one test at a time."""
    had: list[tuple[float, float, Slot]] = []

    async def measure(responder: Responder) -> None:
        async with reserve(responder.control(), wish(), box(), 60) as slot:
            began = time.monotonic()
            run = await transfer(slot)
            had.append((began, time.monotonic(), slot))
        assert run.failure is None

    with Responder(tmp_path) as responder:
        async with nothing_left(), asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(measure(responder))
        assert {slot.why for slot in responder.over()} == {"done"}
    had.sort(key=lambda each: each[0])
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(had))
    assert len({slot.token for *_, slot in had}) == 3
