"""What a transfer's figure proves, given what was seen of the box."""

from pathlib import Path
from typing import Any

import pytest

from fibrewatch_agent.transfer import verdict
from fibrewatch_agent.transfer.verdict import Evidence, ends_of_iperf3, judge, proved, saturated

GIGABIT = 125e6
DOCS = Path(__file__).parents[3] / "docs/throughput.md"


@pytest.mark.parametrize(
    ("cpu", "version", "threads", "expected"),
    [
        (0.94, "iperf 3.12", 4, False),
        (0.95, "iperf 3.12", 4, True),
        (0.95, "", 4, True),
        (1.5, "iperf 3.18", 4, False),
        (3.8, "iperf 3.18", 4, True),
        (0.96, "iperf 3.16", 1, True),
        (3.8, "iperf 3.17.1+", 4, True),
        (None, "iperf 3.12", 1, False),
    ],
)
def test_saturation_is_of_the_cores_that_this_iperf3_can_use(
    cpu: float | None, version: str, threads: int, expected: bool
) -> None:
    assert saturated(cpu, version, threads) is expected


@pytest.mark.parametrize(
    ("goodput", "speed", "expected"),
    [
        (941.4e6 / 8, GIGABIT, [("censored", "interface_ceiling")]),  # all that 1 GbE can show
        (920e6 / 8, GIGABIT, [("censored", "interface_ceiling")]),
        (900e6 / 8, GIGABIT, []),
        (94.1e6 / 8, GIGABIT / 10, [("censored", "interface_ceiling")]),
        (941.4e6 / 8, 10 * GIGABIT, []),
        (941.4e6 / 8, None, []),
        (None, GIGABIT, []),
    ],
)
def test_goodput_at_the_interfaces_ceiling_is_a_bound(
    goodput: float | None, speed: float | None, expected: list[tuple[str, str]]
) -> None:
    assert list(judge(Evidence(goodput=goodput, link_speed=speed))) == expected


@pytest.mark.parametrize(("local", "remote"), [(0.97, 0.5), (0.5, 0.97)])
def test_a_saturated_end_makes_the_goodput_a_bound(local: float, remote: float) -> None:
    assert list(ends_of_iperf3((local, "", 1), (remote, "", 1))) == [("censored", "cpu_saturated")]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({}, []),
        ({"cpu_busy": 0.94, "softirq": 0.94, "held_back": 0.04}, []),
        ({"cpu_busy": 0.96}, [("censored", "cpu_saturated")]),
        ({"softirq": 0.97}, [("censored", "cpu_saturated")]),
        ({"held_back": 0.3}, [("censored", "cpu_saturated")]),
        ({"throttled": ()}, []),
        ({"throttled": ("frequency_capped",)}, [("censored", "thermal_throttling")]),
        ({"throttled": ("under_voltage",)}, []),  # the runner's: it makes any measurement invalid
        ({"goodput": 9e6, "link_speed": GIGABIT / 10, "expected_link": GIGABIT}, [("invalid", "link_speed")]),
        ({"link_speed": GIGABIT, "expected_link": GIGABIT}, []),
        ({"link_speed": None, "expected_link": GIGABIT}, []),
        ({"goodput": 30e6, "usb_speed": 60e6}, [("censored", "usb2_interface")]),
        ({"goodput": 10e6, "usb_speed": 60e6}, []),  # a line of 80 Mbit/s on a bus that takes twice as much
        ({"goodput": 100e6, "usb_speed": 625e6}, []),  # USB 3
        ({"goodput": 30e6, "usb_speed": 60e6, "calibrated": 38e6, "calibrated_link": True}, []),  # measured is better
        ({"goodput": 28e6, "usb_speed": 60e6, "calibrated": 300e6}, [("censored", "usb2_interface")]),  # over loopback
        (
            {"goodput": 37e6, "usb_speed": 60e6, "calibrated": 38e6, "calibrated_link": True},
            [("censored", "calibrated_ceiling")],
        ),
        ({"goodput": 95e6, "calibrated": 100e6}, [("censored", "calibrated_ceiling")]),
        ({"goodput": 94e6, "calibrated": 100e6}, []),
        ({"cross_traffic": 5e6, "tenants_above": 6e6}, []),
        ({"cross_traffic": 7e6, "tenants_above": 6e6}, [("censored", "cross_traffic")]),
        ({"cross_traffic": 7e6}, []),
    ],
)
def test_each_limit_has_its_reason(seen: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert list(judge(Evidence(**({"goodput": 50e6} | seen)))) == expected


def test_tenants_traffic_counts_for_what_the_line_is_proved_to_carry_as_payload() -> None:
    assert proved(50e6, None) == 50e6
    assert proved(50e6, 1514e4) == pytest.approx(50e6 + 1448e4)
    assert proved(None, 1e6) is None


def test_every_reason_is_documented() -> None:
    text = DOCS.read_text("utf-8")
    reasons = {*verdict.CENSORED, *verdict.INVALID, *verdict.SKIPPED}
    assert [reason for reason in sorted(reasons) if f"`{reason}`" not in text] == []
