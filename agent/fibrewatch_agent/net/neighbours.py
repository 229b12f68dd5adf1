"""Asks a neighbour for its hardware address: ARP over a packet(7) socket, neighbour solicitation over a raw(7) one.

Needs CAP_NET_RAW. Sixty lines of struct in this process: the same by scapy in a child took 0.2 to 0.3 s and 41 MB to
load scapy.layers.l2, for packets of 28 bytes.
"""

import abc
import asyncio
import ipaddress
import socket
import struct
from collections.abc import Iterable
from typing import Any

from fibrewatch_agent.net import stamps
from fibrewatch_agent.net.icmp_socket import interface_index
from fibrewatch_agent.net.packet_channel import Packet, PacketChannel, clocks
from fibrewatch_agent.net.stamps import IcmpError

_ETH_P_IP, _ETH_P_ARP = 0x0800, 0x0806
_ARPHRD_ETHER = 1
_ARP = struct.Struct("!HHBBH6s4s6s4s")  # hardware, protocol, their lengths, operation, sender's two, target's two
_REQUEST, _REPLY = 1, 2
_EVERYBODY = b"\xff" * 6
_ND = struct.Struct("!BBHI16s")  # type, code, checksum, flags, target
_SOLICITATION, _ADVERTISEMENT = 135, 136
_SOLICITED = 0x40000000  # flag: it answers somebody's solicitation, RFC 4861 §4.4
_SOURCE_LINK, _TARGET_LINK = 1, 2  # options, RFC 4861 §4.6.1
_ICMP6_FILTER, _RECVHOPLIMIT = 1, 51
_HOPS = 255  # a packet that came through a router has less: RFC 4861 §7.1


class NotOnEthernetError(OSError):
    """The interface has no neighbours that could be asked: a loopback or a tunnel."""


class Neighbours(PacketChannel[Packet], abc.ABC):
    """One address on one link. Answers carry no number: one request at a time.

    An answer is that of the last request, when it is sent to us and comes from the hardware address that answered us
    first: a rival's may be another request's. Who asks again must have waited so long after the last request's timeout
    that no answer to that one is still to come. What a neighbour says unasked claims the address, and answers nothing.

    Attributes:
        claims: The hardware addresses that claimed the address, the first one first.
        answerer: The one that answered us first.
    """

    def __init__(self, sock: socket.socket, address: str, index: int) -> None:
        super().__init__(sock, index)
        self.address = address
        self.claims: dict[bytes, int] = {}
        self.answerer: bytes | None = None
        self._asked: list[Packet] = []
        self._news = asyncio.Event()

    def ask(self) -> Packet:
        """Sends one request.

        Raises:
            OSError: It could not be sent.
        """
        packet = Packet(len(self._asked), self.address, *clocks())
        self._request(packet)
        self._asked.append(packet)
        self._take_stamp()
        return packet

    async def answered(self, packet: Packet, until: float) -> bool:
        """Whether an answer comes before `until` by the loop's clock."""
        while packet.rtt_s is None:
            self._news.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._news.wait()
            except TimeoutError:
                self.poll()
                break
        return packet.rtt_s is not None

    def forget(self, packets: Iterable[Packet]) -> None:
        """Their stamps of sending are nobody's any more."""
        for packet in packets:
            self._drop_stamp(packet)

    @abc.abstractmethod
    def _request(self, packet: Packet) -> None:
        """Sends the request of the protocol."""

    def _claimed(self, mac: bytes, control: stamps.ControlMessages, *, asked: bool) -> None:
        self.claims[mac] = self.claims.get(mac, 0) + 1
        if not asked or not self._asked:
            return
        self.answerer = self.answerer or mac
        if mac == self.answerer:
            self._answered(self._asked[-1], control, clocks())
            self._news.set()

    def _failed(self, notice: IcmpError) -> None:
        """Nobody answers these with an ICMP error."""


