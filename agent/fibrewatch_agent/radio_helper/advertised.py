"""IPv6 without DHCP: the address that the kernel makes of a router's advertisement, and the resolvers that it names.

RFC 4861 §4.2 (router advertisement), RFC 4862 (address autoconfiguration), RFC 8106 §5.1 (RDNSS).
"""

import asyncio
import contextlib
import ipaddress
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from fibrewatch_agent.net import netlink
from fibrewatch_agent.net.icmp_socket import interface_index

_ICMP6_FILTER, _ADVERTISEMENT = 1, 134
_HEAD_BYTES, _RDNSS = 16, 25
_LIFETIME = struct.Struct("!xxxxI")
_LOOK_S = 0.02
_ADDRESSES = Path("/proc/self/net/if_inet6")
_GLOBAL, _UNUSABLE = 0x00, 0x40 | 0x08  # scope; tentative, or somebody else's (linux/if_addr.h)


class Network(NamedTuple):
    """What a client is told of the network that it is in; `router` and `resolver` are None where nobody tells."""

    address: str
    router: str | None
    resolver: str | None


class Advertised:
    """Listens on an interface from its beginning until the end of the block.

    Attributes:
        since_s: After how many seconds there was an address that may be used; None until then.
        heard: Some router has advertised something.
    """

    def __init__(self, interface: str) -> None:
        """Must run in the event loop."""
        self._interface, self._began = interface, time.monotonic()
        self.since_s: float | None = None
        self.heard = False
        self._resolvers: list[str] = []
        self._sock = _listener(interface)
        self._timer: asyncio.TimerHandle | None = None
        self._look()

    def __enter__(self) -> "Advertised":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._sock.close()

    async def network_within(self, limit_s: float) -> Network | None:
        """As `network`; once a router has advertised something its address is waited for, up to a limit."""
        end = time.monotonic() + limit_s
        while True:
            found = self.network()
            if found is not None or not self.heard or time.monotonic() > end:
                return found
            await asyncio.sleep(_LOOK_S)

    def network(self) -> Network | None:
        """None as long as there is no address."""
        self._hear()
        address = _address(self._interface)
        if address is None:
            return None
        self.since_s = self.since_s or time.monotonic() - self._began
        routes = netlink.default_gateways(6, interface_index(self._interface))
        router = next((route.gateway for route in routes if route.gateway), None)
        return Network(address, router, next(iter(self._resolvers), None))

    def _look(self) -> None:
        self._hear()
        if _address(self._interface) is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_S, self._look)
        elif self.since_s is None:
            self.since_s = time.monotonic() - self._began

    def _hear(self) -> None:
        with contextlib.suppress(OSError):  # none more, or the link is gone
            while True:
                data = self._sock.recv(2048)
                self.heard = True
                self._resolvers = [self._zoned(each) for each in resolvers(data)] or self._resolvers

    def _zoned(self, address: ipaddress.IPv6Address) -> str:
        return f"{address}%{self._interface}" if address.is_link_local else str(address)


def resolvers(advertisement: bytes) -> Iterator[ipaddress.IPv6Address]:
    """Those that its RDNSS options name for now."""
    options = advertisement[_HEAD_BYTES:]
    while len(options) >= 8 and options[1]:
        option, options = options[: 8 * options[1]], options[8 * options[1] :]
        if option[0] == _RDNSS and len(option) % 16 == 8 and _LIFETIME.unpack_from(option)[0]:
            yield from (ipaddress.IPv6Address(option[at : at + 16]) for at in range(8, len(option), 16))


def _listener(interface: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    try:
        sock.setblocking(False)
        blocked = (1 << 256) - 1 ^ (1 << _ADVERTISEMENT)
        words = struct.pack("=8I", *(blocked >> (32 * i) & 0xFFFFFFFF for i in range(8)))
        sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, words)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    except BaseException:
        sock.close()
        raise
    return sock


def _address(interface: str) -> str | None:
    """One that reaches beyond the link and is known to be ours alone."""
    try:
        lines = _ADDRESSES.read_text("ascii").splitlines()
    except OSError:  # a kernel without IPv6
        return None
    for packed, _, _, scope, flags, name in (line.split() for line in lines):
        if name == interface and int(scope, 16) == _GLOBAL and not int(flags, 16) & _UNUSABLE:
            return str(ipaddress.IPv6Address(bytes.fromhex(packed)))
    return None
