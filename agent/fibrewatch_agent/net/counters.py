"""What an interface has moved since it was made, of our own network namespace (sysfs need not be of that)."""

from pathlib import Path
from typing import NamedTuple


class Counters(NamedTuple):
    """Of one interface, as its driver counts: frames without preamble, checksum and gap."""

    bytes_in: int
    packets_in: int
    bytes_out: int
    packets_out: int


def counters(interface: str, proc: Path = Path("/proc")) -> Counters | None:
    """An interface's counters; None when there is no such interface."""
    try:
        lines = (proc / "self/net/dev").read_text("ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        name, colon, columns = line.partition(":")
        if colon and name.strip() == interface:
            numbers = [int(column) for column in columns.split()]
            return Counters(numbers[0], numbers[1], numbers[8], numbers[9])
    return None


def moved(interface: str, proc: Path = Path("/proc")) -> int | None:
    """Bytes in both directions; None when there is no such interface."""
    found = counters(interface, proc)
    return None if found is None else found.bytes_in + found.bytes_out
