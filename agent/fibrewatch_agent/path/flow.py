"""One flow of traceroute packets: a UDP socket with fixed ports and checksum, its hop limit set packet by packet.

Needs no privilege: ICMP errors come to the socket itself (ip(7) IP_RECVERR), with the kernel's receive stamp. Which
packet an error is about stands in the packet's data, which most routers send back whole (RFC 1812 §4.3.2.3). Those that
return the bare 8 bytes of RFC 792 leave but the ports, which are the same for all: see `short_quotes`.
"""

import asyncio
import contextlib
import errno
import itertools
import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

from fibrewatch_agent.box import Box
from fibrewatch_agent.net import stamps
from fibrewatch_agent.net.icmp_packets import Family, error_word
from fibrewatch_agent.net.packet_channel import Packet, PacketChannel, clocks, round_trip
from fibrewatch_agent.net.sockets import Endpoint, family_of, opened
from fibrewatch_agent.net.stamps import IcmpError

HEADERS: dict[Family, int] = {4: 28, 6: 48}  # IP and UDP
SMALL: dict[Family, int] = {4: 60, 6: 80}
"""Size of an ordinary packet, bytes of IP."""
PORTS = range(61000, 65000)
"""Source ports: above what the kernel gives out by itself (ip_local_port_range)."""

Answer = Literal["hop", "reached", "too_big", "stop"]
"""The hop limit ended there; the target has it; it does not fit the next link; a router lets it go no further."""

_TOKEN = struct.Struct("!4sHH")  # cookie, number, its complement: the checksum stays what it is
_TRIES = 20
_EXCEEDED: dict[Family, tuple[int, int]] = {4: (11, 0), 6: (3, 0)}
_PORT: dict[Family, tuple[int, int]] = {4: (3, 3), 6: (1, 4)}
_TOO_BIG: dict[Family, tuple[int, int]] = {4: (3, 4), 6: (2, 0)}
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _PROBE = 10, 23, 3  # always DF, whatever the kernel remembers: ip(7)
_IPV6_FLOWINFO_SEND = 33


@dataclass(slots=True, eq=False)
class Probe(Packet):
    """One packet.

    Attributes:
        ttl: Its hop limit.
        size: Bytes of IP.
        by: Who answered.
        mtu: Of the link that it was too big for, when the router told.
    """

    ttl: int = 0
    size: int = 0
    answer: Answer | None = None
    by: str | None = None
    mtu: int | None = None


class Flow(PacketChannel[Probe]):
    """A socket and its packets.

    It is not connected: connect(2) gives a socket a random hash, which goes along with its packets from one namespace
    to the next, where a router would take it for that of their headers (seen on 6.18: another branch at each run).

    Attributes:
        short_quotes: Errors came that don't tell which packet they are about; with one packet under way at a time
            that is known all the same.
    """

    def __init__(self, sock: socket.socket, to: Any, family: Family) -> None:
        super().__init__(sock, None)
        self.target, self.family = str(to[0]).partition("%")[0], family
        self._to = to
        self.source_port = int(sock.getsockname()[1])
        self.short_quotes = False
        self.probes: list[Probe] = []
        self._cookie = os.urandom(4)
        self._open: dict[int, Probe] = {}
        self._errors = 0
        self._news = asyncio.Event()

    def send(self, ttl: int, size: int | None = None) -> Probe:
        """Sends one packet.

        Raises:
            OSError: It could not be sent; EMSGSIZE when it is too big for the interface.
        """
        size = size or SMALL[self.family]
        probe = Probe(len(self.probes), self.target, *clocks(), ttl=ttl, size=size)
        token = _TOKEN.pack(self._cookie, probe.number, 0xFFFF - probe.number)
        self._send(probe, token + bytes(size - HEADERS[self.family] - len(token)))
        self.probes.append(probe)
        self._open[probe.number] = probe
        self._take_stamp()
        return probe

    def _send(self, probe: Probe, data: bytes) -> None:
        """An error about an earlier packet that comes in just now fails the call: that is no error of this one."""
        level, kind = (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT) if self.family == 6 else (0, socket.IP_TTL)
        control = [(level, kind, struct.pack("=i", probe.ttl))]
        for _ in range(_TRIES):
            heard = self._errors
            self._read_errors()
            probe.sent_wall_ns, probe.sent_mono_ns = clocks()
            try:
                self._transmit(probe, data, control, self._to)
            except OSError as e:
                if e.errno == errno.EMSGSIZE or self._errors == heard:
                    raise
            else:
                return
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    async def wait(self, done: Callable[[], bool], until: float) -> bool:
        """Until it is done, or `until` by the loop's clock; whether it is."""
        while not done():
            self._news.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._news.wait()
            except TimeoutError:
                self.poll()  # what came in time may still wait there when this process was late
                return done()
        return True

    def forget(self, packets: Iterable[Probe]) -> None:
        """Answers to these are nobody's any more."""
        for probe in packets:
            self._open.pop(probe.number, None)
            self._drop_stamp(probe)

    def _failed(self, notice: IcmpError) -> None:
        self._errors += 1
        probe = self._probe_of(notice.data)
        if probe is None or probe.answer is not None:
            return
        answer, word = _meaning(self.family, notice)
        if answer is not None:
            probe.answer, probe.error, probe.by = answer, word, notice.offender
            probe.mtu = notice.info if answer == "too_big" else None
            tell_rejections([*self.probes, probe])
            self._settle(probe, notice.received_ns)

    def _received(self, data: bytes, control: stamps.ControlMessages, source: Any) -> None:
        """Somebody listens on that port."""
        if source[0].partition("%")[0] != self.target:
            return
        probe = self._probe_of(data) or self._only_one()
        if probe is not None and probe.answer is None:
            probe.answer, probe.by = "reached", self.target
            self._settle(probe, stamps.received_at(control))

    def _settle(self, probe: Probe, received_ns: int | None) -> None:
        probe.replies += 1
        probe.rtt_s, probe.stamps = round_trip(probe, received_ns, *clocks())
        self.forget([probe])
        self._news.set()

    def _probe_of(self, data: bytes) -> Probe | None:
        if len(data) < _TOKEN.size:
            self.short_quotes = True
            return self._only_one()
        cookie, number, complement = _TOKEN.unpack_from(data)
        if cookie != self._cookie or number + complement != 0xFFFF:
            return None
        return self._open.get(number)

    def _only_one(self) -> Probe | None:
        return next(iter(self._open.values())) if len(self._open) == 1 else None


