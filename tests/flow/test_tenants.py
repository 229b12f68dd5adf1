"""Tenants on the line: their traffic by a real router's counters (Debian's snmpd) and, without, by round trips."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.routed import FULL_FRAME, PAYLOAD
from tests.support.shared_line import (
    RATE,
    TENANTS_MBIT,
    TEST,
    SharedLine,
    agent,
    config,
    figures,
    of_line,
    once,
    shared_line,
    tenants,
    v2c,
    v3,
)

CEILING = RATE * PAYLOAD / FULL_FRAME
ATTEMPTS = 5


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedLine]:
    with shared_line(tmp_path_factory.mktemp("snmpd")) as line:
        yield line


@pytest.mark.calm
@pytest.mark.parametrize("direction", ["down", "up"])
def test_a_line_without_tenants_is_not_accused_of_any(line: SharedLine, tmp_path: Path, direction: str) -> None:
    """The queue lies between the router's counter and ours: a short one, which can't feign 3 % when it runs empty."""
    path = config(tmp_path, line, v2c())
    line.shape("100mbit", "20ms")
    try:
        for _ in range(ATTEMPTS):
            made = once(line, path, direction, "duration=4 s", "idle=200 ms", "early_stop=false")
            assert of_line(made.reasons) <= {"tenants_unknown"}
            assert made.verdict == ("censored" if made.reasons else "valid")
            assert made.result is not None
            assert made.result.goodput is not None
            assert made.result.goodput < 1.01 * CEILING
            if made.conditions.cross_traffic is not None:
                assert made.conditions.cross_traffic < 0.03 * RATE
                return
    finally:
        line.shape("100mbit")
    pytest.fail(f"this machine was too slow to hear the router's counters in {ATTEMPTS} transfers")


@pytest.mark.calm
def test_without_uplinks_in_the_config_a_transfer_is_plainly_valid(line: SharedLine, tmp_path: Path) -> None:
    """Nothing is known of a contract, counters or a night: the figure stands, unless this machine was busy.

    Arithmetic that no busy machine disturbs: tests/unit/agent/test_surroundings.py.
    """
    path = config(tmp_path, line, uplinks=False)
    for _ in range(2):
        made = once(line, path, "down", "duration=2 s", "idle=200 ms")
        assert made.outcome == "ok"
        assert of_line(made.reasons) == set()
        assert made.verdict == ("censored" if made.reasons else "valid")
        assert made.result is not None
        assert made.result.goodput is not None
        assert made.result.goodput < 1.01 * CEILING
        assert (made.result.bound is None) is (made.verdict == "valid")
        if made.verdict == "valid":
            return


@pytest.mark.calm
@pytest.mark.parametrize(
    ("direction", "router", "duration"), [("down", v3("fib-sha256"), "7 s"), ("up", v3("fib-sha"), "4 s")]
)
def test_with_counters_the_line_carried_the_sum(
    line: SharedLine, tmp_path: Path, direction: str, router: str, duration: str
) -> None:
    """By refreshes within the longer one, by those around the shorter."""
    path = config(tmp_path, line, router)
    with tenants(line, direction):
        made = once(line, path, direction, f"duration={duration}", "idle=200 ms", "early_stop=false")
    goodput, bound, others = figures(made)
    assert made.verdict == "censored"
    assert of_line(made.reasons) == {"cross_traffic"}
    if direction == "down":  # what is shaped is the router's way to the box: the tenants' is another
        assert others == pytest.approx(TENANTS_MBIT * 1e6 / 8, rel=0.15)
    else:
        assert bound == pytest.approx(CEILING, rel=0.03)
    told = goodput + others * PAYLOAD / FULL_FRAME
    assert 0.97 * told <= bound <= told * (1 + 1e-6), "less what headers may feign"


def test_counters_of_the_wrong_interface_are_not_believed(line: SharedLine, tmp_path: Path) -> None:
    """What moves on that one, a little, is none of the box's."""
    path = config(tmp_path, line, v2c(wan="eth2"))
    with tenants(line, "down", mbit=1):
        made = once(line, path, "down", "duration=5 s", "idle=200 ms", "early_stop=false")
    assert made.conditions.cross_traffic is None
    assert of_line(made.reasons) <= {"tenants_unknown", "tenants_traffic"}


