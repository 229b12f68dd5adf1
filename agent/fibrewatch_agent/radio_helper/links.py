"""Interfaces up and down, addresses and routes, by rtnetlink(7): needs CAP_NET_ADMIN in the namespace."""

import errno
import socket
import struct
from pathlib import Path

from fibrewatch_agent.net import netlink

_NEWLINK, _NEWADDR, _NEWROUTE = 16, 20, 24
_ACK, _CREATE, _REPLACE = 0x4, 0x400, 0x100
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # struct ifaddrmsg: family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # struct rtmsg: as in net/netlink
_IFA_ADDRESS, _IFA_LOCAL, _GATEWAY, _OIF = 1, 2, 5, 4
_MAIN, _STATIC, _UNICAST, _UP = 254, 4, 1, 1


def is_up(name: str) -> bool:
    """Whether an interface was set up; False for one that is not there."""
    try:
        return bool(int(Path("/sys/class/net", name, "flags").read_text("ascii"), 16) & _UP)
    except OSError:
        return False


def set_up(index: int, *, up: bool = True) -> None:
    """Sets an interface up or down.

    Raises:
        OSError: ENODEV; ERFKILL, its radio is switched off.
    """
    _do(_NEWLINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, _UP if up else 0, _UP))


def add_address(index: int, address: str, prefix: int) -> None:
    """Gives an interface a v4 address, and the kernel the route to its network."""
    packed = socket.inet_aton(address)
    body = _ADDRESS.pack(socket.AF_INET, prefix, 0, 0, index)
    _do(_NEWADDR, _CREATE | _REPLACE, body + _attribute(_IFA_LOCAL, packed) + _attribute(_IFA_ADDRESS, packed))


def add_default_route(index: int, gateway: str) -> None:
    """Sends all else by a gateway.

    Raises:
        OSError: ENETUNREACH, the gateway is not on the interface's network.
    """
    body = _ROUTE.pack(socket.AF_INET, 0, 0, 0, _MAIN, _STATIC, 0, _UNICAST, 0)
    body += _attribute(_GATEWAY, socket.inet_aton(gateway)) + _attribute(_OIF, struct.pack("=I", index))
    _do(_NEWROUTE, _CREATE | _REPLACE, body)


def _do(kind: int, flags: int, body: bytes) -> None:
    try:
        with netlink.open_socket(socket.NETLINK_ROUTE) as sock:
            for _ in netlink.ask_on(sock, kind, flags | _ACK, body):
                pass
    except OSError as e:
        if e.errno not in (0, errno.EEXIST):  # an acknowledgement is the error 0
            raise


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)
