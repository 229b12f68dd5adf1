"""Each reason for which a measurement is refused, and what is let through."""

from typing import Any

import pytest

from fibrewatch import sketch
from fibrewatch.errors import WireError
from fibrewatch.measurement import Conditions
from fibrewatch.wire import MAX_MEASUREMENT_BYTES, MAX_PAYLOAD_BYTES
from fibrewatch_collector import admission
from fibrewatch_collector.store import Arrival
from tests.support.measurements import AGENT, NOON, RECEIVED, STREAM, batch, proper_batch, raw_window, result

RETENTION_S = 400 * 86_400.0


def arrivals(*raws: bytes) -> list[Arrival]:
    return list(admission.delivery(AGENT, batch(raws), RECEIVED, RETENTION_S).arrivals)


def reason(raw: bytes) -> str | None:
    (arrival,) = arrivals(raw)
    assert (arrival.measurement is None) == (arrival.refused is not None)
    assert arrival.raw == raw
    return arrival.refused


def test_good_batch_comes_through_with_its_numbers() -> None:
    payload = proper_batch([raw_window(), raw_window(NOON + 60)], first=7, oldest=3)
    found = admission.delivery(AGENT, payload, RECEIVED, RETENTION_S)
    assert (found.agent, found.stream, found.oldest, found.received_at) == (AGENT, STREAM, 3, RECEIVED)
    assert [(each.seq, each.refused) for each in found.arrivals] == [(7, None), (8, None)]
    assert [each.measurement is not None for each in found.arrivals] == [True, True]


def test_oldest_above_the_first_number_is_not_believed() -> None:
    assert admission.delivery(AGENT, batch([raw_window()], 5, 900), RECEIVED, RETENTION_S).oldest == 5


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"at": RECEIVED + 3601}, "time_future"),
        ({"at": RECEIVED + 3599}, None),
        ({"at": RECEIVED - RETENTION_S - 1}, "time_past"),
        ({"at": RECEIVED - RETENTION_S + 1}, None),
        ({"at": 0.0}, "time_past"),
        ({"at": 0.0, "reasons": ("undated",)}, None),
        ({"at": RECEIVED + 10 * 365 * 86_400, "reasons": ("undated",)}, None),
        ({"duration_s": -0.001}, "duration"),
        ({"duration_s": 172_800.0}, None),
        ({"duration_s": 172_800.1}, "duration"),
        ({"boottime_s": 1.1e15}, "number_range"),
        ({"conditions": Conditions(temperature_celsius=-1e16)}, "number_range"),
        ({"result": result(60, 61)}, "counts"),
        ({"result": None}, None),
        ({"outcome": "failed", "error": "timeout", "result": None}, None),
    ],
)
def test_measurement_is_judged(changes: dict[str, Any], wanted: str | None) -> None:
    assert reason(raw_window(**changes)) == wanted


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        (b'"rtt_max":0.0123', b'"rtt_max":1.5e15', "number_range"),
        (b'"rtt_max":0.0123', b'"rtt_max":-1.5e15', "number_range"),
        (b'"rtt_max":0.0123', b'"rtt_max":1e999', "malformed"),
        (b'"rtt_max":0.0123', b'"rtt_max":"fast"', "malformed"),
        (b'"rtt_max":0.0123', b'"rtt_max":null', None),
        (b'"rtt_max":0.0123', b'"rtt_next_year":[{}]', None),
        (b":60}", b":61}", "histogram"),
        (b":60}", b":-60}", "histogram"),
        (b":60}", b':30,"%d":1}' % (sketch.MAX_INDEX + 1), "histogram"),
        (b":60}", b':30,"%d":1}' % (sketch.MIN_INDEX - 1), "histogram"),
        (b":60}", b':30,"%d":1}' % sketch.MAX_INDEX, None),
        (b":60}", b":99999999999999999999}", "histogram"),
        (b'"ping"', b'"from_next_year"', None),
        (b'"ping"', b'"PING"', "malformed"),
        (b'"outcome":"ok"', b'"outcome":"fine"', "malformed"),
        (b"2026-03-01T12:00:00Z", b"2026-03-01T12:00:00", "malformed"),
        (b"2026-03-01T12:00:00Z", b"0001-01-01T00:00:00+23:59", "time_past"),
        (b"2026-03-01T12:00:00Z", b"9999-12-31T23:59:59-23:59", "time_future"),
        (b'"test":"latency"', b'"test":"a b"', "malformed"),
        (b'"eth0"', b'"' + b"x" * MAX_MEASUREMENT_BYTES + b'"', "oversized"),
    ],
)
def test_bytes_of_a_measurement_are_judged(old: bytes, new: bytes, wanted: str | None) -> None:
    raw = raw_window(result=result(60, 0))
    assert raw.count(old) >= 1
    assert reason(raw.replace(old, new, 1)) == wanted


def test_poisoned_measurement_is_refused_alone_and_what_follows_comes_again() -> None:
    poisoned = raw_window().replace(b"0.0123", b"NaN", 1)
    found = arrivals(raw_window(), poisoned, raw_window(NOON + 60))
    assert [each.refused for each in found[:2]] == [None, "malformed"]
    assert found[1].raw == poisoned


def test_what_cannot_be_read_at_all_says_why() -> None:
    for payload, wanted in (
        (b"", "malformed"),
        (b"\xff\xfe\x00", "malformed"),
        (b"[" * 200_000, "malformed"),
        (b" " * (MAX_PAYLOAD_BYTES + 1), "oversized"),
        (batch([raw_window()], first=0), "malformed"),
        (batch([raw_window()], first=2**60), "malformed"),
        (batch([raw_window()], stream="xyz"), "malformed"),
    ):
        with pytest.raises(WireError) as caught:
            admission.delivery(AGENT, payload, RECEIVED, RETENTION_S)
        assert caught.value.reason == wanted


def test_payload_that_is_set_aside_is_cut_and_never_acknowledged() -> None:
    aside = admission.set_aside(AGENT, b"x" * 10_000_000, RECEIVED, "oversized")
    (arrival,) = aside.arrivals
    assert (aside.stream, aside.oldest, arrival.refused) == ("", 0, "oversized")
    assert len(arrival.raw) == admission.SET_ASIDE_BYTES


def test_every_reason_is_of_the_fixed_list() -> None:
    given = {"malformed", "oversized", "time_future", "time_past", "duration", "number_range", "counts", "histogram"}
    assert given < set(admission.REASONS)
