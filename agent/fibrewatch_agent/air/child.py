"""Listens to a monitor interface in a process of its own that ends with it: `main(ORDER)` prints an Outcome.

A packet(7) socket gives frames with their radiotap header; the kernel cuts them after what is looked at, so that
payloads never reach us.
"""

import contextlib
import ctypes
import errno
import socket
import struct
import sys
import time
from collections.abc import Iterator

import msgspec

from fibrewatch.measurement import Error
from fibrewatch.results.wifi_air import Result
from fibrewatch.ssid import octets
from fibrewatch_agent.air.order import Order, Outcome
from fibrewatch_agent.air.tally import Tally

_ETH_P_ALL, _ARPHRD_RADIOTAP = 3, 803
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_AUXDATA = 263, 6, 8  # linux/if_packet.h
_AUXDATA = struct.Struct("IIIHHHH")
_SO_TIMESTAMPNS_NEW, _SO_ATTACH_FILTER = 64, 26
_STAMP = struct.Struct("qq")
_BUFFER = 8 << 20
_SNAP = 192
"""Radiotap, header, and a beacon's elements up to its SSID."""
_WAIT_S, _LATE_S = 0.1, 5.0
_EARLY_S = 1.0
"""What came so long before, between the socket and the first look at the clock, is not of this stretch."""
_ERRORS: dict[int, Error] = {
    errno.EPERM: "permission",
    errno.EACCES: "permission",
    errno.ENODEV: "no_interface",
    errno.ENXIO: "no_interface",
    errno.ENETDOWN: "no_interface",
}


def main(order: str) -> None:
    """Listens, and prints what came of it."""
    print(msgspec.json.encode(listen(msgspec.json.decode(order, type=Order))).decode())
    sys.stdout.flush()


def listen(order: Order) -> Outcome:
    """One stretch."""
    tally = Tally(
        octets(order.ssid) if order.ssid is not None else None,
        bytes.fromhex(order.bssid.replace(":", "")) if order.bssid is not None else None,
    )
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
            _open(sock, order.interface)
            began = time.time()
            return Outcome(began=began, result=_heard(sock, order, tally, began))
    except OSError as e:
        return Outcome(error=_ERRORS.get(e.errno or 0, "tool_failed"), detail=f"{order.interface}: {e.strerror}")


def _open(sock: socket.socket, interface: str) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS_NEW, 1)
    sock.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
    _cut_to(sock, _SNAP)
    sock.bind((interface, _ETH_P_ALL))
    if sock.getsockname()[3] != _ARPHRD_RADIOTAP:
        raise OSError(errno.ENODEV, "is no monitor interface with radiotap headers")


def _heard(sock: socket.socket, order: Order, tally: Tally, began: float) -> Result:
    for at, data, length in _packets(sock, time.monotonic() + order.duration_s, began + order.duration_s):
        if not 0 < began - at < _EARLY_S:
            tally.add(max(0.0, at - began), data, length)
    _, dropped = struct.unpack("II", sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
    return tally.result(order.duration_s, dropped=dropped, interface=order.interface)


def _cut_to(sock: socket.socket, octets: int) -> None:
    """Has the kernel give no more of each packet: a classic BPF program of one instruction, `ret octets`."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, octets))
    head = struct.pack("HP", 1, ctypes.addressof(program))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)


def _packets(sock: socket.socket, end: float, end_utc: float) -> Iterator[tuple[float, bytes, int]]:
    """When each came by the kernel (UTC), its beginning and its whole length.

    What came in time but still waits at the end is taken as well: else a busy box would hear less.
    """
    while (left := end - time.monotonic()) > 0:
        sock.settimeout(min(left, _WAIT_S))
        try:
            data, control, _, _ = sock.recvmsg(_SNAP, 256)
        except TimeoutError:
            continue
        yield _told(data, control)
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while time.monotonic() < end + _LATE_S:
            data, control, _, _ = sock.recvmsg(_SNAP, 256)
            if (found := _told(data, control))[0] >= end_utc:
                return
            yield found


def _told(data: bytes, control: list[tuple[int, int, bytes]]) -> tuple[float, bytes, int]:
    at, length = time.time(), len(data)
    for level, kind, value in control:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS_NEW):
            seconds, nanoseconds = _STAMP.unpack_from(value)
            at = seconds + nanoseconds * 1e-9
        elif (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
            length = _AUXDATA.unpack_from(value)[1]
    return at, data, length
