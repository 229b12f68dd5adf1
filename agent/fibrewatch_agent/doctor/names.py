"""Ways and names: the default route, the resolvers, and whether what the config names can be found."""

import asyncio
import ipaddress
import socket
from pathlib import Path

from fibrewatch_agent.config import AgentConfig
from fibrewatch_agent.doctor.diagnosis import Check
from fibrewatch_agent.line import landmarks
from fibrewatch_agent.net import netlink, resolver

RESOLVE_S = 10.0
_RESOLV_CONF = Path("/etc/resolv.conf")


async def checks(config: AgentConfig, resolv_conf: Path = _RESOLV_CONF) -> list[Check]:
    """All of them."""
    names = named(config)
    found = [_gateway(config), _resolvers(names, config, resolv_conf)]
    return [*found, await _names(names)] if names else found


def named(config: AgentConfig) -> list[str]:
    """The host names that the config needs, each once."""
    addresses = [config.broker.host, *(plan.address for plan in config.plans if plan.address)]
    return sorted({each for each in addresses if not _numeric(each) and each not in landmarks.NAMES})


def _numeric(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def _gateway(config: AgentConfig) -> Check:
    families: tuple[netlink.Family, ...] = (4, 6)
    routes = [route for family in families for route in netlink.default_gateways(family)]
    if routes:
        through = [f"{route.gateway} over {socket.if_indextoname(route.interface)}" for route in routes]
        return Check("gateway", True, ", ".join(through))
    needed = any(
        not (plan.address or landmarks.GATEWAY).startswith(("127.", "::1", "localhost")) for plan in config.plans
    )
    return Check("gateway", False, "no default route", "networkctl reconfigure --all; ip route show default", needed)


def _resolvers(names: list[str], config: AgentConfig, file: Path) -> Check:
    needed = bool(names) or any(plan.probe.name == "dns" for plan in config.plans)
    try:
        words = [line.split() for line in file.read_text("utf-8", "replace").splitlines()]
    except OSError:
        words = []
    servers = [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
    if servers:
        return Check("resolvers", True, ", ".join(servers))
    gateways = netlink.default_gateways(4)
    server = gateways[0].gateway if gateways else "ADDRESS"
    remedy = f"echo nameserver {server} >> {file}"
    return Check("resolvers", False, f"{file} names none", remedy, needed)


async def _names(names: list[str]) -> Check:
    """All at once: a silent resolver takes its time only once."""
    answers = await asyncio.gather(*(_found(name) for name in names))
    lost = [f"{name}: {why}" for name, why in zip(names, answers, strict=True) if why]
    if not lost:
        return Check("names", True, f"{len(names)} found: {', '.join(names[:5])}")
    first = next(name for name, why in zip(names, answers, strict=True) if why)
    return Check("names", False, "; ".join(lost[:5]), f"getent ahosts {first}; then mend the name, or the resolver")


async def _found(name: str) -> str | None:
    """Why it was not, or None."""
    try:
        async with asyncio.timeout(RESOLVE_S):
            await resolver.addresses(name)
    except TimeoutError:
        return "no answer from the resolver"
    except (OSError, UnicodeError) as e:
        return (e.strerror if isinstance(e, OSError) else None) or "not a host name"
    return None
