"""What the demo shows of a collector, as text."""

from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from fibrewatch.measurement import AnyMeasurement, Measurement, Target
from fibrewatch.results import ping, throughput
from fibrewatch_collector.operator import view

AT = datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC)


def measurement(**changes: Any) -> AnyMeasurement:
    content: dict[str, Any] = {
        "probe": "ping",
        "test": "ping",
        "target": Target(name="near", role="operator", address="127.0.0.2"),
        "started_at": AT,
        "boottime_s": 1.0,
        "boot": "0123abcd",
        "duration_s": 10.0,
        "outcome": "ok",
        "result": ping.Result(sent=10, lost=1, deadline=2.0, loss_ratio=0.1, rtt_min=0.000021, rtt_p50=0.00004),
    }
    return Measurement(**(content | changes))


def overview(state: str = "up", *newest: AnyMeasurement) -> view.Overview:
    site = view.SiteRow(name="demo/loopback", state=state, cause=None, minutes={"A": 3, "N": 1})
    return view.Overview(sites=[site], newest=newest, spools={"box-01": 2})


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0000213, "seconds", "0.021 ms"),
        (2.5, "seconds", "2.50 s"),
        (125e6, "bytes_per_second", "1,000.0 Mbit/s"),
        (0.005, "ratio", "0.5 %"),
        (3, "packets", "3 packets"),
    ],
)
def test_quantities_are_told_in_units_for_people(value: float, unit: str, text: str) -> None:
    assert view.quantity(value, unit) == text


def test_a_ping_is_told_by_its_loss_and_round_trips() -> None:
    assert view.told(measurement()) == "loss_ratio 10.0 %, rtt_min 0.021 ms, rtt_p50 0.040 ms"


def test_a_throughput_is_told_by_its_goodput() -> None:
    result = throughput.Result(direction="down", streams=1, goodput=12.5e6)
    assert view.told(measurement(probe="throughput", result=result)) == "goodput 100.0 Mbit/s"


def test_a_failure_is_told_by_its_error() -> None:
    assert view.told(measurement(outcome="failed", error="refused", result=None)) == "failed: refused"


def test_an_unknown_probe_is_told_without_values() -> None:
    assert view.told(measurement(probe="odd", result={"x": 1})) == ""


def test_lines_tell_only_what_is_new() -> None:
    before: dict[str, str] = {}
    assert view.lines(overview("up", measurement()), before) == [
        "site demo/loopback: up",
        "ping ping near (127.0.0.2): loss_ratio 10.0 %, rtt_min 0.021 ms, rtt_p50 0.040 ms at 12:00:10",
    ]
    assert view.lines(overview("up", measurement()), before) == []
    assert view.lines(overview("down", measurement()), before) == ["site demo/loopback: down"]
    assert view.lines(overview("up", measurement()), before) == ["site demo/loopback: up"]


def test_the_table_shows_state_minutes_results_spool_and_page() -> None:
    console = Console(width=160)
    with console.capture() as shown:
        console.print(view.tables(overview("up", measurement()), "http://127.0.0.1:8480/"))
    for text in ("demo/loopback", "up", "A 3 · U 0 · N 1", "near (127.0.0.2)", "box-01 2", "http://127.0.0.1:8480/"):
        assert text in shown.get()
