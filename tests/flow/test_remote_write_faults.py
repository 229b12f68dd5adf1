"""Remote write from a real store to servers that are away, strict, in no hurry or full of lies; waiting is reckoned."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from fibrewatch.measurement import UNDATED, AnyMeasurement
from fibrewatch.results import PROBES
from fibrewatch.wire import AgentId, encode
from fibrewatch_collector.config import RemoteWrite
from fibrewatch_collector.exposition import Exposition
from fibrewatch_collector.remote_write import sender
from fibrewatch_collector.remote_write.feed import Feed
from fibrewatch_collector.remote_write.samples import Sampler
from fibrewatch_collector.stats import RemoteStats
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.support.measurements import AGENT, NOON, STREAM, delivery, good, raw_window, window
from tests.support.remote_write import Judge, Receiver, Written, takes_all

RTT = "fibrewatch_ping_rtt_p50_seconds"
HOUR = 3600.0


class Rig:
    """A store, a server and a clock that moves only while the feed waits for the server."""

    def __init__(self, folder: Path, judge: Judge = takes_all, **settings: Any) -> None:
        self.store = SqliteStore(folder / "store.db")
        self.server = Receiver(judge)
        self.now = NOON + HOUR
        self.waited: list[float] = []
        self.stats = RemoteStats()
        self.config = RemoteWrite(url=self.server.url, **settings)
        self.feed: Feed | None = None
        self._count = 0

    def put(self, *runs: AnyMeasurement, agent: AgentId = AGENT, received_at: float | None = None) -> None:
        arrivals = [good(self._count + n, encode(run)) for n, run in enumerate(runs, 1)]
        self._count += len(runs)
        at = self.now if received_at is None else received_at
        done = self.store.commit([delivery(*arrivals, agent=agent, stream=STREAM, at=at)])
        assert len(done.stored) == len(runs)
        if self.feed is not None:
            self.feed.wake()

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds
        self.waited.append(seconds)
        await asyncio.sleep(0)

    async def _write(self, work: Callable[[], Any]) -> Any:
        return await asyncio.to_thread(work)

    @asynccontextmanager
    async def feeding(self) -> AsyncIterator[None]:
        """Another start of the collector."""
        self.feed = feed = Feed(
            self.config,
            self.store,
            self._write,
            sampler=Sampler(Exposition(PROBES).plans),
            knows=lambda agent: agent == AGENT,
            stats=self.stats,
            clock=lambda: self.now,
            sleep=self._sleep,
        )
        task = asyncio.get_running_loop().create_task(feed.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Polls."""
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.01)

    def settled(self, count: int) -> Callable[[], bool]:
        """So many runs were taken or left out."""
        return lambda: self.stats.measurements + self.stats.dropped.total() >= count


def minutes(count: int, first: float = NOON) -> list[AnyMeasurement]:
    return [window(first + 60 * n) for n in range(count)]


def status(number: int, **headers: str) -> web.Response:
    return web.Response(status=number, text="no", headers=headers)


def refuses(number: int, when: Callable[[Written], bool]) -> Judge:
    """As Prometheus does: one bad sample costs the whole request."""
    return lambda samples: status(number) if any(map(when, samples)) else takes_all(samples)


def ends(runs: Sequence[AnyMeasurement]) -> list[float]:
    return [run.started_at.timestamp() + run.duration_s for run in runs]


@pytest.mark.parametrize("number", [400, 500])
async def test_one_bad_run_among_many_is_found_and_left_out(tmp_path: Path, number: int) -> None:
    runs = minutes(50)
    bad = ends(runs)[17]
    rig = Rig(tmp_path, refuses(number, lambda sample: sample.at_ms == bad * 1000))
    rig.put(*runs)
    async with rig.server.listening(), rig.feeding():
        await rig.until(rig.settled(50))
    assert sorted(rig.server.times(RTT)) == [end for end in ends(runs) if end != bad]
    assert (rig.stats.measurements, dict(rig.stats.dropped)) == (49, {"refused": 1})
    assert rig.server.requests <= 24 + 4


async def test_server_that_keeps_what_is_good_of_a_request_it_refuses_gets_nothing_twice_with_another_value(
    tmp_path: Path,
) -> None:
    """As Mimir does: the good samples of a request are in, and its answer is 400 all the same."""
    runs = minutes(50)
    bad = ends(runs)[17] * 1000
    kept: dict[tuple[tuple[tuple[str, str], ...], int], float | None] = {}

    def judge(samples: list[Written]) -> web.Response:
        for each in samples:
            key = (tuple(sorted(each.labels.items())), each.at_ms)
            if each.at_ms != bad:
                assert kept.setdefault(key, each.value) == each.value
        return status(400) if any(each.at_ms == bad for each in samples) else takes_all(samples)

    rig = Rig(tmp_path, judge)
    rig.put(*runs)
    async with rig.server.listening(), rig.feeding():
        await rig.until(rig.settled(50))
    assert {at for _, at in kept} == {end * 1000 for end in ends(runs)} - {bad}
    assert (rig.stats.measurements, dict(rig.stats.dropped)) == (49, {"refused": 1})


