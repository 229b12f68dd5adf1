"""dhcp: asks the DHCP servers of a link as a client of its own, in a child process."""

import socket
from hashlib import blake2b
from importlib.util import find_spec
from typing import Any

import msgspec

from fibrewatch import python_child
from fibrewatch.errors import ToolError
from fibrewatch.results.dhcp import Params, Result
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.child import child
from fibrewatch_agent.child_answer import answer
from fibrewatch_agent.dhcp.order import Order, Outcome
from fibrewatch_agent.findings import Findings
from fibrewatch_agent.net import netlink
from fibrewatch_agent.net.icmp_socket import interface_index
from fibrewatch_agent.net.neighbours import NotOnEthernetError, hardware_address
from fibrewatch_agent.traffic.amounts import Amount, Way

_START_S = 20.0  # a slow card takes seconds to load scapy
_LARGEST = 1 << 20
_MEND = "give the agent CAP_NET_RAW: systemctl edit fibrewatch-agent, [Service] AmbientCapabilities=CAP_NET_RAW"


async def dhcp(params: Params, box: Box) -> Result:
    """One exchange on the box's interface, or on that of the default route.

    Raises:
        ProbeError: timeout without an offer; refused where an offer was taken back; permission, no_interface,
            tool_missing, tool_failed; with what was learnt before.
    """
    findings = Findings(Result)
    limit_s = _START_S + params.wait_s + params.timeout_s * (2 if params.full else 1)
    async with findings.within(limit_s):
        box.used_family = 4
        interface = _interface(box)
        findings.note(interface=interface)
        findings.step = f"asking for an address on {interface}"
        outcome = await _exchange(_order(params, box, interface))
        findings.note(**_figures(params, outcome))
        if outcome.error is not None:
            raise ProbeError(outcome.error, outcome.detail or outcome.error)
    return findings.result()


def _interface(box: Box) -> str:
    if box.interface is not None:
        interface_index(box.interface)
        return box.interface
    gateways = netlink.default_gateways(4)
    if not gateways:
        raise ProbeError("no_interface", "no interface is configured, and there is no default route to take it from")
    return socket.if_indextoname(gateways[0].interface)


def _order(params: Params, box: Box, interface: str) -> Order:
    try:
        mac = hardware_address(interface)
    except PermissionError as e:
        raise ProbeError("permission", f"packet sockets are refused: {_MEND}") from e
    except NotOnEthernetError as e:
        raise ProbeError("no_interface", f"{interface} is no Ethernet: there is no DHCP to ask") from e
    return Order(
        interface=interface,
        client=_client(box, mac).hex(),
        full=params.full,
        timeout_s=params.timeout_s,
        wait_s=params.wait_s,
        expected_servers=params.expected_servers,
    )


def _client(box: Box, mac: bytes) -> bytes:
    """A locally administered hardware address (IEEE 802, U/L bit), the same at each run.

    A new one at each run would have the servers reserve ever new addresses until the pool is empty.
    """
    digest = blake2b(f"{box.agent}\0{box.test}".encode() + mac, digest_size=6).digest()
    return bytes((digest[0] & 0xFC | 0x02,)) + digest[1:]


async def _exchange(order: Order) -> Outcome:
    if find_spec("scapy") is None:
        raise ProbeError("tool_missing", "scapy is not installed: pip install 'fibrewatch[agent]'")
    argv = python_child.command("fibrewatch_agent.dhcp.child", msgspec.json.encode(order).decode())
    try:
        async with child(argv, keep=_LARGEST) as process:
            return await answer(process, Outcome, "the DHCP child")
    except ToolError as e:
        raise ProbeError("tool_missing", str(e)) from e


def _figures(params: Params, outcome: Outcome) -> dict[str, Any]:
    if outcome.chosen is None:
        return {"attempts": outcome.attempts or None, "servers": 0 if outcome.attempts else None}
    offer = outcome.offers[outcome.chosen]
    # of several that claim one identifier no more than one is the server
    good = {each.server for each in outcome.offers} & set(params.expected_servers)
    rogues = len(outcome.offers) - len(good)
    return {
        "offer_time": offer.offer_time,
        "ack_time": outcome.ack_time,
        "transaction_time": None if outcome.ack_time is None else offer.offer_time + outcome.ack_time,
        "attempts": outcome.attempts,
        "servers": len(outcome.offers),
        "rogue_servers": rogues if params.expected_servers else None,
        "lease_time": offer.lease_time,
        "server": offer.server,
        "address": offer.address,
        "routers": offer.routers,
        "resolvers": offer.resolvers,
        "released": outcome.released,
        "offers": outcome.offers,
        "stamps": outcome.stamps,
    }


def traffic(params: Params, way: Way) -> Amount:
    """A message of BOOTP's least size each way, and once more each with `full`, which also releases."""
    frame = way.udp(300)
    return Amount(frame * (3 if params.full else 1), frame * (2 if params.full else 1), "about", on_link=True)
