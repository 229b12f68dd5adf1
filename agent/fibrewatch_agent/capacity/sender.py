"""Sends at the rate that the search says, paced in bundles that the kernel cuts into packets (UDP_SEGMENT, udp(7))."""

import errno
import os
import select
import socket
import time
from collections.abc import Callable
from typing import Literal

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.capacity.messages import HEADER, LOAD, NUMBERS, NUMBERS_AT, End, Feedback, Hello, seal, unseal
from fibrewatch_agent.capacity.search import FEEDBACK_S, SILENCE_S, Search, Seen

_UDP_SEGMENT = 103
_MOST_SEGMENTS, _MOST_BYTES = 64, 65_000
_LEAST_WAIT_S = 0.0005
_CATCH_UP_S = 0.01
"""What a sender that was held up sends at once, and no more: a burst would fill the line's queue."""
_BUFFER = 4 << 20
_LINGER_S = 1.0


class Sender:
    """One flow of load.

    Attributes:
        reports: The receiver's, in order.
        cpu: In cores, of the busiest second; None before one was over.
    """

    def __init__(self, sock: socket.socket, key: bytes, hello: Hello, most: float) -> None:
        self._sock, self._key, self._hello = sock, key, hello
        self._payload = hello.packet_bytes - (48 if sock.family == socket.AF_INET6 else 28)
        self.search = Search(min(hello.most, most), hello.tolerated_loss, hello.lower_s, hello.upper_s)
        self.reports: list[Feedback] = []
        self.sent = 0
        self.cpu: float | None = None
        self._bundle = _bundle_of(sock, self._payload)
        self._buffer = _buffer_of(key[:8], self._payload, self._bundle)
        self._credit, self._paid_ns = 0.0, 0
        self._cpu_mark = (time.monotonic(), time.process_time())
        self._stop, self._alive = False, time.monotonic()

    def run(self, stop: Callable[[], bool], heard: Callable[[bytes], None] = lambda data: None) -> End:
        """Until it is over: its last word, which the receiver has heard.

        Args:
            heard: Told what else comes.

        Raises:
            ProbeError: timeout, the receiver is silent for a second.
            OSError: The kernel's word.
        """
        began = time.monotonic()
        self._paid_ns = time.monotonic_ns()
        self._alive = began
        while (why := self._why_end(began, stop)) is None:
            self._hear(heard, self._pay())
            self._note_cpu()
            if time.monotonic() - self._alive > SILENCE_S:
                raise ProbeError("timeout", f"no report from the receiver for {SILENCE_S:g} s")
        end = End(sent=self.sent, met=self.search.met, top=self.search.top, cpu=self.cpu, stopped=why)
        self._say_end(end, heard)
        return end

    @property
    def moved(self) -> int:
        """Bytes of IP that were sent."""
        return self.sent * self._hello.packet_bytes

    def _why_end(self, began: float, stop: Callable[[], bool]) -> Literal["duration", "tenants", "bytes"] | None:
        if stop() or self._stop:
            return "tenants"
        if time.monotonic() - began >= self._hello.duration_s:
            return "duration"
        limit = self._hello.max_bytes
        return "bytes" if limit is not None and self.moved >= limit else None

    def _pay(self) -> float:
        """Sends what is due; how long until the next is."""
        now, rate, size = time.monotonic_ns(), self.search.rate, self._hello.packet_bytes
        most = max(rate * _CATCH_UP_S, 2.0 * size)
        self._credit = min(most, self._credit + rate * (now - self._paid_ns) / 1e9)
        self._paid_ns = now
        while (due := min(int(self._credit // size), self._bundle)) > 0:
            self._credit -= due * size
            if not self._burst(due):
                break
        return max(_LEAST_WAIT_S, min(FEEDBACK_S, (size - self._credit) / rate))

    def _burst(self, count: int) -> bool:
        """So many packets; whether the kernel took them: its own queue is as full as the line's."""
        now = time.monotonic_ns()
        for i in range(count):
            NUMBERS.pack_into(self._buffer, i * self._payload + NUMBERS_AT, self.sent + i, now)
        try:
            self._sock.send(memoryview(self._buffer)[: count * self._payload])
        except BlockingIOError:
            return False
        except OSError as e:
            if e.errno != errno.EIO or self._bundle == 1:
                raise
            self._bundle = 1  # the interface computes no checksums, and so the kernel cuts nothing for it
            self._sock.setsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT, 0)
            return False
        self.sent += count
        return True

    def _hear(self, heard: Callable[[bytes], None], wait_s: float) -> bool:
        """Waits for so long at most; whether the final report was there."""
        readable, _, _ = select.select([self._sock], [], [], wait_s)
        while readable:
            try:
                data = self._sock.recv(65536)
            except BlockingIOError:
                return False
            message = unseal(self._key, data)
            if not isinstance(message, Feedback):
                heard(data)
            elif not self.reports or message.number > self.reports[-1].number:
                self._take(message)
                if message.final:
                    return True
        return False

    def _take(self, report: Feedback) -> None:
        if report.received > self.sent:
            raise ProbeError("protocol", "the receiver reports more packets than were sent")
        self.reports.append(report)
        self._alive, self._stop = time.monotonic(), self._stop or report.stop
        if not report.final:
            self.search.report(Seen(report.packets, report.errors, report.delay_s))

    def _note_cpu(self) -> None:
        at, used = self._cpu_mark
        now = time.monotonic()
        if now - at >= 1.0:
            self._cpu_mark = (now, time.process_time())
            self.cpu = max(self.cpu or 0.0, (self._cpu_mark[1] - used) / (now - at))

    def _say_end(self, end: End, heard: Callable[[bytes], None]) -> None:
        until = time.monotonic() + _LINGER_S
        while time.monotonic() < until:
            try:
                self._sock.send(seal(self._key, end))
                if self._hear(heard, FEEDBACK_S):
                    return
            except OSError:  # it has heard enough
                return


def _bundle_of(sock: socket.socket, payload: int) -> int:
    """How many packets one call may send; 1 where the kernel can't cut."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    try:
        sock.setsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT, payload)
    except OSError:
        return 1
    return max(1, min(_MOST_SEGMENTS, _MOST_BYTES // payload))


def _buffer_of(session: bytes, payload: int, count: int) -> bytearray:
    """Packets but for their numbers; random, so that nothing on the way can make them smaller."""
    filling = os.urandom(payload - HEADER.size)
    return bytearray((HEADER.pack(LOAD, session, 0, 0) + filling) * count)
