"""ping: ICMP echo to one target through one window, on a grid of its own (RFC 2681, RFC 6673).

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
import ipaddress
import logging
import math
import socket
import time
from collections import Counter, deque
from collections.abc import Callable

from fibrewatch import schedule
from fibrewatch.measurement import Error
from fibrewatch.results.ping import Params, Result
from fibrewatch_agent.box import Box, ProbeError, Window
from fibrewatch_agent.echo_summary import cause, summarise
from fibrewatch_agent.icmp import Channel, Echo, Kept
from fibrewatch_agent.icmp_packets import Destination, destination
from fibrewatch_agent.icmp_socket import interface_index

log = logging.getLogger(__name__)

NEEDS_TARGET = True
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


async def ping(params: Params, box: Box) -> Result:
    """Measures until the window ends and its last requests are settled, or soon after `box.stopping` is set.

    Raises:
        ProbeError: As `Box.resolve` and `IcmpSockets.channel`; with a result when every request was lost or held back.
    """
    kept = box.icmp.kept(box.test, box.target and box.target.name, box.address, box.interface, box.family)
    known = kept.address is not None
    address = kept.address = kept.address or await box.resolve()
    box.resolved, box.used_family = address, 6 if ":" in address else 4
    channel = await box.icmp.channel(box.used_family, box.interface)
    to, phase_s = _destination(params, box, address), _phase(params, box)
    run = _Run(params, _window(box), channel=channel, to=to, phase_s=phase_s, watch=_Watch(kept, box))
    try:
        await _drive(run, box, kept if known and address != box.address else None)
    finally:
        run.close()
    if run.overflowed():
        box.mark("invalid", "receive_overflow")
    return run.judge()


def _window(box: Box) -> Window:
    if box.window is None:
        raise ValueError("ping runs in windows")
    return box.window


def _phase(params: Params, box: Box) -> float:
    """Targets of one test, and boxes of one fleet, don't send at the same moment."""
    target = box.target.name if box.target else box.address
    return schedule.phase(box.agent, f"{box.test}\0{target}", params.interval_s)


def _destination(params: Params, box: Box, address: str) -> Destination:
    """A link-local address (a home router's, say) means nothing without its interface."""
    bare, _, zone = address.partition("%")
    zone = box.interface or zone or (box.address or "").partition("%")[2]
    scope = interface_index(zone) if zone and ipaddress.ip_address(bare).is_link_local else 0
    return destination(bare, scope, payload_bytes=params.payload_bytes, dscp=params.dscp)


async def _drive(run: "_Run", box: Box, refresh: Kept | None) -> None:
    async with asyncio.TaskGroup() as group:
        beside = [group.create_task(_stop_when(box.stopping, run), name=f"ping stop {box.test}")]
        if refresh is not None:
            beside.append(group.create_task(_refresh(box, refresh), name=f"ping resolve {box.test}"))
        run.start()
        try:
            await run.finished
        finally:
            for task in beside:
                task.cancel()


async def _stop_when(stopping: asyncio.Event, run: "_Run") -> None:
    await stopping.wait()
    run.stop()


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


class _Watch:
    """Tells at once when the target is lost, and when it is back."""

    def __init__(self, kept: Kept, box: Box) -> None:
        self._kept, self._report = kept, box.report_target

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


class _Run:
    """One window to one target, driven by the loop's timers: a send, or an expiry, is one call."""

    def __init__(
        self, params: Params, window: Window, *, channel: Channel, to: Destination, phase_s: float, watch: _Watch
    ) -> None:
        self._params, self._window, self._channel, self._to = params, window, channel, to
        self._phase_s, self._watch = phase_s, watch
        self._loop = asyncio.get_running_loop()
        self._offset = self._loop.time() - time.time()  # once: a stepped wall clock moves nothing in this window
        self._next, self._beyond = self._first_point(window.start), self._first_point(window.end)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._closing = False
        self._drops = channel.drops()
        self._echoes: list[Echo] = []
        self._open: deque[Echo] = deque()
        self._arrivals: list[int] = []
        self._unsent: Counter[Error] = Counter()
        self._problem = ""
        self.finished: asyncio.Future[None] = self._loop.create_future()

    def start(self) -> None:
        self._at("close", self._window.end + self._offset, self._close_sending)
        self._schedule()

    def stop(self) -> None:
        """No more requests; those on their way get a little time."""
        self._cancel("close", "send")
        self._at("stop", self._loop.time() + min(self._params.timeout_s, STOP_GRACE_S), self._finish)
        self._close_sending()

    def close(self) -> None:
        self._cancel(*self._timers)
        self._channel.forget(self._echoes)

    def overflowed(self) -> bool:
        return self._channel.drops() > self._drops

    def judge(self) -> Result:
        """The result, or the error that the window ended in."""
        result = summarise(self._counted(), self._arrivals, self._params.timeout_s, self._window.start + self._offset)
        if result.sent and result.lost == result.sent:
            error, detail = cause(self._echoes, self._problem)
            raise ProbeError(error, detail, result)
        if self._unsent and not result.sent:
            raise ProbeError(self._unsent.most_common(1)[0][0], f"nothing could be sent: {self._problem}", result)
        return result

    def _counted(self) -> list[Echo]:
        young = {echo.number for echo in self._open if not self._in_time(echo)}
        return [echo for echo in self._echoes if echo.number not in young]

    def _first_point(self, moment: float) -> int:
        """Windows share one grid, so that none sends twice and none leaves a hole where they meet."""
        return math.ceil((moment - self._phase_s) / self._params.interval_s)

    def _schedule(self) -> None:
        if self._next < self._beyond:
            due = self._next * self._params.interval_s + self._phase_s + self._offset
            self._at("send", due, self._tick)

    def _tick(self) -> None:
        """Sends for the newest point that is due; those slept through are left out, not sent in a burst."""
        elapsed = self._loop.time() - self._offset - self._phase_s
        point = max(self._next, math.floor(elapsed / self._params.interval_s))
        self._next = point + 1
        self._schedule()
        if point < self._beyond:
            self._send()

    def _send(self) -> None:
        try:
            echo = self._channel.send(self._to, self._replied)
        except OSError as e:
            self._refused(e)
            return
        self._echoes.append(echo)
        self._open.append(echo)
        self._arm()

    def _refused(self, e: OSError) -> None:
        self._problem = e.strerror or str(e)
        if e.errno not in _CUT:
            self._unsent[_HELD_BACK.get(e.errno or 0, "unreachable")] += 1
            return
        self._echoes.append(Echo(-1, self._to.address, time.time_ns(), time.monotonic_ns(), error="unreachable"))
        self._watch.loss()

    def _in_time(self, echo: Echo) -> bool:
        return echo.rtt_s is not None and echo.rtt_s <= self._params.timeout_s

    def _replied(self, echo: Echo) -> None:
        if echo.replies == 1 and self._in_time(echo):
            self._arrivals.append(echo.number)
            self._watch.reply()
            self._finish_if_settled()

    def _arm(self) -> None:
        """One timer, for the oldest request that is still open."""
        while self._open and self._in_time(self._open[0]):
            self._open.popleft()
        if self._open and "expire" not in self._timers:
            self._at("expire", self._deadline(self._open[0]), self._expire)

    def _deadline(self, echo: Echo) -> float:
        return echo.sent_mono_ns / 1e9 + self._params.timeout_s

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
