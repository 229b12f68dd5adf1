"""What limited a transfer if it was not the line, and so what its figure proves: pure arithmetic on what was seen.

The list of reasons is fixed; docs/throughput.md explains each of them.
"""

import re
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from fibrewatch.measurement import Verdict

CENSORED = (
    "interface_ceiling",
    "calibrated_ceiling",
    "usb2_interface",
    "cpu_saturated",
    "thermal_throttling",
    "cross_traffic",
    "server_pauses",
    "offered_load",
    "responder_ceiling",
    "tenants_unknown",
)
"""The line carried at least that much; what it could carry beyond it was not to be seen."""
INVALID = ("under_voltage", "link_speed", "tenants_traffic")
"""The figure says nothing about the line."""
SKIPPED = ("quiet_hours", "byte_budget", "tenants_traffic")
"""Why a slot was left unused on purpose."""

GOODPUT_CEILING = 1448 / 1538
"""Of a link's bits, what is TCP payload: full frames, 1500 bytes of IP, time stamps on, preamble and gap counted."""
PAYLOAD_OF_FRAME = 1448 / 1514
"""The same of the bytes that interfaces and routers count: no preamble, no gap, no checksum."""
PAYLOAD_OF_PACKET = 1448 / 1500
AT_CEILING = 0.97
AT_CALIBRATED = 0.95
USB2 = 60e6
"""Bytes per second: 480 Mbit/s. What hangs on such a bus, or a slower one, shares it with its own protocol."""
USB2_USABLE = 0.4
"""Of the bus's rate: the least of what USB 2 network adapters reach (a Raspberry Pi 3's 190 to 300 Mbit/s)."""
SATURATED = 0.95
QUOTA_FELT = 0.05
"""Share of the time that the kernel held us back for a CPU quota, from which on the transfer felt it."""
_THERMAL = frozenset({"frequency_capped", "throttled", "soft_temperature_limit"})
_FIRST_THREADED = (3, 16)
"""From here on iperf3 runs a thread for each stream; before that one core is all that it can use."""


class Evidence(Struct, frozen=True, kw_only=True):
    """What was seen of the box during one transfer; None where it can't be told. Rates in bytes per second.

    Attributes:
        link_speed: As negotiated, the least during the transfer.
        expected_link: What it has to be by the config.
        usb_speed: Of the bus that the interface hangs on; None when it is on none.
        calibrated: Goodput that the box itself was found to reach in this direction.
        calibrated_link: That was by way of the interface; over loopback it says nothing of the adapter and its bus.
        cpu_busy: Share of all cores.
        softirq: Share of the time that the busiest core spent on packets.
        held_back: Share of the time that a CPU quota stopped our processes.
        throttled: The firmware's flags.
        cross_traffic: What the tenants moved meanwhile, by the router's counters, in the transfer's direction.
        tenants_above: From which rate on that counts.
    """

    goodput: float | None
    link_speed: float | None = None
    expected_link: float | None = None
    usb_speed: float | None = None
    calibrated: float | None = None
    calibrated_link: bool = False
    cpu_busy: float | None = None
    softirq: float | None = None
    held_back: float | None = None
    throttled: tuple[str, ...] | None = None
    cross_traffic: float | None = None
    tenants_above: float | None = None


def judge(seen: Evidence) -> Iterator[tuple[Verdict, str]]:
    """Every reason that applies; the gravest verdict counts."""
    yield from _by_the_link(seen)
    if at_least(seen.goodput, seen.calibrated, AT_CALIBRATED):
        yield "censored", "calibrated_ceiling"
    busy = (seen.cpu_busy or 0) >= SATURATED or (seen.softirq or 0) >= SATURATED
    if busy or (seen.held_back or 0) >= QUOTA_FELT:
        yield "censored", "cpu_saturated"
    if _THERMAL.intersection(seen.throttled or ()):
        yield "censored", "thermal_throttling"
    if seen.tenants_above is not None and (seen.cross_traffic or 0) > seen.tenants_above:
        yield "censored", "cross_traffic"


def _by_the_link(seen: Evidence) -> Iterator[tuple[Verdict, str]]:
    if seen.link_speed is not None and seen.expected_link is not None and seen.link_speed < seen.expected_link:
        yield "invalid", "link_speed"
    if at_least(seen.goodput, seen.link_speed, AT_CEILING * GOODPUT_CEILING):
        yield "censored", "interface_ceiling"
    on_usb2 = seen.usb_speed is not None and seen.usb_speed <= USB2
    measured = seen.calibrated is not None and seen.calibrated_link
    if on_usb2 and not measured and at_least(seen.goodput, seen.usb_speed, USB2_USABLE):
        yield "censored", "usb2_interface"


def at_least(value: float | None, limit: float | None, share: float) -> bool:
    """Whether both are known and the value is at or over this share of the limit."""
    return value is not None and limit is not None and value >= share * limit


def proved(goodput: float | None, cross_traffic: float | None) -> float | None:
    """Goodput that the line is proved to carry: ours, and the tenants' as if it had been TCP in full frames.

    Args:
        cross_traffic: As the router counts: bytes of frames per second.
    """
    return None if goodput is None else goodput + (cross_traffic or 0.0) * PAYLOAD_OF_FRAME


def goodput_of(capacity: float) -> float:
    """What TCP would have for payload of an IP-layer capacity, to be held to ceilings that are TCP's."""
    return capacity * PAYLOAD_OF_PACKET


def capacity_of(goodput: float | None) -> float | None:
    """The other way round."""
    return None if goodput is None else goodput / PAYLOAD_OF_PACKET


def ends_of_iperf3(
    local: tuple[float | None, str, int], remote: tuple[float | None, str, int]
) -> Iterator[tuple[Verdict, Literal["cpu_saturated"]]]:
    """Whether the tool itself ran out of CPU at either end; each as `saturated` takes it."""
    if saturated(*local) or saturated(*remote):
        yield "censored", "cpu_saturated"


def saturated(cpu: float | None, version: str, threads: int) -> bool:
    """Whether an iperf3 used up what it can: one core before 3.16, later ones a core for each stream.

    Args:
        cpu: In cores.
        version: As iperf3 says it: "iperf 3.12"; an unknown one counts as old.
        threads: How many could run at once.
    """
    found = re.match(r"iperf (\d+)\.(\d+)", version)
    threaded = found is not None and tuple(map(int, found.groups())) >= _FIRST_THREADED
    return cpu is not None and cpu >= SATURATED * (threads if threaded else 1)
