"""Captures of monitor interfaces: read, written, and what tshark says of them; nothing of the product's code."""

import struct
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_RADIOTAP = 127


class Caught(NamedTuple):
    """A packet of a capture: seconds, what was kept of it, its whole length."""

    at: float
    data: bytes
    length: int


class Told(NamedTuple):
    """What tshark says of a packet."""

    duration_us: int | None
    kind: int | None
    retry: bool
    sender: str
    bssid: str
    rate: float | None


def caught(path: Path) -> list[Caught]:
    data, at, found = path.read_bytes(), 24, []
    nano = struct.unpack_from("<I", data)[0] == 0xA1B23C4D
    while at < len(data):
        seconds, part, kept, length = struct.unpack_from("<IIII", data, at)
        found.append(Caught(seconds + part * (1e-9 if nano else 1e-6), data[at + 16 : at + 16 + kept], length))
        at += 16 + kept
    return found


def written(path: Path, packets: Iterable[Caught]) -> Path:
    head = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, _RADIOTAP)
    rows = [
        struct.pack("<IIII", int(each.at), int(each.at % 1 * 1e9), len(each.data), each.length) + each.data
        for each in packets
    ]
    path.write_bytes(head + b"".join(rows))
    return path


def tshark(path: Path) -> list[Told]:
    names = ("wlan_radio.duration", "wlan.fc.type", "wlan.fc.retry", "wlan.ta", "wlan.bssid", "wlan_radio.data_rate")
    fields = [each for name in names for each in ("-e", name)]
    argv = ["tshark", "-r", str(path), "-T", "fields", *fields]
    output = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout
    return [_told(line.split("\t")) for line in output.splitlines()]


def _told(columns: list[str]) -> Told:
    duration, kind, retry, sender, bssid, rate = columns
    return Told(
        int(duration) if duration else None,
        int(kind) if kind else None,
        retry in ("1", "True"),
        sender,
        bssid,
        float(rate) if rate else None,
    )


def with_checksums(packets: Iterable[Caught]) -> Iterator[Caught]:
    """The same frames as they were on the air, where each ends in four more octets."""
    for each in packets:
        flags = 8 if each.data[4] & 1 == 0 else 16  # behind TSFT, if that is there
        assert each.data[4] & 2, "flags are there"
        data = bytearray(each.data)
        data[flags] |= 0x10
        yield Caught(each.at, bytes(data), each.length + 4)
