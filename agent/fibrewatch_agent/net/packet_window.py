"""A window of numbered packets to one target, on a grid of its own: what ping and stamp have in common.

What counts:
    sent    A request that left, or that could not leave because the line was cut: no route, interface down, no source
            address (ENETUNREACH, EHOSTUNREACH, ENETDOWN, EADDRNOTAVAIL). The user would have lost it too.
    unsent  A request that the box itself held back: its own firewall (EPERM), full queues (ENOBUFS), an interface that
            is gone (ENODEV). It is in neither sent nor lost; a moment that the loop slept through is not made up for.
    lost    Sent, and no reply within the timeout by the best stamps. A later reply is late, and lost all the same.
A window whose requests were all lost fails with the reason and keeps its result.
"""

import asyncio
import errno
import logging
import math
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from fibrewatch import schedule
from fibrewatch.measurement import Error
from fibrewatch_agent.box import Box, ProbeError, Window
from fibrewatch_agent.net.packet_channel import Kept, Packet, PacketChannel

log = logging.getLogger(__name__)

LOSSES_UNTIL_LOST = 3
STOP_GRACE_S = 1.0

_CUT = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL}
_HELD_BACK: dict[int, Error] = {
    errno.EPERM: "denied",
    errno.EACCES: "denied",
    errno.ENOBUFS: "busy",
    errno.EAGAIN: "busy",
    errno.ENOMEM: "busy",
    errno.ENODEV: "no_interface",
    errno.ENXIO: "no_interface",
    errno.EBADF: "no_interface",  # the socket was replaced because the interface came back with another number
}

P = TypeVar("P", bound=Packet)
S = TypeVar("S")
Silence = tuple[Error, str]
"""The error, and a line for people, instead of a timeout."""


class Grid(NamedTuple):
    """When packets go out: every `interval_s` from `phase_s` of UTC on; a reply later than `timeout_s` is lost."""

    interval_s: float
    timeout_s: float
    phase_s: float


def grid(interval_s: float, timeout_s: float, box: Box) -> Grid:
    """The grid of one test and target: no two of a box, nor the boxes of one fleet, send at the same moment."""
    target = box.target.name if box.target else box.address
    return Grid(interval_s, timeout_s, schedule.phase(box.agent, f"{box.test}\0{target}", interval_s))


def window_of(box: Box) -> Window:
    """The window to measure.

    Raises:
        ValueError: The caller gave none.
    """
    if box.window is None:
        raise ValueError("this probe runs in windows")
    return box.window


def kept_of(box: Box) -> Kept:
    """What the last window of this test and target left."""
    return box.icmp.kept(box.test, box.target and box.target.name, box.address, box.interface, box.family)


async def address_of(box: Box, kept: Kept) -> tuple[str, bool]:
    """The target's numeric address, and whether it is that of the last window, which `run` asks for anew beside it.

    Raises:
        ProbeError: As `Box.resolve`.
    """
    known = kept.address is not None
    address = kept.address = kept.address or await box.resolve()
    box.resolved, box.used_family = address, 6 if ":" in address else 4
    return address, known and address != box.address


class _Watch:
    """Tells at once when the target is lost, and when it is back."""

    def __init__(self, kept: Kept, report: Callable[[bool], None]) -> None:
        self._kept, self._report = kept, report

    def loss(self) -> None:
        self._kept.losses += 1
        if self._kept.losses >= LOSSES_UNTIL_LOST and not self._kept.lost:
            self._kept.lost = True
            self._report(True)

    def reply(self) -> None:
        self._kept.losses = 0
        if self._kept.lost:
            self._kept.lost = False
            self._report(False)


