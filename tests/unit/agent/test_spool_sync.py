"""`sync_every`: what is acknowledged in time never reaches the card; what is not does, and nothing else changes."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

from fibrewatch_agent.spool import Spool
from fibrewatch_agent.spool.memory import MEMORY_ROWS
from tests.support.spooled import NOW, drain, fill, indices, measurement, open_spool

LONG_S = 3600.0


def written(folder: Path) -> int:
    """Rows of the file as they would be found after a power cut."""
    copy = folder / "copy.sqlite"
    for end in ("", "-wal"):
        copy.with_name(copy.name + end).write_bytes((folder / f"spool.sqlite{end}").read_bytes())
    with sqlite3.connect(copy) as db:
        return int(db.execute("SELECT count(*) FROM measurement").fetchone()[0])


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


async def test_what_is_acknowledged_in_time_is_never_written(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, sync_s=LONG_S)
    before = [path.read_bytes() for path in sorted(tmp_path.glob("spool.sqlite*"))]
    for i in range(100):
        assert await spool.append(measurement(i), dated=True) == i + 1
        assert spool.state().depth == 1
        assert indices(await drain(spool)) == [i]
    assert [path.read_bytes() for path in sorted(tmp_path.glob("spool.sqlite*"))] == before
    await spool.close()


async def test_what_is_not_is_written_when_its_time_is_over_without_another_coming(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, sync_s=0.3)
    await fill(spool, range(3))
    await until(lambda: written(tmp_path) == 3)
    assert indices(await drain(spool)) == [0, 1, 2]
    await spool.close()


async def test_the_end_writes_all(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, sync_s=LONG_S)
    await fill(spool, range(5))
    await spool.close()
    again = open_spool(tmp_path)
    assert indices(await drain(again)) == [0, 1, 2, 3, 4]
    await again.close()


async def test_much_is_written_before_memory_must_drop(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, sync_s=LONG_S)
    await fill(spool, range(MEMORY_ROWS + 500))
    assert written(tmp_path) > MEMORY_ROWS // 2
    assert spool.state().dropped == 0
    assert indices(await drain(spool)) == list(range(MEMORY_ROWS + 500))
    await spool.close()


async def test_an_earlier_start_s_rows_are_handed_out_and_forgotten_as_ever(tmp_path: Path) -> None:
    first = open_spool(tmp_path)
    await fill(first, range(4))
    await first.close()
    second = open_spool(tmp_path, sync_s=LONG_S)
    await fill(second, range(4, 8))
    assert indices(await drain(second)) == list(range(8))
    await second.close()
    third = open_spool(tmp_path, sync_s=LONG_S)
    assert await third.next() is None
    await third.close()


async def test_what_waits_for_the_clock_waits_in_memory_too_and_is_dated(tmp_path: Path) -> None:
    spool: Spool = open_spool(tmp_path, sync_s=LONG_S)
    await spool.append(measurement(1), dated=False)
    assert await spool.next() is None
    await spool.redate(NOW)
    assert indices(await drain(spool)) == [1]
    await spool.close()
