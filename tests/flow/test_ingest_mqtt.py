"""From a box's publish to the acknowledgement, over a real Mosquitto into a real store."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from fibrewatch import wire
from fibrewatch.wire import AgentId, Interface, Inventory, Status
from fibrewatch_collector.ingest import Events
from fibrewatch_collector.store import Committed, Filter
from tests.support.ingest_rig import DEADLINE_S, Rig, ScriptedBox, rig, scripted_box
from tests.support.measurements import AGENT, NOON, STREAM, raw_window
from tests.support.mosquitto import Mosquitto
from tests.support.waiting import until

CLONE_STREAM = "00000000000000cc"
OTHER = AgentId("paris", "cargo", "box-02")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as started:
        yield started


def minutes(first: int, count: int, **changes: object) -> list[bytes]:
    return [raw_window(NOON - 86_400 + 60 * number, **changes) for number in range(first, first + count)]


async def push(box: ScriptedBox, raws: list[bytes], agent: AgentId = AGENT, stream: str = STREAM) -> None:
    """As a box does: what isn't acknowledged is sent again from there on, with nothing refused left out."""
    async with asyncio.timeout(DEADLINE_S):
        while (done := box.through(agent, stream)) < len(raws):
            await box.send(raws[done:], done + 1, done + 1, agent, stream)
            seen = box.ack_count
            while box.ack_count == seen:
                await asyncio.sleep(0.01)


async def test_what_is_acknowledged_is_stored(broker: Mosquitto, tmp_path: Path) -> None:
    async with rig(broker.port, tmp_path / "store.db") as found, scripted_box(broker.port) as box:
        for first in range(1, 200, 20):
            await box.send(minutes(first, 20), first)
        while box.through() < 200:
            through = box.through()
            assert len(found.numbers()) >= through
            await asyncio.sleep(0.01)
        assert found.numbers() == list(range(1, 201))
        assert (found.stats.stored, found.stats.received, found.stats.payloads) == (200, 200, 10)
        assert box.ack_count < 10  # several batches in one


async def test_resent_batch_is_stored_once_and_acknowledged_again(broker: Mosquitto, tmp_path: Path) -> None:
    async with rig(broker.port, tmp_path / "store.db") as found, scripted_box(broker.port) as box:
        for _ in range(2):
            box.acks.clear()
            await box.send(minutes(1, 5))
            await box.acknowledged(5)
        assert found.numbers() == [1, 2, 3, 4, 5]
        assert (found.stats.stored, found.stats.duplicates) == (5, 5)


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (raw_window().replace(b"0.0123", b"NaN"), "malformed"),
        (raw_window().replace(b"0.0123", b"-Infinity"), "malformed"),
        (raw_window().replace(b'"sent":60', b'"sent":"many"'), "malformed"),
        (b"{}", "malformed"),
        (b"[" * 5_000 + b"]" * 5_000, "malformed"),
        (raw_window(detail="x").replace(b'"x"', b'"' + b"\xff\xfe" + b'"'), "malformed"),
        (raw_window(detail="x").replace(b'"x"', b'"' + b"x" * 40_000 + b'"'), "oversized"),
        (raw_window(NOON + 86_400), "time_future"),
        (raw_window(NOON - 401 * 86_400), "time_past"),
        (raw_window().replace(b'"lost":0', b'"lost":61'), "counts"),
    ],
    ids=lambda value: value[:20].decode() if isinstance(value, bytes) else value,
)
async def test_poisoned_measurement_blocks_nothing(
    broker: Mosquitto, tmp_path: Path, poison: bytes, reason: str
) -> None:
    raws = [*minutes(1, 3), poison, *minutes(5, 3)]
    async with rig(broker.port, tmp_path / "store.db") as found, scripted_box(broker.port) as box:
        await push(box, raws)
        assert found.numbers() == [1, 2, 3, 5, 6, 7]
        (kept,) = found.store.refusals(Filter(), 10)
        assert (kept.seq, kept.reason) == (4, reason)
        assert found.stats.refused == {reason: 1}
        assert found.store.gaps(Filter(), 10) == []


