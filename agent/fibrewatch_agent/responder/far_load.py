"""What a test costs the responder itself: the CPU of its server and of the machine, sampled while it runs."""

import os
from pathlib import Path
from typing import NamedTuple

from fibrewatch_agent.transfer import hardware
from fibrewatch_agent.transfer.hardware import Moment

_LEAST_S = 0.5
"""Ticks are hundredths of a second: a shorter stretch tells nothing."""


class Load(NamedTuple):
    """Over the whole stretch; None where it was too short, or /proc does not tell.

    Attributes:
        cpu: Cores that the server used.
        waited: Cores that it was ready to use while others had them.
        busy: Share of all cores; softirq: of the time of the core that was busiest with packets.
    """

    cpu: float | None = None
    waited: float | None = None
    busy: float | None = None
    softirq: float | None = None


class _Seen(NamedTuple):
    moment: Moment
    used_s: float
    waited_s: float | None


class LoadWatch:
    """Samples of one server, from the beginning of its test."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._first: _Seen | None = None
        self._last: _Seen | None = None

    def note(self, pid: int) -> None:
        """Now; the load is that between the first and the last time."""
        used = cpu_s(pid, self._proc)
        if used is not None:
            self._last = _Seen(hardware.moment(self._proc), used, waited_s(pid, self._proc))
            self._first = self._first or self._last

    def load(self) -> Load:
        """What was seen."""
        first, last = self._first, self._last
        if first is None or last is None or last.moment.at - first.moment.at < _LEAST_S:
            return Load()
        took_s, waited = last.moment.at - first.moment.at, None
        if first.waited_s is not None and last.waited_s is not None:
            waited = max(0.0, last.waited_s - first.waited_s) / took_s
        return Load(
            cpu=max(0.0, last.used_s - first.used_s) / took_s,
            waited=waited,
            busy=hardware.cpu_share(first.moment, last.moment),
            softirq=hardware.softirq_share(first.moment, last.moment),
        )


def cpu_s(pid: int, proc: Path = Path("/proc")) -> float | None:
    """User and system time of a process, its threads' included (proc(5) /proc/PID/stat); None once it has ended."""
    try:
        columns = (proc / str(pid) / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
        return (int(columns[11]) + int(columns[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return None


def waited_s(pid: int, proc: Path = Path("/proc")) -> float | None:
    """How long its threads were ready to run and did not (/proc/PID/task/TID/schedstat, second column)."""
    try:
        threads = [(each / "schedstat").read_text("ascii").split() for each in (proc / str(pid) / "task").iterdir()]
        return sum(int(columns[1]) for columns in threads) / 1e9
    except (OSError, IndexError, ValueError):
        return None
