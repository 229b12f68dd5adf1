"""Answers echo requests in ways that a line or a liar might, and tells at the end what it did: the known truth.

    python -m tests.support.icmp_responder ADDRESS OTHER_ADDRESS

The kernel's own echo is to be off (net.ipv4.icmp_echo_ignore_all or its v6 like). One way for each request, in the
order of `CYCLE`. Ends at a line on standard input, and prints {way: count} as JSON.
"""

import json
import select
import socket
import struct
import sys
import time
from collections import Counter

CYCLE = (
    "answered",
    "doubled",
    "held",  # sent after the answer to the next request, which is "answered"
    "answered",
    "silent",
    "late",
    "answered",
    "wrong_cookie",
    "wrong_source",
    "cut_short",
    "garbage",
    "wrong_checksum",
    "wrong_identifier",
    "answered",
    "tripled",
)
LATE_S = 0.45


def checksum(data: bytes) -> int:
    """RFC 1071, word by word."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) // 2 * 2]))
    total += data[-1] << 8 if len(data) % 2 else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Responder:
    """One RAW socket of each address; v6 checksums are the kernel's."""

    def __init__(self, address: str, other: str) -> None:
        self.v6 = ":" in address
        self.main, self.other = self._socket(address), self._socket(other)
        self.did: Counter[str] = Counter()
        self.waiting: list[tuple[float, bytes, str]] = []
        self.held: list[tuple[bytes, str]] = []

    def _socket(self, address: str) -> socket.socket:
        family, protocol = (socket.AF_INET6, 58) if self.v6 else (socket.AF_INET, 1)
        sock = socket.socket(family, socket.SOCK_RAW, protocol)
        sock.bind((address, 0))
        return sock

    def run(self) -> None:
        """Until a line comes on standard input."""
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([self.main, sys.stdin], [], [], 0.005)
            self.send_late()
            if sys.stdin in ready:
                return
            if self.main in ready:
                packet, source = self.main.recvfrom(2048)
                icmp = packet if self.v6 else packet[(packet[0] & 15) * 4 :]
                if icmp[0] == (128 if self.v6 else 8):
                    self.request(icmp, source[0])

    def send_late(self) -> None:
        """What is due by now."""
        now = time.monotonic()
        while self.waiting and self.waiting[0][0] <= now:
            _, icmp, to = self.waiting.pop(0)
            self.answer(icmp, to)

    def request(self, icmp: bytes, to: str) -> None:
        """One request, in the way that is its turn."""
        way = CYCLE[sum(self.did.values()) % len(CYCLE)]
        self.did[way] += 1
        (self.held_back if way == "held" else getattr(self, way))(icmp, to)
        if way != "held":
            while self.held:
                self.answer(*self.held.pop())

    def answer(self, icmp: bytes, to: str, sock: socket.socket | None = None, *, spoil: int = 0) -> None:
        kind = b"\x81\0" if self.v6 else b"\0\0"
        body = kind + b"\0\0" + icmp[4:]
        if not self.v6:
            body = body[:2] + (checksum(body) ^ spoil).to_bytes(2, "big") + body[4:]
        (sock or self.main).sendto(body, (to, 0))

    def answered(self, icmp: bytes, to: str) -> None:
        self.answer(icmp, to)

    def doubled(self, icmp: bytes, to: str) -> None:
        self.answer(icmp, to)
        self.answer(icmp, to)

    def tripled(self, icmp: bytes, to: str) -> None:
        self.doubled(icmp, to)
        self.answer(icmp, to)

    def held_back(self, icmp: bytes, to: str) -> None:
        self.held.append((icmp, to))

    def silent(self, icmp: bytes, to: str) -> None:
        pass

    def late(self, icmp: bytes, to: str) -> None:
        self.waiting.append((time.monotonic() + LATE_S, icmp, to))

    def wrong_cookie(self, icmp: bytes, to: str) -> None:
        self.answer(icmp[:8] + bytes(8) + icmp[16:], to)

    def wrong_source(self, icmp: bytes, to: str) -> None:
        self.answer(icmp, to, self.other)

    def cut_short(self, icmp: bytes, to: str) -> None:
        self.answer(icmp[:20], to)

    def garbage(self, icmp: bytes, to: str) -> None:
        self.answer(icmp[:8] + bytes(255 - byte for byte in icmp[8:]) + bytes(700), to)
        self.answer(icmp[:8], to)

    def wrong_checksum(self, icmp: bytes, to: str) -> None:
        if not self.v6:
            self.answer(icmp, to, spoil=0x5555)

    def wrong_identifier(self, icmp: bytes, to: str) -> None:
        self.answer(icmp[:4] + bytes([icmp[4] ^ 0xFF]) + icmp[5:], to)


if __name__ == "__main__":
    responder = Responder(sys.argv[1], sys.argv[2])
    responder.run()
    print(json.dumps(responder.did), flush=True)
