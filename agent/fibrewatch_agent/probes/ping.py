"""ping: ICMP echo to one target through one window, on a grid of its own (RFC 2681, RFC 6673).

What counts as sent and lost is said in `packet_window`.
"""

import ipaddress
import time
from functools import partial

from fibrewatch.results.ping import Params, Result
from fibrewatch_agent.box import Box
from fibrewatch_agent.echo_summary import summarise
from fibrewatch_agent.net import packet_window
from fibrewatch_agent.net.icmp import Echo
from fibrewatch_agent.net.icmp_packets import Destination, destination
from fibrewatch_agent.net.icmp_socket import interface_index
from fibrewatch_agent.net.packet_window import PacketWindow
from fibrewatch_agent.traffic.amounts import Amount, Way

NEEDS_TARGET = True


async def ping(params: Params, box: Box) -> Result:
    """Measures until the window ends and its last requests are settled, or soon after `box.stopping` is set.

    Raises:
        ProbeError: As `Box.resolve` and `IcmpSockets.channel`; with a result when every request was lost or held back.
    """
    kept = packet_window.kept_of(box)
    address, refresh = await packet_window.address_of(box, kept)
    channel = await box.icmp.channel(6 if ":" in address else 4, box.interface)
    to = echo_to(box, address, payload_bytes=params.payload_bytes, dscp=params.dscp)
    run = PacketWindow(
        packet_window.grid(params.interval_s, params.timeout_s, box),
        packet_window.window_of(box),
        channel,
        send=partial(channel.send, to),
        cut=lambda: Echo(-1, to.address, time.time_ns(), time.monotonic_ns(), error="unreachable"),
    )
    await run.run(box, kept, refresh=refresh)
    result = summarise(run.counted(), run.arrivals, params.timeout_s, run.start_mono)
    return run.judge(result, result.sent, result.lost)


def echo_to(box: Box, address: str, *, payload_bytes: int, dscp: int = 0) -> Destination:
    """A resolved address; a link-local one (a home router's, say) means nothing without its interface."""
    bare, _, zone = address.partition("%")
    zone = box.interface or zone or (box.address or "").partition("%")[2]
    scope = interface_index(zone) if zone and ipaddress.ip_address(bare).is_link_local else 0
    return destination(bare, scope, payload_bytes=payload_bytes, dscp=dscp)


def traffic(params: Params, way: Way) -> Amount:
    """A window's requests, each answered by as much."""
    size = way.ip + 8 + params.payload_bytes
    each_way = way.every_s / params.interval_s * size
    return Amount(each_way, each_way)
