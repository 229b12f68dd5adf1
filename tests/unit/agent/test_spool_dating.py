"""What was measured before the clock was good waits, is dated, or says that it is not."""

from datetime import UTC, datetime
from pathlib import Path

from tests.support.spooled import NOW, drain, held, indices, measurement, open_spool

EPOCH = NOW - 1000.0


async def test_undated_ones_wait_and_so_does_what_follows_in_their_stream(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    await spool.append(measurement(1), dated=True)
    await spool.append(measurement(2), dated=False)
    await spool.append(measurement(3), dated=True)
    assert indices(await drain(spool)) == [1]
    assert await spool.next() is None
    assert spool.state().depth == 2
    await spool.close()


async def test_redate_reckons_from_the_boot_clock_and_changes_nothing_else(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    for i in range(300):
        await spool.append(measurement(i, size=600, at=86_400.0), dated=False)
    await spool.redate(EPOCH)
    taken = await drain(spool)
    assert indices(taken) == list(range(300))
    for i, data in enumerate(taken.values()):
        assert datetime.fromisoformat(data["started_at"]) == datetime.fromtimestamp(EPOCH + i, UTC)
        assert (data["boottime_s"], data.get("reasons")) == (float(i), None)
    await spool.close()


async def test_what_may_have_been_sent_is_never_dated_again(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    await spool.append(measurement(1), dated=True)
    await spool.append(measurement(2), dated=False)
    await spool.redate(EPOCH)
    sent = await spool.next()
    await spool.redate(EPOCH + 50)
    assert sent is not None
    assert await spool.again(sent.stream, sent.first, sent.last) == sent
    await spool.close()
    reopened = open_spool(tmp_path)
    await reopened.redate(EPOCH + 99)
    assert await reopened.next() == sent
    await reopened.close()


async def test_a_new_start_in_the_same_boot_can_still_date(tmp_path: Path) -> None:
    first = open_spool(tmp_path)
    await first.append(measurement(5), dated=False)
    await first.close()
    second = open_spool(tmp_path)
    assert await second.next() is None
    await second.redate(EPOCH)
    (data,) = (await drain(second)).values()
    assert datetime.fromisoformat(data["started_at"]).timestamp() == EPOCH + 5
    await second.close()


async def test_after_another_boot_it_says_undated(tmp_path: Path) -> None:
    first = open_spool(tmp_path)
    for i in range(3):
        await first.append(measurement(i), dated=False)
    await first.close()
    second = open_spool(tmp_path, boot="ffffffff")
    await second.append(measurement(3, boot="ffffffff"), dated=True)
    taken = await drain(second)
    assert indices(taken) == [0, 1, 2, 3]
    assert [data.get("reasons") for data in taken.values()] == [["undated"]] * 3 + [None]
    await second.close()


async def test_released_ones_say_undated_and_later_ones_do_not_wait(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    await spool.append(measurement(1), dated=False)
    await spool.release_undated()
    await spool.append(measurement(2), dated=False)
    chunk = await spool.next()
    assert chunk is not None
    assert [data["reasons"] for data in held(chunk).values()] == [["undated"], ["undated"]]
    await spool.redate(EPOCH)
    assert await spool.again(chunk.stream, 1, 2) == chunk
    await spool.append(measurement(3), dated=False)
    assert await spool.next() is None
    await spool.close()


async def test_a_younger_stream_does_not_wait_for_an_older_one(tmp_path: Path) -> None:
    first = open_spool(tmp_path)
    await first.append(measurement(1), dated=True)
    await first.append(measurement(2), dated=False)
    await first.close()
    second = open_spool(tmp_path)
    await second.append(measurement(3), dated=True)
    assert indices(await drain(second)) == [1, 3]
    await second.redate(EPOCH)
    assert indices(await drain(second)) == [2]
    await second.close()
