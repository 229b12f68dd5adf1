"""Reads a trace over UDP from a capture, with nothing of the product's code."""

import struct
from collections import defaultdict
from pathlib import Path

from tests.support.pcap import packets


def round_trips(file: Path, family: int) -> dict[int, list[float]]:
    """Seconds from each packet to the error about it, by hop limit."""
    network, limit, icmp = (20, 8, 1) if family == 4 else (40, 7, 58)
    sent: dict[bytes, tuple[int, int]] = {}
    found: dict[int, list[float]] = defaultdict(list)
    for at, frame in packets(file):
        packet = frame[14:]
        protocol = packet[9] if family == 4 else packet[6]
        if struct.unpack("!H", frame[12:14])[0] != (0x0800 if family == 4 else 0x86DD):
            continue
        if protocol == 17:
            sent[packet[network + 8 : network + 16]] = (packet[limit], at)
        elif protocol == icmp and packet[network] in (3, 11, 1):
            quoted = packet[network + 8 :]
            ttl, begun = sent[quoted[network + 8 : network + 16]]
            found[ttl].append((at - begun) / 1e9)
    return found
