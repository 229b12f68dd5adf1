"""Ingest on a real broker and a real store within the test's loop, and a box that is scripted by the test."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt

from fibrewatch import wire
from fibrewatch.wire import Ack, AgentId, CollectorStatus
from fibrewatch_collector.config import Broker
from fibrewatch_collector.ingest import Events, Ingest
from fibrewatch_collector.store import Filter
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.support.measurements import AGENT, NOON, STREAM, batch
from tests.support.waiting import until

DEADLINE_S = 30.0
RETENTION_S = 400 * 86_400.0


class ScriptedBox:
    """Publishes what it is told for whatever agent, and remembers what the collector says."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self.acks: dict[tuple[str, str], int] = defaultdict(int)
        self.ack_count = 0
        self.states: dict[str, list[str]] = defaultdict(list)

    async def listen(self) -> None:
        """Until the connection ends."""
        async for message in self._client.messages:
            topic, payload = message.topic.value, bytes(message.payload)  # type: ignore[arg-type]
            if topic.endswith("/down/ack"):
                ack = wire.decode(payload, Ack)
                agent = "/".join(topic.split("/")[2:5])
                self.acks[agent, ack.stream] = max(self.acks[agent, ack.stream], ack.through)
                self.ack_count += 1
            else:
                self.states[topic.split("/")[2]].append(wire.decode(payload, CollectorStatus).state)

    def through(self, agent: AgentId = AGENT, stream: str = STREAM) -> int:
        """Up to which number the collector acknowledged; 0 when it never did."""
        return self.acks.get((str(agent), stream), 0)

    async def send(
        self, raws: Sequence[bytes], first: int = 1, oldest: int = 1, agent: AgentId = AGENT, stream: str = STREAM
    ) -> None:
        """One batch."""
        await self.publish(wire.up_topic(agent, "results"), batch(raws, first, oldest, stream))

    async def publish(self, topic: str, payload: bytes) -> None:
        """Anything, QoS 1."""
        await self._client.publish(topic, payload, qos=1, timeout=DEADLINE_S)

    async def acknowledged(self, number: int, agent: AgentId = AGENT, stream: str = STREAM) -> None:
        """Waits until all up to `number` are."""
        await until(lambda: self.through(agent, stream) >= number)


@asynccontextmanager
async def scripted_box(port: int) -> AsyncIterator[ScriptedBox]:
    """Connected and listening."""
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(f"{wire.ROOT}/+/+/+/down/ack", qos=1)
        await client.subscribe(f"{wire.ROOT}/+/collector", qos=1)
        box = ScriptedBox(client)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(box.listen(), name="scripted-box")
            try:
                yield box
            finally:
                task.cancel()


class Rig:
    """Ingest and its store; `numbers` are the sequence numbers that the store has."""

    def __init__(self, ingest: Ingest, store: SqliteStore) -> None:
        self.ingest, self.store, self.stats = ingest, store, ingest.stats

    def numbers(self, agent: AgentId = AGENT) -> list[int]:
        where = Filter(territory=agent.territory, site=agent.site, agent=agent.agent)
        return sorted(each.seq for each in self.store.measurements(where, 0, 100_000))


@asynccontextmanager
async def rig(
    port: int,
    path: Path,
    known: Callable[[AgentId], bool] = lambda agent: True,
    territories: Sequence[str] = ("paris",),
    events: Events | None = None,
) -> AsyncIterator[Rig]:
    """Connected; the clock stands at a minute after NOON."""
    store = SqliteStore(path)
    ingest = Ingest(
        Broker(host="127.0.0.1", port=port),
        store,
        known=known,
        territories=territories,
        retention_s=RETENTION_S,
        version="test",
        events=events or Events(),
        clock=lambda: NOON + 61,
    )
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(ingest.run(), name="ingest")
            await until(lambda: ingest.stats.connected)
            yield Rig(ingest, store)
            task.cancel()
    finally:
        store.close()
