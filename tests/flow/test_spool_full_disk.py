"""A disk that is full: nothing that fits in memory is lost, what is dropped is told exactly, room is noticed."""

import logging
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fibrewatch_agent.spool import Spool, memory
from tests.support.small_disk import occupy, small_disk
from tests.support.spooled import NOW, drain, fill, held, indices, measurement, open_spool
from tests.support.waiting import until

MIB = 2**20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    with small_disk(tmp_path / "disk", "2m") as folder:
        yield folder


@pytest.fixture
async def spool(disk: Path) -> AsyncIterator[Spool]:
    opened = open_spool(disk)
    yield opened
    await opened.close()


async def fill_up(spool: Spool, start: int = 0) -> int:
    """Appends until the disk refuses; returns how many there are then."""
    count = start
    while spool.state().state == "ok":
        await spool.append(measurement(count, size=700), dated=True)
        count += 1
        assert count < 10_000
    return count


async def test_full_is_said_once_and_nothing_is_lost(
    spool: Spool, disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    occupied = occupy(disk)
    count = await fill_up(spool)
    await fill(spool, range(count, count + 500))
    state = spool.state()
    assert (state.state, state.depth, state.dropped) == ("full", count + 500, 0)
    assert [r.levelno for r in caplog.records if r.levelno >= logging.WARNING] == [logging.ERROR]
    assert "the disk refuses, measurements wait in memory" in caplog.text
    assert indices(await drain(spool)) == list(range(count + 500))
    assert spool.state().depth == 0
    occupied.unlink()


async def test_room_is_noticed_without_a_restart(spool: Spool, disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    occupied = occupy(disk)
    count = await fill_up(spool)
    await fill(spool, range(count, count + 100))
    occupied.unlink()
    await until(lambda: spool.state().state == "ok")
    assert "the disk takes measurements again" in caplog.text
    await spool.close()
    reopened = open_spool(disk)
    assert indices(await drain(reopened)) == list(range(count + 100))
    await reopened.close()


async def test_memory_is_bounded_and_what_it_dropped_is_told_exactly(spool: Spool, disk: Path) -> None:
    occupied = occupy(disk)
    on_disk = await fill_up(spool) - 1  # the last one found the disk full
    total = on_disk + memory.MEMORY_ROWS + 300
    await fill(spool, range(on_disk + 1, total))
    assert spool.state().dropped == 300
    assert spool.state().depth == total - 300
    occupied.unlink()
    await until(lambda: spool.state().state == "ok")
    taken = await drain(spool)
    assert indices(taken) == [*range(on_disk), *range(on_disk + 300, total)]
    (told,) = [data["result"] for data in taken.values() if data["probe"] == "spool"]
    assert (told["cause"], told["stream"], told["dropped"]) == ("disk_full", spool.stream, 300)
    assert (told["first"], told["last"]) == (on_disk + 1, on_disk + 300)


async def test_a_gap_ends_a_batch_and_the_next_header_closes_it(spool: Spool, disk: Path) -> None:
    occupied = occupy(disk)
    on_disk = await fill_up(spool) - 1
    total = on_disk + memory.MEMORY_ROWS + 10
    await fill(spool, range(on_disk + 1, total))
    last = 0
    while last < on_disk:
        chunk = await spool.next()
        assert chunk is not None and chunk.first == last + 1
        last = chunk.last
    assert last == on_disk
    await spool.acknowledge(spool.stream, last)
    chunk = await spool.next()
    assert chunk is not None and chunk.first == on_disk + 11
    assert b'"oldest":%d,' % chunk.first in chunk.payload[:90]
    occupied.unlink()


async def test_memory_is_bounded_in_bytes(spool: Spool, disk: Path) -> None:
    occupied = occupy(disk)
    on_disk = await fill_up(spool) - 1
    await fill(spool, range(on_disk + 1, on_disk + 301), size=30_000)
    waiting = spool.state().depth - on_disk
    assert 130 <= waiting <= memory.MEMORY_BYTES // 30_000
    assert spool.state().dropped == 301 - waiting
    occupied.unlink()


async def test_acknowledged_rows_are_deleted_on_a_full_disk_and_make_room(spool: Spool, disk: Path) -> None:
    occupied = occupy(disk)
    count = await fill_up(spool)
    occupied.unlink()
    await until(lambda: spool.state().state == "ok")
    occupy(disk)
    count = await fill_up(spool, count)
    await drain(spool)
    await fill(spool, range(count, count + 100), size=700)
    await spool.close()  # the disk is as full as before: what was just appended can only lie where rows were deleted
    reopened = open_spool(disk)
    assert indices(await drain(reopened)) == list(range(count, count + 100))
    await reopened.close()


async def test_a_start_on_a_full_disk_works_from_memory(disk: Path) -> None:
    occupied = occupy(disk)
    spool = open_spool(disk)
    await fill(spool, range(200))
    assert (spool.state().state, spool.state().depth) == ("full", 200)
    chunk = await spool.next()
    assert chunk is not None and list(held(chunk)) == list(range(1, 101))
    await spool.acknowledge(chunk.stream, chunk.last)
    occupied.unlink()
    await until(lambda: spool.state().state == "ok")
    assert spool.state().depth == 100
    await spool.close()
    reopened = open_spool(disk)
    assert indices(await drain(reopened)) == list(range(100, 200))
    await reopened.close()


async def test_a_start_on_a_full_disk_still_delivers_an_older_stream_first(disk: Path) -> None:
    first = open_spool(disk)
    await fill(first, range(400), size=700)
    await first.close()
    occupied = occupy(disk)
    second = open_spool(disk)
    await fill(second, range(400, 430))
    assert second.state().depth == 430
    taken = await drain(second)
    assert indices(taken) == list(range(430))
    assert [stream for stream, _ in taken] == [first.stream] * 400 + [second.stream] * 30
    assert second.state().depth == 0
    occupied.unlink()
    await until(lambda: second.state().state == "ok")
    await second.close()
    third = open_spool(disk)
    assert await third.next() is None  # what could not be deleted on the full disk was deleted later
    await third.close()


async def test_what_waits_for_the_clock_is_dated_though_the_disk_was_full(spool: Spool, disk: Path) -> None:
    for i in range(50):
        await spool.append(measurement(i, size=700), dated=False)
    occupied = occupy(disk)
    while spool.state().state == "ok":
        await spool.append(measurement(50, size=30_000), dated=False)
    await spool.redate(NOW - 86_400.0)
    occupied.unlink()
    await until(lambda: spool.state().state == "ok")
    taken = await drain(spool)
    assert indices(taken)[:51] == list(range(51))
    assert {data["started_at"][:10] for data in taken.values()} == {"2027-01-14"}


async def test_a_disk_that_takes_no_write_is_survived(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    await fill(spool, range(10))
    with every_write_failing():
        await fill(spool, range(10, 20))
        assert (spool.state().state, spool.state().depth) == ("full", 20)
    assert "the disk refuses, measurements wait in memory" in caplog.text
    await until(lambda: spool.state().state == "ok")
    assert indices(await drain(spool)) == list(range(20))


@contextmanager
def every_write_failing() -> Iterator[None]:
    """To any file, by EFBIG: a file system can't be made read-only while the spool has files open on it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
