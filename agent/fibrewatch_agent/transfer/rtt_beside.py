"""Round trips beside a transfer: echo requests or STAMP packets at an even pace, from before it until its end.

It is the loop's timers that send, and the kernel that stamps: a late loop thins the samples out but does not bend them.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple

from fibrewatch import stats
from fibrewatch.measurement import Error
from fibrewatch.results.throughput import Params
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.net.packet_channel import Packet
from fibrewatch_agent.net.sockets import Endpoint
from fibrewatch_agent.probes.ping import echo_to
from fibrewatch_agent.stamp import packets as stamp_packets
from fibrewatch_agent.stamp.session import Flow, StampChannel

log = logging.getLogger(__name__)

TIMEOUT_S = 3.0
"""A queue of more than this is as good as a loss."""
_PAYLOAD_BYTES = 16
"""The least that carries our token: on a slow line the stream itself must not be felt."""


class Rtts(NamedTuple):
    """Percentiles of a stretch, seconds; None without a reply. `loss_ratio` is None where nothing was sent."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None
    sent: int = 0
    loss_ratio: float | None = None


class Sender(NamedTuple):
    """`send` sends one packet and tells of each reply to it (it raises OSError); `forget` ends that."""

    send: Callable[[Callable[[Packet], None]], Packet]
    forget: Callable[[Iterable[Any]], None]


class RttStream:
    """Sends from `idle` until `settle`, or its block's end.

    Attributes:
        packets: What was sent.
        error: Why nothing is.
    """

    def __init__(self, sender: Sender | None, interval_s: float, error: Error | None = None) -> None:
        self._sender, self._interval_s, self.error = sender, interval_s, error
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._reply = asyncio.Event()
        self.packets: list[Packet] = []

    def __enter__(self) -> "RttStream":
        return self

    async def idle(self, duration_s: float) -> None:
        """Begins, and lets a stretch pass in which nothing else is sent; only the first time."""
        if self._sender is not None and self._timer is None:
            self._tick(self._loop.time())
            await asyncio.sleep(duration_s)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        if self._sender is not None:
            self._sender.forget(self.packets)

    def _tick(self, due: float) -> None:
        """Points that were slept through are left out, not made up for."""
        following = max(due, self._loop.time() - self._interval_s / 2) + self._interval_s
        self._timer = self._loop.call_at(following, self._tick, following)
        if self._sender is not None:
            with suppress(OSError):  # a line that is cut shows in the transfer
                self.packets.append(self._sender.send(self._replied))

    def _replied(self, _: Packet) -> None:
        self._reply.set()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def settle(self) -> None:
        """No more packets; waits for the replies to those on their way, until they count as lost."""
        self._stop()
        for packet in [each for each in self.packets if each.rtt_s is None]:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(packet.sent_mono_ns / 1e9 + TIMEOUT_S):
                    await self._until_answered(packet)

    async def _until_answered(self, packet: Packet) -> None:
        while packet.rtt_s is None:
            self._reply.clear()
            await self._reply.wait()

    def between(self, begin_s: float, end_s: float) -> Rtts:
        """Of what was sent in a stretch of the monotonic clock."""
        return rtts([each for each in self.packets if begin_s <= each.sent_mono_ns / 1e9 < end_s])


async def stream(params: Params, box: Box, address: str) -> RttStream:
    """The stream that the settings ask for; one that can't be opened says why and sends nothing: the transfer counts.

    Args:
        address: The transfer's; round trips go there unless the settings name another.
    """
    if params.latency == "off":
        return RttStream(None, params.latency_interval_s)
    try:
        to = address if params.latency_address is None else await _other(box, params.latency_address)
        sender = await (_stamp(params, box, to) if params.latency == "stamp" else _icmp(box, to))
    except ProbeError as e:
        log.debug("no round trips test=%s: %s", box.test, e)
        return RttStream(None, params.latency_interval_s, e.error)
    return RttStream(sender, params.latency_interval_s)


async def _other(box: Box, address: str) -> str:
    return await replace(box, address=address).resolve()


async def _icmp(box: Box, address: str) -> Sender:
    channel = await box.icmp.channel(6 if ":" in address else 4, box.interface)
    return Sender(partial(channel.send, echo_to(box, address, payload_bytes=_PAYLOAD_BYTES)), channel.forget)


async def _stamp(params: Params, box: Box, address: str) -> Sender:
    channel = await box.icmp.obtain(StampChannel, StampChannel, 6 if ":" in address else 4, box.interface)
    flow = Flow(Endpoint(address, params.latency_port, box.interface), 0, stamp_packets.BASE, None)
    session = channel.session((box.test, "beside", address), flow)
    return Sender(session.send, session.release)


def rtts(packets: Sequence[Packet]) -> Rtts:
    """The figures of some packets."""
    good = [each.rtt_s for each in packets if each.rtt_s is not None and each.rtt_s <= TIMEOUT_S]
    p50, p95, p99 = (stats.percentile(good, q) for q in (0.50, 0.95, 0.99))
    lost = stats.loss_ratio(len(packets), len(packets) - len(good))
    return Rtts(p50, p95, p99, max(good, default=None), len(packets), lost)
