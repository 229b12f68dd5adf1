"""ICMP echo, sent and matched: one socket for each family and interface serves all targets (RFC 792, RFC 4443 §4).

Every request carries the process's random cookie and a number that never repeats, so that neither another program's
replies nor those to an earlier run are counted, and the 16 bits of ICMP's sequence may wrap as they like.
"""

import os
import socket
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from fibrewatch_agent.net import stamps
from fibrewatch_agent.net.icmp_packets import (
    HEADER,
    REQUEST,
    Destination,
    Family,
    error_word,
    parse_reply,
    request,
    strip_ip_header,
)
from fibrewatch_agent.net.icmp_socket import interface_index, open_socket
from fibrewatch_agent.net.packet_channel import Kept, Packet, PacketChannel, clocks
from fibrewatch_agent.net.stamps import IcmpError


class Echo(Packet):
    """One echo request; the low 16 bits of its number are ICMP's sequence number."""

    __slots__ = ()


class Channel(PacketChannel[Echo]):
    """One open ICMP socket, and the echoes that are still of interest."""

    def __init__(
        self, family: Family, interface: str | None, cookie: bytes, *, first_number: int | None = None
    ) -> None:
        index = None if interface is None else interface_index(interface)
        super().__init__(open_socket(family, interface), index)
        self.family = family
        self.raw = self.sock.type == socket.SOCK_RAW
        self.identifier = int.from_bytes(os.urandom(2), "big")  # DGRAM: the kernel puts its own
        self._cookie = cookie
        self._number = int.from_bytes(os.urandom(2), "big") if first_number is None else first_number - 1
        self._echoes: dict[int, Echo] = {}

    def send(self, to: Destination, on_reply: Callable[[Echo], None] | None = None) -> Echo:
        """Sends one request; `on_reply` is called in the loop at each reply to it, duplicates included.

        Keep the echo until `forget`: replies to it are matched until then.

        Raises:
            OSError: It could not be sent.
        """
        self._number += 1
        packet = request(self.family, self.identifier, self._number, self._cookie, to.payload_bytes)
        echo = Echo(self._number, to.address, *clocks(), on_reply)
        self._transmit(echo, packet, to.control, to.sockaddr)
        self._echoes[echo.number] = echo
        self._take_stamp()
        return echo

    def forget(self, packets: Iterable[Echo]) -> None:
        """Replies to these are nobody's any more."""
        for echo in packets:
            self._echoes.pop(echo.number, None)
            self._drop_stamp(echo)

    def _failed(self, notice: IcmpError) -> None:
        if len(notice.data) < HEADER.size:
            return
        kind, _, _, identifier, sequence = HEADER.unpack_from(notice.data)
        if kind != REQUEST[self.family] or (self.raw and identifier != self.identifier):
            return
        latest = self._number - ((self._number - sequence) & 0xFFFF)  # the error may carry no more than the 16 bits
        echo = self._echoes.get(latest)
        if echo is not None and echo.address == notice.address:
            echo.error = error_word(self.family, notice.kind, notice.code) or echo.error
            echo.offender = notice.offender

    def _received(self, data: bytes, control: stamps.ControlMessages, source: Any) -> None:
        moment = clocks()
        reply = parse_reply(strip_ip_header(data) if self.raw and self.family == 4 else data, self.family)
        if reply is None or reply.cookie != self._cookie or (self.raw and reply.identifier != self.identifier):
            return
        echo = self._echoes.get(reply.number)
        if echo is None or echo.address != source[0]:
            return
        self._answered(echo, control, moment)
        if echo.on_reply is not None:
            echo.on_reply(echo)


C = TypeVar("C", bound=PacketChannel[Any])


class IcmpSockets:
    """The sockets that all targets of one agent share, and what its windows leave to the next.

    The constructor opens nothing. Named after its first user: `obtain` serves other protocols as well.
    """

    def __init__(self) -> None:
        self._cookie = os.urandom(8)
        self._channels: dict[tuple[type, Family, str | None], PacketChannel[Any]] = {}
        self._kept: dict[tuple[object, ...], Kept] = {}

    def kept(self, *key: object) -> Kept:
        """The record of one test and target, made when first asked for."""
        return self._kept.setdefault(key, Kept())

    async def channel(self, family: Family, interface: str | None = None) -> Channel:
        """The ICMP socket for a family and an interface; see `obtain`."""
        return await self.obtain(Channel, partial(Channel, cookie=self._cookie), family, interface)

    async def obtain(
        self, kind: type[C], make: Callable[[Family, str | None], C], family: Family, interface: str | None = None
    ) -> C:
        """The channel for a family and an interface, opened when first asked for, and the kernel's stamps flowing.

        An interface that was taken away and came back (a USB modem) has another number: it gets another socket.

        Raises:
            ProbeError: no_interface, permission, unreachable (the kernel has no such family).
        """
        channel = self._channels.get((kind, family, interface))
        if channel is not None and interface is not None and interface_index(interface) != channel.index:
            channel.close()
            channel = None
        if not isinstance(channel, kind):
            channel = self._channels[kind, family, interface] = make(family, interface)
        await stamps.flowing()
        return channel

    def close(self) -> None:
        """Closes all sockets; they open again when asked for."""
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()
