"""Reads STAMP's packets from a capture, with nothing of the product's code (RFC 8762 §4.2.1, §4.3.1)."""

import struct
from pathlib import Path

from tests.support.pcap import packets


def datagrams(path: Path, port: int) -> list[tuple[str, int, bytes, int]]:
    """("request" or "reply", the stamp in nanoseconds, UDP payload, TOS) of each datagram to or from a port."""
    found = []
    for ns, frame in packets(path):
        kind = int.from_bytes(frame[12:14], "big")
        if kind == 0x0800 and frame[23] == 17:
            header, tos = 14 + (frame[14] & 15) * 4, frame[15]
        elif kind == 0x86DD and frame[20] == 17:
            header, tos = 54, (frame[14] & 15) << 4 | frame[15] >> 4
        else:
            continue
        source, destination, length = struct.unpack_from("!HHH", frame, header)
        if port in (source, destination):
            payload = frame[header + 8 : header + length]
            found.append(("request" if destination == port else "reply", ns, payload, tos))
    return found


def first_times(path: Path, port: int) -> tuple[dict[int, int], dict[int, int]]:
    """Sender's number → when its request, and the first reply to it, passed."""
    requests: dict[int, int] = {}
    replies: dict[int, int] = {}
    for kind, ns, payload, _ in datagrams(path, port):
        at = 0 if kind == "request" else 24
        (requests if kind == "request" else replies).setdefault(int.from_bytes(payload[at : at + 4], "big"), ns)
    return requests, replies
