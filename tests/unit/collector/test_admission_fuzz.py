"""Whatever a box sends: no exception but WireError, nothing stored that was refused, nobody else's data touched.

Twenty thousand and more examples through the whole way, bytes → admission → decode → store.
"""

import copy
import json
import math
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fibrewatch import sketch, wire
from fibrewatch.errors import WireError
from fibrewatch.measurement import UNDATED, AnyMeasurement
from fibrewatch.wire import AgentId
from fibrewatch_collector import admission
from fibrewatch_collector.store import Arrival, Committed, Delivery, Filter
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.support.measurements import NOON, RECEIVED, batch, delivery, good, proper_batch, raw_window

RETENTION_S = 400 * 86_400.0
HOSTILE, NEIGHBOUR = AgentId("paris", "cargo", "box-66"), AgentId("paris", "cargo", "box-01")
FUZZ = settings(deadline=None, suppress_health_check=list(HealthCheck))


class Bench:
    """A store with a neighbour's measurements, and the way into it; commits are gathered as the writer does."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.neighbours = [good(seq).raw for seq in range(1, 6)]
        self._waiting: list[Delivery] = []
        self._examples = self._stored = 0
        store.commit([delivery(*(good(seq) for seq in range(1, 6)), agent=NEIGHBOUR)])

    def receive(self, payload: bytes) -> Delivery | None:
        """One payload of the hostile box, in a stream of its own; checks what came of it."""
        self._examples += 1
        try:
            found = admission.delivery(HOSTILE, payload, RECEIVED, RETENTION_S)
        except WireError as e:
            assert e.reason in {"malformed", "oversized"}
            self._take(admission.set_aside(HOSTILE, payload, RECEIVED, e.reason))
            return None
        for arrival in found.arrivals:
            check(arrival)
        stream = f"{self._examples:016x}"
        arrivals = tuple(found.arrivals)
        self._take(Delivery(HOSTILE, stream, found.oldest, RECEIVED, arrivals))
        return found

    def _take(self, each: Delivery) -> None:
        self._waiting.append(each)
        if len(self._waiting) == 100:
            self.flush()

    def flush(self) -> Committed:
        """Commits what waits, and looks whether it is as it should be."""
        done = self.store.commit(self._waiting)
        admitted = [arrival for each in self._waiting for arrival in each.arrivals if arrival.measurement is not None]
        self._waiting = []
        assert len(done.stored) + sum(done.reasons.get(late, 0) for late in ("time_past", "too_many_series")) + (
            done.untaken
        ) >= len(admitted)
        assert len(done.stored) <= len(admitted)
        assert set(done.reasons) <= set(admission.REASONS)
        self._stored += len(done.stored)
        return done

    def finish(self) -> None:
        """The neighbour's data are as they were; every row can be read; what was refused is bounded."""
        self.flush()
        mine = self.store.measurements(Filter(agent=NEIGHBOUR.agent), 0, 100)
        assert [each.raw for each in mine] == self.neighbours
        rows = self.store.measurements(Filter(agent=HOSTILE.agent), 0, 10**6)
        assert len(rows) == self._stored
        for row in rows:
            wire.decode_measurement(row.raw)
        assert len(self.store.refusals(Filter(), 10**6)) <= 1000


def check(arrival: Arrival) -> None:
    """What is let through is sane; what isn't has its reason."""
    assert (arrival.measurement is None) == (arrival.refused is not None)
    assert arrival.refused is None or arrival.refused in admission.REASONS
    if arrival.measurement is not None:
        check_sane(arrival.measurement)


def check_sane(measurement: AnyMeasurement) -> None:
    if UNDATED not in measurement.reasons:
        assert RECEIVED - RETENTION_S <= measurement.started_at.timestamp() <= RECEIVED + 3600
    assert 0 <= measurement.duration_s <= 172_800
    for value in plain_numbers(msgspec.to_builtins(measurement) if measurement.probe == "ping" else {}):
        assert math.isfinite(value)
        assert abs(value) <= 1e15
    if measurement.probe == "ping" and measurement.result is not None:
        counts = measurement.result.rtt or {}
        assert measurement.result.lost <= measurement.result.sent
        assert sum(counts.values()) <= measurement.result.sent - measurement.result.lost
        assert all(sketch.MIN_INDEX <= index <= sketch.MAX_INDEX for index in counts)


def plain_numbers(data: Any) -> Iterator[float]:
    if isinstance(data, dict):
        for key, value in data.items():
            if key != "first_lost_at_s":  # no metric: kept as it is
                yield from plain_numbers(value)
    elif isinstance(data, int | float):
        yield data


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    store = SqliteStore(tmp_path_factory.mktemp("fuzz") / "store.db")
    made = Bench(store)
    yield made
    made.finish()
    store.close()


