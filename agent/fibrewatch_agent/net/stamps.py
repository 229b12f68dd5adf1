"""The kernel's time stamps of packets, and what else a socket's error queue tells (Linux; ICMP and UDP sockets).

Source: Documentation/networking/timestamping.rst, recvmsg(2), ip(7) IP_RECVERR; kernel 5.1 and later.
"""

import asyncio
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

from fibrewatch.results.ping import Stamps

SO_TIMESTAMPNS_NEW = 64  # the _NEW options always give two int64, whatever the box's time_t
SO_TIMESTAMPING_NEW = 65
IP_RECVERR = 11
IPV6_RECVERR = 25

_TX_SOFTWARE, _RX_SOFTWARE, _SOFTWARE = 1 << 1, 1 << 3, 1 << 4
_OPT_ID, _OPT_TSONLY = 1 << 7, 1 << 11
_FLAGS = _TX_SOFTWARE | _RX_SOFTWARE | _SOFTWARE | _OPT_ID | _OPT_TSONLY

_ORIGIN_ICMP, _ORIGIN_ICMP6, _ORIGIN_STAMP = 2, 3, 4
_TIMESPEC = struct.Struct("=qq")
_EXTENDED_ERROR = struct.Struct("=IBBBxII")  # struct sock_extended_err: errno, origin, type, code, info, data
_SOL_PACKET, _PACKET_TX_TIMESTAMP = 263, 16  # packet(7) sockets: linux/if_packet.h
_ERROR_LEVELS = {
    (socket.IPPROTO_IP, IP_RECVERR),
    (socket.IPPROTO_IPV6, IPV6_RECVERR),
    (_SOL_PACKET, _PACKET_TX_TIMESTAMP),
}
CONTROL_BYTES = 256

ControlMessages = Sequence[tuple[int, int, bytes]]


class SendStamp(NamedTuple):
    """A packet has left: `key` counts the socket's sends from 0 (modulo 2^32); nanoseconds since 1970."""

    key: int
    ns: int


class IcmpError(NamedTuple):
    """A router or the target answered one of our packets with an error.

    Attributes:
        address: Where our packet was going.
        offender: Who says so; None when the kernel does not tell.
        data: The start of our packet, without its IP header; at least 8 bytes (RFC 792), often no more. For a UDP
            socket without the UDP header as well: often nothing.
        info: The MTU of the next link, for the errors that tell it.
        received_ns: The kernel's receive stamp, nanoseconds since 1970.
    """

    address: str
    kind: int
    code: int
    offender: str | None
    data: bytes
    info: int = 0
    received_ns: int | None = None


def enable(sock: socket.socket) -> Stamps:
    """Turns on the best stamps that this kernel gives the socket, and says which."""
    tries: tuple[tuple[int, int, Stamps], ...] = (
        (SO_TIMESTAMPING_NEW, _FLAGS, "kernel"),
        (SO_TIMESTAMPNS_NEW, 1, "kernel_receive"),
    )
    for option, value, source in tries:
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, value)
        except OSError:
            continue
        return source
    return "user"


def enable_errors(sock: socket.socket, *, on: bool = True) -> None:
    """Has ICMP errors about our packets put on the error queue, each with what it is about; or no longer."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, on)
    elif sock.family == socket.AF_INET:  # packet(7) sockets have no such errors
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, on)


def restart_keys(sock: socket.socket) -> None:
    """Has the send stamps' keys count from 0 again: whether a refused send took one differs between kernels."""
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING_NEW, _FLAGS & ~_OPT_ID)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING_NEW, _FLAGS)


async def flowing(tries: int = 200) -> bool:
    """Returns once the kernel stamps what comes in: it begins that a little after the first socket asked for it.

    Have a stamping socket open, or it ends again. False when it has not begun after so many tries, 5 ms apart.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        enable(probe)
        try:
            probe.bind(("127.0.0.1", 0))
            for _ in range(tries):
                if _stamps_itself(probe):
                    return True
                await asyncio.sleep(0.005)
        except OSError:  # without a loopback there is no telling
            pass
    return False


def _stamps_itself(probe: socket.socket) -> bool:
    """Whether a datagram to itself, received at once, has a receive stamp."""
    probe.sendto(b"", probe.getsockname())
    try:
        _, control, _, _ = probe.recvmsg(1, CONTROL_BYTES)
    except BlockingIOError:
        return False
    return received_at(control) is not None


def received_at(control: ControlMessages) -> int | None:
    """The kernel's receive stamp, nanoseconds since 1970 of the wall clock; None when it gave none."""
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind in (SO_TIMESTAMPING_NEW, SO_TIMESTAMPNS_NEW):
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return (seconds * 1_000_000_000 + nanoseconds) or None
    return None


def read_error_queue(sock: socket.socket) -> SendStamp | IcmpError | None:
    """Takes the next stamp or ICMP error that is queued; None when there is no more.

    A queued one makes epoll report the socket at once: call until None, or the loop spins.
    """
    while True:
        try:
            data, control, _, address = sock.recvmsg(512, CONTROL_BYTES, socket.MSG_ERRQUEUE)
        except BlockingIOError:
            return None
        notice = parse_notice(data, control, address)
        if notice is not None:
            return notice


def parse_notice(data: bytes, control: ControlMessages, address: object) -> SendStamp | IcmpError | None:
    """What one message of the error queue says; None for kinds that we don't use."""
    extended = next((body for level, kind, body in control if (level, kind) in _ERROR_LEVELS), None)
    if extended is None:
        return None
    _, origin, kind, code, info, key = _EXTENDED_ERROR.unpack_from(extended)
    if origin == _ORIGIN_STAMP:
        sent = received_at(control)
        return SendStamp(key, sent) if sent is not None else None
    if origin in (_ORIGIN_ICMP, _ORIGIN_ICMP6) and isinstance(address, tuple):
        offender = _offender(extended[_EXTENDED_ERROR.size :])
        return IcmpError(str(address[0]), kind, code, offender, data, info, received_at(control))
    return None


def _offender(sockaddr: bytes) -> str | None:
    """The address in a struct sockaddr_in or sockaddr_in6."""
    family = int.from_bytes(sockaddr[:2], "little" if struct.pack("=H", 1)[0] else "big")
    if family == socket.AF_INET and len(sockaddr) >= 8:
        return socket.inet_ntop(socket.AF_INET, sockaddr[4:8])
    if family == socket.AF_INET6 and len(sockaddr) >= 24:
        return socket.inet_ntop(socket.AF_INET6, sockaddr[8:24])
    return None
