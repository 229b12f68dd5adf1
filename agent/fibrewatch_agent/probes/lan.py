"""lan: is the gateway there, how fast does it answer on the link, and does a second machine claim its address."""

import asyncio
import socket
from typing import NamedTuple

from fibrewatch import stats
from fibrewatch.results.lan import Params, Result
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.findings import Findings
from fibrewatch_agent.net import netlink, stamps
from fibrewatch_agent.net.icmp_socket import interface_index
from fibrewatch_agent.net.neighbours import Arp, Neighbours, NotOnEthernetError, Solicitation
from fibrewatch_agent.net.netlink import Family, Neighbour, mac_text
from fibrewatch_agent.net.packet_channel import Packet
from fibrewatch_agent.net.sockets import Endpoint, opened
from fibrewatch_agent.traffic.amounts import Amount, Way

_MARGIN_S = 8.0
_DISCARD = 9  # RFC 863
_LOOK_S = 0.05
_MOST_MACS = 8
_GRACE_S = 1.0
"""At least so long after a timeout the answer is still waited for, lest it pass for the next request's."""
_THERE, _GONE = {"reachable", "permanent", "noarp"}, {"failed"}


class _Where(NamedTuple):
    """A neighbour and the link that it is on; `source` is the box's own address there."""

    address: str
    interface: str
    source: str | None


async def lan(params: Params, box: Box) -> Result:
    """Asks the neighbour some times, or lets the kernel ask where the agent may not.

    Raises:
        ProbeError: timeout when it answers too late; unreachable when it does not answer, when there is no gateway, or
            when the target is not on the link; no_interface where there are no neighbours; else as `Findings.within`.
    """
    findings = Findings(Result)
    each_s = params.timeout_s + _grace_s(params) + params.interval_s
    async with findings.within(params.probes * each_s + params.wait_s + _MARGIN_S):
        where = await _find(box, findings)
        findings.note(address=where.address, interface=where.interface)
        findings.step = f"asking {where.address} on {where.interface}"
        try:
            neighbours = _asker(where)
        except PermissionError:
            await _by_kernel(params, where, findings)
        except NotOnEthernetError as e:
            raise ProbeError("no_interface", str(e.strerror)) from e
        else:
            try:
                await _by_asking(params, neighbours, findings)
            finally:
                neighbours.close()
    return findings.result()


async def _find(box: Box, findings: Findings[Result]) -> _Where:
    index = interface_index(box.interface) if box.interface else None
    if box.address is not None:
        findings.step = f"resolving {box.address}"
        return _neighbour(await box.resolve(), index)
    families: tuple[Family, ...] = (box.family,) if box.family else (4, 6)
    found = [route for family in families for route in netlink.default_gateways(family, index) if route.gateway]
    if not found:
        over = f" over {box.interface}" if box.interface else ""
        raise ProbeError("unreachable", f"there is no default route{over}")
    where = _on_link(str(found[0].gateway), found[0].interface)
    box.resolved, box.used_family = where.address, 6 if ":" in where.address else 4
    return where


def _neighbour(address: str, index: int | None) -> _Where:
    bare, _, zone = address.partition("%")
    if zone:
        index = interface_index(zone)
    if index is None and bare.lower().startswith("fe80:"):
        raise ProbeError("no_interface", f"{bare} means nothing without an interface")
    route = netlink.route_to(bare, index)
    if route.gateway is not None:
        raise ProbeError("unreachable", f"{bare} is not on this link: it is behind {route.gateway}")
    return _on_link(bare, route.interface)


def _on_link(address: str, index: int) -> _Where:
    return _Where(address, socket.if_indextoname(index), netlink.route_to(address, index).source)


def _asker(where: _Where) -> Neighbours:
    """Raises PermissionError without CAP_NET_RAW."""
    if ":" in where.address:
        return Solicitation(where.address, where.interface)
    return Arp(where.address, where.interface, where.source)


def _grace_s(params: Params) -> float:
    return max(_GRACE_S, params.timeout_s)


async def _by_asking(params: Params, neighbours: Neighbours, findings: Findings[Result]) -> None:
    await stamps.flowing()
    loop, asked = asyncio.get_running_loop(), list[Packet]()
    for _ in range(params.probes):
        asked.append(neighbours.ask())
        await neighbours.answered(asked[-1], loop.time() + params.timeout_s + _grace_s(params))
        await asyncio.sleep(params.interval_s)  # a second machine may answer a little later
    answered = [packet.rtt_s for packet in asked if packet.rtt_s is not None]
    rtts = [rtt_s for rtt_s in answered if rtt_s <= params.timeout_s]
    method = "nd" if ":" in neighbours.address else "arp"
    claims = sorted(neighbours.claims, key=lambda mac: mac != neighbours.answerer)
    macs = [mac_text(mac) for mac in claims][:_MOST_MACS]
    findings.note(
        method=method,
        sent=len(asked),
        lost=len(asked) - len(rtts),
        late=len(answered) - len(rtts),
        reachable=bool(rtts),
        rtt_min=min(rtts, default=None),
        rtt_p50=stats.percentile(rtts, 0.5),
        rtt_max=max(rtts, default=None),
        conflict=len(macs) > 1 if macs else None,
        mac=next(iter(macs), None),
        macs=tuple(macs) if len(macs) > 1 else (),
        stamps=next((packet.stamps for packet in asked if packet.stamps), None),
    )
    if not rtts and answered:
        raise ProbeError("timeout", f"{neighbours.address} answers later than {params.timeout_s:g} s")
    if not rtts:
        protocol = "neighbour solicitation" if method == "nd" else "ARP"
        raise ProbeError("unreachable", f"{neighbours.address} does not answer {protocol}")


async def _by_kernel(params: Params, where: _Where, findings: Findings[Result]) -> None:
    """Sends it a datagram, so that the kernel has to know, and looks what the kernel finds."""
    index = interface_index(where.interface)
    with opened(Endpoint(where.address, _DISCARD, where.interface), socket.SOCK_DGRAM) as (sock, address):
        sock.sendto(b"", address)
        found = await _settled(where.address, index, params.wait_s)
    reachable = found.state in _THERE
    findings.note(method="kernel", state=found.state, mac=found.mac, reachable=reachable)
    if not reachable:
        raise ProbeError("unreachable", f"{where.address}: the kernel finds no such neighbour")


async def _settled(address: str, index: int, wait_s: float) -> Neighbour:
    """What the kernel knows once it has asked; raises TimeoutError when that takes too long."""
    async with asyncio.timeout(wait_s):
        while True:
            found = netlink.neighbour(address, index)
            if found is not None and found.state in _THERE | _GONE:
                return found
            await asyncio.sleep(_LOOK_S)


def traffic(params: Params, way: Way) -> Amount:
    """ARP's frames, or a solicitation's; answers are filled up to 60 bytes on a wire."""
    asked, answered = (86, 86) if way.version == 6 else (42, 60)
    return Amount(params.probes * asked, params.probes * answered, "about", on_link=True)
