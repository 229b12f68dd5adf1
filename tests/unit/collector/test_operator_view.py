"""What the demo shows of a collector, as text."""

from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from fibrewatch.wire import SpoolState
from fibrewatch_collector.operator import view
from fibrewatch_collector.operator.api import Agent, Latest, Site, Uplink

AT = datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC)


def latest(**changes: Any) -> Latest:
    content: dict[str, Any] = {
        "probe": "ping",
        "test": "ping",
        "target": "near",
        "ended_at": AT,
        "outcome": "ok",
        "verdict": "valid",
        "error": None,
        "values": {"sent": 10, "lost": 1, "deadline": 2.0, "loss_ratio": 0.1, "rtt_min": 0.000021, "rtt_p50": 0.00004},
    }
    return Latest(**(content | changes))


def overview(state: str, *newest: Latest) -> view.Overview:
    uplink = Uplink(id="fibre", state="A", minutes={"A": 3, "N": 1})
    site = Site(territory="demo", site="loop", name="Loop", state=state, cause=None, since=None, uplinks=[uplink])
    spool = SpoolState(state="ok", depth=2, size_bytes=0, dropped=0)
    agent = Agent(territory="demo", site="loop", agent="box-01", spool=spool, latest=list(newest))
    return view.Overview(sites=[site], agents=[agent])


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
    assert view.told(latest()) == "loss_ratio 10.0 %, rtt_min 0.021 ms, rtt_p50 0.040 ms"


def test_a_throughput_is_told_by_its_goodput() -> None:
    assert view.told(latest(probe="throughput", values={"goodput": 12.5e6})) == "goodput 100.0 Mbit/s"


def test_a_failure_is_told_by_its_error() -> None:
    assert view.told(latest(outcome="failed", error="refused", values={})) == "failed: refused"


def test_an_unknown_probe_is_told_without_values() -> None:
    assert view.told(latest(probe="odd", values={"x": 1})) == "nothing measured yet"


def test_what_proves_nothing_says_so() -> None:
    assert view.told(latest(verdict="invalid", values={})) == "invalid: it proves nothing, so no value is shown"


def test_a_bound_is_told_as_one() -> None:
    told = view.told(latest(probe="throughput", verdict="censored", values={"goodput": 12.5e6}))
    assert told == "goodput ≥ 100.0 Mbit/s, censored: a bound only"


def test_lines_tell_only_what_is_new() -> None:
    before: dict[str, str] = {}
    assert view.lines(overview("up", latest()), before) == [
        "site loop: up",
        "ping ping near: loss_ratio 10.0 %, rtt_min 0.021 ms, rtt_p50 0.040 ms at 12:00:10",
    ]
    assert view.lines(overview("up", latest()), before) == []
    assert view.lines(overview("down", latest()), before) == ["site loop: down"]
    assert view.lines(overview("up", latest()), before) == ["site loop: up"]


def test_the_table_shows_state_minutes_results_spool_and_page() -> None:
    console = Console(width=160)
    with console.capture() as shown:
        console.print(view.tables(overview("up", latest()), "http://127.0.0.1:8480/"))
    for text in ("demo/loop", "up", "fibre A 3 U 0 N 1", "near", "box-01 2", "http://127.0.0.1:8480/"):
        assert text in shown.get()


@pytest.mark.parametrize("width", [40, 60, 80])
def test_nothing_is_cut_off_in_a_narrow_terminal(width: int) -> None:
    console = Console(width=width)
    target = "2001:db8:1234:5678:9abc:def0:1234:5678"
    with console.capture() as shown:
        console.print(view.tables(overview("up", latest(target=target)), "http://127.0.0.1:8480/", width))
    said = "".join(shown.get().split()).replace("│", "")
    assert "…" not in said
    assert all(len(line) <= width for line in shown.get().splitlines())
    for text in ("demo/loop", "fibreA3", "loss_ratio", "rtt_p50", "0.040ms", "12:00:10", "http://127.0.0.1:8480/"):
        assert text in said
    assert target in said or width == 80  # there on several lines of its column
