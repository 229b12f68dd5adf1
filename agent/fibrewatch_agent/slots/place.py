"""A throughput test's slot: what it asks for, and how its tool is let in."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fibrewatch.results.throughput import Params
from fibrewatch_agent.box import Box
from fibrewatch_agent.slots.far_desk import Slot
from fibrewatch_agent.slots.login import Login, login, version
from fibrewatch_agent.slots.messages import Priority, Wish
from fibrewatch_agent.slots.reservation import reserve
from fibrewatch_agent.tables import Control

_ON_DEMAND = "once"
"""The test that a person at the box asked for, see `once`."""


@asynccontextmanager
async def slot_for(params: Params, box: Box, control: Control) -> AsyncIterator[tuple[Slot, Login]]:
    """Waits for a slot, others having the box meanwhile; it is given back at the end.

    Raises:
        ProbeError: There is none.
    """
    known = await version()
    async with reserve(control, _wish(params, box, control), box, params.patience_s, box.aside) as slot:
        box.resolved = slot.host
        with login(slot, known) as shown:
            yield slot, shown


def _wish(params: Params, box: Box, control: Control) -> Wish:
    contracted = control.rate_down if params.direction == "down" else control.rate_up
    priority: Priority = "on-demand" if box.test.partition(".")[0] == _ON_DEMAND else params.priority
    return Wish(
        request="-" * 8,  # `reserve` makes one
        direction=params.direction,
        streams=params.streams,
        duration=math.ceil(params.duration_s) + math.ceil(params.omit_s),
        rate=params.expected_rate or contracted,
        priority=priority,
        prepare=params.idle_s,
    )
