"""How an ICMP socket is opened, and what is said when it can't be (icmp(7), raw(7), socket(7))."""

import errno
import socket
import struct

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.net.icmp_packets import REPLY, Family

_PROTOCOL = {4: (socket.AF_INET, socket.IPPROTO_ICMP), 6: (socket.AF_INET6, socket.IPPROTO_ICMPV6)}
# DGRAM needs no privilege, but a group within net.ipv4.ping_group_range, and RAW needs CAP_NET_RAW. For v6 RAW comes
# first: a DGRAM socket never hears that the box's own firewall dropped its request (seen on 6.18: sendmsg succeeds,
# icmpv6_push_pending_frames() has no answer), which would put the blame on the line.
_KINDS: dict[Family, tuple[socket.SocketKind, ...]] = {
    4: (socket.SOCK_DGRAM, socket.SOCK_RAW),
    6: (socket.SOCK_RAW, socket.SOCK_DGRAM),
}
_SOL_RAW, _ICMP_FILTER, _ICMP6_FILTER = 255, 1, 1
_SO_RCVBUFFORCE = 33
_RECEIVE_BUFFER = 4 << 20


def interface_index(interface: str) -> int:
    """The kernel's number of an interface.

    Raises:
        ProbeError: no_interface.
    """
    try:
        return socket.if_nametoindex(interface)
    except OSError as e:
        raise ProbeError("no_interface", f"there is no interface {interface}") from e


def open_socket(family: Family, interface: str | None) -> socket.socket:
    """A non-blocking ICMP socket, DGRAM or RAW (then with a filter for echo replies), bound to the interface if given.

    Raises:
        ProbeError: no_interface, permission, unreachable (the kernel has no such family).
    """
    sock = _icmp_socket(family)
    try:
        sock.setblocking(False)
        _enlarge(sock)
        if sock.type == socket.SOCK_RAW:
            _only_replies(sock)
        if interface is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    except OSError as e:
        sock.close()
        raise _open_error(e, family, interface) from e
    return sock


def _icmp_socket(family: Family) -> socket.socket:
    domain, protocol = _PROTOCOL[family]
    kinds = _KINDS[family]
    for kind in kinds:
        try:
            return socket.socket(domain, kind, protocol)
        except OSError as e:
            if kind is kinds[-1] or not isinstance(e, PermissionError):
                raise _open_error(e, family, None) from e
    raise AssertionError("the last kind returns or raises")


def _open_error(e: OSError, family: Family, interface: str | None) -> ProbeError:
    if e.errno in (errno.ENODEV, errno.ENXIO):
        return ProbeError("no_interface", f"there is no interface {interface}")
    if e.errno in (errno.EPERM, errno.EACCES):
        detail = "ICMP is refused: give the agent CAP_NET_RAW, or its group a place in net.ipv4.ping_group_range"
        return ProbeError("permission", detail)
    return ProbeError("unreachable", f"no ICMP socket for IPv{family}: {e.strerror}")


def _enlarge(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)  # needs CAP_NET_ADMIN
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)  # up to net.core.rmem_max


def _only_replies(sock: socket.socket) -> None:
    """A bit that is set blocks its type; errors come by the error queue whatever the filter says."""
    if sock.family == socket.AF_INET6:
        blocked = (1 << 256) - 1 ^ (1 << REPLY[6])
        words = struct.pack("=8I", *(blocked >> (32 * i) & 0xFFFFFFFF for i in range(8)))
        sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, words)
    else:
        sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", 0xFFFFFFFF ^ (1 << REPLY[4])))
