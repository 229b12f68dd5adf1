"""Lets a box reach its slot's port, and nobody else: nftables where the responder may change it (CAP_NET_ADMIN).

The kernel forgets a permission by itself when its time is over, so nothing stays open when we are killed. A packet that
another table drops stays dropped: our rules only ever take away.
"""

import ipaddress
import logging
from typing import Literal

from fibrewatch.errors import ToolError
from fibrewatch_agent.child import child

log = logging.getLogger(__name__)

Firewall = Literal["auto", "required", "off"]
_LIMIT_S = 10.0
_OUTPUT = 4096
_TABLE = """
add table inet {name}
delete table inet {name}
table inet {name} {{
  set v4 {{ type ipv4_addr . inet_service; flags timeout; }}
  set v6 {{ type ipv6_addr . inet_service; flags timeout; }}
  chain input {{
    type filter hook input priority -5; policy accept;
    meta l4proto {{ tcp, udp }} th dport {first}-{last} jump slots
  }}
  chain slots {{
    meta nfproto ipv4 ip saddr . th dport @v4 accept
    meta nfproto ipv6 ip6 saddr . th dport @v6 accept
    meta l4proto tcp reject with tcp reset
    drop
  }}
}}
"""


class Gate:
    """One table for one responder's ports; without it `on` is False and the slots' servers are watched instead."""

    def __init__(self, name: str, ports: range) -> None:
        self._name, self._ports = name, ports
        self.on = False

    async def set_up(self, firewall: Firewall) -> None:
        """Makes the table anew.

        Raises:
            ToolError: It is required and can't be had.
        """
        if firewall == "off":
            return
        table = _TABLE.format(name=self._name, first=self._ports[0], last=self._ports[-1])
        try:
            await _nft(table)
        except ToolError as e:
            if firewall == "required":
                raise ToolError(f"slots can't be kept apart by nftables: {e}") from e
            log.info("slots are kept apart by watching their servers, nftables can't be used: %s", e)
        else:
            self.on = True
            log.info("slots are kept apart by nftables table=%s", self._name)

    async def take_down(self) -> None:
        """Removes the table."""
        if self.on:
            self.on = False
            await _nft(f"delete table inet {self._name}")

    async def admit(self, address: str, port: int, for_s: float) -> None:
        """Lets one address reach one port for a time.

        Raises:
            ToolError: nft failed.
        """
        if self.on:
            pair = self._pair(address, port)
            await _nft(f"add element {pair} timeout {max(1, round(for_s * 1000))}ms }}")

    async def shut(self, address: str, port: int) -> None:
        """Takes that back; what the kernel has forgotten already is no error."""
        if self.on:
            try:
                await _nft(f"delete element {self._pair(address, port)} }}")
            except ToolError as e:
                log.debug("permission was gone already port=%s: %s", port, e)

    def _pair(self, address: str, port: int) -> str:
        family = ipaddress.ip_address(address.partition("%")[0]).version
        return f"inet {self._name} v{family} {{ {address.partition('%')[0]} . {port}"


async def _nft(commands: str) -> None:
    """Runs nft(8) on some commands, all or nothing.

    Raises:
        ToolError: What it said.
    """
    try:
        async with child(["nft", commands], keep=_OUTPUT) as process:
            if not await process.ends_within(_LIMIT_S):
                raise ToolError(f"nft: no end within {_LIMIT_S:g} s")
            status = await process.wait()
    except OSError as e:
        raise ToolError(f"nft: {e.strerror}") from e
    if status:
        lines = process.errors.decode(errors="replace").strip().splitlines()
        raise ToolError(f"nft: {lines[0] if lines else f'exit status {status}'}")
