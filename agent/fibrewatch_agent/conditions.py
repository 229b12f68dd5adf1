"""The box's state around a measurement: clock, CPU, temperature, the Pi's throttling flags, link speed.

Everything is read below two roots, `sys` and `proc`, so that recorded trees can stand in for a box.
"""

import ipaddress
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from fibrewatch.measurement import Conditions
from fibrewatch_agent.clock import ClockState, kernel_clock

UNDER_VOLTAGE = "under_voltage"
_FLAGS = {0: UNDER_VOLTAGE, 1: "frequency_capped", 2: "throttled", 3: "soft_temperature_limit"}
"""Bits of the firmware's GET_THROTTLED (Raspberry Pi documentation, vcgencmd get_throttled); bits 16 to 19 say the same
of the past since boot and are left out: a measurement is judged by its own time."""
_STILL_S = 1.0
_BITS_PER_MEGABIT = 1_000_000
_RTF_UP, _RTF_REJECT = 0x1, 0x200  # linux/route.h


class Snapshot(Struct, frozen=True, kw_only=True):
    """The box at one moment; CPU as (busy, total) in ticks since boot."""

    clock: ClockState
    cpu: tuple[int, int] | None
    temperature_celsius: float | None
    throttled: tuple[str, ...] | None
    link_speed: float | None


