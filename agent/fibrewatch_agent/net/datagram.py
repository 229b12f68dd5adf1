"""One UDP question and its answer, from a fresh port, with the kernel's stamps at both ends (see `stamps`)."""

import socket
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from fibrewatch.results.ping import Stamps
from fibrewatch_agent.net import stamps
from fibrewatch_agent.net.sockets import Endpoint, opened, raise_error, readable

LARGEST = 65535
_CONTROL_BYTES = 512  # a receive stamp, and room for an error's own
_STEPPED_NS = 1_000_000  # the wall clock moved against the monotonic one by more than slewing can
_MOMENT_NS = 50_000
_MOST_TRIES = 20  # of 5 ms each: without them the first answer would have a stamp of this process


class Reply(NamedTuple):
    """An answer, and when question and answer passed the kernel.

    Attributes:
        sent_ns: Nanoseconds since 1970 of the wall clock; received_ns as well.
        rtt_s: Between the two, never moved by a step of the wall clock.
        stepped: The wall clock was stepped meanwhile: sent_ns and received_ns are of two clocks.
    """

    data: bytes
    sent_ns: int
    received_ns: int
    rtt_s: float
    stamps: Stamps
    stepped: bool


async def ask(to: Endpoint, question: bytes, fits: Callable[[bytes], bool]) -> Reply:
    """Sends the question and waits for the first answer that fits; the caller sets the deadline.

    Args:
        fits: False for what is no answer to the question (it may be forged, so the wait goes on); may raise.

    Raises:
        ProbeError: As `sockets.opened`.
        OSError: The kernel or a router says that nothing will come.
    """
    with opened(to, socket.SOCK_DGRAM) as (sock, address):
        source = stamps.enable(sock)
        stamps.enable_errors(sock)
        sock.connect(address)
        if source != "user":
            await stamps.flowing(_MOST_TRIES)
        exchange = _Exchange(sock, source)
        exchange.send(question)
        return await exchange.answer(fits)


class _Exchange:
    def __init__(self, sock: socket.socket, source: Stamps) -> None:
        self._sock, self._source = sock, source
        self._sent_ns = self._sent_mono = 0
        self._stamped_ns: int | None = None

    def send(self, question: bytes) -> None:
        self._sent_ns, self._sent_mono = _clocks()
        self._sock.send(question)

    async def answer(self, fits: Callable[[bytes], bool]) -> Reply:
        while True:
            received = self._receive()
            if received is None:
                await readable(self._sock)
                continue
            if fits(received.data):
                return received

    def _receive(self) -> Reply | None:
        """The next datagram; None when there is none. Errors and stamps that are queued are taken first."""
        self._drain()
        try:
            data, control, _, _ = self._sock.recvmsg(LARGEST, _CONTROL_BYTES)
        except BlockingIOError:
            return None
        now_ns, now_mono = _clocks()
        self._drain()
        return self._reply(data, stamps.received_at(control), now_ns, now_mono)

    def _reply(self, data: bytes, received_ns: int | None, now_ns: int, now_mono: int) -> Reply:
        sent_ns, source = self._sent_ns, self._source
        elapsed = now_mono - self._sent_mono
        stepped = abs((now_ns - self._sent_ns) - elapsed) > _STEPPED_NS
        if received_ns is None or stepped:
            return Reply(data, self._sent_ns, now_ns, elapsed / 1e9, "user", stepped)
        if source == "kernel":
            sent_ns, source = (self._stamped_ns, source) if self._stamped_ns else (sent_ns, "kernel_receive")
        return Reply(data, sent_ns, received_ns, max(0, received_ns - sent_ns) / 1e9, source, stepped)

    def _drain(self) -> None:
        for notice in _notices(self._sock):
            if isinstance(notice, stamps.SendStamp):
                self._stamped_ns = notice.ns
            else:
                raise_error(self._sock.family, notice)


def _notices(sock: socket.socket) -> Iterator[stamps.SendStamp | stamps.IcmpError]:
    while (notice := stamps.read_error_queue(sock)) is not None:
        yield notice


def _clocks() -> tuple[int, int]:
    """Wall and monotonic clock of one moment: read again when this process was held up between the two."""
    for _ in range(5):
        before, wall = time.monotonic_ns(), time.time_ns()
        if time.monotonic_ns() - before < _MOMENT_NS:
            break
    return wall, before
