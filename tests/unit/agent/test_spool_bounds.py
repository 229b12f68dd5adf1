"""The spool's bounds: what is dropped is the oldest, told exactly once, and the files stay within."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.spooled import NOW, drain, fill, indices, measurement, open_spool

MIB = 2**20
DAY_S = 86_400.0


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def drops(taken: dict[tuple[str, int], Any]) -> list[dict[str, Any]]:
    return [data["result"] for data in taken.values() if data["probe"] == "spool"]


def numbers(taken: dict[tuple[str, int], Any], stream: str) -> Iterator[int]:
    return (number for of, number in taken if of == stream)


@pytest.mark.parametrize("size", [0, 700, 1900, 2200, 30_000])
async def test_files_stay_within_the_bound_whatever_the_rows_size(tmp_path: Path, size: int) -> None:
    spool = open_spool(tmp_path, max_bytes=MIB)
    largest, count = 0, 2 * MIB // (size + 400)
    for i in range(0, count, 5):  # five share an fsync
        await fill(spool, range(i, min(i + 5, count)), size=size)
        largest = max(largest, size_of(tmp_path))
    assert largest <= MIB
    assert spool.state().dropped > 0
    taken = await drain(spool)
    kept = indices(taken)
    assert kept == list(range(kept[0], count))
    assert sum(drop["dropped"] for drop in drops(taken)) == kept[0]
    await spool.close()


async def test_bytes_drop_the_oldest_and_one_measurement_tells_it_all(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, max_bytes=MIB)
    await fill(spool, range(3000), size=500)
    first = await spool.next()
    assert first is not None
    dropped = first.first - 1
    assert spool.state().dropped == dropped
    await spool.rewind({})
    taken = await drain(spool)
    told = drops(taken)[0]
    assert (told["cause"], told["stream"], told["first"], told["last"]) == ("bytes", spool.stream, 1, dropped)
    assert told["dropped"] == dropped
    assert told["oldest_at"] == "2027-01-15T08:00:00Z"
    assert indices(taken) == list(range(dropped, 3000))
    await spool.close()


async def test_a_drop_is_told_after_a_restart_in_the_new_stream(tmp_path: Path) -> None:
    first = open_spool(tmp_path, max_bytes=MIB)
    await fill(first, range(3000), size=500)
    dropped = first.state().dropped
    await first.close()
    second = open_spool(tmp_path, max_bytes=MIB)
    assert second.state().dropped == 0
    await second.append(measurement(3000), dated=True)
    taken = await drain(second)
    (told,) = drops(taken)
    assert (told["stream"], told["first"], told["last"], told["dropped"]) == (first.stream, 1, dropped, dropped)
    assert list(numbers(taken, second.stream)) == [1, 2]
    await second.close()


async def test_a_drop_that_was_told_is_not_told_again(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, max_bytes=MIB)
    await fill(spool, range(3000), size=500)
    await drain(spool)
    await spool.append(measurement(3000), dated=True)
    assert drops(await drain(spool)) == []
    await spool.close()
    again = open_spool(tmp_path, max_bytes=MIB)
    await again.append(measurement(3001), dated=True)
    assert drops(await drain(again)) == []
    await again.close()


async def test_what_tells_of_a_drop_is_not_dropped_itself(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, max_bytes=MIB)
    for turn in range(3):
        await fill(spool, range(turn * 3000, turn * 3000 + 3000), size=500)
        await spool.next()  # looks for something to send: the drops are told
    lost = spool.state().dropped
    await spool.rewind({})
    taken = await drain(spool)
    assert len(drops(taken)) >= 3
    assert sum(drop["dropped"] for drop in drops(taken)) == lost
    assert len(indices(taken)) == 9000 - lost
    await spool.close()


async def test_age_drops_the_oldest_of_an_earlier_stream(tmp_path: Path) -> None:
    first = open_spool(tmp_path, max_age_s=DAY_S)
    for i in range(10):
        await first.append(measurement(i), dated=True)
    await first.close()
    second = open_spool(tmp_path, max_age_s=DAY_S, clock=lambda: NOW + DAY_S + 4.5)
    assert second.state().depth == 10
    await second.append(measurement(10, at=NOW + DAY_S), dated=True)
    taken = await drain(second)
    (told,) = drops(taken)
    assert (told["cause"], told["dropped"], told["first"], told["last"]) == ("age", 5, 1, 5)
    assert told["oldest_at"] == "2027-01-15T08:00:00Z"
    assert told["newest_at"] == "2027-01-15T08:00:04Z"
    assert indices(taken) == [5, 6, 7, 8, 9, 10]
    await second.close()


async def test_a_clock_that_is_not_good_drops_nothing_for_its_age(tmp_path: Path) -> None:
    first = open_spool(tmp_path, max_age_s=DAY_S)
    await fill(first, range(5))
    await first.close()
    second = open_spool(tmp_path, max_age_s=DAY_S, clock=lambda: NOW + 400 * DAY_S)
    await second.append(measurement(5), dated=False)
    await second.release_undated()
    assert (second.state().depth, second.state().dropped) == (6, 0)
    assert indices(await drain(second)) == [0, 1, 2, 3, 4, 5]
    await second.close()


async def test_a_clock_set_years_ahead_makes_nothing_old(tmp_path: Path) -> None:
    """Nor does it after a restart; what is too old by the time that passed goes all the same, on either clock."""
    ahead = NOW + 5000 * DAY_S
    for clock, at in ((NOW, 0.0), (ahead, 0.5), (ahead + 60, 0.6), (NOW + 0.7 * DAY_S, 0.7)):
        spool = open_spool(tmp_path, max_age_s=2 * DAY_S, clock=lambda clock=clock: clock)
        await spool.append(measurement(round(10 * at), at=clock), dated=True)
        assert (spool.state().depth, spool.state().dropped) == (sum(at >= each for each in (0, 0.5, 0.6, 0.7)), 0)
        await spool.close()
    later = open_spool(tmp_path, max_age_s=2 * DAY_S, clock=lambda: NOW + 4 * DAY_S)
    for day in (1.6, 2.5, 3.4, 4.0):
        await later.append(measurement(round(10 * day), at=NOW + day * DAY_S), dated=True)
    taken = await drain(later)
    assert indices(taken) == [5, 6, 25, 34, 40]
    assert {told["cause"] for told in drops(taken)} == {"age"}
    assert sum(told["dropped"] for told in drops(taken)) == 3
    await later.close()


async def test_a_spool_whose_clock_stays_ahead_is_still_bounded_by_age(tmp_path: Path) -> None:
    now = [NOW]
    spool = open_spool(tmp_path, max_age_s=2 * DAY_S, clock=lambda: now[0])
    await spool.append(measurement(0), dated=True)
    for hours in range(0, 72, 12):
        now[0] = NOW + 5000 * DAY_S + hours * 3600
        await spool.append(measurement(1 + hours, at=now[0]), dated=True)
    assert indices(await drain(spool)) == [13, 25, 37, 49, 61]
    await spool.close()


async def test_an_emptied_spool_gives_the_disk_back(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    await fill(spool, range(300), size=30_000)
    assert size_of(tmp_path) > 9 * MIB
    await drain(spool)
    assert size_of(tmp_path) < MIB
    await spool.append(measurement(300), dated=True)
    assert indices(await drain(spool)) == [300]
    await spool.close()