def tell_rejections(probes: Sequence[Probe]) -> None:
    """Corrects what seemed to have reached the target and was rejected by a router on the way.

    Port unreachable from whatever address is of the target's host (RFC 1122 §3.2.2.1): it may have several. A firewall
    that forwards says the same words in its own name; but that one has said before that a lesser hop limit ended there.
    """
    routers: dict[str, int] = {}
    for probe in probes:
        if probe.answer == "hop" and probe.by and probe.by != probe.address:
            routers[probe.by] = min(probe.ttl, routers.get(probe.by, probe.ttl))
    for probe in probes:
        if probe.answer == "reached" and probe.by in routers and probe.ttl > routers[probe.by]:
            probe.answer, probe.error = "stop", "refused"


def _meaning(family: Family, notice: IcmpError) -> tuple[Answer | None, Any]:
    """What an ICMP error says, with the word of the fixed list for one that ends the way."""
    said = (notice.kind, notice.code)
    if said == _EXCEEDED[family]:
        return "hop", None
    if said == _TOO_BIG[family]:
        return "too_big", None
    if said == _PORT[family]:
        return "reached", None
    word = error_word(family, notice.kind, notice.code)
    return ("stop", word) if word else (None, None)


def source_ports(box: Box) -> Iterator[int]:
    """Source ports of a test and target, the same at each run: another flow may well go another way."""
    key = f"{box.agent}\0{box.test}\0{box.target.name if box.target else box.address}"
    first = int.from_bytes(blake2b(key.encode(), digest_size=4).digest(), "big")
    return (PORTS[(first + i) % len(PORTS)] for i in itertools.count())


@contextlib.contextmanager
def opened_flow(to: Endpoint, ports: Iterator[int]) -> Iterator[Flow]:
    """A flow to a port of a numeric address, from the first of `ports` that is free; closed at the end.

    Raises:
        ProbeError: As `sockets.opened`.
        OSError: No port is free, or there is no way there.
    """
    family = family_of(to.address)
    with opened(to, socket.SOCK_DGRAM) as (sock, address):
        if family == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PROBE)
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_FLOWINFO_SEND, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PROBE)
        port = _bind(sock, family, ports)
        # the kernel's own flow label is another at each boot, and routers may go by it (RFC 6438): ours stays
        flow = Flow(sock, (*address[:2], port, address[3]) if family == 6 else address, family)
        try:
            yield flow
        finally:
            flow.close()


def _bind(sock: socket.socket, family: Family, ports: Iterator[int]) -> int:
    for port in ports:
        try:
            sock.bind(("::" if family == 6 else "0.0.0.0", port))  # noqa: S104 - a source port: nothing listens
        except OSError as e:
            if e.errno != errno.EADDRINUSE:
                raise
        else:
            return port
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
