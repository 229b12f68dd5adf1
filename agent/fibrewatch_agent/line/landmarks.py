"""Addresses that no config can know beforehand: the default route's gateway, and the first router beyond it.

`first-hop` is found as a trace finds it, by packets whose hop limit ends there, sent towards a target beyond. Many
routers answer no echo requests; so the nearest of the few behind the gateway that does is taken.
"""

import asyncio
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fibrewatch_agent.net import netlink, stamps

if TYPE_CHECKING:
    from fibrewatch_agent.box import Box
    from fibrewatch_agent.path.flow import Flow, Probe

GATEWAY, FIRST_HOP = "default-gateway", "first-hop"
NAMES = frozenset({GATEWAY, FIRST_HOP})
KEPT_S = 300.0
"""How long a first hop is believed; after that it is looked for again, and kept when the search fails."""
_NEAREST, _FARTHEST = 2, 4
_PATIENCE_S = 0.6
_PORT = 33434


@dataclass(frozen=True, slots=True)
class _Found:
    address: str
    until: float


async def find(box: "Box") -> str:
    """The numeric address, with its zone if it is link-local.

    Raises:
        ProbeError: unreachable where there is no default route; name_not_found where no router answers.
    """
    if box.address == GATEWAY:
        return _gateway(box)
    found: _Found | None = box.memory.get(FIRST_HOP)
    if found is None or time.monotonic() >= found.until:
        found = _Found(await _first_hop(box), time.monotonic() + KEPT_S)
        box.memory[FIRST_HOP] = found
    return found.address


def _gateway(box: "Box") -> str:
    from fibrewatch_agent.box import ProbeError
    from fibrewatch_agent.net.icmp_socket import interface_index

    index = interface_index(box.interface) if box.interface else None
    families: tuple[netlink.Family, ...] = (box.family,) if box.family else (4, 6)
    for route in (route for family in families for route in netlink.default_gateways(family, index)):
        if route.gateway:
            local = route.gateway.startswith("fe80:")
            return f"{route.gateway}%{socket.if_indextoname(route.interface)}" if local else route.gateway
    raise ProbeError("unreachable", f"there is no default route{f' over {box.interface}' if box.interface else ''}")


async def _first_hop(box: "Box") -> str:
    """By the first target beyond that has a name that resolves and a way that answers."""
    from fibrewatch_agent.box import ProbeError

    why = "no target beyond the gateway is configured"
    for address in box.toward:
        try:
            target = await box.resolved_address(address)
            routers = await _routers(box, target)
        except (ProbeError, OSError) as e:
            why = e.detail if isinstance(e, ProbeError) else f"{address}: {e.strerror or e}"
            continue
        for router in routers:
            if await _answers(box, router):
                return router
        why = f"no router on the way to {address} answers echo requests" if routers else f"{address}: no router answers"
    raise ProbeError("name_not_found", f"{FIRST_HOP}: {why}")


async def _routers(box: "Box", target: str) -> list[str]:
    """Who answered at the hops behind the gateway, the nearest first; the target itself where it stands so near."""
    from fibrewatch_agent.net.sockets import Endpoint
    from fibrewatch_agent.path.flow import opened_flow, source_ports

    with opened_flow(Endpoint(target, _PORT, box.interface), source_ports(box)) as flow:
        await stamps.flowing()
        near = range(_NEAREST, _FARTHEST + 1)
        probes = await _asked(flow, near)
        if flow.short_quotes:  # answers that don't tell what they are about: one packet at a time
            flow.forget(probes)
            probes = [probe for ttl in near for probe in await _asked(flow, [ttl])]
        elif not all(probe.by for probe in probes):
            probes += await _asked(flow, near)
    heard = {probe.ttl: probe.by for probe in probes if probe.by and probe.answer in ("hop", "reached")}
    return list(dict.fromkeys(heard[ttl] for ttl in sorted(heard)))


async def _asked(flow: "Flow", hops: Iterable[int]) -> "list[Probe]":
    """One packet to each hop, and a moment for the answers."""
    probes = [flow.send(ttl) for ttl in hops]
    await flow.wait(lambda: all(probe.by for probe in probes), asyncio.get_running_loop().time() + _PATIENCE_S)
    if flow.short_quotes:
        flow.forget(probes)
    return probes


async def _answers(box: "Box", address: str) -> bool:
    """Whether it answers an echo request, of three."""
    from fibrewatch_agent.net.icmp_packets import destination

    channel = await box.icmp.channel(6 if ":" in address else 4, box.interface)
    answered = asyncio.Event()
    echoes = []
    try:
        for _ in range(3):
            echoes.append(channel.send(destination(address), lambda _: answered.set()))
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await answered.wait()
            except TimeoutError:
                continue
            return True
    except OSError:
        return False
    finally:
        channel.forget(echoes)
    return False
