"""ICMP echo, sent and matched: one socket for each family and interface serves all targets (RFC 792, RFC 4443 §4).

Every request carries the process's random cookie and a number that never repeats, so that neither another program's
replies nor those to an earlier run are counted, and the 16 bits of ICMP's sequence may wrap as they like.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fibrewatch.measurement import Error
from fibrewatch.results.ping import Stamps
from fibrewatch_agent import stamps
from fibrewatch_agent.icmp_packets import (
    HEADER,
    REQUEST,
    Destination,
    Family,
    error_word,
    parse_reply,
    request,
    strip_ip_header,
)
from fibrewatch_agent.icmp_socket import interface_index, open_socket
from fibrewatch_agent.stamps import IcmpError, SendStamp

_SO_MEMINFO = 55
_READS_A_TURN = 256  # a flood of strangers' replies must not keep the loop from its other work
_STEP_NS = 1_000_000
"""Wall and monotonic clock further apart than this between send and receive: the wall clock was stepped."""


@dataclass(slots=True, eq=False)
class Echo:
    """One request and what became of it.

    Attributes:
        number: As it stands in the packet; its low 16 bits are ICMP's sequence number.
        sent_wall_ns, sent_mono_ns: This process's clocks just before the send.
        tx_ns: The kernel's send stamp, wall clock.
        rtt_s: Of the first reply; None while there is none.
        stamps: Where rtt_s comes from.
        replies: How many came, the first included.
        error: What an ICMP error said about it; a reply may still follow.
    """

    number: int
    address: str
    sent_wall_ns: int
    sent_mono_ns: int
    on_reply: Callable[["Echo"], None] | None = None
    key: int | None = None
    tx_ns: int | None = None
    rtt_s: float | None = None
    stamps: Stamps | None = None
    replies: int = 0
    error: Error | None = None
    offender: str | None = None


class Channel:
    """One open socket, its reader in the running loop, and the echoes that are still of interest.

    Attributes:
        index: The interface's number when it was bound; None without one.
        offers: The best stamps that this socket can give.
    """

    def __init__(
        self, family: Family, interface: str | None, cookie: bytes, *, first_number: int | None = None
    ) -> None:
        self.family, self.index = family, None if interface is None else interface_index(interface)
        self.sock = open_socket(family, interface)
        self.raw = self.sock.type == socket.SOCK_RAW
        self.identifier = int.from_bytes(os.urandom(2), "big")  # DGRAM: the kernel puts its own
        self.offers = stamps.enable(self.sock)
        stamps.enable_errors(self.sock)
        self._cookie = cookie
        self._number = int.from_bytes(os.urandom(2), "big") if first_number is None else first_number - 1
        self._key = 0
        self._echoes: dict[int, Echo] = {}
        self._unstamped: dict[int, Echo] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.sock, self.poll)

    def close(self) -> None:
        """Ends it; a send after this raises OSError."""
        self._loop.remove_reader(self.sock)
        self.sock.close()

    def drops(self) -> int:
        """How many packets the kernel threw away because our buffer was full, since the socket was opened."""
        if self.sock.fileno() < 0:
            return 0
        meminfo = self.sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36)
        return int.from_bytes(meminfo[32:36], "little") if len(meminfo) == 36 else 0

    def send(self, to: Destination, on_reply: Callable[[Echo], None] | None = None) -> Echo:
        """Sends one request; `on_reply` is called in the loop at each reply to it, duplicates included.

        Keep the echo until `forget`: replies to it are matched until then.

        Raises:
            OSError: It could not be sent.
        """
        self._number += 1
        packet = request(self.family, self.identifier, self._number, self._cookie, to.payload_bytes)
        echo = Echo(self._number, to.address, *clocks(), on_reply)
        self._transmit(packet, to)
        self._echoes[echo.number] = echo
        if self.offers == "kernel":
            echo.key, self._key = self._key, (self._key + 1) & 0xFFFFFFFF
            self._unstamped[echo.key] = echo
            self._read_errors()  # the stamp is there already, unless the interface's queue is full: saves a wake-up
        return echo

    def forget(self, echoes: Iterable[Echo]) -> None:
        """Replies to these are no longer of interest."""
        for echo in echoes:
            self._echoes.pop(echo.number, None)
            if echo.key is not None and self._unstamped.get(echo.key) is echo:
                del self._unstamped[echo.key]

    def poll(self) -> None:
        """Takes in what the kernel holds for us: stamps and errors first, then replies."""
        if self.sock.fileno() < 0:
            return
        self._read_errors()
        for _ in range(_READS_A_TURN):
            try:
                packet, control, _, address = self.sock.recvmsg(2048, stamps.CONTROL_BYTES)
            except BlockingIOError:
                return
            except OSError:
                self._read_errors()  # an ICMP error came in between; the call has cleared it
                continue
            self._received(packet, control, address[0])

    def _transmit(self, packet: bytes, to: Destination) -> None:
        try:
            self.sock.sendmsg([packet], to.control, 0, to.sockaddr)
        except OSError:
            # May be an ICMP error about another target that waited on the socket; the failed call has cleared it
            # (sock_error() in the kernel), so that the second answer is this packet's own.
            self._restart_keys()
            try:
                self.sock.sendmsg([packet], to.control, 0, to.sockaddr)
            except OSError:
                self._restart_keys()
                raise

    def _restart_keys(self) -> None:
        if self.offers == "kernel" and self.sock.fileno() >= 0:
            self._read_errors()
            self._unstamped.clear()
            stamps.restart_keys(self.sock)
            self._key = 0

    def _read_errors(self) -> None:
        while (notice := stamps.read_error_queue(self.sock)) is not None:
            if isinstance(notice, SendStamp):
                self._stamped(notice)
            else:
                self._failed(notice)

    def _stamped(self, stamp: SendStamp) -> None:
        echo = self._unstamped.pop(stamp.key, None)
        if echo is not None:
            echo.tx_ns = stamp.ns

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

    def _received(self, packet: bytes, control: stamps.ControlMessages, source: str) -> None:
        wall, mono = clocks()
        reply = parse_reply(strip_ip_header(packet) if self.raw and self.family == 4 else packet, self.family)
        if reply is None or reply.cookie != self._cookie or (self.raw and reply.identifier != self.identifier):
            return
        echo = self._echoes.get(reply.number)
        if echo is None or echo.address != source:
            return
        echo.replies += 1
        if echo.rtt_s is None:
            if echo.tx_ns is None:
                self._read_errors()  # the stamp may have come after the last look
            echo.rtt_s, echo.stamps = round_trip(echo, stamps.received_at(control), wall, mono)
        if echo.on_reply is not None:
            echo.on_reply(echo)


def clocks() -> tuple[int, int]:
    """Wall and monotonic clock, nanoseconds, of one moment: read again if this process lost the CPU between the two."""
    while True:
        before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if after - before < _STEP_NS // 4:
            return wall, before


def round_trip(echo: Echo, rx_ns: int | None, wall_ns: int, mono_ns: int) -> tuple[float, Stamps]:
    """The best round-trip time, seconds, and where it comes from.

    Args:
        rx_ns: The kernel's receive stamp.
        wall_ns, mono_ns: This process's clocks after the receive. The kernel's stamps are of the wall clock: when that
            was stepped meanwhile, or a stamp does not lie between ours, only the monotonic clock can tell.
    """
    elapsed = mono_ns - echo.sent_mono_ns
    stepped = abs(wall_ns - echo.sent_wall_ns - elapsed) > _STEP_NS
    if stepped or rx_ns is None or not echo.sent_wall_ns <= rx_ns <= wall_ns:
        return elapsed / 1e9, "user"
    if echo.tx_ns is None or not echo.sent_wall_ns <= echo.tx_ns <= rx_ns:
        return (rx_ns - echo.sent_wall_ns) / 1e9, "kernel_receive"
    return (rx_ns - echo.tx_ns) / 1e9, "kernel"


@dataclass(slots=True)
class Kept:
    """What outlives a window of one test and target: its last good address, its losses in a row."""

    address: str | None = None
    losses: int = 0
    lost: bool = False


class IcmpSockets:
    """The sockets of one agent, and what its windows leave to the next; the constructor opens nothing."""

    def __init__(self) -> None:
        self._cookie = os.urandom(8)
        self._channels: dict[tuple[Family, str | None], Channel] = {}
        self._kept: dict[tuple[object, ...], Kept] = {}

    def kept(self, *key: object) -> Kept:
        """The record of one test and target, made when first asked for."""
        return self._kept.setdefault(key, Kept())

    async def channel(self, family: Family, interface: str | None = None) -> Channel:
        """The socket for a family and an interface, opened when first asked for, and the kernel's stamps flowing.

        An interface that was taken away and came back (a USB modem) has another number: it gets another socket.

        Raises:
            ProbeError: no_interface, permission, unreachable (the kernel has no such family).
        """
        channel = self._channels.get((family, interface))
        if channel is not None and interface is not None and interface_index(interface) != channel.index:
            channel.close()
            channel = None
        if channel is None:
            channel = self._channels[family, interface] = Channel(family, interface, self._cookie)
        await stamps.flowing()
        return channel

    def close(self) -> None:
        """Closes all sockets; they open again when asked for."""
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()
