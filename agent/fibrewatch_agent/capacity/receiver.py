"""Counts what arrives of a load, and reports it each 50 ms."""

import contextlib
import fcntl
import select
import socket
import struct
import time
from collections.abc import Callable

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.capacity.messages import HEADER, LOAD, End, Feedback, seal, unseal
from fibrewatch_agent.capacity.search import FEEDBACK_S, SILENCE_S

_UDP_GRO = 104
_SO_RCVBUFFORCE, _SO_MEMINFO, _DROPS_AT, _MEMINFO_BYTES = 33, 55, 32, 36
_SIOCGSTAMPNS, _TIMESPEC = 0x8907, struct.Struct("@ll")
_BUFFER = 16 << 20
_SAMPLE_NS = 500_000
"""One packet in each half millisecond tells its delay: the kernel's stamp costs a call of its own."""
_MOST_MISSING = 100_000
_TURNS = 512
_LINGER_S = 0.3


class Receiver:
    """One flow's other end.

    Attributes:
        reports: All that were made.
        end: The sender's last word.
    """

    def __init__(self, sock: socket.socket, key: bytes, packet_bytes: int) -> None:
        self._sock, self._key, self._session = sock, key, key[:8]
        self._packet_bytes = packet_bytes
        self._payload = packet_bytes - (48 if sock.family == socket.AF_INET6 else 28)
        self._buffer = memoryview(bytearray(1 << 16))
        _prepare(sock)
        self.reports: list[Feedback] = []
        self.end: End | None = None
        self._expected = self._received = self._lost = self._reordered = self._duplicates = 0
        self._missing: set[int] = set()
        self._delays: list[float] = []
        self._least_s: float | None = None
        self._sampled_ns = 0
        self._told = (0, 0)
        self._drops = _drops(sock)

    def run(self, stop: Callable[[], bool], heard: Callable[[bytes], None] = lambda data: None) -> None:
        """Until the sender has said its last word.

        Raises:
            ProbeError: timeout, nothing comes for a second.
            OSError: The kernel's word.
        """
        began = alive = time.monotonic()
        due = began
        while self.end is None:
            now = time.monotonic()
            if now >= due:
                self._report(stop=stop())
                due = max(due + FEEDBACK_S, now)
            readable, _, _ = select.select([self._sock], [], [], max(0.0, due - now))
            if readable and self._drain(heard):
                alive = time.monotonic()
            if time.monotonic() - alive > SILENCE_S:
                raise ProbeError("timeout", f"no packets from the sender for {SILENCE_S:g} s")
        self._linger(heard)

    @property
    def moved(self) -> int:
        """Bytes of IP that came."""
        return self._received * self._packet_bytes

    def _linger(self, heard: Callable[[bytes], None]) -> None:
        """The final report, as often as the sender asks."""
        until = time.monotonic() + _LINGER_S
        self._report(final=True)
        while (left_s := until - time.monotonic()) > 0:
            with contextlib.suppress(OSError):  # the sender has gone
                readable, _, _ = select.select([self._sock], [], [], left_s)
                if readable and self._drain(heard):
                    self._sock.send(seal(self._key, self.reports[-1]))

    def _drain(self, heard: Callable[[bytes], None]) -> bool:
        """Takes what is there; whether any of it was the sender's."""
        ours = False
        for _ in range(_TURNS):
            try:
                size = self._sock.recv_into(self._buffer)
            except BlockingIOError:
                break
            ours = self._take(size, heard) or ours
        return ours

    def _take(self, size: int, heard: Callable[[bytes], None]) -> bool:
        """A packet, or several that the kernel has bundled; a shorter one of another kind may end a bundle."""
        count = size // self._payload
        if count and self._is_load(0):
            first, last = self._number(0), self._number(count - 1)
            self._sample()
            if first == self._expected and last == first + count - 1 and self._is_load(count - 1):
                self._received += count
                self._expected += count
            else:
                for i in range(count):
                    self._count(i)
            if size == count * self._payload:
                return True
        rest = bytes(self._buffer[count * self._payload if count and self._is_load(0) else 0 : size])
        message = unseal(self._key, rest)
        if isinstance(message, End):
            self.end = message
            return True
        heard(rest)
        return False

    def _is_load(self, index: int) -> bool:
        mark, session, _, _ = HEADER.unpack_from(self._buffer, index * self._payload)
        return bool(mark == LOAD and session == self._session)

    def _number(self, index: int) -> int:
        return int(HEADER.unpack_from(self._buffer, index * self._payload)[2])

    def _count(self, index: int) -> None:
        if not self._is_load(index):
            return
        number = self._number(index)
        if number >= self._expected:
            gap = range(self._expected, number)
            self._lost += len(gap)
            if len(self._missing) + len(gap) < _MOST_MISSING:
                self._missing.update(gap)
            self._expected = number + 1
            self._received += 1
        elif number in self._missing:
            self._missing.discard(number)
            self._lost -= 1
            self._reordered += 1
            self._received += 1
        else:
            self._duplicates += 1

    def _sample(self) -> None:
        """The newest packet's delay, on the unknown offset between both clocks."""
        now_ns = time.monotonic_ns()
        if now_ns - self._sampled_ns < _SAMPLE_NS:
            return
        self._sampled_ns = now_ns
        sent_ns = HEADER.unpack_from(self._buffer)[3]
        with contextlib.suppress(OSError):  # the first ones are not stamped
            seconds, ns = _TIMESPEC.unpack(fcntl.ioctl(self._sock, _SIOCGSTAMPNS, bytes(_TIMESPEC.size)))
            age_ns = time.time_ns() - (seconds * 10**9 + ns)
            if 0 <= age_ns < 10**9:
                now_ns -= age_ns
            self._delays.append((now_ns - sent_ns) / 1e9)

    def _report(self, *, stop: bool = False, final: bool = False) -> None:
        delays, self._delays = self._delays, []
        if delays:
            self._least_s = min(delays) if self._least_s is None else min(self._least_s, *delays)
        errors = self._lost + self._reordered + self._duplicates
        report = Feedback(
            number=len(self.reports),
            at_ns=time.monotonic_ns(),
            received=self._received,
            lost=self._lost,
            reordered=self._reordered,
            duplicates=self._duplicates,
            drops=_drops(self._sock) - self._drops,
            packets=self._received - self._told[0],
            errors=max(0, errors - self._told[1]),
            delay_s=sum(delays) / len(delays) - (self._least_s or 0.0) if delays else None,
            delay_min_s=min(delays, default=None),
            delay_max_s=max(delays, default=None),
            cpu_s=time.process_time(),
            stop=stop,
            final=final,
        )
        self._told = (self._received, errors)
        self.reports.append(report)
        with contextlib.suppress(BlockingIOError):
            self._sock.send(seal(self._key, report))


def _prepare(sock: socket.socket) -> None:
    """A great buffer, more than the system's limit where permitted, and packets bundled where the kernel can."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    for level, option, value in ((socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER), (socket.IPPROTO_UDP, _UDP_GRO, 1)):
        with contextlib.suppress(OSError):
            sock.setsockopt(level, option, value)


def _drops(sock: socket.socket) -> int:
    """Packets that this socket had no room for (SO_MEMINFO, since Linux 4.12)."""
    try:
        told = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO_BYTES)
    except OSError:
        return 0
    return int(struct.unpack_from("=I", told, _DROPS_AT)[0])
