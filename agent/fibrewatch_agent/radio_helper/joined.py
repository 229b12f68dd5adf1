"""What comes after the keys: an address, the gateway, a name, the test for portals and the first byte."""

import asyncio
import contextlib
import ipaddress
import time
from types import TracebackType
from typing import Final

from fibrewatch.results import dns as dns_contract
from fibrewatch.results import http as http_contract
from fibrewatch.results.dhcp import Offer
from fibrewatch.results.http import Result as HttpResult
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.dhcp import child as dhcp_child
from fibrewatch_agent.dhcp.order import Order as DhcpOrder
from fibrewatch_agent.net.icmp import IcmpSockets
from fibrewatch_agent.net.icmp_socket import interface_index
from fibrewatch_agent.net.neighbours import Arp, Neighbours, Solicitation, hardware_address
from fibrewatch_agent.net.netlink import Family
from fibrewatch_agent.net.sockets import family_of
from fibrewatch_agent.probes.dns import dns
from fibrewatch_agent.probes.http import http
from fibrewatch_agent.radio_helper import links
from fibrewatch_agent.radio_helper.advertised import Advertised, Network
from fibrewatch_agent.radio_helper.order import Order
from fibrewatch_agent.radio_helper.way import Way
from fibrewatch_agent.services.http_exchange import Url, parse_url

_ASK_AGAIN_S = 1.0  # as the kernel's ARP
_MARGIN_S = 1.0
"""Over a deadline of somebody who says what was waited for."""
_WHOLE_PREFIX = "255.255.255.255"
_V4: Final = 4
_NO_ROUTER = {4: "the lease names no router", 6: "no router advertises itself as one"}