async def test_cloned_spool_is_quarantined_and_blocks_neither(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    original, clone = minutes(1, 4), [*minutes(1, 2), *minutes(3, 4, test="of-the-clone")]
    async with rig(broker.port, tmp_path / "store.db") as found, scripted_box(broker.port) as box:
        await push(box, original)
        await box.send(clone, 1, 1)
        await box.acknowledged(6)
        assert found.stats.conflicts == 2
        assert [(each.seq, each.reason) for each in found.store.refusals(Filter(), 9)] == [
            (4, "conflict"),
            (3, "conflict"),
        ]
        rows = {each.seq: each.raw for each in found.store.measurements(Filter(), 0, 100)}
        assert [rows[seq] for seq in sorted(rows)] == [*original, *clone[4:]]
    assert [record.levelname for record in caplog.records if "copied" in record.message] == ["ERROR"]


async def test_restarted_stream_starts_from_one_again(broker: Mosquitto, tmp_path: Path) -> None:
    async with rig(broker.port, tmp_path / "store.db") as found, scripted_box(broker.port) as box:
        await push(box, minutes(1, 3))
        await push(box, minutes(4, 3), stream=CLONE_STREAM)
        assert found.numbers() == [1, 1, 2, 2, 3, 3]
        assert found.stats.conflicts == 0


async def test_gap_that_can_no_longer_be_filled_is_closed_and_counted(broker: Mosquitto, tmp_path: Path) -> None:
    async with rig(broker.port, tmp_path / "store.db") as found, scripted_box(broker.port) as box:
        await box.send(minutes(1, 2), 1, 1)
        await box.send(minutes(8, 2), 8, 1)
        await box.acknowledged(2)
        await until(lambda: found.stats.stored == 4)
        assert box.through() == 2
        await box.send(minutes(8, 2), 8, 6)
        await until(lambda: found.stats.lost == 3)
        await box.send(minutes(8, 2), 8, 8)
        await box.acknowledged(9)
        gaps = [(gap.first, gap.last) for gap in found.store.gaps(Filter(), 10)]
        assert sorted(gaps) == [(3, 5), (6, 7)]
        assert found.stats.lost == 5


async def test_ten_thousand_invented_agents_leave_no_trace(broker: Mosquitto, tmp_path: Path) -> None:
    inside = {AGENT, OTHER}
    async with rig(broker.port, tmp_path / "store.db", inside.__contains__) as found, scripted_box(broker.port) as box:
        for number in range(10_000):
            invented = AgentId("paris", "nowhere", f"box-{number}")
            await box.send(minutes(1, 1), agent=invented)
            if number % 1000 == 0:
                await box.send(minutes(number // 1000, 1), 1 + number // 1000)
        await until(lambda: found.stats.unknown_agents == 10_000)
        await box.acknowledged(10)
        assert found.numbers() == list(range(1, 11))
        assert len(found.ingest.unknown) == 50
        assert {agent for agent, _ in box.acks} == {str(AGENT)}
        assert len(found.store.measurements(Filter(), 0, 100)) == 10
        assert found.store.refusals(Filter(), 10) == []
        (agents,) = found.store._db.execute("SELECT count(*) FROM agent").fetchone()
        assert agents == 1


async def test_bad_payloads_are_counted_told_once_and_set_aside(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with rig(broker.port, tmp_path / "store.db") as found, scripted_box(broker.port) as box:
        results = wire.up_topic(AGENT, "results")
        for payload in (b"", b"\xff", b"{", b"[" * 300_000):
            await box.publish(results, payload)
        await box.publish(wire.up_topic(AGENT, "status"), b"not a status")
        await box.publish(f"{wire.ROOT}/PARIS/cargo/box-01/up/results", b"{}")
        await box.publish(f"{wire.ROOT}/paris/cargo/box.01/up/results", b"{}")
        await box.send(minutes(1, 1), agent=OTHER)
        await box.acknowledged(1, OTHER)
        await until(lambda: len(found.store.refusals(Filter(), 10)) == 5)
        assert found.stats.bad_payloads == {"malformed": 4, "oversized": 1, "topic": 2}
        assert found.numbers() == []
        assert (str(AGENT), STREAM) not in box.acks
    assert len([record for record in caplog.records if "bad payload" in record.message]) == 1


async def test_status_and_inventory_are_handed_on(broker: Mosquitto, tmp_path: Path) -> None:
    heard: list[object] = []
    events = Events(
        committed=lambda done, seconds: heard.append(done),
        status=lambda agent, status, at: heard.append((agent, status, at)),
        inventory=lambda agent, inventory, at: heard.append((agent, inventory, at)),
    )
    status = Status(state="online", version="1", boot="0123abcd")
    inventory = Inventory(version="1", interfaces=(Interface(name="eth0"),))
    path = tmp_path / "store.db"
    async with rig(broker.port, path, events=events), scripted_box(broker.port) as box:
        await box.publish(wire.up_topic(AGENT, "status"), wire.encode(status))
        await box.publish(wire.up_topic(AGENT, "inventory"), wire.encode(inventory))
        await until(lambda: len(heard) == 2)
        await box.send(minutes(1, 1))
        await box.acknowledged(1)
    assert heard[:2] == [(AGENT, status, NOON + 61), (AGENT, inventory, NOON + 61)]
    assert isinstance(heard[2], Committed)


async def test_collector_says_in_each_territory_how_it_is(broker: Mosquitto, tmp_path: Path) -> None:
    async with scripted_box(broker.port) as box:
        async with rig(broker.port, tmp_path / "store.db", territories=("paris", "california")) as found:
            await until(lambda: box.states["paris"][-1:] == ["online"] and box.states["california"][-1:] == ["online"])
            found.ingest.set_territories(("paris", "oslo"))
            await until(lambda: box.states["oslo"][-1:] == ["online"] and box.states["california"][-1:] == ["offline"])
            await until(lambda: box.states["paris"][-1:] == ["online"])
        await until(lambda: box.states["paris"][-1:] == ["offline"] and box.states["oslo"][-1:] == ["offline"])


async def test_broker_killed_is_found_again(broker: Mosquitto, tmp_path: Path) -> None:
    async with rig(broker.port, tmp_path / "store.db") as found:
        async with scripted_box(broker.port) as box:
            await push(box, minutes(1, 3))
        broker.kill(wipe=True)
        await until(lambda: not found.stats.connected)
        assert found.stats.state == "offline"
        broker.start()
        await until(lambda: found.stats.connected)
        async with scripted_box(broker.port) as box:
            await until(lambda: box.states["paris"][-1:] == ["online"])
            await push(box, minutes(1, 6))
        assert found.numbers() == [1, 2, 3, 4, 5, 6]
        assert found.stats.duplicates == 3


async def test_flood_of_one_agent_is_dropped_unacknowledged_and_the_others_go_on(
    broker: Mosquitto, tmp_path: Path
) -> None:
    async with rig(broker.port, tmp_path / "store.db") as found, scripted_box(broker.port) as box:
        busy = asyncio.Event()
        stopped = stall(found, busy)
        for number in range(1, 41):
            await box.send(minutes(number, 1), number)
        await box.send(minutes(1, 1), agent=OTHER)
        await until(lambda: found.stats.received == 41)
        dropped = found.stats.dropped
        busy.set()
        await stopped
        await box.acknowledged(1, OTHER)
        assert dropped >= 20
        await push(box, minutes(1, 40))
        assert found.numbers() == list(range(1, 41))


def stall(found: Rig, release: asyncio.Event) -> "asyncio.Future[None]":
    """Keeps the writer's thread busy until released."""
    loop = asyncio.get_running_loop()
    return asyncio.wrap_future(
        found.ingest.writer.call(lambda: asyncio.run_coroutine_threadsafe(wait_for(release), loop).result(DEADLINE_S))
    )


async def wait_for(event: asyncio.Event) -> None:
    await event.wait()