@settings(FUZZ, max_examples=5000)
@given(st.binary(max_size=300))
@example(b"")
@example(b"[" * 100_000)
@example(b'{"stream":"00000000000000aa","first":1,"oldest":1,"measurements":[' + b"[" * 100_000)
@example(b'{"stream":"00000000000000aa","first":1,"oldest":1,"measurements":[' + b'{"a":' * 50_000)
@example(b"x" * (wire.MAX_PAYLOAD_BYTES + 1))
def test_any_bytes(bench: Bench, payload: bytes) -> None:
    bench.receive(payload)


CUTS = st.tuples(
    st.integers(0, 2000),
    st.sampled_from(["cut", "drop", "flip", "insert", "repeat"]),
    st.sampled_from(
        [b"NaN", b"-Infinity", b"1e999", b"\x00", b"\xff", b"\xc3", b'"', b"}", b"]", b",", b"-", b"9", b"\\"]
    ),
)
FIRST, SECOND, THIRD = raw_window(), raw_window(NOON + 60), raw_window(NOON + 120)
VALID = proper_batch([FIRST, SECOND, THIRD])


def mutated(payload: bytes, at: int, kind: str, what: bytes) -> bytes:
    at %= len(payload) + 1
    end = {"cut": len(payload), "drop": at + len(what), "flip": at + len(what)}.get(kind, at)
    middle = {"cut": b"", "drop": b"", "repeat": payload[max(0, at - 40) : at]}.get(kind, what)
    return payload[:at] + middle + payload[end:]


@settings(FUZZ, max_examples=6000)
@given(st.lists(CUTS, min_size=1, max_size=2))
def test_damaged_batches(bench: Bench, cuts: list[tuple[int, str, bytes]]) -> None:
    payload = VALID
    for cut in cuts:
        payload = mutated(payload, *cut)
    bench.receive(payload)


HOSTILE_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(["", "ping", "x" * 600, "\ud800", "\x00", "../..", 'a"b', "1e5", "valid", "undated"]),
    st.sampled_from(
        [[], [[]], {}, {"1": 1}, {"-99999": 1}, {"x": {}}, [None] * 50, ["undated"], {"1": -1, "2": 2**63}]
    ),
    st.sampled_from(["1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2026-03-01T12:00:30Z"]),
)
WHOLE = json.loads(FIRST)
PLACES: list[tuple[str, ...]] = [
    *((key,) for key in WHOLE),
    *(("result", key) for key in WHOLE["result"]),
    *(("conditions", key) for key in WHOLE["conditions"]),
    *(("target", key) for key in WHOLE["target"]),
    *((key,) for key in ("error", "verdict", "reasons", "detail", "request", "from_next_year")),
]


@settings(FUZZ, max_examples=6000)
@given(st.lists(st.tuples(st.sampled_from(PLACES), HOSTILE_VALUES), min_size=1, max_size=3))
def test_hostile_values(bench: Bench, changes: list[tuple[tuple[str, ...], Any]]) -> None:
    measurement = json.loads(FIRST)
    for path, value in changes:
        place = measurement
        for key in path[:-1]:
            place = place[key] if isinstance(place.get(key), dict) else place.setdefault(key + "_", {})
        place[path[-1]] = copy.deepcopy(value)
    bench.receive(batch([FIRST, json.dumps(measurement).encode(), SECOND]))


@settings(FUZZ, max_examples=1500)
@given(
    st.one_of(st.just("0123456789abcdef"), st.text(max_size=20)),
    st.one_of(st.integers(-5, 2**54), st.floats(), st.none()),
    st.one_of(st.integers(-5, 2**54), st.text(max_size=3)),
    st.integers(0, 3),
)
def test_hostile_headers(bench: Bench, stream: str, first: object, oldest: object, count: int) -> None:
    measurements = ",".join([FIRST.decode()] * count)
    head = f'{{"stream":{json.dumps(stream)},"first":{json.dumps(first)},"oldest":{json.dumps(oldest)}'
    bench.receive(f'{head},"measurements":[{measurements}]}}'.encode())


TOPIC_PARTS = st.one_of(st.sampled_from(["fibrewatch", "v1", "v2", "up", "paris", "+", "#", ""]), st.text(max_size=25))


@settings(FUZZ, max_examples=2000)
@given(st.one_of(st.lists(TOPIC_PARTS, max_size=8).map("/".join), st.text(max_size=60)))
@example("fibrewatch/v1/paris/cargo/box-01/up/results\n")
@example("fibrewatch/v1/paris/cargo/box-01/up/results/")
@example("fibrewatch/v1/Paris/cargo/box-01/up/results")
def test_any_topic(topic: str) -> None:
    try:
        agent, channel = wire.parse_up_topic(topic)
    except WireError as e:
        assert e.reason == "topic"
    else:
        assert topic == f"fibrewatch/v1/{agent}/up/{channel}"
        assert wire.agent_id(str(agent)) == agent
