"""STAMP's session-sender: one socket for each family and interface serves all reflectors (RFC 8762 §4.2).

A session goes on from window to window: its number, its source port and with them the path that a load balancer
chooses stay the same, and the replies to the next window tell which way the last packets of this one were lost.
"""

import os
import socket
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from fibrewatch.measurement import Error
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.clock import ClockState, kernel_clock
from fibrewatch_agent.net import sockets, stamps, udp
from fibrewatch_agent.net.icmp_packets import Family, error_word
from fibrewatch_agent.net.icmp_socket import interface_index
from fibrewatch_agent.net.packet_channel import STEP_NS, Packet, PacketChannel, clocks
from fibrewatch_agent.net.sockets import Endpoint
from fibrewatch_agent.net.stamps import IcmpError
from fibrewatch_agent.stamp import packets as stamp_packets
from fibrewatch_agent.stamp import tlvs as stamp_tlvs
from fibrewatch_agent.stamp.ledger import Ledger
from fibrewatch_agent.stamp.packets import Reply

_PORT_UNREACHABLE = {(4, 3, 3), (6, 1, 4)}  # family, type, code: RFC 792, RFC 4443
_CLOCK_EVERY_S = 1.0
_FORGOTTEN_S = 900.0
_FOLLOWED_NS = 1_000_000_000
"""A true send time further behind the one in the packet is another packet's."""


@dataclass(slots=True, eq=False)
class StampPacket(Packet):
    """One test packet; times in nanoseconds since 1970, of the box's clock or of the reflector's.

    Attributes:
        sent_field: T1 as it stands in the packet.
        clock_bound_s: Bound of the box's clock error when it was sent; None while not synchronised.
        back_ns: T4.
        stepped: The box's clock was stepped meanwhile: T1 and T4 are of two clocks.
        reply: The first.
        there_ns, away_ns: T2 and T3; T3 is the true send time once the reflector has told it.
        followed: It has.
        dscp_there, dscp_away: Of the packet when it came to the reflector, and of the reply when it left, by its word.
    """

    sent_field: int = 0
    clock_bound_s: float | None = None
    back_ns: int = 0
    stepped: bool = False
    reply: Reply | None = None
    there_ns: int = 0
    away_ns: int = 0
    followed: bool = False
    dscp_there: int | None = None
    dscp_away: int | None = None
    dscp_back: int | None = None
    ttl_back: int | None = None


class Flow(NamedTuple):
    """Where a session's packets go and how they look."""

    to: Endpoint
    dscp: int
    packet_bytes: int
    key: bytes | None


