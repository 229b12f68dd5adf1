"""How a probe's TCP or UDP socket is opened and bound, and what the kernel's errors mean (socket(7), ip(7), tcp(7))."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from fibrewatch.measurement import Error
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.net.stamps import IcmpError

_ERRORS: dict[int, Error] = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.ECONNABORTED: "reset",
    errno.EPIPE: "reset",
    errno.ETIMEDOUT: "timeout",
    errno.EPERM: "denied",  # the box's own firewall, or a prohibiting route
    errno.EACCES: "denied",
    errno.ENODEV: "no_interface",
    errno.ENXIO: "no_interface",
    errno.EMFILE: "busy",
    errno.ENFILE: "busy",
    errno.ENOBUFS: "busy",
    errno.ENOMEM: "busy",
    errno.EADDRINUSE: "busy",
    errno.EAGAIN: "busy",  # connect(2): no free local port
    errno.EPROTO: "protocol",
    errno.EMSGSIZE: "protocol",
}

_PORT_UNREACHABLE = {(4, 3, 3), (6, 1, 4)}  # family, type, code: RFC 792, RFC 4443
_PROHIBITED = {*((4, 3, code) for code in (9, 10, 13)), *((6, 1, code) for code in (1, 5, 6))}
_TOO_BIG = (4, 3, 4)
_UNREACHABLE_TYPES = {(4, 3), (4, 11), (6, 1), (6, 3)}  # destination unreachable, time exceeded


class Endpoint(NamedTuple):
    """Where to: a numeric address, a port, and the interface to leave by (None: as the routes say)."""

    address: str
    port: int
    interface: str | None = None

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def family_of(address: str) -> Literal[4, 6]:
    """The family of a numeric address."""
    return 6 if ":" in address else 4


def probe_error(e: OSError) -> Error:
    """The word of the fixed list for an error of the kernel; the many kinds of no way there are "unreachable"."""
    return _ERRORS.get(e.errno or 0, "unreachable")


def sockaddr(to: Endpoint, kind: socket.SocketKind) -> tuple[socket.AddressFamily, Any]:
    """The family and the address as the kernel takes it; a link-local one without a zone is the interface's.

    Raises:
        ProbeError: no_interface, the zone is none; name_not_found, the address is none.
    """
    address = to.address
    if address.lower().startswith("fe80:") and "%" not in address and to.interface:
        address = f"{address}%{to.interface}"
    try:
        found = socket.getaddrinfo(address, to.port, type=kind, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV)
    except socket.gaierror as e:
        if "%" in address:
            raise ProbeError("no_interface", f"{address}: no such interface") from e
        raise ProbeError("name_not_found", f"{address} is not a numeric address") from e
    return found[0][0], found[0][4]


@contextlib.contextmanager
def opened(to: Endpoint, kind: socket.SocketKind) -> Iterator[tuple[socket.socket, Any]]:
    """A non-blocking socket for one exchange, closed at the end, and the address to connect it to.

    Raises:
        ProbeError: no_interface, permission, or as `sockaddr`.
        OSError: The kernel has no such family, or no descriptor left.
    """
    family, address = sockaddr(to, kind)
    with socket.socket(family, kind) as sock:
        sock.setblocking(False)
        if to.interface is not None:
            _bind(sock, to.interface)
        yield sock, address


def _bind(sock: socket.socket, interface: str) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    except PermissionError as e:
        detail = f"the kernel refuses to bind to {interface}: give the agent CAP_NET_RAW (needed before Linux 5.7)"
        raise ProbeError("permission", detail) from e
    except OSError as e:
        raise ProbeError("no_interface", f"there is no interface {interface}") from e


def raise_error(family: int, notice: IcmpError) -> None:
    """Raises the OSError that an ICMP error stands for; those that say nothing final pass."""
    version = 6 if family == socket.AF_INET6 else 4
    by = f"says {notice.offender}" if notice.offender else "says a router"
    if (version, notice.kind, notice.code) in _PORT_UNREACHABLE:
        raise ConnectionRefusedError(errno.ECONNREFUSED, by)
    if (version, notice.kind, notice.code) in _PROHIBITED:
        raise PermissionError(errno.EACCES, by)
    if (version, notice.kind) in _UNREACHABLE_TYPES and (version, notice.kind, notice.code) != _TOO_BIG:
        raise OSError(errno.EHOSTUNREACH, by)


async def readable(sock: socket.socket) -> None:
    """Returns when there is something to read, the error queue's included."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, _finish, ready)
    try:
        await ready
    finally:
        loop.remove_reader(sock)


async def writable(sock: socket.socket) -> None:
    """Returns when something may be written, or there is something on the error queue."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(sock, _finish, ready)
    try:
        await ready
    finally:
        loop.remove_writer(sock)


def _finish(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
