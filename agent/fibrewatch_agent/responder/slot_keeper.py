"""Runs the slots that the desk has given out: one task each, from the gate's opening to its closing."""

import asyncio
import logging
import math
import random
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

from fibrewatch.errors import ToolError
from fibrewatch_agent.responder.capacity_server import CapacityServer
from fibrewatch_agent.responder.credentials import Credentials
from fibrewatch_agent.responder.desk import Desk, Ending, Entry
from fibrewatch_agent.responder.far_load import Load
from fibrewatch_agent.responder.gate import Gate
from fibrewatch_agent.responder.slot_server import Ended, Place, SlotServer
from fibrewatch_agent.slots.messages import Closed, Method

log = logging.getLogger(__name__)

METHODS: tuple[Method, ...] = ("tcp", "udp-capacity")
_TICK_S = 0.25
_REPORT_S = 0.5
"""What a server whose box is done gets to write its report."""
_PORTS_TRIED = 5


@dataclass(eq=False, slots=True)
class Visit:
    """What the keeper knows of an entry beside the desk.

    Attributes:
        place: Our address and the box's, of the connection that asked last; the slot's when it was granted.
        settled: Set when the slot can be used, or never will be.
        port: None until it can be used.
        over: Set when nothing of it runs any more; report: what its server said then.
    """

    place: Place
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    port: int | None = None
    task: asyncio.Task[None] | None = None
    end: asyncio.Timeout | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    server: SlotServer | CapacityServer | None = None
    report: Ended | None = None


class Keeper:
    """The desk, on the monotonic clock, with its servers."""

    def __init__(self, desk: Desk, ports: range, credentials: Credentials, gate: Gate) -> None:
        self.desk, self.credentials = desk, credentials
        self._gate, self._free = gate, set(ports)
        self._visits: dict[str, Visit] = {}
        self._tasks: asyncio.TaskGroup | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Slots are given out while this is open; at its end all of them are ended."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            clock = tasks.create_task(self._look(), name="slots")
            try:
                yield
            finally:
                self._tasks = None
                clock.cancel()
                for visit in self._visits.values():
                    if visit.task is not None:
                        visit.task.cancel()

    def visit(self, entry: Entry, here: str, peer: str) -> Visit:
        """The visit of an entry, by the connection that asks now."""
        visit = self._visits.get(entry.id)
        if visit is None:
            visit = Visit(Place(here, peer, entry.id, secrets.token_urlsafe(24)))
            self._visits[entry.id] = visit
        elif entry.state == "queued":
            visit.place = Place(here, peer, entry.id, visit.place.password)
        return visit

    def turn(self) -> None:
        """Ends what is over its time, and starts what has its turn."""
        now = time.monotonic()
        for entry, why in self.desk.overdue(now):
            self.stop(entry, why)
        if self._tasks is not None:
            for entry in self.desk.grant(now):
                visit = self._visits[entry.id]
                visit.task = self._tasks.create_task(self._serve(entry, visit), name=f"slot {entry.id}")
        for name in [name for name, visit in self._visits.items() if not self.desk.knows(name)]:
            del self._visits[name]

    def stop(self, entry: Entry, why: Ending) -> None:
        """Ends a slot or gives up a place; what a slot has taken is free when its server is gone."""
        if entry.state == "queued":
            self.desk.end(entry, why, time.monotonic())
            self._visits[entry.id].settled.set()
            self._visits[entry.id].over.set()
        elif entry.state == "running" and entry.ending is None:
            entry.ending = why
            if (end := self._visits[entry.id].end) is not None:
                grace_s = _REPORT_S if why == "released" and entry.claimed_at is not None else 0.0
                end.reschedule(asyncio.get_running_loop().time() + grace_s)

    async def close(self, entry: Entry, within_s: float) -> Closed:
        """Ends a slot or gives up a place, and tells what was seen of it."""
        self.stop(entry, "released")
        visit = self._visits.get(entry.id)
        if visit is None:
            return Closed(ending=entry.ending)
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await visit.over.wait()
        load = visit.server.load.load() if isinstance(visit.server, SlotServer) else Load()
        return Closed(
            ending=entry.ending,
            moved=visit.report.moved if visit.report is not None else None,
            cpu=load.cpu,
            cores=self.credentials.cores(entry.wish.streams) if load.cpu is not None else None,
            waited=load.waited,
            busy=load.busy,
            softirq=load.softirq,
            share=entry.share if math.isfinite(entry.share) else None,
        )

    async def _look(self) -> None:
        while True:
            self.turn()
            await asyncio.sleep(_TICK_S)

    async def _serve(self, entry: Entry, visit: Visit) -> None:
        report: Ended | None = None
        why: Ending = "shut_down"
        began = time.monotonic()
        try:
            async with asyncio.timeout(0 if entry.ending else None) as visit.end:
                report = await self._served(entry, visit)
            why = "done" if report is not None and report.well else "broken"
        except TimeoutError:
            why = entry.ending or "deadline"
        except (ToolError, OSError) as e:
            why = "no_server"
            log.error("slot can't be served slot=%s: %s", entry.id, e)  # noqa: TRY400
        finally:
            visit.port = visit.end = None
            self.desk.end(entry, why, time.monotonic(), report.rate if report is not None else None)
            visit.report = report
            visit.settled.set()
            visit.over.set()
            _tell(entry, visit, why, began, report)
        self.turn()

    async def _served(self, entry: Entry, visit: Visit) -> Ended | None:
        """Tries other ports where one is taken by somebody else.

        Raises:
            ToolError: None could be had.
        """
        with ExitStack() as tried:  # a port that failed stays ours until the end, so that it is not drawn again
            for left in reversed(range(_PORTS_TRIED)):
                port = tried.enter_context(self._one_port())
                try:
                    return await self._on(port, entry, visit)
                except ToolError as e:
                    if visit.port is not None or not left:
                        raise
                    log.warning("port can't be used, another is tried: %s", e)
        return None

    async def _on(self, port: int, entry: Entry, visit: Visit) -> Ended | None:
        def ready() -> None:
            visit.port = port
            visit.settled.set()

        server = visit.server = self._server(port, entry, visit.place)
        await self._gate.admit(visit.place.peer, port, entry.until - time.monotonic())
        try:
            return await server.run(ready, lambda: self.desk.claim(entry, time.monotonic()))
        finally:
            await self._gate.shut(visit.place.peer, port)

    def _server(self, port: int, entry: Entry, place: Place) -> SlotServer | CapacityServer:
        if entry.wish.method == "udp-capacity":
            return CapacityServer(place, port, entry.wish, entry.need)
        return SlotServer(place, port, self.credentials)

    @contextmanager
    def _one_port(self) -> Iterator[int]:
        """Any that no other slot has: nobody knows the next one.

        Raises:
            ToolError: None is left.
        """
        if not self._free:
            raise ToolError("every port of the range is in use")
        port = random.SystemRandom().choice(tuple(self._free))
        self._free.discard(port)
        try:
            yield port
        finally:
            self._free.add(port)


def _tell(entry: Entry, visit: Visit, why: Ending, began: float, report: Ended | None) -> None:
    """The slot's line in the log: times are of the monotonic clock, so that lines can be compared."""
    moved = f"{report.moved:.0f}" if report is not None and report.moved is not None else "unknown"
    what = f"direction={entry.wish.direction} need={entry.need:.0f} began={began:.3f} ended={time.monotonic():.3f}"
    log.info(
        "slot over slot=%s agent=%s peer=%s %s why=%s bytes=%s",
        *(entry.id, entry.agent, visit.place.peer, what, why, moved),
    )
