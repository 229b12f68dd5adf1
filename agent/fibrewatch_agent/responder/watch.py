"""Whether an iperf3 server still serves: what /proc shows of it, and how long nothing of that may change."""

import ipaddress
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

STUCK_S = 20.0
"""Nothing moved for so long with a client connected: that test is lost anyway (the client's own deadline is 5 s)."""
LONGEST_TEST_S = 150.0
"""Where the kernel does not count bytes: the longest test, warm-up and deadline included, that a box can ask for."""
_PROGRESS_BYTES = 1000
"""Less than this is a server turning others away, a byte each, while it hangs."""
_LISTENING, _ESTABLISHED = "0A", "01"  # net/tcp_states.h


class Activity(NamedTuple):
    """A server at one moment.

    Attributes:
        sockets: Inodes; an idle server has its listener alone.
        moved: Bytes read and written since it started, sockets' too; None where the kernel does not count them.
    """

    sockets: frozenset[str]
    moved: int | None


def activity(pid: int, proc: Path = Path("/proc")) -> Activity:
    """What the server does now; nothing at all once it has ended."""
    return Activity(frozenset(_sockets(proc / str(pid) / "fd")), _moved(proc / str(pid) / "io"))


def _moved(io: Path) -> int | None:
    """rchar and wchar of proc(5) /proc/PID/io."""
    try:
        fields = dict(line.split(": ") for line in io.read_text("ascii").splitlines())
        return int(fields["rchar"]) + int(fields["wchar"])
    except (OSError, KeyError, ValueError):
        return None


def listens(pid: int, port: int, proc: Path = Path("/proc")) -> bool:
    """Whether the process has a listening TCP socket on the port, without connecting to it: that would occupy it."""
    inodes = frozenset(_sockets(proc / str(pid) / "fd"))
    return any(_listener(line.split(), port) in inodes for line in _tables(proc / str(pid) / "net"))


def _sockets(folder: Path) -> Iterator[str]:
    with suppress(OSError):  # it has ended
        for descriptor in folder.iterdir():
            with suppress(OSError):
                link = str(descriptor.readlink())
                if link.startswith("socket:["):
                    yield link.removeprefix("socket:[").removesuffix("]")


def _tables(folder: Path) -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        with suppress(OSError):  # no IPv6, or it has ended
            yield from (folder / name).read_text("ascii").splitlines()[1:]


def _listener(columns: list[str], port: int) -> str | None:
    """proc(5) /proc/net/tcp: local address:port in hexadecimal, state and inode are columns 1, 3 and 9."""
    bound = int(columns[1].rpartition(":")[2], 16)
    return columns[9] if bound == port and columns[3] == _LISTENING else None


def peers(port: int, net: Path = Path("/proc/net")) -> Counter[str]:
    """How many connections to a port each address has; an IPv4 one is written as such on an IPv6 socket too."""
    found: Counter[str] = Counter()
    for line in _tables(net):
        columns = line.split()
        if columns[3] == _ESTABLISHED and int(columns[1].rpartition(":")[2], 16) == port:
            found[_address(columns[2].rpartition(":")[0])] += 1
    return found


def _address(text: str) -> str:
    """Words of 32 bits, each in the host's own order."""
    words = [int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8)]
    address = ipaddress.ip_address(b"".join(words))
    return str(getattr(address, "ipv4_mapped", None) or address)


class StuckWatch:
    """Notices a server that holds a connection over which nothing moves.

    iperf3 3.12 waits for ever for a client that connects and says nothing, or that vanishes between its parameters and
    its streams; 3.18 and 3.21 hang when one vanishes to which they send (tried). None of its time-outs helps.
    """

    def __init__(self) -> None:
        self._mark: Activity | None = None
        self._since = 0.0

    def stuck(self, now: Activity, at_s: float) -> bool:
        """To be told regularly, with the monotonic time."""
        if self._mark is None or len(now.sockets) <= 1 or _progress(self._mark, now):
            self._mark, self._since = now, at_s
        return at_s - self._since >= (LONGEST_TEST_S if now.moved is None else STUCK_S)


def _progress(mark: Activity, now: Activity) -> bool:
    if mark.moved is None or now.moved is None:
        return mark.sockets != now.sockets
    return now.moved - mark.moved >= _PROGRESS_BYTES
