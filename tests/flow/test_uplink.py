"""The uplink against a real Mosquitto and a small collector: everything arrives once, whatever is killed."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import pytest

from fibrewatch import wire
from fibrewatch_agent.config import BrokerConfig
from fibrewatch_agent.spool import Spool
from fibrewatch_agent.uplink import Timing, run_uplink
from fibrewatch_agent.window import Pace
from tests.support.collector_stub import TERRITORY, CollectorStub, collecting
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.spooled import BOOT, fill, measurement, open_spool
from tests.support.waiting import until

AGENT = wire.AgentId(TERRITORY, "cargo", "box-01")
QUICK = Timing(
    resend=Pace(first_s=0.3, cap_s=1.0), reconnect_first_s=0.1, reconnect_cap_s=0.5, stable_s=1.0, puback_s=10.0
)


@dataclass
class Agent:
    """What surrounds the uplink in the agent."""

    spool: Spool
    port: int
    timing: Timing = QUICK
    keepalive_s: float = 5.0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    lost_targets: tuple[str, ...] = ()
    interfaces: tuple[wire.Interface, ...] = ()

    def status(self) -> wire.Status:
        return wire.Status(
            state="online", version="1.2.3", boot=BOOT, spool=self.spool.state(), lost_targets=self.lost_targets
        )

    def inventory(self) -> wire.Inventory:
        return wire.Inventory(version="1.2.3", interfaces=self.interfaces)

    async def run(self) -> None:
        broker = BrokerConfig(host="127.0.0.1", port=self.port, keepalive_s=self.keepalive_s)
        await run_uplink(
            broker,
            AGENT,
            self.spool,
            self.status,
            self.inventory,
            self.changed,
            self.stopping,
            timing=self.timing,
            rng=random.Random(1),
        )


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as started:
        yield started


@asynccontextmanager
async def running(folder: Path, port: int, **changes: Any) -> AsyncIterator[Agent]:
    """An uplink that runs meanwhile and is stopped as the agent would."""
    agent = Agent(open_spool(folder), port, **changes)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(agent.run(), name="uplink")
        try:
            yield agent
        finally:
            agent.stopping.set()
    await agent.spool.close()


def statuses(stub: CollectorStub) -> list[dict[str, Any]]:
    return [msgspec.json.decode(payload) for payload in stub.seen.get("status", [])]


async def retained(port: int, topic: str) -> dict[str, Any]:
    """What a newcomer is told."""
    async with asyncio.timeout(20), aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(topic, qos=1)
        async for message in client.messages:
            return dict(msgspec.json.decode(bytes(message.payload)))  # type: ignore[arg-type]
    raise AssertionError("the broker closed the connection")


async def test_everything_arrives_and_leaves_the_spool(tmp_path: Path, broker: Mosquitto) -> None:
    async with collecting(broker.port) as stub, running(tmp_path, broker.port) as agent:
        await fill(agent.spool, range(500))
        await stub.until(lambda: stub.indices() == list(range(500)))
        await until(lambda: agent.spool.state().depth == 0)


async def test_at_most_four_batches_are_under_way(tmp_path: Path, broker: Mosquitto) -> None:
    patient = Timing(resend=Pace(first_s=60, cap_s=60), flush_s=1.2)
    async with collecting(broker.port) as stub, running(tmp_path, broker.port, timing=patient) as agent:
        stub.deaf = True
        await fill(agent.spool, range(1000))
        await stub.until(lambda: len(stub.batches) == 4)
        await asyncio.sleep(1)
        assert len(stub.batches) == 4
        await stub.acknowledge(AGENT, agent.spool.stream, stub.batches[0].first + len(stub.batches[0].measurements) - 1)
        await stub.until(lambda: len(stub.batches) == 5)
        await asyncio.sleep(0.5)
        assert len(stub.batches) == 5
        agent.stopping.set()


async def test_an_unacknowledged_batch_is_sent_again_as_it_was(tmp_path: Path, broker: Mosquitto) -> None:
    async with collecting(broker.port) as stub, running(tmp_path, broker.port) as agent:
        stub.deaf = True
        await agent.spool.append(measurement(1), dated=True)
        await stub.until(lambda: len(stub.batches) >= 3)
        assert len({wire.encode(batch) for batch in stub.batches}) == 1
        stub.deaf = False
        await stub.until(lambda: stub.indices() == [1])
        await until(lambda: agent.spool.state().depth == 0)


@pytest.mark.parametrize("wipe", [False, True])
async def test_a_broker_killed_again_and_again_loses_nothing(tmp_path: Path, broker: Mosquitto, wipe: bool) -> None:
    async with collecting(broker.port) as stub, running(tmp_path, broker.port) as agent:
        for turn in range(4):
            await fill(agent.spool, range(turn * 200, turn * 200 + 100))
            await asyncio.to_thread(broker.kill, wipe=wipe)
            await fill(agent.spool, range(turn * 200 + 100, turn * 200 + 200))
            await asyncio.to_thread(broker.start)
        await stub.until(lambda: stub.indices() == list(range(800)))
        await until(lambda: agent.spool.state().depth == 0)
        status = await retained(broker.port, wire.up_topic(AGENT, "status"))
        inventory = await retained(broker.port, wire.up_topic(AGENT, "inventory"))
        assert (status["state"], inventory["version"]) == ("online", "1.2.3")


@pytest.mark.parametrize("state", ["offline", "degraded"])
async def test_sending_pauses_while_the_collector_is_away(tmp_path: Path, broker: Mosquitto, state: str) -> None:
    async with collecting(broker.port) as stub:
        await stub.say(state)
        async with running(tmp_path, broker.port) as agent:
            await stub.until(lambda: "inventory" in stub.seen)
            await fill(agent.spool, range(50))
            await asyncio.sleep(1)
            assert stub.batches == []
            await stub.say("online")
            await stub.until(lambda: stub.indices() == list(range(50)))


async def test_what_was_under_way_when_the_collector_left_is_sent_at_once_when_it_is_back(
    tmp_path: Path, broker: Mosquitto
) -> None:
    patient = Timing(resend=Pace(first_s=600, cap_s=600))
    async with collecting(broker.port) as stub, running(tmp_path, broker.port, timing=patient) as agent:
        stub.deaf = True
        await agent.spool.append(measurement(1), dated=True)
        await stub.until(lambda: len(stub.batches) == 1)
        await stub.say("offline")
        await stub.say("online")
        stub.deaf = False
        await stub.until(lambda: stub.indices() == [1])


async def test_one_poisoned_measurement_does_not_hold_the_others(tmp_path: Path, broker: Mosquitto) -> None:
    poison = 137
    async with collecting(broker.port) as stub, running(tmp_path, broker.port) as agent:
        stub.refuses = lambda batch: any(b'"index":%d,' % poison in bytes(raw) for raw in batch.measurements)
        await fill(agent.spool, range(500))
        await stub.until(lambda: stub.indices() == [i for i in range(500) if i != poison], 120)
        await until(lambda: agent.spool.state().depth == 0)
        told = [d["result"] for n in stub.stored.values() for d in n.values() if d["probe"] == "spool"]
        assert [(t["cause"], t["dropped"], t["first"], t["last"]) for t in told] == [
            ("unacknowledged", 1, poison + 1, poison + 1)
        ]


async def test_the_will_says_offline_when_the_box_vanishes(tmp_path: Path, broker: Mosquitto) -> None:
    async with collecting(broker.port) as stub:
        argv = [sys.executable, "-m", "tests.support.uplink_process", str(tmp_path), str(broker.port)]
        with subprocess.Popen(argv) as box:
            try:
                await stub.until(lambda: len(statuses(stub)) == 1)
            finally:
                box.kill()
        await stub.until(lambda: len(statuses(stub)) == 2)
        assert [status["state"] for status in statuses(stub)] == ["online", "offline"]
        will = await retained(broker.port, wire.up_topic(AGENT, "status"))
        assert will == {"state": "offline", "version": "1.2.3", "boot": BOOT}


async def test_status_is_published_at_once_when_it_changed(tmp_path: Path, broker: Mosquitto) -> None:
    async with collecting(broker.port) as stub, running(tmp_path, broker.port) as agent:
        await stub.until(lambda: len(statuses(stub)) == 1)
        agent.lost_targets = ("gateway",)
        agent.changed.set()
        await stub.until(lambda: len(statuses(stub)) == 2)
        assert statuses(stub)[1]["lost_targets"] == ["gateway"]
        assert not agent.changed.is_set()


async def test_status_is_repeated_and_inventory_only_when_it_changed(tmp_path: Path, broker: Mosquitto) -> None:
    timing = Timing(status_every_s=0.1)
    async with collecting(broker.port) as stub, running(tmp_path, broker.port, timing=timing) as agent:
        await stub.until(lambda: len(statuses(stub)) >= 5)
        assert len(stub.seen["inventory"]) == 1
        agent.interfaces = (wire.Interface(name="eth1"),)
        await stub.until(lambda: len(stub.seen["inventory"]) == 2)
        assert b"eth1" in stub.seen["inventory"][1]


async def test_stopping_delivers_what_is_left_then_says_goodbye(tmp_path: Path, broker: Mosquitto) -> None:
    async with collecting(broker.port) as stub:
        async with running(tmp_path, broker.port) as agent:
            await stub.until(lambda: len(statuses(stub)) == 1)
            appending = fill(agent.spool, range(300))
            await appending
            agent.stopping.set()
        assert stub.indices() == list(range(300))
        assert (await retained(broker.port, wire.up_topic(AGENT, "status")))["state"] == "offline"


@pytest.mark.calm
async def test_stopping_takes_five_seconds_at_most_when_nobody_acknowledges(tmp_path: Path, broker: Mosquitto) -> None:
    async with collecting(broker.port) as stub:
        stub.deaf = True
        async with running(tmp_path, broker.port) as agent:
            await fill(agent.spool, range(10))
            await stub.until(lambda: len(stub.batches) >= 1)
            agent.stopping.set()
            began = time.monotonic()
        assert 3.0 < time.monotonic() - began < 5.5
        assert (await retained(broker.port, wire.up_topic(AGENT, "status")))["state"] == "offline"
    reopened = open_spool(tmp_path)
    assert reopened.state().depth == 10
    await reopened.close()


@pytest.mark.calm
async def test_stopping_without_a_broker_returns_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, free_port(), timing=Timing(reconnect_first_s=30)) as agent:
        await agent.spool.append(measurement(1), dated=True)
        agent.stopping.set()
        began = time.monotonic()
    assert time.monotonic() - began < 2


async def test_a_broker_that_is_away_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="fibrewatch_agent.uplink")
    quick = Timing(reconnect_first_s=0.02, reconnect_cap_s=0.02)
    async with running(tmp_path, free_port(), timing=quick):
        await until(lambda: len([r for r in caplog.records if "no connection" in r.message]) >= 5)
    levels = [record.levelname for record in caplog.records if "no connection" in record.message]
    assert levels[0] == "WARNING"
    assert set(levels[1:]) == {"DEBUG"}


async def test_refused_credentials_are_tried_again_until_they_are_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Mosquitto(tmp_path)
    broker._extra = f"allow_anonymous false\npassword_file {tmp_path}/passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(tmp_path / "passwords"), "u", "p"], check=True)
    broker.start()
    try:
        async with running(tmp_path, broker.port) as agent:
            await agent.spool.append(measurement(1), dated=True)
            await until(lambda: "Not authorized" in caplog.text)
            await asyncio.to_thread(broker.kill)
            broker._extra = ""
            await asyncio.to_thread(broker.start)
            async with collecting(broker.port) as stub:
                await stub.until(lambda: stub.indices() == [1])
    finally:
        broker.kill()


async def test_a_line_that_swallows_everything_is_noticed_and_left(
    tmp_path: Path, broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    assert broker.process is not None
    async with collecting(broker.port) as stub, running(tmp_path, broker.port, keepalive_s=1.0) as agent:
        await stub.until(lambda: len(statuses(stub)) == 1)
        broker.process.send_signal(signal.SIGSTOP)  # connections stay open, and nobody answers
        try:
            await agent.spool.append(measurement(1), dated=True)
            await until(lambda: "no connection" in caplog.text)
        finally:
            broker.process.send_signal(signal.SIGCONT)
        await stub.until(lambda: stub.indices() == [1])


async def test_a_message_that_makes_no_sense_is_ignored(tmp_path: Path, broker: Mosquitto) -> None:
    async with collecting(broker.port) as stub, running(tmp_path, broker.port) as agent:
        await stub.until(lambda: len(statuses(stub)) == 1)
        async with aiomqtt.Client("127.0.0.1", broker.port) as other:
            for payload in (b"", b"{", b'{"stream":"x","through":1}', b"\xff" * 100, b'{"through":-1}'):
                await other.publish(wire.down_topic(AGENT, "ack"), payload, qos=1)
                await other.publish(wire.collector_topic(TERRITORY), payload, qos=1)
        await agent.spool.append(measurement(1), dated=True)
        await stub.until(lambda: stub.indices() == [1])
