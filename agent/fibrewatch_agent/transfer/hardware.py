"""What in the box can hold a transfer back, apart from the link: its cores, a CPU quota, the bus of its interface.

Everything is read below two roots, `sys` and `proc`, so that recorded trees can stand in for a box.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from fibrewatch_agent.conditions import busy_share, cpu_ticks

_SOFTIRQ, _TOTAL = 6, slice(0, 8)  # columns of proc(5) /proc/stat after the core's name


class Moment(Struct, frozen=True, kw_only=True):
    """The box's processors at one moment.

    Attributes:
        cores: Ticks spent on soft interrupts, where packets are handled, and in all, of each core since boot.
        cpu: Busy ticks and all, of all cores together.
        held_s: How long quotas of our control groups stopped us, summed over cores and groups; None without any.
    """

    at: float
    cores: tuple[tuple[int, int], ...] = ()
    cpu: tuple[int, int] | None = None
    held_s: float | None = None


def moment(proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> Moment:
    """The processors now."""
    held = [seconds for folder in _groups(proc, sys) if (seconds := _held_s(folder)) is not None]
    cores, total = tuple(_cores(proc)), sum(held) if held else None
    return Moment(at=time.monotonic(), cores=cores, cpu=cpu_ticks(proc), held_s=total)


def stretch(moments: Sequence[Moment], flow: tuple[float, float] | None) -> tuple[Moment, Moment] | None:
    """The first and the last moment of the traffic: within it, or around it where those tell of less than half of it.

    Args:
        moments: In order.
        flow: When the traffic began and ended; None: all of the time counts.
    """
    if len(moments) < 2:
        return None
    if flow is None:
        return moments[0], moments[-1]
    begin, end = flow
    within = [each for each in moments if begin <= each.at <= end]
    if len(within) > 1 and within[-1].at - within[0].at >= (end - begin) / 2:
        return within[0], within[-1]
    early = [each for each in moments if each.at <= begin]
    late = [each for each in moments if each.at >= end]
    return (early or moments)[-1 if early else 0], (late or moments)[0 if late else -1]


def cpu_share(before: Moment, after: Moment) -> float | None:
    """Of the time between, for how much of it the cores were busy."""
    return busy_share(before.cpu, after.cpu)


def softirq_share(before: Moment, after: Moment) -> float | None:
    """Of the time between, what the core that was busiest with packets spent on them."""
    shares = [
        (late[0] - early[0]) / (late[1] - early[1])
        for early, late in zip(before.cores, after.cores, strict=False)
        if late[1] > early[1]
    ]
    return max(shares, default=None)


def held_share(before: Moment, after: Moment) -> float | None:
    """Of the time between, for how much of it a quota stopped our processes."""
    if before.held_s is None or after.held_s is None or after.at <= before.at:
        return None
    return max(0.0, after.held_s - before.held_s) / (after.at - before.at)


def usb_speed(interface: str, sys: Path = Path("/sys")) -> float | None:
    """The rate of the USB bus that an interface's device hangs on, bytes per second; None when it hangs on none.

    The nearest folder above the device that is a USB device's own: only those have a `bDeviceClass` beside `speed`.
    """
    device = (sys / "class/net" / interface / "device").resolve()
    for folder in (device, *device.parents):
        if (folder / "bDeviceClass").exists():
            try:
                return float((folder / "speed").read_text("ascii")) * 1e6 / 8
            except (OSError, ValueError):
                return None
        if folder == sys.resolve():
            return None
    return None


def _cores(proc: Path) -> Iterator[tuple[int, int]]:
    for line in _lines(proc / "stat"):
        name, *columns = line.split()
        if name.startswith("cpu") and name != "cpu":
            ticks = [int(column) for column in columns]
            yield ticks[_SOFTIRQ], sum(ticks[_TOTAL])


def _groups(proc: Path, sys: Path) -> Iterator[Path]:
    """Our control group and those above it, of the hierarchy that holds the CPU controller (cgroups(7))."""
    for line in _lines(proc / "self/cgroup"):
        number, controllers, path = line.split(":", 2)
        roots = [sys / "fs/cgroup", sys / "fs/cgroup/unified"] if number == "0" else []
        if "cpu" in controllers.split(","):
            roots = [sys / "fs/cgroup" / controllers, sys / "fs/cgroup/cpu"]
        root = next((root for root in roots if root.is_dir()), None)
        if root is None:
            continue
        group = root / path.lstrip("/")
        while root in (group, *group.parents):
            yield group
            group = group.parent


def _held_s(folder: Path) -> float | None:
    """Seconds: version 2 counts microseconds, version 1 nanoseconds."""
    for line in _lines(folder / "cpu.stat"):
        name, _, number = line.partition(" ")
        if name in ("throttled_usec", "throttled_time"):
            return int(number) / (1e6 if name == "throttled_usec" else 1e9)
    return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