async def test_those_beyond_a_servers_own_window_do_not_cost_the_rest(tmp_path: Path) -> None:
    runs = minutes(50)
    rig = Rig(tmp_path, refuses(400, lambda sample: sample.at_ms < ends(runs)[30] * 1000))
    rig.put(*reversed(runs))
    async with rig.server.listening(), rig.feeding():
        await rig.until(rig.settled(50))
    assert sorted(rig.server.times(RTT)) == ends(runs)[30:]
    assert dict(rig.stats.dropped) == {"refused": 30}


@pytest.mark.parametrize("number", [301, 400, 401, 500])
async def test_server_that_refuses_all_is_not_asked_for_ever(tmp_path: Path, number: int) -> None:
    rig = Rig(tmp_path, lambda _: status(number, Location="/elsewhere"), samples_per_request=100)
    rig.put(*minutes(60))
    async with rig.server.listening(), rig.feeding():
        await rig.until(rig.settled(60))
        asked = rig.server.requests
        rig.server.judge = takes_all
        rig.put(window(NOON + HOUR))
        await rig.until(rig.settled(61))
    assert dict(rig.stats.dropped) == {"refused": 60}
    assert asked <= (24 + 4) * 60
    assert rig.server.times(RTT) == [NOON + HOUR + 60]


@pytest.mark.parametrize("number", [429, 503])
async def test_server_in_trouble_is_asked_again_until_results_are_too_old(tmp_path: Path, number: int) -> None:
    rig = Rig(tmp_path, lambda _: status(number), max_age_s=4 * HOUR)
    rig.put(*minutes(30))
    async with rig.server.listening(), rig.feeding():
        await rig.until(rig.settled(30))
        assert rig.stats.up is False
        late = window(rig.now)
        rig.server.judge = takes_all
        rig.put(late)
        await rig.until(rig.settled(31))
    assert dict(rig.stats.dropped) == {"expired": 30}
    assert rig.server.times(RTT) == [int(end) for end in ends([late])]
    assert rig.now > NOON + 4 * HOUR
    assert max(rig.waited) <= 30
    assert rig.stats.up is True


async def test_server_that_is_away_misses_nothing_that_is_young(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.put(*minutes(30))
    async with rig.feeding():
        await rig.until(lambda: len(rig.waited) > 5)
        rig.put(*minutes(5, NOON + HOUR))
        async with rig.server.listening():
            await rig.until(rig.settled(35))
    assert sorted(rig.server.times(RTT)) == ends([*minutes(30), *minutes(5, NOON + HOUR)])
    assert not rig.stats.dropped


BROKEN = {
    "closes": b"",
    "says nonsense": b"\x15\x03\x01\x00\x02\x02\x46" * 9,
    "closes within its answer": b"HTTP/1.1 200 OK\r\nContent-Le",
    "promises more than it sends": b"HTTP/1.1 503 x\r\nContent-Length: 200\r\n\r\nno",
    "sends a header without end": b"HTTP/1.1 200 OK\r\nA: " + b"a" * 100_000,
    "says nothing": None,
}


async def test_stop_that_comes_together_with_a_requests_deadline_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp's own deadline took such a cancellation for its own, and the collector did not end."""
    monkeypatch.setattr(sender, "TIMEOUT_S", 0.05)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def ask_for_ever(asked: sender.Sender) -> None:
        while True:
            await asked.send([])

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        for _ in range(8):
            asked = sender.Sender(RemoteWrite(url=url))
            task = asyncio.get_running_loop().create_task(ask_for_ever(asked))
            await asyncio.sleep(0.02)
            time.sleep(0.06)  # the deadline passes while the loop is busy, and both come in one turn
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=10)
            assert done and task.cancelled()
            await asked.close()


