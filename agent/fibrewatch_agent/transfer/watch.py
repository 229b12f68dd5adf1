"""Looks at a transfer's connections in the kernel while another program makes it, and says when it may end."""

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from fibrewatch.results.throughput import Stopped
from fibrewatch_agent.net.netlink import Family
from fibrewatch_agent.net.tcp_info import Connection, TcpInfo
from fibrewatch_agent.responder.watch import activity
from fibrewatch_agent.transfer import steady
from fibrewatch_agent.transfer.end import EVERY_S, SELDOM_S, Limits
from fibrewatch_agent.transfer.steady import Estimate, Point, Sample

log = logging.getLogger(__name__)


class Flow(NamedTuple):
    """Whose connections are looked at.

    Attributes:
        streams: How many carry data; one more carries the tool's control.
        up: The box sends.
    """

    address: str
    port: int
    streams: int
    up: bool


class TransferWatch:
    """The samples of one transfer.

    Attributes:
        samples: Since the connections were first seen; times of the monotonic clock. Empty where the kernel can't be
            asked.
        stopped: Why it was ended.
        began_s: When it was started, by the monotonic clock.
    """

    def __init__(self, flow: Flow, limits: Limits, stop_asked: Callable[[], bool]) -> None:
        self.samples: list[Sample] = []
        self.stopped: Stopped = "duration"
        self.began_s = time.monotonic()
        self._flow, self._limits, self._stop_asked = flow, limits, stop_asked
        self._seen: dict[bytes, Connection] = {}
        self._congestion: dict[bytes, str | None] = {}
        self._keys: list[bytes] = []
        self._kernel: TcpInfo | None = None
        try:
            family: Family = 6 if ":" in flow.address else 4
            self._kernel = TcpInfo(family)
        except OSError as e:
            log.debug("no TCP statistics from the kernel: %s", e)

    def close(self) -> None:
        """Gives the kernel's socket back."""
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None

    def look(self, pid: int) -> bool:
        """Takes a sample of what this process has open, if one is due; whether it is to be ended now."""
        new = self._kernel is not None and self._sample(self._kernel, pid)
        if self._stop_asked():
            self.stopped = "tenants"
            return True
        reason = self._limits.reached(self.samples) if new else None
        if reason is not None:
            self.stopped = reason
        return reason is not None

    def _sample(self, kernel: TcpInfo, pid: int) -> bool:
        """Whether there is a new one."""
        now = time.monotonic()
        if not self._due(now):
            return False
        try:
            found = self._ask(kernel, pid)
        except OSError as e:
            log.debug("no TCP statistics from the kernel: %s", e)
            self.close()
            return False
        self._seen |= {each.key: each for each in found}
        if not found or len(found) < len(self._keys):  # the streams are being closed: no sample of a full transfer
            return False
        moved = [self._moved(each) for each in self._seen.values()]
        self.samples.append(Sample(now, sum(each[0] for each in moved), sum(each[1] for each in moved)))
        return True

    def _due(self, now: float) -> bool:
        """A sample costs what a fast transfer costs in 10 ms: few are taken where nothing depends on them."""
        if not self.samples or len(self._keys) <= self._flow.streams:
            return True
        rule, since = self._limits.rule, now - self.samples[-1].at_s
        needed = rule is not None and now - self.samples[0].at_s > rule.warm_up_s - 2 * EVERY_S
        return needed or since > SELDOM_S - EVERY_S / 2

    def _ask(self, kernel: TcpInfo, pid: int) -> list[Connection]:
        """All of the peer's until those of the process are complete; then only these."""
        if len(self._keys) > self._flow.streams:
            return kernel.again(self._keys)
        own = activity(pid).sockets
        found = [each for each in kernel.to(self._flow.address, self._flow.port) if str(each.inode) in own]
        self._keys = [each.key for each in found]
        self._congestion = {each.key: each.congestion for each in found}
        return found

    def _moved(self, one: Connection) -> tuple[int, int]:
        """Bytes and segments with payload that have come through."""
        return (one.acked, one.delivered) if self._flow.up else (one.received, one.arrived)

    def points(self) -> list[Point]:
        """What reached the receiver by when."""
        return steady.curve(self.samples)

    def estimate(self, warm_up_s: float, *, cut: bool = True) -> Estimate | None:
        """As of the last sample; see `steady.estimate`."""
        return steady.estimate(self.points(), warm_up_s, cut=cut)

    @property
    def transferred(self) -> int | None:
        """Bytes of payload that came through, warm-up included."""
        return self.samples[-1].bytes if self.samples else None

    @property
    def retransmits(self) -> int | None:
        """Segments that the box sent again."""
        return sum(each.retransmits for each in self.streams()) if self._seen else None

    def streams(self) -> list[Connection]:
        """The connections that carried data, as last seen: the tool's control moves the fewest bytes."""
        ordered = sorted(self._seen.values(), key=lambda each: self._moved(each)[0])
        return ordered[-self._flow.streams :]

    @property
    def congestion(self) -> str | None:
        """The box's congestion control of the connection that carried the most."""
        return next((self._congestion.get(each.key) for each in reversed(self.streams())), None)
