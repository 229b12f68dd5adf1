"""Brings the spool's batches to a connection until each is acknowledged; knows nothing of MQTT."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from fibrewatch import wire
from fibrewatch_agent.spool import Spool
from fibrewatch_agent.window import Flight, Pace, Window

log = logging.getLogger(__name__)

Publish = Callable[[bytes], Awaitable[None]]
"""Puts one batch on the wire; that it returns proves nothing but that the next one may follow."""


class Courier:
    """What is under way outlives a connection, so that a batch which breaks each one is still cornered.

    Attributes:
        wake: Set when there may be something to do.
    """

    def __init__(self, spool: Spool, pace: Pace, rng: random.Random, clock: Callable[[], float]) -> None:
        self.wake = asyncio.Event()
        self._spool, self._clock = spool, clock
        self._window = Window(rng, pace)
        self._collector_ready = True
        spool.notify = self.wake.set

    async def deliver(self, publish: Publish, stopping: asyncio.Event) -> None:
        """Sends over a fresh connection; ends once `stopping` is set and nothing is left that could be delivered."""
        await self._spool.rewind(self._window.ends())
        self._window.hurry(self._clock())
        while True:
            self.wake.clear()
            if self._collector_ready:
                await self._send(publish)
            if stopping.is_set() and not (self._collector_ready and self._window):
                return
            await self._sleep()

    async def _send(self, publish: Publish) -> None:
        while (flight := self._window.unpark()) is not None:
            await self._send_again(flight, publish)
        for flight in self._window.overdue(self._clock()):
            await self._send_again(flight, publish)
        while self._collector_ready and self._window.open:
            chunk = await self._spool.next()
            if chunk is None:
                break
            self._window.sent(self._window.add(chunk.stream, chunk.first, chunk.last), self._clock())
            await publish(chunk.payload)

    async def _send_again(self, flight: Flight, publish: Publish) -> None:
        chunk = await self._spool.again(flight.stream, flight.first, flight.last)
        if chunk is None:
            self._window.forget(flight)
        elif flight in self._window.flights:  # an ack may have come while the spool was read
            self._window.fit(flight, chunk.first, chunk.last)
            self._window.sent(flight, self._clock())
            log.debug("again stream=%s first=%d last=%d", chunk.stream, chunk.first, chunk.last)
            await publish(chunk.payload)

    async def _sleep(self) -> None:
        """Until something happens or a batch is overdue."""
        due = self._window.next_due() if self._collector_ready else None
        try:
            async with asyncio.timeout(None if due is None else max(0.0, due - self._clock())):
                await self.wake.wait()
        except TimeoutError:
            log.debug("a batch is overdue")

    async def acknowledged(self, ack: wire.Ack) -> None:
        """The collector settled everything of a stream up to a number."""
        await self._spool.acknowledge(ack.stream, ack.through)
        self._window.acknowledge(ack.stream, ack.through, self._clock())
        hopeless = self._window.hopeless()
        if hopeless is not None:
            self._window.forget(hopeless)
            await self._spool.give_up(hopeless.stream, hopeless.first)
        self.wake.set()

    def collector_is(self, *, ready: bool) -> None:
        """Pauses, or goes on at once: what was sent to a collector that was away is lost."""
        if ready and not self._collector_ready:
            self._window.hurry(self._clock())
        if ready != self._collector_ready:
            log.info("the collector is %s", "back" if ready else "away: results stay in the spool")
        self._collector_ready = ready
        self.wake.set()
