"""The spool: numbers, streams, acknowledgements, damage, lock."""

import asyncio
import fcntl
import logging
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from fibrewatch import wire
from fibrewatch.errors import StoreError
from tests.support.spooled import NOW, drain, held, indices, measurement, oldest, open_spool


async def test_numbers_begin_with_one_and_follow_each_other(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    assert [await spool.append(measurement(i), dated=True) for i in range(3)] == [1, 2, 3]
    assert await asyncio.gather(*(spool.append(measurement(i), dated=True) for i in range(3, 40))) == list(range(4, 41))
    assert indices(await drain(spool)) == list(range(40))
    await spool.close()


async def test_payload_is_byte_for_byte_what_the_contract_encodes(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    await spool.append(measurement(7), dated=True)
    chunk = await spool.next()
    assert chunk is not None
    raw = wire.encode(measurement(7))
    header = f'{{"stream":"{spool.stream}","first":1,"oldest":1,"measurements":['.encode()
    assert chunk.payload == header + raw + b"]}"
    await spool.close()


async def test_nothing_new_is_none(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    assert await spool.next() is None
    await spool.append(measurement(1), dated=True)
    assert await spool.next() is not None
    assert await spool.next() is None
    await spool.close()


async def test_what_was_not_acknowledged_is_there_after_a_new_start_before_the_new_stream(tmp_path: Path) -> None:
    first = open_spool(tmp_path)
    for i in range(5):
        await first.append(measurement(i), dated=True)
    assert await first.next() is not None
    await first.acknowledge(first.stream, 2)
    await first.close()

    second = open_spool(tmp_path)
    assert second.stream != first.stream
    await second.append(measurement(5), dated=True)
    assert second.state().depth == 4
    taken = await drain(second)
    assert list(taken) == [(first.stream, 3), (first.stream, 4), (first.stream, 5), (second.stream, 1)]
    assert indices(taken) == [2, 3, 4, 5]
    await second.close()
    third = open_spool(tmp_path)
    assert await third.next() is None
    await third.close()


async def test_a_resend_has_the_same_bytes_and_the_oldest_number_of_now(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    for i in range(6):
        await spool.append(measurement(i), dated=True)
    chunk, rest = await spool.next(3), await spool.next(3)
    assert chunk is not None and rest is not None
    assert await spool.again(chunk.stream, 1, 3) == chunk
    assert oldest(rest) == 1
    await spool.acknowledge(chunk.stream, 3)
    again = await spool.again(rest.stream, 4, 6)
    assert again is not None
    assert held(again) == held(rest)
    assert oldest(again) == 4
    assert await spool.again(chunk.stream, 1, 3) is None
    await spool.close()


async def test_a_resend_after_a_restart_has_the_same_bytes(tmp_path: Path) -> None:
    first = open_spool(tmp_path)
    await first.append(measurement(1), dated=True)
    before = await first.next()
    await first.close()
    second = open_spool(tmp_path)
    assert await second.next() == before
    await second.close()


async def test_a_batch_keeps_both_limits(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    await asyncio.gather(*(spool.append(measurement(i), dated=True) for i in range(130)))
    await asyncio.gather(*(spool.append(measurement(i, size=30_000), dated=True) for i in range(130, 140)))
    lengths = []
    while (chunk := await spool.next()) is not None:
        lengths.append(chunk.last - chunk.first + 1)
        assert len(chunk.payload) <= 200 * 1024
    assert lengths == [100, 36, 4]
    await spool.close()


async def test_acks_twice_late_and_for_unknown_streams_are_harmless(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    for i in range(4):
        await spool.append(measurement(i), dated=True)
    await spool.next(2)
    for through in (2, 1, 2, 0):
        await spool.acknowledge(spool.stream, through)
    await spool.acknowledge("f" * 16, 3)
    assert spool.state().depth == 2
    assert indices(await drain(spool)) == [2, 3]
    await spool.close()


async def test_an_ack_beyond_what_was_sent_is_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = open_spool(tmp_path)
    for i in range(4):
        await spool.append(measurement(i), dated=True)
    await spool.next(2)
    await spool.acknowledge(spool.stream, 3)
    assert "ignored an ack beyond what was sent" in caplog.text
    assert spool.state().depth == 4
    await spool.acknowledge(spool.stream, 2)
    assert indices(await drain(spool)) == [2, 3]
    await spool.close()


async def test_what_a_broken_connection_took_is_handed_out_anew(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    for i in range(4):
        await spool.append(measurement(i), dated=True)
    await spool.next(2)
    await spool.next(2)
    await spool.rewind({spool.stream: 2})
    chunk = await spool.next()
    assert chunk is not None and (chunk.first, chunk.last) == (3, 4)
    await spool.rewind({})
    chunk = await spool.next()
    assert chunk is not None and (chunk.first, chunk.last) == (1, 4)
    await spool.close()


async def test_notify_tells_that_there_is_something_to_send(tmp_path: Path) -> None:
    spool, told = open_spool(tmp_path), asyncio.Event()
    spool.notify = told.set
    await spool.append(measurement(1), dated=True)
    assert told.is_set()
    await spool.close()


async def test_state_counts_what_is_held(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    empty = spool.state()
    assert (empty.state, empty.depth, empty.dropped, empty.oldest_at) == ("ok", 0, 0, None)
    await spool.append(measurement(3), dated=True)
    await spool.append(measurement(4), dated=True)
    state = spool.state()
    assert state.depth == 2
    assert state.oldest_at is not None and state.oldest_at.timestamp() == NOW + 3
    on_disk = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert state.size_bytes == on_disk
    await spool.close()


async def test_a_second_process_is_refused_with_one_line(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    with pytest.raises(StoreError) as refused:
        open_spool(tmp_path)
    assert str(refused.value) == f"{tmp_path}/spool.sqlite: another fibrewatch-agent holds this spool"
    await spool.close()
    await open_spool(tmp_path).close()


async def test_the_lock_ends_with_a_spool_that_could_not_be_opened(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "spool.sqlite") as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(StoreError):
        open_spool(tmp_path)
    with (tmp_path / "spool.sqlite.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


async def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"spool\.sqlite: No such file or directory"):
        open_spool(tmp_path / "missing")


async def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "spool.sqlite") as db:
        db.execute("CREATE TABLE kept (x)")
        db.execute("PRAGMA user_version=2")
    db.close()
    before = (tmp_path / "spool.sqlite").read_bytes()
    with pytest.raises(StoreError, match=r"a newer fibrewatch-agent wrote this spool \(schema 2, here 1\)"):
        open_spool(tmp_path)
    with sqlite3.connect(tmp_path / "spool.sqlite") as db:
        assert db.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    db.close()
    assert len((tmp_path / "spool.sqlite").read_bytes()) == len(before)


@pytest.mark.parametrize("damage", [b"this is no database" * 500, b"SQLite format 3\0" + b"\xff" * 8000])
async def test_a_damaged_file_is_moved_aside_and_a_fresh_one_begun(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    (tmp_path / "spool.sqlite").write_bytes(damage)
    spool = open_spool(tmp_path)
    kept = list(tmp_path.glob("spool.sqlite.damaged-*"))
    assert [file.read_bytes() for file in kept] == [damage]
    assert [record.levelno for record in caplog.records if "damaged" in record.message] == [logging.ERROR]
    await spool.append(measurement(1), dated=True)
    assert indices(await drain(spool)) == [1]
    await spool.close()


async def test_a_database_without_our_tables_is_moved_aside(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "spool.sqlite") as db:
        db.execute("CREATE TABLE other (x)")
        db.execute("PRAGMA user_version=1")
    db.close()
    spool = open_spool(tmp_path)
    assert len(list(tmp_path.glob("spool.sqlite.damaged-*"))) == 1
    assert await spool.append(measurement(1), dated=True) == 1
    await spool.close()


async def test_damage_found_at_the_start_of_an_old_stream_costs_only_what_was_in_the_file(tmp_path: Path) -> None:
    first = open_spool(tmp_path)
    for i in range(200):
        await first.append(measurement(i, size=500), dated=True)
    await first.close()
    overwrite_pages(tmp_path / "spool.sqlite", 5, 40)
    second = open_spool(tmp_path)
    await second.append(measurement(200), dated=True)
    assert indices(await drain(second)) == [200]
    assert len(list(tmp_path.glob("spool.sqlite.damaged-*"))) == 1
    assert second.state().state == "ok"
    await second.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE measurement SET kind = 7 WHERE (key & 1023) = 50",
        "UPDATE measurement SET started_at = 1e300 WHERE (key & 1023) = 50",
        "UPDATE measurement SET started_at = -9e999 WHERE (key & 1023) = 50",
        "UPDATE stream SET id = 'no id of a stream'",
        "UPDATE stream SET id = CAST(x'ff00ff00ff00ff00ff00ff00ff00ff00' AS TEXT)",
        "INSERT INTO dropped VALUES ('00000000000000aa', 'witchcraft', 1, 1, 1, NULL, NULL)",
    ],
)
async def test_rows_that_we_never_wrote_are_damage_too(tmp_path: Path, damage: str) -> None:
    first = open_spool(tmp_path)
    for i in range(60):
        await first.append(measurement(i), dated=True)
    await first.close()
    with sqlite3.connect(tmp_path / "spool.sqlite") as db:
        db.execute(damage)
    db.close()
    await outlives(tmp_path)


async def test_a_schema_that_is_not_text_is_damage(tmp_path: Path) -> None:
    await open_spool(tmp_path).close()
    file = tmp_path / "spool.sqlite"
    file.write_bytes(file.read_bytes().replace(b"CREATE TABLE measurement", b"CREATE T\xff\xfeLE measurement"))
    await outlives(tmp_path)


async def outlives(folder: Path) -> None:
    """A spool whose file is damaged keeps and gives what is measured from now on; the file is kept beside it."""
    spool = open_spool(folder)
    await spool.append(measurement(1000), dated=True)
    await drain(spool)
    await spool.append(measurement(1001), dated=True)
    assert indices(await drain(spool))[-1:] == [1001]
    assert len(list(folder.glob("spool.sqlite.damaged-*[0-9]"))) == 1
    assert (spool.state().state, spool.state().depth) == ("ok", 0)
    await spool.close()
    assert indices(await drained_anew(folder)) == []


async def drained_anew(folder: Path) -> dict[tuple[str, int], Any]:
    """What a new start still finds."""
    spool = open_spool(folder)
    taken = await drain(spool)
    await spool.close()
    return taken


async def test_damage_while_running_is_survived_and_told(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    await asyncio.gather(*(spool.append(measurement(i, size=30_000), dated=True) for i in range(200)))
    assert await spool.next(2) is not None
    await spool.acknowledge(spool.stream, 1)
    overwrite_pages(tmp_path / "spool.sqlite", 5, 1600)
    while spool.state().depth > 100:  # the first pages may still be in SQLite's cache
        chunk = await spool.next(100)
        if chunk is not None:
            await spool.acknowledge(chunk.stream, chunk.last)
    taken = await drain(spool)
    (told,) = [data["result"] for data in taken.values() if data["probe"] == "spool"]
    assert (told["cause"], told["stream"], told["last"]) == ("damaged", spool.stream, 200)
    assert told["dropped"] == told["last"] - told["first"] + 1
    assert await spool.append(measurement(201), dated=True) == 202
    assert indices(await drain(spool)) == [201]
    await spool.close()


def overwrite_pages(file: Path, first: int, end: int) -> None:
    with file.open("r+b") as f:
        f.seek(first * 4096)
        f.write(b"\xff" * (end - first) * 4096)


async def test_a_result_that_no_collector_could_take_goes_without_it(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    await spool.append(measurement(1, size=wire.MAX_MEASUREMENT_BYTES), dated=True)
    await spool.append(measurement(2), dated=True)
    big, small = (await drain(spool)).values()
    assert (big["outcome"], big["verdict"], big.get("result")) == ("failed", "invalid", None)
    assert "32768 at most" in big["detail"]
    assert small["result"]["index"] == 2
    await spool.close()


async def test_after_close_nothing_more_is_taken(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    await spool.close()
    await spool.close()
    with pytest.raises(StoreError, match="the spool is closed"):
        await spool.append(measurement(1), dated=True)


async def test_an_older_stream_whose_rows_are_all_gone_lends_its_name_to_no_other(tmp_path: Path) -> None:
    first = open_spool(tmp_path, max_bytes=2**20)
    await first.append(measurement(0), dated=True)
    await first.close()
    second = open_spool(tmp_path, max_bytes=2**20)
    await asyncio.gather(*(second.append(measurement(i, size=20_000), dated=True) for i in range(1, 16)))
    assert second.state().dropped > 0
    chunk = await second.next()
    assert chunk is not None and chunk.stream == second.stream
    await second.close()
