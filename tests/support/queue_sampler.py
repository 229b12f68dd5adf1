"""Samples an interface's root qdisc, as `tc -s qdisc` would, until its standard input ends; prints one JSON list.

python -m tests.support.queue_sampler eth0 [interval_s]
Each entry: seconds of the monotonic clock, bytes waiting, bytes sent so far, bytes dropped so far. Netlink by hand, no
code of the product: this is what it is compared with (linux/rtnetlink.h, linux/gen_stats.h).
"""

import json
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator

_GETQDISC, _REQUEST_ECHO, _ROOT = 38, 0x9, 0xFFFFFFFF
_STATS2, _BASIC, _QUEUE = 7, 1, 3


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and value of each."""
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        yield kind & 0x3FFF, data[4:length]
        data = data[(length + 3) & ~3 :]


def sample(sock: socket.socket, index: int) -> tuple[float, int, int, int]:
    """The root qdisc now."""
    body = struct.pack("=BxxxiIII", socket.AF_UNSPEC, index, 0, _ROOT, 0)
    sock.send(struct.pack("=IHHII", 16 + len(body), _GETQDISC, _REQUEST_ECHO, 1, 0) + body)
    at = time.monotonic()
    answer = sock.recv(1 << 16)
    found = dict(attributes(dict(attributes(answer[36:]))[_STATS2]))
    (sent,) = struct.unpack_from("=Q", found[_BASIC])
    _, backlog, drops = struct.unpack_from("=III", found[_QUEUE])
    return at, backlog, sent, drops


def main() -> None:
    """Until told to end."""
    interface, interval_s = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 0.01
    samples = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.settimeout(10)
        index = socket.if_nametoindex(interface)
        while not select.select([sys.stdin], [], [], interval_s)[0]:
            samples.append(sample(sock, index))
    json.dump(samples, sys.stdout)


if __name__ == "__main__":
    main()
