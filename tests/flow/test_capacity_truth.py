"""Is the capacity true? Against the shaper's arithmetic, and on a long line with loss where TCP is held back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.capacity_line import CapacityLine, capacity_line, long_line

pytestmark = pytest.mark.calm
ATTEMPTS = 4


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CapacityLine]:
    with capacity_line(tmp_path_factory.mktemp("capacity")) as line:
        yield line


def _measured(at: CapacityLine, direction: str, wanted: float, rel: float) -> dict[str, Any]:
    """A result; again where this machine took the processor away, and the verdict says so: less, but never more."""
    for _ in range(ATTEMPTS):
        told = at.once("capacity", direction=direction, duration="4 s")
        assert told["outcome"] == "ok", told
        result: dict[str, Any] = told["result"]
        print(
            f"{result['capacity'] * 8e-6:.2f} of {wanted * 8e-6:.2f} Mbit/s", told.get("verdict"), told.get("reasons")
        )
        assert result["capacity"] <= wanted * (1 + rel)
        if result["capacity"] >= wanted * (1 - rel):
            return result
        assert told["verdict"] == "censored", told
    raise AssertionError(f"the line was not full in {ATTEMPTS} tests")


@pytest.mark.parametrize(
    ("direction", "mbit", "rel"),
    [
        ("down", 20, 0.02),
        ("up", 100, 0.01),
        pytest.param("up", 20, 0.02, marks=pytest.mark.soak),
        pytest.param("down", 200, 0.01, marks=pytest.mark.soak),
        pytest.param("up", 200, 0.01, marks=pytest.mark.soak),
    ],
)
def test_capacity_is_the_shapers(at: CapacityLine, direction: str, mbit: int, rel: float) -> None:
    result = _measured(at, direction, at.shape(mbit), rel)
    assert result["delay_range"] <= 0.25
    assert result["duplicates"] == 0


@pytest.mark.soak
def test_random_loss_does_not_lower_it(at: CapacityLine) -> None:
    wanted = at.shape(200)
    at.lose(0.01)
    try:
        result = _measured(at, "down", wanted, 0.01)
    finally:
        at.heal()
    assert 0.005 <= result["loss_ratio_total"] <= 0.1


def test_long_line_with_loss_is_seen_by_udp_where_tcp_is_held_back(tmp_path: Path) -> None:
    """50 ms of round trip, 1 % of loss behind a bottleneck of 20 Mbit/s: one TCP stream gets a few of them."""
    with long_line(tmp_path, 0.025) as at:
        wanted = at.shape(20) * 0.99
        at.lose(0.01)
        result = _measured(at, "down", wanted, 0.03)
        tcp = at.once("throughput", direction="down", duration="4 s", streams=1, latency="off", early_stop="false")
    assert tcp["result"]["goodput"] < 0.5 * result["capacity"]
