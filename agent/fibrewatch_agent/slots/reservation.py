"""A slot at a responder: asked for, waited for, used, and given back (the control API of docs/responder.md)."""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec

from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.slots.far_desk import Desk, RefusedError, Slot
from fibrewatch_agent.slots.messages import LONGEST_WAIT_S, Granted, Queued, Wish
from fibrewatch_agent.tables import Control

log = logging.getLogger(__name__)
_Aside = Callable[[], AbstractAsyncContextManager[None]]

_AGAIN_S = 1.0
_LEAST_S = 0.5
"""Between two questions, whatever a responder says."""
_HELD_S = 5.0
"""A question that was held for so long was taken: something between has cut it off."""
_LOST = 3
"""After so many resets at once, one after the other, it is the responder that does not serve."""


@asynccontextmanager
async def reserve(
    control: Control,
    wish: Wish,
    box: Box,
    patience_s: float,
    aside: _Aside = contextlib.nullcontext,
) -> AsyncIterator[Slot]:
    """A slot at the first responder that has one within `patience_s`; given back at the end.

    Args:
        wish: Its `request` and `wait` are set here.
        aside: Entered while waiting, so that others may use the box meanwhile.

    Raises:
        ProbeError: None was to be had; it tells the first responder's reason.
    """
    desk, granted = await _patient(control, wish, box, patience_s, aside)
    slot = desk.slot(granted)
    try:
        yield slot
    except asyncio.CancelledError:
        raise  # in haste: the slot ends by itself, with its test or when none has begun
    except BaseException:  # a generator that has its transfer leaves this way, too
        slot.after.told = await desk.release(granted.id)
        raise
    slot.after.told = await desk.release(granted.id)


async def _patient(control: Control, wish: Wish, box: Box, patience_s: float, aside: _Aside) -> tuple[Desk, Granted]:
    """Goes round the responders; once more when one has said to come again, and that is within the patience.

    Raises:
        ProbeError: As `reserve`.
    """
    until, left_s = time.monotonic() + patience_s, patience_s
    while True:
        failures: list[ProbeError] = []
        for url in control.urls:
            try:
                desk = Desk(control, url, box)
                return desk, await _granted(desk, wish, left_s, aside)
            except ProbeError as e:
                log.info("no slot at %s error=%s detail=%s", url, e.error, e.detail)
                failures.append(e)
                if isinstance(e, RefusedError) and e.site:
                    break
        pauses = [e.retry_after_s for e in failures if isinstance(e, RefusedError) and e.retry_after_s is not None]
        pause_s = max(_AGAIN_S, min(pauses, default=patience_s))
        if not pauses or time.monotonic() + pause_s >= until:
            raise ProbeError(failures[0].error, "; ".join(failure.detail for failure in failures))
        await asyncio.sleep(pause_s)  # the box is others' since `aside` ended by an error
        left_s = until - time.monotonic()


async def _granted(desk: Desk, wish: Wish, patience_s: float, aside: _Aside) -> Granted:
    """Asks again and again until the slot is there.

    Raises:
        ProbeError: As `reserve`; busy when it would take longer than the patience.
    """
    request, until = uuid.uuid4().hex, time.monotonic() + patience_s
    known = False
    async with aside():
        while not isinstance(answer := await _answered(desk, wish, request, until, known=known), Granted):
            known = True
            left_s = until - time.monotonic()
            if left_s <= answer.retry_after or left_s < answer.expected_in:
                await desk.release(answer.id)
                about = f"{answer.place} in the queue, about {answer.expected_in:.0f} s"
                detail = f"{desk.url.authority}: {about}"
                raise RefusedError("busy", detail, None, site=answer.reason == "site")
            await asyncio.sleep(max(_LEAST_S, answer.retry_after))
        granted, since = await desk.started(answer), time.monotonic()
    if time.monotonic() - since >= granted.claim_within:
        await desk.release(granted.id)
        raise ProbeError("busy", f"{desk.url.authority}: other tests of the box ran until the slot was over")
    return granted


async def _answered(desk: Desk, wish: Wish, request: str, until: float, *, known: bool) -> Granted | Queued:
    """Asks, and asks the same again when the answer was lost: within the patience, and not of one that only resets.

    Args:
        known: It has answered before, or held a question: if nobody listens now, it is being started anew.

    Raises:
        ProbeError: As `Desk.ask`.
    """
    lost = 0
    while True:
        asked = time.monotonic()
        try:
            return await desk.ask(_asking(wish, request, until))
        except ProbeError as e:
            now = time.monotonic()
            again = e.error == "reset" or (e.error == "refused" and (known or lost))
            lost = lost + 1 if now - asked < _HELD_S else 1
            if not again or lost >= _LOST or now + _AGAIN_S >= until:
                raise
            log.info("answer lost, asked again: %s", e.detail)
        await asyncio.sleep(_AGAIN_S)


def _asking(wish: Wish, request: str, until: float) -> Wish:
    left_s = max(0.0, until - time.monotonic())
    return msgspec.structs.replace(wish, request=request, wait=round(min(left_s, LONGEST_WAIT_S), 3))