class PacketWindow(Generic[P]):
    """One window to one target, driven by the loop's timers: a send, or an expiry, is one call.

    Args:
        send: Sends one packet whose replies are told to the function that it is given; raises OSError.
        cut: Makes the packet that stands for one which could not leave.
        trail: Called once in an interval while sending is over and a packet is still open.
    """

    def __init__(
        self,
        timing: Grid,
        window: Window,
        channel: PacketChannel[P],
        *,
        send: Callable[[Callable[[P], None]], P],
        cut: Callable[[], P],
        trail: Callable[[], None] | None = None,
    ) -> None:
        self.timing, self._window, self._channel = timing, window, channel
        self._send_packet, self._cut, self._trail = send, cut, trail
        self._loop = asyncio.get_running_loop()
        self._offset = self._loop.time() - time.time()  # once: a stepped wall clock moves nothing in this window
        self._next, self._beyond = self._first_point(window.start), self._first_point(window.end)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._closing = False
        self._drops = channel.drops()
        self._watch = _Watch(Kept(), lambda lost: None)
        self.packets: list[P] = []
        self._open: deque[P] = deque()
        self.arrivals: list[int] = []
        """Numbers of those answered in time, in the order of their first replies."""
        self._unsent: Counter[Error] = Counter()
        self._problem = ""
        self.finished: asyncio.Future[None] = self._loop.create_future()

    @property
    def start_mono(self) -> float:
        """When the window begins, on the monotonic clock."""
        return self._window.start + self._offset

    async def run(self, box: Box, kept: Kept | None, *, refresh: bool = False) -> None:
        """Returns when the window is over and its packets are settled, or soon after `box.stopping` is set.

        Args:
            kept: Where losses in a row are counted, for telling that the target is lost; None for a single burst.
            refresh: Ask for the target's name again meanwhile, for the next window.
        """
        if kept is not None:
            self._watch = _Watch(kept, box.report_target)
        try:
            async with asyncio.TaskGroup() as group:
                beside = [group.create_task(_stop_when(box.stopping, self), name=f"window stop {box.test}")]
                if refresh and kept is not None:
                    beside.append(group.create_task(_refresh(box, kept), name=f"window resolve {box.test}"))
                self.start()
                try:
                    await self.finished
                finally:
                    for task in beside:
                        task.cancel()
        finally:
            self._cancel(*self._timers)
            self._channel.forget(self.packets)
            for packet in self.packets:
                packet.on_reply = None  # a ring of window and packets would wait minutes for the collector: 1 kB each
        if self._channel.drops() > self._drops:
            box.mark("invalid", "receive_overflow")

    def start(self) -> None:
        """Sets the first timers."""
        self._at("close", self._window.end + self._offset, self._close_sending)
        self._schedule()

    def stop(self) -> None:
        """No more requests; those on their way get a little time."""
        self._cancel("close", "send")
        self._at("stop", self._loop.time() + min(self.timing.timeout_s, STOP_GRACE_S), self._finish)
        self._close_sending()

    def counted(self) -> list[P]:
        """The packets that count as sent: not those that an early stop left no time to come back."""
        young = {packet.number for packet in self._open if not self._in_time(packet)}
        return [packet for packet in self.packets if packet.number not in young]

    def judge(self, result: S, sent: int, lost: int, *, silence: "Silence | None" = None) -> S:
        """The result, or the error that the window ended in.

        Args:
            silence: The error instead of "timeout" where nobody said anything.

        Raises:
            ProbeError: With the result, when every request was lost or held back.
        """
        if sent and lost == sent:
            error, detail = cause(self.packets, self._problem)
            raise ProbeError(*(silence if error == "timeout" and silence else (error, detail)), result)
        if self._unsent and not sent:
            raise ProbeError(self._unsent.most_common(1)[0][0], f"nothing could be sent: {self._problem}", result)
        return result

    def _first_point(self, moment: float) -> int:
        """Windows share one grid, so that none sends twice and none leaves a hole where they meet."""
        return math.ceil((moment - self.timing.phase_s) / self.timing.interval_s)

    def _schedule(self) -> None:
        if self._next < self._beyond:
            due = self._next * self.timing.interval_s + self.timing.phase_s + self._offset
            self._at("send", due, self._tick)

    def _tick(self) -> None:
        """Sends for the newest point that is due; those slept through are left out, not sent in a burst."""
        elapsed = self._loop.time() - self._offset - self.timing.phase_s
        point = max(self._next, math.floor(elapsed / self.timing.interval_s))
        self._next = point + 1
        self._schedule()
        if point < self._beyond:
            self._send()

    def _send(self) -> None:
        try:
            packet = self._send_packet(self._replied)
        except OSError as e:
            self._refused(e)
            return
        self.packets.append(packet)
        self._open.append(packet)
        self._arm()

    def _refused(self, e: OSError) -> None:
        self._problem = e.strerror or str(e)
        if e.errno not in _CUT:
            self._unsent[_HELD_BACK.get(e.errno or 0, "unreachable")] += 1
            return
        self.packets.append(self._cut())
        self._watch.loss()

    def _in_time(self, packet: P) -> bool:
        return packet.rtt_s is not None and packet.rtt_s <= self.timing.timeout_s

    def _replied(self, packet: P) -> None:
        if packet.replies == 1 and self._in_time(packet):
            self.arrivals.append(packet.number)
            self._watch.reply()
            self._finish_if_settled()

    def _arm(self) -> None:
        """One timer, for the oldest request that is still open."""
        while self._open and self._in_time(self._open[0]):
            self._open.popleft()
        if self._open and "expire" not in self._timers:
            self._at("expire", self._deadline(self._open[0]), self._expire)

    def _deadline(self, packet: P) -> float:
        return packet.sent_mono_ns / 1e9 + self.timing.timeout_s

    def _expire(self) -> None:
        self._channel.poll()  # a reply that came in time may still wait there when this process was late
        now = self._loop.time()
        while self._open and (self._in_time(self._open[0]) or self._deadline(self._open[0]) <= now):
            if not self._in_time(self._open.popleft()):
                self._watch.loss()
        self._arm()
        self._finish_if_settled()

    def _close_sending(self) -> None:
        self._closing = True
        self._channel.poll()
        self._finish_if_settled()
        self._trailing()

    def _trailing(self) -> None:
        if self._trail is not None and not self.finished.done() and "trail" not in self._timers:
            self._at("trail", self._loop.time() + self.timing.interval_s, self._trail_once)

    def _trail_once(self) -> None:
        if self._trail is not None and not self.finished.done():
            self._trail()
            self._trailing()

    def _finish_if_settled(self) -> None:
        if self._closing:
            self._arm()
            if not self._open:
                self._finish()

    def _finish(self) -> None:
        if not self.finished.done():
            self.finished.set_result(None)

    def _at(self, name: str, when: float, action: Callable[[], None]) -> None:
        self._timers[name] = self._loop.call_at(when, self._fire, name, action)

    def _fire(self, name: str, action: Callable[[], None]) -> None:
        """A fault in a timer's work must end the run with it, not leave it waiting for ever."""
        del self._timers[name]
        try:
            action()
        except Exception as e:
            if not self.finished.done():
                self.finished.set_exception(e)

    def _cancel(self, *names: str) -> None:
        for name in names:
            if name in self._timers:
                self._timers.pop(name).cancel()


async def _stop_when(stopping: asyncio.Event, window: PacketWindow[Any]) -> None:
    await stopping.wait()
    window.stop()


async def _refresh(box: Box, kept: Kept) -> None:
    """Asks for the name again, for the next window: a resolver behind a cut line must not hide the loss."""
    used, family = box.resolved, box.used_family
    try:
        kept.address = await box.resolve()
    except ProbeError as e:
        gone = isinstance(e.__cause__, socket.gaierror) and e.__cause__.errno == socket.EAI_NONAME
        kept.address = None if gone else kept.address
        log.debug("address kept test=%s address=%s error=%s", box.test, kept.address, e)
    finally:
        box.resolved, box.used_family = used, family


def cause(packets: Sequence[Packet], problem: str) -> tuple[Error, str]:
    """Why a whole window was lost; one word from a router outweighs silence, for it limits how often it says so."""
    said = Counter((packet.error, packet.offender) for packet in packets if packet.error is not None)
    if not said:
        return "timeout", f"no reply to {len(packets)} requests"
    (error, offender), count = said.most_common(1)[0]
    by = f"says {offender}" if offender else problem
    return error or "unreachable", f"{count} of {len(packets)} requests: {error}, {by}".rstrip(", ")