@pytest.mark.soak
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
async def test_connection_that_breaks_is_tried_again(
    tmp_path: Path, answer: bytes | None, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`https`: to such a server the TLS handshake fails."""
    monkeypatch.setattr(sender, "TIMEOUT_S", 0.2)

    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read(100)
            if answer is None:
                await reader.read()  # until the other side has waited long enough
            writer.write(answer or b"")
            await writer.drain()
        writer.close()

    rig = Rig(tmp_path)
    rig.put(*minutes(3))
    url = rig.config.url
    rig.config = RemoteWrite(url=url.replace("http", scheme, 1))
    async with await asyncio.start_server(broken, "127.0.0.1", rig.server.port), rig.feeding():
        await rig.until(lambda: len(rig.waited) >= 3)
    assert (rig.stats.measurements, dict(rig.stats.dropped), rig.stats.up) == (0, {}, False)
    rig.config = RemoteWrite(url=url)
    async with rig.server.listening(), rig.feeding():
        await rig.until(rig.settled(3))
    assert rig.server.times(RTT) == ends(minutes(3))


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", 7.0),
        ("999999", 300.0),
        ("Wed, 21 Oct 2099 07:28:00 GMT", 300.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("0", None),
        ("-5", None),
        ("nonsense", None),
    ],
)
async def test_retry_after_is_kept(tmp_path: Path, header: str, wait: float | None) -> None:
    answers = [status(429, **{"Retry-After": header})]
    rig = Rig(tmp_path, lambda samples: answers.pop() if answers else takes_all(samples))
    rig.put(window())
    async with rig.server.listening(), rig.feeding():
        await rig.until(rig.settled(1))
    assert len(rig.waited) == rig.stats.retries == 1
    assert rig.waited[0] == wait if wait is not None else 0.25 <= rig.waited[0] <= 0.5


async def test_what_can_not_be_sent_is_counted_by_reason(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.put(window(NOON - 13 * HOUR), window(NOON + 2 * HOUR), window(NOON + 60, reasons=(UNDATED,)), window())
    rig.put(window(NOON, probe="newer", result=None), window(NOON + 120, test="of-nobody"))
    rig.store.commit([delivery(good(1, raw_window(NOON)), agent=AgentId("paris", "gone", "box-01"), at=rig.now)])
    async with rig.server.listening(), rig.feeding():
        await rig.until(rig.settled(7))
    assert dict(rig.stats.dropped) == {"too_old": 1, "ahead": 1, "undated": 1, "unknown": 2}
    assert rig.server.times(RTT) == [NOON + 60, NOON + 180]


async def test_next_start_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.put(*minutes(600, NOON - 10 * HOUR))
    async with rig.server.listening():
        async with rig.feeding():
            await rig.until(lambda: rig.stats.measurements == 600 and rig.store.sent_through() is not None)
        sent = rig.store.sent_through()
        rig.put(*minutes(3))
        async with rig.feeding():
            await rig.until(lambda: set(ends(minutes(3))) <= set(rig.server.times(RTT)))
    assert sent in (500, 600)
    assert set(rig.server.times(RTT)) == set(ends([*minutes(600, NOON - 10 * HOUR), *minutes(3)]))
    assert rig.stats.measurements == 603 + 600 - (sent or 0)
    values = {(frozenset(each.labels.items()), each.at_ms, each.value) for each in rig.server.taken}
    assert len(values) == len({each[:2] for each in values})  # what came twice is exactly the same


async def test_long_pause_passes_over_what_is_too_old_and_counts_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.store.save_sent_through(1)
    rig.put(*minutes(10, NOON - 40 * HOUR), received_at=NOON - 39 * HOUR)
    rig.put(*minutes(5))
    async with rig.server.listening(), rig.feeding():
        await rig.until(rig.settled(14))
    assert dict(rig.stats.dropped) == {"expired": 9}
    assert rig.server.times(RTT) == ends(minutes(5))


async def test_first_start_sends_what_the_store_has_that_is_young_enough(tmp_path: Path) -> None:
    rig = Rig(tmp_path, max_age_s=2 * HOUR)
    rig.put(*minutes(10, NOON - 40 * HOUR), received_at=NOON - 39 * HOUR)
    rig.put(*minutes(5))
    async with rig.server.listening(), rig.feeding():
        await rig.until(rig.settled(5))
    assert rig.server.times(RTT) == ends(minutes(5))
    assert not rig.stats.dropped


async def test_request_says_what_it_is_and_who_asks(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    rig = Rig(tmp_path, headers={"X-Scope-OrgID": "fleet"}, token_file=tmp_path / "token")
    rig.put(window())
    async with rig.server.listening(), rig.feeding():
        await rig.until(rig.settled(1))
        (tmp_path / "token").write_text("second\n")
        rig.put(window(NOON + 60))
        await rig.until(rig.settled(2))
    first, second = rig.server.headers
    assert first["X-Prometheus-Remote-Write-Version"] == "0.1.0"
    assert (first["Content-Encoding"], first["Content-Type"]) == ("snappy", "application/x-protobuf")
    assert first["X-Scope-OrgID"] == "fleet"
    assert [each["Authorization"] for each in (first, second)] == ["Bearer first", "Bearer second"]


async def test_requests_stay_within_their_limit(tmp_path: Path) -> None:
    sizes: list[int] = []
    rig = Rig(tmp_path, lambda samples: sizes.append(len(samples)) or takes_all(samples), samples_per_request=40)
    rig.put(*minutes(50))
    async with rig.server.listening(), rig.feeding():
        await rig.until(rig.settled(50))
    assert max(sizes) <= 40
    assert rig.stats.samples == sum(sizes)
