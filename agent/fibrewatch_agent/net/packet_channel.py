"""One socket that sends numbered packets for many windows: stamps, errors and replies of each find their packet."""

import abc
import asyncio
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fibrewatch.measurement import Error
from fibrewatch.results.ping import Stamps
from fibrewatch_agent.net import stamps
from fibrewatch_agent.net.stamps import IcmpError, SendStamp

_SO_MEMINFO = 55
_READS_A_TURN = 256  # a flood of strangers' replies must not keep the loop from its other work
_LARGEST = 2048
STEP_NS = 1_000_000
"""Wall and monotonic clock further apart than this between send and receive: the wall clock was stepped."""


@dataclass(slots=True, eq=False)
class Packet:
    """One request and what became of it.

    Attributes:
        number: As it stands in the packet; -1 when it could not leave because the line was cut.
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
    on_reply: "Callable[[Any], None] | None" = None
    key: int | None = None
    tx_ns: int | None = None
    rtt_s: float | None = None
    stamps: Stamps | None = None
    replies: int = 0
    error: Error | None = None
    offender: str | None = None


P = TypeVar("P", bound=Packet)


class PacketChannel(abc.ABC, Generic[P]):
    """An open socket, its reader in the running loop, and the packets whose send stamps are awaited.

    Attributes:
        index: The interface's number when it was bound; None without one.
        offers: The best stamps that this socket can give.
    """

    def __init__(self, sock: socket.socket, index: int | None, *, control_bytes: int = stamps.CONTROL_BYTES) -> None:
        self.sock, self.index = sock, index
        self.offers = stamps.enable(sock)
        stamps.enable_errors(sock)
        self._control_bytes = control_bytes
        self._key = 0
        self._unstamped: dict[int, P] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self.poll)

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

    @abc.abstractmethod
    def forget(self, packets: Iterable[P]) -> None:
        """Replies to these are no longer of interest."""

    def poll(self) -> None:
        """Takes in what the kernel holds for us: stamps and errors first, then replies."""
        if self.sock.fileno() < 0:
            return
        self._read_errors()
        for _ in range(_READS_A_TURN):
            try:
                data, control, _, source = self.sock.recvmsg(_LARGEST, self._control_bytes)
            except BlockingIOError:
                return
            except OSError:
                self._read_errors()  # an ICMP error came in between; the call has cleared it
                continue
            self._received(data, control, source)

    @abc.abstractmethod
    def _received(self, data: bytes, control: stamps.ControlMessages, source: Any) -> None:
        """One datagram."""

    @abc.abstractmethod
    def _failed(self, notice: IcmpError) -> None:
        """One ICMP error."""

    def _transmit(self, packet: P, data: bytes, control: Sequence[tuple[int, int, bytes]], sockaddr: Any) -> None:
        """Sends it, and notes which send stamp will be its own.

        Raises:
            OSError: It could not be sent.
        """
        try:
            self.sock.sendmsg([data], control, 0, sockaddr)
        except OSError:
            # May be an ICMP error about another target that waited on the socket; the failed call has cleared it
            # (sock_error() in the kernel), so that the second answer is this packet's own.
            self._restart_keys()
            try:
                self.sock.sendmsg([data], control, 0, sockaddr)
            except OSError:
                self._restart_keys()
                raise
        if self.offers == "kernel":
            packet.key, self._key = self._key, (self._key + 1) & 0xFFFFFFFF
            self._unstamped[packet.key] = packet

    def _take_stamp(self) -> None:
        """The stamp is there already, unless the interface's queue is full: saves a wake-up."""
        if self.offers == "kernel":
            self._read_errors()

    def _drop_stamp(self, packet: P) -> None:
        if packet.key is not None and self._unstamped.get(packet.key) is packet:
            del self._unstamped[packet.key]

    def _restart_keys(self) -> None:
        if self.offers == "kernel" and self.sock.fileno() >= 0:
            self._read_errors()
            self._unstamped.clear()
            stamps.restart_keys(self.sock)
            self._key = 0

    def _read_errors(self) -> None:
        while (notice := stamps.read_error_queue(self.sock)) is not None:
            if isinstance(notice, SendStamp):
                packet = self._unstamped.pop(notice.key, None)
                if packet is not None:
                    packet.tx_ns = notice.ns
            else:
                self._failed(notice)

    def _answered(self, packet: P, control: stamps.ControlMessages, moment: tuple[int, int]) -> int | None:
        """Counts a reply and times the first; the kernel's receive stamp.

        Args:
            moment: `clocks` right after the receive.
        """
        packet.replies += 1
        received_ns = stamps.received_at(control)
        if packet.rtt_s is None:
            if packet.tx_ns is None:
                self._read_errors()  # the stamp may have come after the last look
            packet.rtt_s, packet.stamps = round_trip(packet, received_ns, *moment)
        return received_ns


def clocks() -> tuple[int, int]:
    """Wall and monotonic clock, nanoseconds, of one moment: read again if this process lost the CPU between the two."""
    while True:
        before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if after - before < STEP_NS // 4:
            return wall, before


def round_trip(packet: Packet, rx_ns: int | None, wall_ns: int, mono_ns: int) -> tuple[float, Stamps]:
    """The best round-trip time, seconds, and where it comes from.

    Args:
        rx_ns: The kernel's receive stamp.
        wall_ns, mono_ns: This process's clocks after the receive. The kernel's stamps are of the wall clock: when that
            was stepped meanwhile, or a stamp does not lie between ours, only the monotonic clock can tell.
    """
    elapsed = mono_ns - packet.sent_mono_ns
    stepped = abs(wall_ns - packet.sent_wall_ns - elapsed) > STEP_NS
    if stepped or rx_ns is None or not packet.sent_wall_ns <= rx_ns <= wall_ns:
        return elapsed / 1e9, "user"
    if packet.tx_ns is None or not packet.sent_wall_ns <= packet.tx_ns <= rx_ns:
        return (rx_ns - packet.sent_wall_ns) / 1e9, "kernel_receive"
    return (rx_ns - packet.tx_ns) / 1e9, "kernel"


@dataclass(slots=True)
class Kept:
    """What outlives a window of one test and target: its last good address, its losses in a row."""

    address: str | None = None
    losses: int = 0
    lost: bool = False