class StampChannel(PacketChannel[StampPacket]):
    """One open UDP socket and the sessions that use it."""

    def __init__(
        self, family: Family, interface: str | None, *, clock: Callable[[], ClockState] = kernel_clock
    ) -> None:
        index = None if interface is None else interface_index(interface)
        super().__init__(_open(family, interface), index, control_bytes=udp.CONTROL_BYTES)
        self.family = family
        self._clock = clock
        self._bound_s: float | None = None
        self._bound_at = -_CLOCK_EVERY_S
        self._by_owner: dict[Hashable, StampSession] = {}
        self._by_id: dict[int, StampSession] = {}

    def session(self, owner: Hashable, flow: Flow) -> "StampSession":
        """The owner's session, a new one when it has none or wants another flow.

        Raises:
            ProbeError: The address can't be used: see `sockets.sockaddr`.
        """
        now = time.monotonic()
        for known, session in list(self._by_owner.items()):
            if now - session.used > _FORGOTTEN_S:
                self.end(known)
        found = self._by_owner.get(owner)
        if found is None or found.flow != flow:
            self.end(owner)
            found = self._by_owner[owner] = StampSession(self, flow, self._free_id())
            self._by_id[found.id] = found
        return found

    def end(self, owner: Hashable) -> None:
        """The owner's session is over."""
        session = self._by_owner.pop(owner, None)
        if session is not None:
            del self._by_id[session.id]

    def _free_id(self) -> int:
        while True:
            number = int.from_bytes(os.urandom(2), "big")
            if number and number not in self._by_id:  # 0 means none (RFC 8972 §3)
                return number

    def clock_bound_s(self) -> float | None:
        """Bound of the box's clock error, looked at once a second."""
        now = time.monotonic()
        if now - self._bound_at >= _CLOCK_EVERY_S:
            self._bound_s, self._bound_at = self._clock().offset_bound_s, now
        return self._bound_s

    def transmit(self, packet: StampPacket, data: bytes, session: "StampSession") -> None:
        """Sends a session's packet; raises OSError."""
        self._transmit(packet, data, session.control, session.sockaddr)
        session.open[packet.number] = packet
        self._take_stamp()

    def forget(self, packets: Iterable[StampPacket]) -> None:
        """Their stamps of sending are nobody's any more."""
        for packet in packets:
            self._drop_stamp(packet)

    def _received(self, data: bytes, control: stamps.ControlMessages, source: Any) -> None:
        moment = clocks()
        session = self._session_of(data, source)
        if session is None:
            return
        packet = session.match(data)
        if packet is None:
            return
        received_ns = self._answered(packet, control, moment)
        if packet.replies == 1:
            how = udp.came(control)
            packet.dscp_back, packet.ttl_back = how.tos >> 2, how.ttl
            packet.back_ns = received_ns or moment[0]
            elapsed = moment[1] - packet.sent_mono_ns
            packet.stepped = abs(moment[0] - packet.sent_wall_ns - elapsed) > STEP_NS
        if packet.on_reply is not None:
            packet.on_reply(packet)

    def _session_of(self, data: bytes, source: Any) -> "StampSession | None":
        """By the session id, which an authenticated packet has elsewhere and TWAMP's reflectors leave 0."""
        for at in (14, 26):
            found = self._by_id.get(int.from_bytes(data[at : at + 2], "big"))
            if found is not None and (found.flow.key is not None) == (at == 26) and found.peer == source[:2]:
                return found
        near = [session for session in self._by_id.values() if session.peer == source[:2]]
        fitting = [session for session in near if session.asked(data)]
        return next(iter(fitting or near), None)

    def _failed(self, notice: IcmpError) -> None:
        word: Error | None = error_word(self.family, notice.kind, notice.code)
        if (self.family, notice.kind, notice.code) in _PORT_UNREACHABLE:
            word = "refused"
        if word is None:
            return
        for session in self._by_id.values():
            packet = session.sent_as(notice.data) if session.peer[0] == notice.address else None
            if packet is not None:
                packet.error, packet.offender = word, notice.offender