class Observer:
    """Takes snapshots; what changes slowly is read once a second at most, since some tests run far more often."""

    def __init__(
        self,
        sys: Path = Path("/sys"),
        proc: Path = Path("/proc"),
        *,
        clock: Callable[[], ClockState] = kernel_clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sys, self._proc, self._clock, self._monotonic = sys, proc, clock, monotonic
        self._slow: dict[tuple[str | None, str | None], tuple[float, Snapshot]] = {}

    def snapshot(self, interface: str | None = None, address: str | None = None) -> Snapshot:
        """The box now; without an interface the link is the one that the route to `address` (or the default) takes."""
        now = self._monotonic()
        known = self._slow.get((interface, address))
        if known is None or now - known[0] >= _STILL_S:
            if len(self._slow) > 1000:  # a name that resolves to ever new addresses
                self._slow.clear()
            known = self._slow[interface, address] = (now, self._read(interface, address))
        slow = known[1]
        return Snapshot(
            clock=self._clock(),
            cpu=cpu_ticks(self._proc),
            temperature_celsius=slow.temperature_celsius,
            throttled=slow.throttled,
            link_speed=slow.link_speed,
        )

    def now(self) -> Conditions:
        """The state for the status message: one moment, so nothing about the CPU."""
        snapshot = self.snapshot()
        return between(snapshot, snapshot)

    def _read(self, interface: str | None, address: str | None) -> Snapshot:
        device = interface or route_interface(self._proc, address)
        return Snapshot(
            clock=ClockState(synchronised=False),
            cpu=None,
            temperature_celsius=temperature(self._sys),
            throttled=throttled(self._sys),
            link_speed=link_speed(self._sys, device) if device else None,
        )


def between(start: Snapshot, end: Snapshot) -> Conditions:
    """What was true of the stretch between two snapshots: the worse of both."""
    synchronised = start.clock.synchronised and end.clock.synchronised
    flags = (
        None if start.throttled is None and end.throttled is None else (start.throttled or ()) + (end.throttled or ())
    )
    return Conditions(
        clock_synchronised=synchronised,
        clock_offset_bound_s=_most(start.clock.offset_bound_s, end.clock.offset_bound_s) if synchronised else None,
        cpu_busy=busy_share(start.cpu, end.cpu),
        temperature_celsius=_most(start.temperature_celsius, end.temperature_celsius),
        throttled=None if flags is None else tuple(sorted(set(flags))),
        link_speed=_least(start.link_speed, end.link_speed),
    )


def cpu_ticks(proc: Path) -> tuple[int, int] | None:
    """Busy and total ticks of all cores since boot, proc(5) /proc/stat; idle and iowait are not busy."""
    try:
        with (proc / "stat").open("rb") as f:
            user, nice, system, idle, iowait, irq, softirq, steal = map(int, f.readline().split()[1:9])
    except (OSError, ValueError):
        return None
    busy = user + nice + system + irq + softirq + steal
    return busy, busy + idle + iowait


def busy_share(start: tuple[int, int] | None, end: tuple[int, int] | None) -> float | None:
    """Share of ticks that were busy; None for a stretch shorter than a tick."""
    if start is None or end is None or end[1] <= start[1]:
        return None
    return min(1.0, max(0.0, (end[0] - start[0]) / (end[1] - start[1])))


def temperature(sys: Path) -> float | None:
    """The hottest thermal zone, else the hottest hwmon sensor, °C."""
    for pattern in ("class/thermal/thermal_zone*/temp", "class/hwmon/hwmon*/temp*_input"):
        found = [value / 1000 for path in sorted(sys.glob(pattern)) if (value := _number(path)) is not None]
        plausible = [celsius for celsius in found if -60 < celsius < 200]  # absent sensors read -274 or 255
        if plausible:
            return max(plausible)
    return None


def throttled(sys: Path) -> tuple[str, ...] | None:
    """The Raspberry Pi firmware's flags that are up now; None on a box that has no such firmware.

    Raspberry Pi OS shows all of them, in hexadecimal; the mainline driver raspberrypi-hwmon only under-voltage.
    """
    for path in sorted(sys.glob("devices/platform/soc*/*firmware/get_throttled")):
        bits = _number(path, base=16)
        if bits is not None:
            return tuple(name for bit, name in _FLAGS.items() if bits >> bit & 1)
    for path in sorted(sys.glob("class/hwmon/hwmon*")):
        if _text(path / "name") == "rpi_volt" and (alarm := _number(path / "in0_lcrit_alarm")) is not None:
            return (UNDER_VOLTAGE,) if alarm else ()
    return None


def link_speed(sys: Path, interface: str) -> float | None:
    """Negotiated speed, bytes per second; None where the driver does not tell (radio, virtual, no carrier: -1)."""
    megabits = _number(sys / "class/net" / interface / "speed")
    return megabits * _BITS_PER_MEGABIT / 8 if megabits is not None and megabits > 0 else None


def route_interface(proc: Path, address: str | None) -> str | None:
    """The interface that the longest prefix over `address` (None: the default route) leads to; a name leads nowhere."""
    try:
        wanted = ipaddress.ip_address(address) if address else ipaddress.IPv4Address(0)
    except ValueError:
        return None
    if wanted.is_loopback:
        return "lo"  # the local table is not shown in /proc
    routes = list(_routes4(proc) if wanted.version == 4 else _routes6(proc))
    covering = [
        (network.prefixlen, -metric, device) for network, metric, device in routes if _covers(network, wanted, address)
    ]
    return max(covering)[2] if covering else None


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _covers(network: _Network, wanted: _Address, address: str | None) -> bool:
    return wanted in network if address else network.prefixlen == 0


def _routes4(proc: Path) -> Iterator[tuple[_Network, int, str]]:
    """/proc/net/route: words in the host's byte order, see route(8)."""
    for line in (_text(proc / "net/route") or "").splitlines()[1:]:
        device, destination, _, flags, _, _, metric, mask = line.split()[:8]
        if int(flags, 16) & _RTF_UP and not int(flags, 16) & _RTF_REJECT:
            network = ipaddress.IPv4Address(_swapped(destination))
            yield ipaddress.IPv4Network((network, int(mask, 16).bit_count())), int(metric), device


def _routes6(proc: Path) -> Iterator[tuple[_Network, int, str]]:
    """/proc/net/ipv6_route: destination, prefix length, source, its length, gateway, metric, …, flags, device."""
    for line in (_text(proc / "net/ipv6_route") or "").splitlines():
        columns = line.split()
        if int(columns[8], 16) & _RTF_UP and not int(columns[8], 16) & _RTF_REJECT:
            network = ipaddress.IPv6Address(bytes.fromhex(columns[0]))
            yield ipaddress.IPv6Network((network, int(columns[1], 16))), int(columns[5], 16), columns[9]


def _swapped(word: str) -> bytes:
    """Little-endian, as on every 64-bit machine that runs the agent."""
    return bytes.fromhex(word)[::-1]


def _text(path: Path) -> str | None:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _number(path: Path, base: int = 10) -> int | None:
    try:
        return int(_text(path) or "", base)
    except ValueError:
        return None


def _most(*values: float | None) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _least(*values: float | None) -> float | None:
    return min((value for value in values if value is not None), default=None)
