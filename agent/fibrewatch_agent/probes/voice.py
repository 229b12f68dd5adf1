"""voice: a burst at a call's pace to a STAMP reflector, and how speech would be heard (RFC 8762, ITU-T G.107)."""

import time
from functools import partial

from fibrewatch.results.voice import Params, Result
from fibrewatch_agent.box import Box, Window
from fibrewatch_agent.net.packet_window import Grid, PacketWindow
from fibrewatch_agent.net.sockets import Endpoint
from fibrewatch_agent.probes.stamp import AUTHENTICATION, key_of, never_left, unfit
from fibrewatch_agent.stamp import summary as stamp_summary
from fibrewatch_agent.stamp import voice as voice_summary
from fibrewatch_agent.stamp.session import Flow, StampChannel
from fibrewatch_agent.traffic.amounts import Amount, Way

NEEDS_TARGET = True


async def voice(params: Params, box: Box) -> Result:
    """Sends for the time set, in a session of its own.

    Raises:
        ProbeError: As of stamp; with a result when every packet was lost or held back.
    """
    key = key_of(params.key_file)
    address = await box.resolve()
    channel = await box.icmp.obtain(StampChannel, StampChannel, 6 if ":" in address else 4, box.interface)
    flow = Flow(Endpoint(address, params.port, box.interface), params.dscp, params.packet_bytes, key)
    owner, now = object(), time.time()
    session = channel.session(owner, flow)
    run = PacketWindow(
        Grid(params.interval_s, params.timeout_s, now % params.interval_s),
        Window(now, now + params.duration_s),
        channel,
        send=session.send,
        cut=partial(never_left, address),
        trail=partial(session.trail, params.interval_s),
    )
    try:
        await run.run(box, None)
        seen = stamp_summary.Window(run.counted(), run.arrivals, params.timeout_s, run.start_mono)
        line = stamp_summary.summarise(seen, session.ledger, dscp=params.dscp, authenticated=key is not None)
        result = voice_summary.summarise(seen, line, params)
    finally:
        session.release(run.packets)
        channel.end(owner)
    return run.judge(result, result.sent, result.lost, silence=unfit(session, 0))


def traffic(params: Params, way: Way) -> Amount:
    """A burst, each packet answered by as much."""
    size = way.udp(params.packet_bytes + (AUTHENTICATION if params.key_file else 0))
    each_way = params.duration_s / params.interval_s * size
    return Amount(each_way, each_way)
