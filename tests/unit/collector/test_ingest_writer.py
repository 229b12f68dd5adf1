"""The writer's thread on a real store: it groups, it waits out failures, it leaves out what can't be stored."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fibrewatch.errors import StoreError
from fibrewatch.wire import AgentId
from fibrewatch_collector.store import Committed, Delivery, Filter
from fibrewatch_collector.store.sqlite import SqliteStore
from fibrewatch_collector.writer import Bounds, Writer
from tests.support.measurements import AGENT, NOON, delivery, good, raw_window

DEADLINE_S = 30.0


class Heard:
    """A listener that lets a test wait for what it hears."""

    def __init__(self) -> None:
        self.done: list[Committed] = []
        self.errors: list[StoreError] = []
        self.given_up: list[Delivery] = []
        self._changed = threading.Condition()

    def committed(self, done: Committed, seconds: float) -> None:
        assert seconds > 0
        self._note(lambda: self.done.append(done))

    def failed(self, error: StoreError) -> None:
        self._note(lambda: self.errors.append(error))

    def gave_up(self, delivery: Delivery, error: StoreError) -> None:
        self._note(lambda: self.given_up.append(delivery))

    def _note(self, work: Callable[[], None]) -> None:
        with self._changed:
            work()
            self._changed.notify_all()

    def wait(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, DEADLINE_S)

    @property
    def stored(self) -> int:
        return sum(len(each.stored) for each in self.done)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db")
    yield opened
    opened.close()


def writer_of(store: SqliteStore, heard: Heard, bounds: Bounds | None = None, now: float = NOON) -> Writer:
    return Writer(store, heard, retention_s=400 * 86_400.0, bounds=bounds or Bounds(), clock=lambda: now)


def many(agent: int, count: int = 1, first: int = 1) -> Delivery:
    return delivery(*(good(seq) for seq in range(first, first + count)), agent=AgentId("p", "s", f"box-{agent}"))


def test_batches_are_grouped_up_to_500_measurements(store: SqliteStore) -> None:
    heard = Heard()
    writer = writer_of(store, heard)
    for agent in range(60):
        assert writer.offer(many(agent, 20))
    writer.start()
    heard.wait(lambda: heard.stored == 1200)
    writer.close()
    assert [len(done.stored) for done in heard.done] == [500, 500, 200]


def test_close_writes_what_waits_and_takes_nothing_more(store: SqliteStore) -> None:
    heard = Heard()
    writer = writer_of(store, heard)
    writer.start()
    for agent in range(100):
        assert writer.offer(many(agent))
    writer.close()
    assert heard.stored == 100
    assert not writer.offer(many(1, first=2))
    assert writer.call(lambda: 1).cancelled()
    assert writer.ended.result(0) is None


def test_what_waits_is_bounded_in_all_and_for_each_agent(store: SqliteStore) -> None:
    heard = Heard()
    writer = writer_of(store, heard, Bounds(measurements=10, size_bytes=10**6, agent_batches=3))
    assert [writer.offer(many(1, first=seq)) for seq in range(1, 6)] == [True, True, True, False, False]
    assert writer.offer(many(2, 7))
    assert not writer.offer(many(3))
    assert writer.depth == 10
    writer.start()
    heard.wait(lambda: heard.stored == 10)
    assert writer.call(lambda: 1).result(DEADLINE_S) == 1
    assert writer.offer(many(3))
    heard.wait(lambda: heard.stored == 11)
    writer.close()
    assert writer.depth == 0


def test_what_waits_is_bounded_in_bytes(store: SqliteStore) -> None:
    writer = writer_of(store, Heard(), Bounds(size_bytes=2 * len(good(1).raw)))
    assert [writer.offer(many(agent)) for agent in range(4)] == [True, True, False, False]


def test_full_disk_is_waited_out_and_nothing_is_lost(store: SqliteStore) -> None:
    heard = Heard()
    writer = writer_of(store, heard)
    store.commit([many(0)])
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count={pages}")
    writer.start()
    wide = [good(seq, raw_window(test=f"t{seq}")) for seq in range(1, 200)]
    assert writer.offer(delivery(*wide))
    heard.wait(lambda: len(heard.errors) >= 4)
    assert all(error.full for error in heard.errors)
    assert heard.done == []
    store._db.execute("PRAGMA max_page_count=1000000")
    heard.wait(lambda: heard.stored == 199)
    writer.close()
    assert heard.given_up == []
    assert heard.done[0].through == {(AGENT, delivery().stream): 199}


@pytest.mark.parametrize("others", [0, 5])
def test_batch_that_the_store_cannot_take_holds_up_nobody(store: SqliteStore, others: int) -> None:
    heard = Heard()
    writer = writer_of(store, heard)
    impossible = delivery(good(2**70, raw_window()), oldest=2**70)
    assert writer.offer(impossible)
    for agent in range(others):
        assert writer.offer(many(agent))
    writer.start()
    heard.wait(lambda: bool(heard.given_up) and heard.stored == others)
    assert heard.given_up == [impossible]
    assert writer.offer(many(99))
    heard.wait(lambda: heard.stored == others + 1)
    writer.close()
    assert store.measurements(Filter(agent=AGENT.agent), 0, 10) == []


def test_call_runs_on_the_writers_thread_and_hands_its_error_on(store: SqliteStore) -> None:
    writer = writer_of(store, Heard())
    writer.start()
    name = writer.call(lambda: threading.current_thread().name).result(DEADLINE_S)
    assert name == "store-writer"

    def broken() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        writer.call(broken).result(DEADLINE_S)
    assert writer.call(lambda: 7).result(DEADLINE_S) == 7
    writer.close()


DAY_S = 86_400.0


def test_upkeep_rolls_up_and_prunes_by_itself(store: SqliteStore) -> None:
    now = NOON + 400 * DAY_S + 7200
    store.commit([delivery(*(good(seq) for seq in range(1, 61)), good(61, raw_window(now)))])
    kept_up(store, now)
    assert [each.seq for each in store.measurements(Filter(), 0, 10)] == [61]
    assert [each.n for each in store.rollups(Filter())] == [60]


def test_a_clock_far_ahead_of_all_data_deletes_nothing(store: SqliteStore) -> None:
    store.commit([delivery(*(good(seq) for seq in range(1, 61)))])
    kept_up(store, NOON + 12 * 365 * DAY_S)
    assert len(store.measurements(Filter(), 0, 100)) == 60
    assert len(store.commit([delivery(good(61))]).stored) == 1  # nor is their hour shut
    kept_up(store, NOON + 7200)
    assert len(store.measurements(Filter(), 0, 100)) == 61


def kept_up(store: SqliteStore, now: float) -> None:
    """A writer's first upkeep at that time: done once it has looked at what is to be deleted."""
    writer = writer_of(store, Heard(), now=now)
    writer.start()
    waited = threading.Event()
    for _ in range(600):
        if writer._prune_at:
            break
        waited.wait(0.05)
    writer.close()
    assert writer._prune_at


def test_bug_in_the_thread_is_told_not_swallowed(store: SqliteStore) -> None:
    class Broken(Heard):
        def committed(self, done: Committed, seconds: float) -> None:
            raise RuntimeError("a bug")

    writer = writer_of(store, Broken())
    writer.start()
    writer.offer(many(1))
    with pytest.raises(RuntimeError, match="a bug"):
        writer.ended.result(DEADLINE_S)
