"""`fibrewatch sites --peer`: what is measured between a place and others, at whichever end it is."""

from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from fibrewatch_collector.operator.api import Agent, Latest
from fibrewatch_collector.operator.mesh_view import PIPE_WIDTH, pairs_table

SOMA, CARGO, HALLES = "san-francisco/soma/box-01", "paris/cargo/box-01", "paris/halles/box-01"


def latest(peer: str | None, **changes: Any) -> Latest:
    usual: dict[str, Any] = {
        "probe": "stamp",
        "test": "mesh-far-stamp",
        "target": "there",
        "ended_at": datetime(2026, 11, 22, 12, 30, 5, tzinfo=UTC),
        "outcome": "ok",
        "verdict": "valid",
        "error": None,
        "values": {"rtt_p50": 0.1413, "loss_forward_ratio": 0.0, "loss_backward_ratio": 0.033},
        "peer": peer,
    }
    return Latest(**(usual | changes))


def agent(name: str, *runs: Latest) -> Agent:
    territory, site, box = name.split("/")
    return Agent(territory=territory, site=site, agent=box, spool=None, latest=list(runs))


def rows(place: str, *agents: Agent) -> list[list[str]]:
    console = Console(width=PIPE_WIDTH)
    with console.capture() as said:
        console.print(pairs_table(agents, place, plain=True))
    return [line.split() for line in said.get().splitlines()[1:]]


def test_place_is_found_at_either_end() -> None:
    fleet = [agent(CARGO, latest(SOMA), latest(HALLES), latest(None)), agent(SOMA, latest(HALLES))]
    assert [row[:2] for row in rows("san-francisco/soma", *fleet)] == [[CARGO, SOMA], [SOMA, HALLES]]
    assert [row[:2] for row in rows(HALLES, *fleet)] == [[CARGO, HALLES], [SOMA, HALLES]]
    assert rows("paris/cargo/box", *fleet) == rows("paris/car", *fleet) == []


def test_each_way_has_its_figures_and_what_was_not_measured_a_dash() -> None:
    (row,) = rows("paris/cargo", agent(CARGO, latest(SOMA)))
    assert row[2:] == ["mesh-far-stamp", "141.300", "ms", "0.0", "%", "3.3", "%", "-", "-", "ok", "12:30:05"]


def test_failure_says_why() -> None:
    (row,) = rows("paris/cargo", agent(CARGO, latest(SOMA, outcome="failed", error="timeout", values={})))
    assert row[3:] == ["-", "-", "-", "-", "-", "failed:", "timeout", "12:30:05"]
