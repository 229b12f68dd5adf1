"""Captures an interface into a nanosecond pcap file until SIGTERM, where tcpdump can't run.

    python -m tests.support.capture INTERFACE FILE

tcpdump gives up its supplementary groups at its start, which a user namespace of an ordinary user forbids.
"""

import signal
import socket
import struct
import sys
import time
from pathlib import Path
from typing import BinaryIO

_ETH_P_ALL = 0x0003
_SO_TIMESTAMPNS_NEW = 64
_LINKTYPE_ETHERNET = 1


def write_waiting(sock: socket.socket, file: BinaryIO) -> None:
    """Every packet that the kernel holds, with its own stamp."""
    while True:
        try:
            frame, control, _, _ = sock.recvmsg(2048, 256)
        except BlockingIOError:
            return
        stamp = next(data for _, kind, data in control if kind == _SO_TIMESTAMPNS_NEW)
        file.write(struct.pack("=IIII", *struct.unpack("=qq", stamp[:16]), len(frame), len(frame)) + frame)


def main(interface: str, path: Path) -> None:
    """Reads now and then: to be woken by each packet would take longer than what is compared."""
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL)) as sock, path.open("wb") as file:
        sock.bind((interface, _ETH_P_ALL))
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS_NEW, 1)
        file.write(struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 2048, _LINKTYPE_ETHERNET))
        print("listening on", interface, file=sys.stderr, flush=True)
        while not ended:
            write_waiting(sock, file)
            file.flush()
            time.sleep(0.05)
        write_waiting(sock, file)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
