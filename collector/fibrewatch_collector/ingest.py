"""MQTT in: payloads of known agents go to the writer, and what it has committed is acknowledged.

The collector's own retained status is its last will as well, and an MQTT connection has only one: the first territory's
rides on the connection that ingests, each further territory has a small connection of its own.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from msgspec import Struct

from fibrewatch import wire
from fibrewatch.errors import StoreError, WireError
from fibrewatch.wire import Ack, AgentId, CollectorStatus, Inventory, Status
from fibrewatch_collector import admission
from fibrewatch_collector.acks import PendingAcks
from fibrewatch_collector.config import Broker
from fibrewatch_collector.mqtt import Connection, LinkError, Will, connect
from fibrewatch_collector.stats import State, Stats
from fibrewatch_collector.store import Committed, Delivery, Store
from fibrewatch_collector.twins import Twins
from fibrewatch_collector.writer import Writer

log = logging.getLogger(__name__)

_BACKOFF_S, _BACKOFF_MAX_S = 0.25, 15.0
_UNKNOWN_REMEMBERED = 50
_ALL = f"{wire.ROOT}/+/+/+/up/"
_FILTERS = [(f"{_ALL}results", 0), *((f"{_ALL}{channel}", 1) for channel in ("status", "inventory", "renew"))]
"""Results are acknowledged by us once they are stored, so that MQTT's own acknowledgement on the last leg would add
nothing but 25 µs of CPU to each."""


_parse_up_topic = lru_cache(maxsize=4096)(wire.parse_up_topic)  # a box's few topics come again and again


class Events(Struct, frozen=True, kw_only=True):
    """Who is told what; called on the event loop. `committed` also gets the seconds that the transaction took."""

    committed: Callable[[Committed, float], None] = lambda done, seconds: None
    status: Callable[[AgentId, Status, float], None] = lambda agent, status, at: None
    inventory: Callable[[AgentId, Inventory, float], None] = lambda agent, inventory, at: None
    renew: Callable[[AgentId, bytes], None] = lambda agent, payload: None


_NO_EVENTS = Events()


class Ingest:
    """See the module's docstring. Attributes are for reading.

    Attributes:
        writer: Also does other writes to the store, see `Writer.call`.
        unknown: The agents not in the inventory heard last.
    """

    def __init__(
        self,
        broker: Broker,
        store: Store,
        *,
        known: Callable[[AgentId], bool],
        shut_out: Callable[[AgentId], bool] = lambda agent: False,
        territories: Sequence[str],
        retention_s: float,
        version: str,
        events: Events = _NO_EVENTS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.stats = Stats()
        self.unknown: deque[AgentId] = deque(maxlen=_UNKNOWN_REMEMBERED)
        self.writer = Writer(store, self, retention_s=retention_s, clock=clock)
        self._broker, self._known, self._territories = broker, known, tuple(territories)
        self._shut_out = shut_out
        self._retention_s, self._version, self._events, self._clock = retention_s, version, events, clock
        self._acks = PendingAcks()
        self._warned: set[AgentId] = set()
        self._warned_of_conflict: set[AgentId] = set()
        self._twins, self._warned_of_twin = Twins(), set[AgentId]()
        self._state_changed, self._retarget = asyncio.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: Connection | None = None

    async def run(self) -> None:
        """Until cancelled; then writes what came, says goodbye and returns.

        Raises:
            ExceptionGroup: With whatever ended the writer's thread, which nothing should.
        """
        self._loop = asyncio.get_running_loop()
        self.writer.start()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch_writer(), name="ingest-writer")
                group.create_task(self._connections(), name="ingest-connections")
        finally:
            await asyncio.to_thread(self.writer.close)

    def set_territories(self, territories: Sequence[str]) -> None:
        """After the inventory changed: connects anew where that makes a difference."""
        if tuple(territories) != self._territories:
            self._territories = tuple(territories)
            self._retarget.set()

    def listen_anew(self) -> None:
        """Connects anew: the broker then repeats every retained status and inventory, those of new boxes too."""
        self._retarget.set()

    def answer_renewal(self, agent: AgentId, payload: bytes) -> None:
        """On the box's renew channel, where there is a connection; the box asks again otherwise."""
        if self._connection is not None:
            self._connection.publish(wire.down_topic(agent, "renew"), payload)

    async def _watch_writer(self) -> None:
        await asyncio.wrap_future(self.writer.ended)

    # ---- connections

    async def _connections(self) -> None:
        while True:
            self._retarget.clear()
            async with asyncio.TaskGroup() as group:
                first, *others = self._territories or (None,)
                tasks = [group.create_task(self._keep_connected(first, ingesting=True), name="ingest-main")]
                for each in others:
                    task = self._keep_connected(each, ingesting=False)
                    tasks.append(group.create_task(task, name=f"ingest-status-{each}"))
                await self._retarget.wait()
                for each_task in tasks:
                    each_task.cancel()

    async def _keep_connected(self, territory: str | None, *, ingesting: bool) -> None:
        tries = 0
        while True:
            tries += 1
            try:
                connection = await self._connect(territory)
                tries = 0
                await self._serve(connection, territory, ingesting)
            except* LinkError as errors:
                log.log(logging.WARNING if tries <= 1 else logging.DEBUG, "broker=%s: %s", self._where, _first(errors))
            finally:
                if ingesting:
                    self._connection = None
                    self._set_connected(False)
            ceiling = min(_BACKOFF_MAX_S, _BACKOFF_S * 2.0 ** min(tries, 10))
            await asyncio.sleep(random.uniform(0, ceiling))  # noqa: S311 full jitter, not a secret

    @property
    def _where(self) -> str:
        return f"{self._broker.host}:{self._broker.port}"

    async def _connect(self, territory: str | None) -> Connection:
        will = None
        if territory is not None:
            will = Will(topic=wire.collector_topic(territory), payload=self._status("offline", None))
        return await connect(self._broker, on_message=self._on_message, will=will)

    async def _serve(self, connection: Connection, territory: str | None, ingesting: bool) -> None:
        """Until the connection ends."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(connection.ended(), name="ingest-session")
                if ingesting:
                    await connection.subscribe(_FILTERS)
                    self._connection = connection
                    self.stats.broker_certificate_until = connection.broker_certificate_until
                    self._set_connected(True)
                    log.info("broker=%s: connected", self._where)
                    group.create_task(self._acknowledge(connection), name="ingest-acks")
                if territory is not None:
                    group.create_task(self._announce(connection, territory), name="ingest-announce")
        finally:
            if territory is not None:  # a clean disconnect doesn't send the last will
                self._tell(connection, territory, "offline")
            await connection.close()

    async def _acknowledge(self, connection: Connection) -> None:
        while True:
            (agent, stream), through = await self._acks.take()
            connection.publish(wire.down_topic(agent, "ack"), wire.encode(Ack(stream=stream, through=through)))
            self.stats.acks += 1

    # ---- the collector's own status

    def _status(self, state: State, at: datetime | None) -> bytes:
        return wire.encode(CollectorStatus(state=state, version=self._version, at=at))

    async def _announce(self, connection: Connection, territory: str) -> None:
        """Publishes the state whenever it changes."""
        said = None
        while True:
            changed = self._state_changed
            if said != self.stats.state:
                said = self.stats.state
                self._tell(connection, territory, said)
            else:
                await changed.wait()

    def _tell(self, connection: Connection, territory: str, state: State) -> None:
        payload = self._status(state, datetime.fromtimestamp(self._clock(), UTC))
        connection.publish(wire.collector_topic(territory), payload, retain=True)

    def _set_connected(self, connected: bool) -> None:
        self.stats.connected = connected
        self._refresh_state()

    def _refresh_state(self) -> None:
        state: State = "offline"
        if self.stats.connected:
            state = "degraded" if self.stats.store_problem else "online"
        if state != self.stats.state:
            self.stats.state = state
            self._state_changed.set()
            self._state_changed = asyncio.Event()

    # ---- messages

    def _on_message(self, topic: str, payload: bytes) -> None:
        try:
            agent, channel = _parse_up_topic(topic)
        except WireError as e:
            self.stats.bad_payloads[e.reason] += 1
            log.debug("bad topic: %s", e)
            return
        if not self._known(agent):
            self.stats.unknown_agents += 1
            self.unknown.append(agent)
            return
        if self._shut_out(agent):
            self.stats.shut_out += 1
            return
        try:
            self._on_channel(agent, channel, payload)
        except WireError as e:
            self._bad_payload(agent, channel, payload, e)

    def _on_channel(self, agent: AgentId, channel: str, payload: bytes) -> None:
        now = self._clock()
        if channel == "results":
            self.stats.payloads += 1
            self._offer(admission.delivery(agent, payload, now, self._retention_s))
        elif channel == "status":
            status = wire.decode(payload, Status)
            self._look_for_twin(agent, status)
            self._events.status(agent, status, now)
        elif channel == "inventory":
            self._events.inventory(agent, wire.decode(payload, Inventory), now)
        elif channel == "renew":
            self._events.renew(agent, payload)
        else:
            raise WireError("channel", f"{channel!r} is not of the contract")

    def _look_for_twin(self, agent: AgentId, status: Status) -> None:
        other = self._twins.online(agent, status.boot) if status.state == "online" else None
        if other is not None:
            self.stats.twins += 1
            level = logging.DEBUG if agent in self._warned_of_twin else logging.ERROR
            self._warned_of_twin.add(agent)
            text = (
                "agent=%s: two machines come under this id in turn (boots %s, %s): a copied card? revoke it, enrol each"
            )
            log.log(level, text, agent, other, status.boot)

    def _offer(self, delivery: Delivery) -> None:
        self.stats.received += len(delivery.arrivals)
        if not self.writer.offer(delivery):
            self.stats.dropped += len(delivery.arrivals)
            log.debug("agent=%s: no room for %d measurements", delivery.agent, len(delivery.arrivals))

    def _bad_payload(self, agent: AgentId, channel: str, payload: bytes, error: WireError) -> None:
        """Counted, told once for each agent, and set aside."""
        self.stats.bad_payloads[error.reason] += 1
        level = logging.DEBUG if agent in self._warned else logging.WARNING
        self._warned.add(agent)
        log.log(level, "agent=%s channel=%s: bad payload of %d bytes: %s", agent, channel, len(payload), error)
        self.writer.offer(admission.set_aside(agent, payload, self._clock(), error.reason))

    # ---- what the writer's thread tells

    def committed(self, done: Committed, seconds: float) -> None:
        """See Listener."""
        self._on_loop(self._committed, done, seconds)

    def failed(self, error: StoreError) -> None:
        """See Listener."""
        self._on_loop(self._failed, error)

    def gave_up(self, delivery: Delivery, error: StoreError) -> None:
        """See Listener."""
        self._on_loop(self._gave_up, delivery, error)

    def _on_loop(self, function: Callable[..., None], *arguments: object) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(function, *arguments)

    def _committed(self, done: Committed, seconds: float) -> None:
        self.stats.add(done, seconds)
        if self.stats.store_problem:
            log.info("the store takes measurements again")
            self.stats.store_problem = None
            self._refresh_state()
        for agent in done.conflicting:
            level = logging.DEBUG if agent in self._warned_of_conflict else logging.ERROR
            self._warned_of_conflict.add(agent)
            log.log(level, "agent=%s: a measurement has the number of another one: a copied spool or card?", agent)
        self._events.committed(done, seconds)
        self._acks.add(done.through, done.batches)

    def _failed(self, error: StoreError) -> None:
        self.stats.store_failures += 1
        log.log(
            logging.DEBUG if self.stats.store_problem else logging.ERROR,
            "%s: nothing is acknowledged until it works",
            error,
        )
        self.stats.store_problem = str(error)
        self._refresh_state()

    def _gave_up(self, delivery: Delivery, error: StoreError) -> None:
        self.stats.gave_up += len(delivery.arrivals)
        log.error("agent=%s stream=%s: the store can't take a batch: %s", delivery.agent, delivery.stream, error)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error that isn't a group."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
