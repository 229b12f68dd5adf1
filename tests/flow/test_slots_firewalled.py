"""A firewall between the box and its slot's port, before a test or in its middle: right error, in time, slot freed."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.capacity_line import CapacityLine, capacity_line
from tests.support.waiting import wait_until

QUICK = {"direction": "down", "duration": "2 s", "omit": "0 s", "latency": "off", "early_stop": "false"}
DEADLINE_S = 2 + 5
"""The tool's: `duration` and five seconds."""


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CapacityLine]:
    with capacity_line(tmp_path_factory.mktemp("firewalled"), "100 Mbit/s") as line:
        line.shape(20)
        yield line


def freed(at: CapacityLine, slots: int) -> str:
    """Why the slot after so many others ended, once nothing of it runs."""
    wait_until(lambda: len(at.responder.over()) > slots and not at.responder.servers())
    return at.responder.over()[-1].why


def ends_in_time(at: CapacityLine, told: dict[str, Any], slots: int) -> None:
    assert told["outcome"] == "failed"
    assert told["duration_s"] < 2 * DEADLINE_S, told
    assert freed(at, slots) in ("released", "unused", "broken", "done")


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("drop", "timeout"),
        ("reject with tcp reset", "refused"),
        ("reject with icmpx type admin-prohibited", "unreachable"),
    ],
)
def test_slots_port_behind_a_firewall(at: CapacityLine, what: str, error: str) -> None:
    slots = len(at.responder.over())
    at.forbid(what)
    try:
        told = at.once("throughput", **QUICK)
    finally:
        at.heal()
    assert told["error"] == error, told
    ends_in_time(at, told, slots)


@pytest.mark.parametrize(("what", "errors"), [("drop", {"timeout"}), ("reject with tcp reset", {"reset"})])
def test_firewall_that_closes_while_data_flow(at: CapacityLine, what: str, errors: set[str], tmp_path: Path) -> None:
    slots = len(at.responder.over())
    with (tmp_path / "told").open("wb") as told_file:
        process = subprocess.Popen(at.command("throughput", **QUICK | {"direction": "up"}), stdout=told_file)
        try:
            wait_until(lambda: bool(at.responder.servers()))
            time.sleep(1.0)
            at.forbid(what)
            process.wait(60)
        finally:
            process.kill()
            process.wait()
            at.heal()
    told = json.loads((tmp_path / "told").read_text())
    assert told["error"] in errors, told
    ends_in_time(at, told, slots)


def test_line_that_is_open_again_measures(at: CapacityLine) -> None:
    assert at.once("throughput", **QUICK)["outcome"] == "ok"
