"""stamp: test packets to one reflector through one window, in a session that goes on over all of them (RFC 8762)."""

import time
from functools import partial
from pathlib import Path

from fibrewatch.results.stamp import Params, Result
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.net import packet_window
from fibrewatch_agent.net.packet_window import PacketWindow
from fibrewatch_agent.net.sockets import Endpoint
from fibrewatch_agent.stamp.key import read_key
from fibrewatch_agent.stamp.session import Flow, StampChannel, StampPacket, StampSession
from fibrewatch_agent.stamp.summary import Window, summarise
from fibrewatch_agent.traffic.amounts import Amount, Way

NEEDS_TARGET = True
AUTHENTICATION = 88
"""Bytes that an authenticated packet has more: wider fields and two HMACs."""


async def stamp(params: Params, box: Box) -> Result:
    """Measures until the window ends and its last packets are settled, or soon after `box.stopping` is set.

    Raises:
        ProbeError: As `Box.resolve` and `IcmpSockets.obtain`; permission for a key that can't be read; protocol when
            what came back was no reply; with a result when every packet was lost or held back.
    """
    kept = packet_window.kept_of(box)
    key = key_of(params.key_file)
    address, refresh = await packet_window.address_of(box, kept)
    channel = await box.icmp.obtain(StampChannel, StampChannel, 6 if ":" in address else 4, box.interface)
    flow = Flow(Endpoint(address, params.port, box.interface), params.dscp, params.packet_bytes, key)
    session = channel.session((box.test, box.target and box.target.name, box.address), flow)
    run = PacketWindow(
        packet_window.grid(params.interval_s, params.timeout_s, box),
        packet_window.window_of(box),
        channel,
        send=session.send,
        cut=partial(never_left, address),
        trail=partial(session.trail, params.interval_s),
    )
    strays = session.strays
    try:
        await run.run(box, kept, refresh=refresh)
        seen = Window(run.counted(), run.arrivals, params.timeout_s, run.start_mono)
        result = summarise(seen, session.ledger, dscp=params.dscp, authenticated=key is not None)
    finally:
        session.release(run.packets)
    return run.judge(result, result.sent, result.lost, silence=unfit(session, strays))


def never_left(address: str) -> StampPacket:
    """Stands for a packet that the cut line kept back."""
    return StampPacket(-1, address, time.time_ns(), time.monotonic_ns(), error="unreachable")


def unfit(session: StampSession, before: int) -> packet_window.Silence | None:
    """The error of a window without replies in which something else came back from the reflector's port."""
    count = session.strays - before
    if not count:
        return None
    wanted = "a reply signed with our key" if session.flow.key is not None else "a reply"
    return "protocol", f"{count} datagrams from {session.flow.to}, none of them {wanted}"


def key_of(file: str | None) -> bytes | None:
    """The HMAC key; read at each run, so that it can be changed in place.

    Raises:
        ProbeError: permission, it can't be read; parse, it is none.
    """
    if file is None:
        return None
    try:
        return read_key(Path(file))
    except OSError as e:
        raise ProbeError("permission", f"key_file {file}: {e.strerror}") from e
    except ValueError as e:
        raise ProbeError("parse", f"key_file {e}") from e


def traffic(params: Params, way: Way) -> Amount:
    """A window's packets, each answered by as much."""
    size = way.udp(params.packet_bytes + (AUTHENTICATION if params.key_file else 0))
    each_way = way.every_s / params.interval_s * size
    return Amount(each_way, each_way)