class Arp(Neighbours):
    """RFC 826, with the box's own addresses as the asker's: what others learn from it is true."""

    def __init__(self, address: str, interface: str, source: str | None) -> None:
        self._mac, index = hardware_address(interface), interface_index(interface)
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        try:
            sock.setblocking(False)
            sock.bind((interface, _ETH_P_ARP))
            super().__init__(sock, address, index)
        except BaseException:
            sock.close()
            raise
        self._interface, self._source = interface, socket.inet_aton(source or "0.0.0.0")  # noqa: S104 - RFC 5227 §2.1.1
        self._target = socket.inet_aton(address)

    def _request(self, packet: Packet) -> None:
        body = _ARP.pack(_ARPHRD_ETHER, _ETH_P_IP, 6, 4, _REQUEST, self._mac, self._source, bytes(6), self._target)
        self._transmit(packet, body, [], (self._interface, _ETH_P_ARP, 0, _ARPHRD_ETHER, _EVERYBODY))

    def _received(self, data: bytes, control: stamps.ControlMessages, source: Any) -> None:
        """Answers, and whatever else a sender says of itself with that address."""
        if len(data) < _ARP.size:
            return
        _, protocol, _, _, operation, mac, sender, to_mac, to = _ARP.unpack_from(data)
        if protocol == _ETH_P_IP and sender == self._target and mac != self._mac:
            ours = operation == _REPLY and (to_mac, to) == (self._mac, self._source)
            self._claimed(mac, control, asked=ours)


class Solicitation(Neighbours):
    """RFC 4861 §4.3, to the solicited-node group, so that everybody who claims the address hears it."""

    def __init__(self, address: str, interface: str) -> None:
        self._mac, index = hardware_address(interface), interface_index(interface)
        sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
            sock.setsockopt(socket.IPPROTO_IPV6, _RECVHOPLIMIT, 1)
            blocked = (1 << 256) - 1 ^ (1 << _ADVERTISEMENT)
            words = struct.pack("=8I", *(blocked >> (32 * i) & 0xFFFFFFFF for i in range(8)))
            sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, words)
            super().__init__(sock, address, index)
        except BaseException:
            sock.close()
            raise
        self._target = ipaddress.IPv6Address(address).packed
        group = ipaddress.IPv6Address(bytes.fromhex("ff0200000000000000000001ff") + self._target[13:])
        self._group = (str(group), 0, 0, index)

    def _request(self, packet: Packet) -> None:
        body = _ND.pack(_SOLICITATION, 0, 0, 0, self._target) + bytes((_SOURCE_LINK, 1)) + self._mac
        hops = [(socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT, struct.pack("=i", _HOPS))]
        self._transmit(packet, body, hops, self._group)

    def _received(self, data: bytes, control: stamps.ControlMessages, source: Any) -> None:
        if len(data) < _ND.size or _hop_limit(control) != _HOPS:
            return
        kind, _, _, flags, target = _ND.unpack_from(data)
        mac = _link_address(data[_ND.size :])
        if kind == _ADVERTISEMENT and target == self._target and mac is not None:
            self._claimed(mac, control, asked=bool(flags & _SOLICITED))


def hardware_address(interface: str) -> bytes:
    """The interface's own.

    Raises:
        NotOnEthernetError: It has none.
        OSError: It is gone, or the socket is refused.
    """
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as sock:
        sock.bind((interface, 0))
        _, _, _, hardware, mac = sock.getsockname()
    if hardware != _ARPHRD_ETHER:
        raise NotOnEthernetError(0, f"{interface} is no Ethernet: it has no neighbours to ask")
    return bytes(mac)


def _hop_limit(control: stamps.ControlMessages) -> int | None:
    for level, kind, data in control:
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT):
            return int(struct.unpack_from("=i", data)[0])
    return None


def _link_address(options: bytes) -> bytes | None:
    """The target's, of an advertisement's options: each has its length in units of 8 bytes."""
    while len(options) >= 8 and options[1]:
        if options[0] == _TARGET_LINK:
            return options[2:8]
        options = options[8 * options[1] :]
    return None
