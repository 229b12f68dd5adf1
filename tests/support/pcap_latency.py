"""The wire's own round trips of several tools, from captures at both ends, with nothing of the product's code.

Each function takes the near and the far end's capture and gives number → seconds. What the far end took of a UDP
exchange is left out, as the tools leave it out; an echo is answered by the kernel, and its time is all of it.
"""

from pathlib import Path

from tests.support import pcap, pcap_stamp

Trips = dict[int, float]
_SMALLEST_PING = 40
_IRTT_MAGIC, _IRTT_REPLY, _IRTT_TEST = bytes.fromhex("14a75b"), 2, {0, 2}


def numbered_echoes(near: Path, _: Path) -> Trips:
    """Echoes with the number of the probe in their payload (56 bytes)."""
    return pcap.round_trips(near, 56)


def echoes(near: Path, _: Path) -> Trips:
    """Echoes in the order in which they were sent, whatever is in them."""
    sent: dict[bytes, int] = {}
    trips: Trips = {}
    order: dict[bytes, int] = {}
    for ns, frame in pcap.packets(near):
        if frame[12:14] != b"\x08\x00" or frame[23] != 1 or len(frame) < _SMALLEST_PING:
            continue
        kind, key = frame[34], frame[38:42]  # identifier and sequence number
        if kind == 8:
            order.setdefault(key, len(order))
            sent.setdefault(key, ns)
        elif kind == 0 and key in sent:
            trips.setdefault(order[key], (ns - sent[key]) / 1e9)
    return trips


def stamps(near: Path, far: Path, port: int) -> Trips:
    """STAMP's by the sender's number."""
    return _less_far(*(pcap_stamp.first_times(path, port) for path in (near, far)))


def irtt(near: Path, far: Path, port: int) -> Trips:
    """irtt's by its sequence number (irtt 0.9, packet.go: magic, flags, token of 8 bytes, number, little-endian)."""

    def times(path: Path) -> tuple[dict[int, int], dict[int, int]]:
        found: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for _, ns, payload, _ in pcap_stamp.datagrams(path, port):
            if payload[:3] == _IRTT_MAGIC and payload[3] in _IRTT_TEST and len(payload) >= 16:
                number = int.from_bytes(payload[12:16], "little")
                found[payload[3] == _IRTT_REPLY].setdefault(number, ns)
        return found

    return _less_far(times(near), times(far))


def _less_far(near: tuple[dict[int, int], dict[int, int]], far: tuple[dict[int, int], dict[int, int]]) -> Trips:
    trips = {}
    for number in near[1].keys() & far[1].keys():
        whole, held = near[1][number] - near[0][number], far[1][number] - far[0][number]
        trips[number] = (whole - held) / 1e9
    return trips