class StampSession:
    """Packets of one flow, numbered from 0.

    Attributes:
        ledger: The replies by both ends' numbers.
        strays: Datagrams from the reflector's address that answer nothing of ours.
        open: Packets whose replies are of interest.
    """

    def __init__(self, channel: StampChannel, flow: Flow, number: int) -> None:
        self.flow, self.id = flow, number
        self._channel = channel
        family, self.sockaddr = sockets.sockaddr(flow.to, socket.SOCK_DGRAM)
        self.peer = (self.sockaddr[0].partition("%")[0], self.sockaddr[1])
        self.control = [udp.mark(family, flow.dscp)] if flow.dscp else []
        self.ledger = Ledger()
        self.strays = 0
        self.open: dict[int, StampPacket] = {}
        self.used = time.monotonic()
        self._next = 0
        self._by_reply: dict[int, StampPacket] = {}
        self._trailers: list[StampPacket] = []
        asked = stamp_tlvs.follow_up_request() + stamp_tlvs.class_of_service_request(flow.dscp)
        self._tlvs = asked + stamp_tlvs.padding(flow.packet_bytes - stamp_packets.BASE - len(asked))

    def send(self, on_reply: Callable[[StampPacket], None] | None = None) -> StampPacket:
        """Sends the next packet.

        Raises:
            OSError: It could not be sent; its number is used for the next one, or it would look lost.
        """
        bound_s = self._channel.clock_bound_s()
        wall_ns, mono_ns = clocks()
        packet = StampPacket(self._next, self.peer[0], wall_ns, mono_ns, on_reply, clock_bound_s=bound_s)
        packet.sent_field = stamp_packets.ntp_time(wall_ns)
        estimate = stamp_packets.error_estimate(bound_s)
        data = stamp_packets.request(
            self._next, packet.sent_field, estimate, ssid=self.id, tlvs=self._tlvs, key=self.flow.key
        )
        self._channel.transmit(packet, data, self)
        self._next += 1
        self.used = mono_ns / 1e9
        return packet

    def trail(self, interval_s: float) -> None:
        """Sends a packet of no window unless another was sent lately: its reply tells which way the last ones went."""
        if time.monotonic() - self.used >= interval_s:
            with suppress(OSError):
                self._trailers.append(self.send())

    def match(self, data: bytes) -> StampPacket | None:
        """The packet that a datagram answers, its reply noted; None when it is none of those open."""
        reply = stamp_packets.parse_reply(data, self.flow.key)
        if reply is None:
            self.strays += 1
            return None
        tlvs = stamp_tlvs.usable(reply.tlvs)
        self._follow(reply, tlvs)
        packet = self.open.get(reply.sender_number)
        if packet is None or reply.sender_sent != packet.sent_field:
            self.strays += packet is not None or reply.sender_number >= self._next  # below: late beyond its window
            return None
        self.ledger.note(packet.number, reply.number)
        if packet.reply is None:
            self._first(packet, reply, tlvs)
        elif reply.number == packet.reply.number and reply.received != packet.reply.received:
            self.ledger.repeats()
        return packet

    def _first(self, packet: StampPacket, reply: Reply, tlvs: Mapping[int, bytes]) -> None:
        packet.reply = reply
        ptp = reply.estimate.ptp
        packet.there_ns = stamp_packets.unix_ns(reply.received, packet.sent_wall_ns, ptp=ptp)
        packet.away_ns = stamp_packets.unix_ns(reply.sent, packet.there_ns, ptp=ptp)
        self._by_reply[reply.number] = packet
        said = stamp_tlvs.marks(tlvs.get(stamp_tlvs.CLASS_OF_SERVICE, b""))
        if said is not None:  # who does not use the code point asked for replies with what came (RFC 8972 §4.4)
            packet.dscp_there, packet.dscp_away = said.dscp, said.dscp if said.refused else self.flow.dscp

    def _follow(self, reply: Reply, tlvs: Mapping[int, bytes]) -> None:
        """Corrects an earlier reply's T3 by what this one says of it."""
        known = stamp_tlvs.follow_up(tlvs.get(stamp_tlvs.FOLLOW_UP, b""))
        if known is None:
            return
        self.ledger.stateful = True
        packet = self._by_reply.get(known[0])
        if packet is None or packet.followed:
            return
        true_ns = stamp_packets.unix_ns(known[1], packet.away_ns, ptp=reply.estimate.ptp)
        if 0 <= true_ns - packet.away_ns <= _FOLLOWED_NS:
            packet.away_ns, packet.followed = true_ns, True

    def asked(self, data: bytes) -> bool:
        """Whether a reply, under our key if there is one, answers an open packet of ours."""
        reply = stamp_packets.parse_reply(data, self.flow.key)
        packet = self.open.get(reply.sender_number) if reply else None
        return packet is not None and reply is not None and packet.sent_field == reply.sender_sent

    def sent_as(self, data: bytes) -> StampPacket | None:
        """The open packet that an ICMP error repeats; the youngest where it repeats too little to tell."""
        at = 14 if self.flow.key is None else 26
        if len(data) >= at + 2 and int.from_bytes(data[at : at + 2], "big") != self.id:
            return None
        if len(data) >= 4:
            return self.open.get(int.from_bytes(data[:4], "big"))
        return next(reversed(self.open.values()), None)

    def release(self, packets: Iterable[StampPacket]) -> None:
        """A window is over: these, and its trailers, are of no more interest."""
        done = [*packets, *self._trailers]
        self._trailers.clear()
        self._channel.forget(done)
        for packet in done:
            self.open.pop(packet.number, None)
            if packet.reply is not None and self._by_reply.get(packet.reply.number) is packet:
                del self._by_reply[packet.reply.number]
        self.ledger.forget(min(self.open, default=self._next))


def _open(family: Family, interface: str | None) -> socket.socket:
    """A non-blocking UDP socket, bound to the interface if one is given.

    Raises:
        ProbeError: permission, no_interface, unreachable (the kernel has no such family).
    """
    try:
        sock = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_DGRAM)
    except OSError as e:
        raise ProbeError(sockets.probe_error(e), f"no UDP socket for IPv{family}: {e.strerror}") from e
    try:
        sock.setblocking(False)
        udp.receive_header_fields(sock)
        udp.enlarge(sock)
        if interface is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    except PermissionError as e:
        sock.close()
        detail = f"the kernel refuses to bind to {interface}: give the agent CAP_NET_RAW (needed before Linux 5.7)"
        raise ProbeError("permission", detail) from e
    except OSError as e:
        sock.close()
        raise ProbeError(sockets.probe_error(e), f"{interface or 'UDP'}: {e.strerror}") from e
    return sock