def test_demand_that_rises_ends_the_test_early(line: SharedLine, tmp_path: Path) -> None:
    with tenants(line, "down", delay_s=6):
        made = once(line, config(tmp_path, line, v2c()), "down", "duration=60 s", "early_stop=false", "max_bytes=10 GB")
    assert made.result is not None
    assert made.result.stopped == "tenants"
    assert made.verdict == "censored"
    assert made.duration_s < 45


@pytest.mark.alone
def test_a_burned_cpu_makes_it_a_bound(line: SharedLine, tmp_path: Path) -> None:
    """The line's figure comes out right all the same; nobody could know that."""
    loops = [
        subprocess.Popen(["taskset", "-c", str(core), sys.executable, "-c", "while True: pass"])
        for core in sorted(os.sched_getaffinity(0))
    ]
    try:
        made = once(line, config(tmp_path, line), "down", "duration=2 s", "idle=200 ms")
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    assert "cpu_saturated" in made.reasons
    assert made.verdict == "censored"
    assert made.result is not None
    assert made.result.bound == made.result.goodput


def test_with_counters_a_test_waits_for_the_tenants(line: SharedLine, tmp_path: Path) -> None:
    with agent(line, config(tmp_path, line, v2c() + TEST.format(direction="down"))) as order:
        with tenants(line, "down", mbit=2):
            assert order("hold") is None
        with tenants(line, "down"):
            reason, detail = order("hold")
    assert reason == "tenants_traffic"
    assert detail.startswith("tenants move ")
    assert detail.endswith(" Mbit/s down, 10 are tolerated")


@pytest.mark.calm
def test_without_counters_a_queue_that_is_not_ours_shows(line: SharedLine, tmp_path: Path) -> None:
    """The tenants fill the line: round trips to the first router beyond the gateway tell, against a calm day's."""
    with agent(line, config(tmp_path, line, TEST.format(direction="up"))) as order:
        order("learn")
        order("age")
        assert order("hold") is None
        with tenants(line, "up", mbit=120):
            time.sleep(1)
            reason, detail = order("hold")
            busy = order("run")
        calm = order("run")
    assert reason == "tenants_traffic"
    assert detail.startswith("round trips to the operator are ")
    assert busy["verdict"] == "invalid"
    assert "tenants_traffic" in busy["reasons"]
    assert of_line(tuple(calm.get("reasons", ()))) == set()


@pytest.mark.calm
def test_without_counters_a_queue_that_was_always_full_is_never_taken_for_a_calm_line(
    line: SharedLine, tmp_path: Path
) -> None:
    """The first looks that the box ever makes see tenants who fill the line: nobody knows that it could be faster."""
    with agent(line, config(tmp_path, line, TEST.format(direction="up"))) as order, tenants(line, "up", mbit=120):
        time.sleep(1)
        order("learn")
        held = order("hold")
        assert held is None or held[0] == "tenants_traffic", "a busy machine makes its round trips swing"
        made = order("run")
    assert made["verdict"] in ("censored", "invalid")
    assert of_line(tuple(made["reasons"])) & {"tenants_unknown", "tenants_traffic"}
    assert made["result"]["goodput"] < 0.9 * CEILING


@pytest.mark.calm
def test_without_counters_demand_that_began_meanwhile_shows_afterwards(line: SharedLine, tmp_path: Path) -> None:
    with (
        agent(line, config(tmp_path, line, TEST.format(direction="up"))) as order,
        tenants(line, "up", 120, delay_s=3),
    ):
        made = order("run")
    assert made["verdict"] == "invalid"
    assert "tenants_traffic" in made["reasons"]