class Joined:
    """The client once its link carries data; at the end it gives its address back."""

    def __init__(self, order: Order, way: Way) -> None:
        self._order, self._request, self._way = order, order.request, way
        self._lease: tuple[DhcpOrder, Offer] | None = None
        self._addresses: dict[str, str] = {}
        self._resolver = order.request.resolver
        self._family: Family = _V4

    async def __aenter__(self) -> "Joined":
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._lease is not None:
            with contextlib.suppress(OSError):  # the link may be gone
                dhcp_child.give_back(*self._lease)

    async def go(self) -> None:
        """One phase after the other.

        Raises:
            ProbeError: The first that failed is noted.
        """
        limits = self._request.limits
        network = await self._addressed(limits.dhcp_s)
        self._family = family_of(network.address)
        self._resolver = self._resolver or network.resolver
        self._way.note(address=network.address, router=network.router, resolver=self._resolver)
        async with self._way.phase("gateway", limits.gateway_s + _ASK_AGAIN_S):
            await self._gateway(network)
        check = self._request.check and parse_url(self._request.check)
        name = self._request.name or (check.host if check else None)
        if name is not None and not _numeric(name):
            async with self._way.phase("dns", limits.dns_s + _MARGIN_S):
                began = time.monotonic()
                await self._resolved(name)
                self._way.note(dns=time.monotonic() - began)
        if check:
            await self._http(check)
        self._way.end(apart=self._request.url is not None)

    async def _addressed(self, limit_s: float) -> Network:
        """Takes a lease; where nobody offers one, the address that a router's advertisement has given meanwhile."""
        interface = self._order.interface
        mac = hardware_address(interface).hex()
        asked = DhcpOrder(interface=interface, client=mac, full=True, timeout_s=limit_s, wait_s=0.0, keep=True)
        async with self._way.phase("dhcp", 2 * limit_s + _ASK_AGAIN_S):
            with Advertised(interface) as advertised:
                outcome = await asyncio.to_thread(dhcp_child.exchange, asked)
                network = await advertised.network_within(limit_s) if not outcome.offers else None
                if network is not None:
                    self._way.note(slaac=advertised.since_s)
                    return network
                if outcome.error is not None or outcome.chosen is None:
                    also = "; a router advertises IPv6, but no address came of that" if advertised.heard else ""
                    raise ProbeError(outcome.error or "timeout", (outcome.detail or "no lease") + also)
            offer = outcome.offers[outcome.chosen]
            self._lease = asked, offer
            self._way.note(dhcp=outcome.lease_time)
            prefix = ipaddress.ip_network(f"{offer.address}/{offer.netmask or _WHOLE_PREFIX}", strict=False)
            links.add_address(interface_index(interface), offer.address, prefix.prefixlen)
        return Network(offer.address, next(iter(offer.routers), None), next(iter(offer.resolvers), None))

    async def _gateway(self, network: Network) -> None:
        """Raises ProbeError: unreachable."""
        if network.router is None:
            raise ProbeError("unreachable", _NO_ROUTER[self._family])
        if self._family == _V4:
            links.add_default_route(interface_index(self._order.interface), network.router)
        neighbours = self._neighbours(network, network.router)
        loop, began = asyncio.get_running_loop(), time.monotonic()
        try:
            while not await neighbours.answered(neighbours.ask(), loop.time() + _ASK_AGAIN_S):
                if time.monotonic() - began > self._request.limits.gateway_s - _ASK_AGAIN_S / 2:
                    protocol = "ARP" if self._family == _V4 else "neighbour solicitations"
                    raise ProbeError("unreachable", f"{network.router} does not answer {protocol}")
        finally:
            neighbours.close()
        self._way.note(gateway=time.monotonic() - began)

    def _neighbours(self, network: Network, router: str) -> Neighbours:
        if self._family == _V4:
            return Arp(router, self._order.interface, network.address)
        return Solicitation(router, self._order.interface)

    async def _resolved(self, name: str) -> str:
        """The address of a name by the network's resolver, which is asked once."""
        if _numeric(name):
            return name
        if name not in self._addresses:
            if self._resolver is None:
                raise ProbeError("unreachable", "the network names no resolver")
            limit_s = self._request.limits.dns_s
            kind: dns_contract.RecordType = "A" if self._family == _V4 else "AAAA"
            asked = dns_contract.Params(name=name, type=kind, resolver=self._resolver, timeout_s=limit_s)
            answer = await dns(asked, self._box())
            if not answer.addresses:
                raise ProbeError("name_not_found", f"{name} has no address")
            self._addresses[name] = answer.addresses[0]
        return self._addresses[name]

    async def _http(self, check: Url) -> None:
        """The test for portals, whose first byte counts unless there is another place to fetch one from."""
        text = self._request.check_text
        found = await self._fetched(check, portal=True, text=text)
        if found.portal_detected:
            self._way.note(portal_detected=True)
            async with self._way.phase("portal", 1.0):
                where = f", it leads to {found.location}" if found.location else ""
                raise ProbeError("denied", f"a captive portal answers with status {found.status}{where}")
        self._way.note(portal_detected=False, portal=found.total, first_byte=_first_byte(found))
        if self._request.url is not None:
            found = await self._fetched(parse_url(self._request.url), portal=False, text=None)
            self._way.note(first_byte=_first_byte(found))

    async def _fetched(self, url: Url, *, portal: bool, text: str | None) -> HttpResult:
        limit_s = self._request.limits.http_s
        async with self._way.phase("first_byte", limit_s + self._request.limits.dns_s):
            address = await self._resolved(url.host)
            asked = http_contract.Params(
                scheme="https" if url.scheme == "https" else "http",
                port=url.port,
                path=url.path,
                host=url.host,
                portal=portal,
                text=text,
                timeout_s=limit_s,
            )
            return await http(asked, self._box(address))

    def _box(self, address: str | None = None) -> Box:
        return Box("", "", IcmpSockets(), address=address, interface=self._order.interface, family=self._family)


def _first_byte(found: HttpResult) -> float:
    return (found.connect or 0.0) + (found.tls or 0.0) + (found.first_byte or 0.0)


def _numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
