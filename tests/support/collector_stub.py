"""The other end of the acknowledgements, as small as can be: stores in a dict, then acknowledges."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiomqtt
import msgspec

from fibrewatch import wire

TERRITORY = "paris"


@dataclass
class CollectorStub:
    """Attributes:
    stored: Stream → number → measurement as plain data.
    batches: Every batch that came, with whether it was acknowledged.
    refuses: A batch of which this is true is ignored, as by a collector that it breaks.
    deaf: Nothing is stored or acknowledged.
    """

    port: int
    stored: dict[str, dict[int, Any]] = field(default_factory=dict)
    batches: list[wire.Batch] = field(default_factory=list)
    seen: dict[str, list[bytes]] = field(default_factory=dict)
    refuses: Callable[[wire.Batch], bool] = lambda batch: False
    deaf: bool = False
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    _through: dict[str, int] = field(default_factory=dict)
    _client: aiomqtt.Client | None = None

    async def run(self) -> None:
        """Serves, across losses of the broker, until it is cancelled."""
        while True:
            try:
                async with aiomqtt.Client("127.0.0.1", self.port, identifier="collector", timeout=5) as client:
                    self._client = client
                    await client.subscribe(wire.UP_FILTER, qos=1)
                    await self.say("online")
                    self.ready.set()
                    async for message in client.messages:
                        await self._take(str(message.topic), bytes(message.payload))  # type: ignore[arg-type]
            except aiomqtt.MqttError:
                self._client = None
                await asyncio.sleep(0.05)

    async def say(self, state: str) -> None:
        """Publishes the collector's retained status."""
        assert self._client is not None
        status = wire.CollectorStatus(state=state, version="0")  # type: ignore[arg-type]
        await self._client.publish(wire.collector_topic(TERRITORY), wire.encode(status), qos=1, retain=True)

    async def _take(self, topic: str, payload: bytes) -> None:
        agent, channel = wire.parse_up_topic(topic)
        self.seen.setdefault(channel, []).append(payload)
        if channel == "results":
            batch = wire.decode_batch(payload)
            self.batches.append(batch)
            if not self.deaf and not self.refuses(batch):
                await self._settle(agent, batch)
        async with self.arrived:
            self.arrived.notify_all()

    async def _settle(self, agent: wire.AgentId, batch: wire.Batch) -> None:
        numbers = self.stored.setdefault(batch.stream, {})
        for number, raw in enumerate(batch.measurements, batch.first):
            data = msgspec.json.decode(raw)
            assert numbers.setdefault(number, data) == data, "a resend differs"
        through = max(self._through.get(batch.stream, 0), batch.oldest - 1)
        while through + 1 in numbers:
            through += 1
        self._through[batch.stream] = through
        await self.acknowledge(agent, batch.stream, through)

    async def acknowledge(self, agent: wire.AgentId, stream: str, through: int) -> None:
        """Publishes one acknowledgement."""
        assert self._client is not None
        ack = wire.encode(wire.Ack(stream=stream, through=through))
        await self._client.publish(wire.down_topic(agent, "ack"), ack, qos=1)

    def indices(self) -> list[int]:
        """Which measurements of `tests.support.spooled.measurement` are stored."""
        made_up = (d for numbers in self.stored.values() for d in numbers.values() if d["probe"] == "made_up")
        return sorted(data["result"]["index"] for data in made_up)

    async def until(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Waits until something that came makes it true."""
        async with asyncio.timeout(timeout_s), self.arrived:
            await self.arrived.wait_for(condition)


@asynccontextmanager
async def collecting(port: int) -> AsyncIterator[CollectorStub]:
    """A stub that serves meanwhile, and is subscribed when this begins."""
    stub = CollectorStub(port)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(stub.run(), name="collector-stub")
        async with asyncio.timeout(30):
            await stub.ready.wait()
        try:
            yield stub
        finally:
            serving.cancel()
