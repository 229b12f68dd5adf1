"""The store against a naive model: whatever the order, the repetition and the holes, each measurement is there once."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fibrewatch.wire import AgentId
from fibrewatch_collector.store import Filter
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.support.measurements import NOON, bad, delivery, good, raw_window

_case = itertools.count()
LENGTH = 16


class Model:
    """What ought to be known of one stream: plain sets, no cleverness."""

    def __init__(self) -> None:
        self.stored: dict[int, bytes] = {}
        self.settled: set[int] = set()
        self.lost: set[int] = set()

    def take(self, numbers: dict[int, bytes | None], oldest: int) -> None:
        """Numbers with their content, None for what was refused."""
        given_up = set(range(1, min([oldest, *numbers]))) - self.settled
        self.lost |= given_up
        self.settled |= given_up
        for number, content in numbers.items():
            self.lost.discard(number)
            self.settled.add(number)
            if content is not None:
                self.stored.setdefault(number, content)

    @property
    def through(self) -> int:
        return next(n for n in itertools.count() if n + 1 not in self.settled)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path_factory.mktemp("model") / "store.db")
    yield opened
    opened.close()


def content(number: int, version: int) -> bytes:
    return raw_window(NOON + 60 * number, boottime_s=float(version))


BATCHES = st.tuples(
    st.integers(1, LENGTH),  # first
    st.lists(st.sampled_from(["good", "good", "good", "bad", "other"]), max_size=5),
    st.integers(1, LENGTH),  # oldest
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(BATCHES, min_size=1, max_size=4), max_size=8), st.booleans())
def test_store_equals_a_naive_model(
    store: SqliteStore, transactions: list[list[tuple[int, list[str], int]]], forget: bool
) -> None:
    agent, model, stored = AgentId("model", "m", f"box-{next(_case)}"), Model(), 0
    for transaction in transactions:
        deliveries = []
        for first, kinds, oldest in transaction:
            numbers = {n: _content(n, kind) for n, kind in enumerate(kinds, first)}
            arrivals = [bad(n) if raw is None else good(n, raw) for n, raw in numbers.items()]
            deliveries.append(delivery(*arrivals, oldest=min(oldest, first), agent=agent))
            model.take(numbers, min(oldest, first))
        if forget:
            store._forget()  # as after another process wrote: everything must also be found in the file
        done = store.commit(deliveries)
        stored += len(done.stored)
        assert list(done.through.values()) == [model.through]
    where = Filter(agent=agent.agent)
    assert {each.seq: each.raw for each in store.measurements(where, 0, 1000)} == model.stored
    assert stored == len(model.stored)
    gaps = store.gaps(where, 1000)
    assert sorted(n for gap in gaps for n in range(gap.first, gap.last + 1)) == sorted(model.lost)


def _content(number: int, kind: str) -> bytes | None:
    return None if kind == "bad" else content(number, 2 if kind == "other" else 1)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_order_and_repetition_of_batches_gives_the_same_store(store: SqliteStore, data: st.DataObject) -> None:
    agent = AgentId("model", "order", f"box-{next(_case)}")
    cuts = [(first, min(first + 3, 20)) for first in range(1, 21, 4)]
    order = data.draw(st.permutations(cuts)) + data.draw(st.lists(st.sampled_from(cuts), max_size=5))
    for first, last in order:
        store.commit([delivery(*(good(n) for n in range(first, last + 1)), agent=agent)])
    found = store.measurements(Filter(agent=agent.agent), 0, 100)
    assert sorted(each.seq for each in found) == list(range(1, 21))
    assert store.gaps(Filter(agent=agent.agent), 10) == []


def test_store_reopened_goes_on_where_it_was(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "store.db")
    first.commit([delivery(good(1), good(2)), delivery(good(5))])
    first.close()
    second = SqliteStore(tmp_path / "store.db")
    done = second.commit([delivery(good(2), good(3)), delivery(good(4))])
    second.close()
    assert list(done.through.values()) == [5]
    assert (len(done.stored), done.duplicates) == (2, 1)
