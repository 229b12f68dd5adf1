"""The collector's disk is full: nothing is acknowledged, it says so, and it goes on by itself when there is room."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from fibrewatch.wire import AgentId
from fibrewatch_collector.store import Filter
from tests.support.ingest_rig import rig, scripted_box
from tests.support.measurements import NOON, raw_window
from tests.support.mosquitto import Mosquitto
from tests.support.small_disk import occupy, small_disk
from tests.support.waiting import until

MOST = 20_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    with small_disk(tmp_path / "disk", "3m") as folder:
        yield folder


def box_number(number: int) -> AgentId:
    return AgentId("paris", "cargo", f"box-{number:02d}")


async def test_full_disk_degrades_and_recovers_without_a_restart(tmp_path: Path, disk: Path) -> None:
    raws = [raw_window(NOON - 86_400 + 60 * number) for number in range(100)]
    with Mosquitto(tmp_path) as broker:
        async with rig(broker.port, disk / "store.db") as found, scripted_box(broker.port) as box:
            await until(lambda: box.states["paris"] == ["online"])
            await box.send(raws, agent=box_number(0))
            await box.acknowledged(100, box_number(0))
            hog = occupy(disk)
            sent = 0
            while found.stats.state != "degraded":  # what was preallocated takes some more
                sent += 1
                assert sent < 100
                await box.send(raws, agent=box_number(sent))
                await asyncio.sleep(0.1)
            await until(lambda: box.states["paris"] == ["online", "degraded"])
            await until(lambda: found.stats.store_failures >= 3)
            assert "full" in (found.stats.store_problem or "")
            assert_acknowledged_is_stored(box.acks, found.store.measurements(Filter(), 0, MOST))
            hog.unlink()
            await until(lambda: box.states["paris"] == ["online", "degraded", "online"])
            for number in range(1, sent + 1):
                if box.through(box_number(number)) < 100:
                    await box.send(raws, agent=box_number(number))
                await box.acknowledged(100, box_number(number))
            rows = found.store.measurements(Filter(), 0, MOST)
            assert sorted((each.agent, each.seq) for each in rows) == [
                (box_number(number), seq) for number in range(sent + 1) for seq in range(1, 101)
            ]
            assert found.stats.gave_up == 0


def assert_acknowledged_is_stored(acks: dict[tuple[str, str], int], rows: list[object]) -> None:
    stored = {(str(row.agent), row.stream, row.seq) for row in rows}  # type: ignore[attr-defined]
    for (agent, stream), through in acks.items():
        assert all((agent, stream, seq) in stored for seq in range(1, through + 1))
