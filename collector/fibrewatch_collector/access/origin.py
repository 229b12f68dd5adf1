"""From where a request comes, and whether a page of somebody else's made it. Pure, over headers and addresses."""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")
"""A request with one of these went through a proxy: wherever that stands, who asked is somewhere else."""


def address(text: str) -> Address | None:
    """As it is written, or None; an IPv4 address in IPv6 clothes is an IPv4 address."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks or single addresses.

    Raises:
        ValueError: One is neither.
    """
    return tuple(ip_network(each) for each in texts)


def within(where: Address | None, those: Sequence[Network]) -> bool:
    """Whether an address is in one of these networks."""
    return where is not None and any(where.version == each.version and where in each for each in those)


def is_loopback_name(host: str) -> bool:
    """Whether what listens there is reached from this machine alone."""
    found = address(host.strip("[]"))
    return host.lower() == "localhost" if found is None else found.is_loopback


def was_forwarded(headers: Mapping[str, str]) -> bool:
    """Whether a proxy says that it passed the request on."""
    return any(name in headers for name in FORWARDED)


def client(peer: Address | None, headers: Mapping[str, str], proxies: Sequence[Network]) -> Address | None:
    """Who asked: the peer, or whom our own proxies name. What others write into X-Forwarded-For counts for nothing."""
    found = peer
    for part in reversed(headers.get("X-Forwarded-For", "").split(",")):
        if not within(found, proxies):
            return found
        if (named := address(part.strip())) is None:
            return found
        found = named
    return found


def key(where: Address | None) -> str:
    """By which a client is counted: an IPv6 host has a whole /64 to ask from."""
    if isinstance(where, IPv6Address):
        return str(ip_network((where, 64), strict=False))
    return str(where)


def host_is_ours(header: str, names: Iterable[str]) -> bool:
    """Whether the Host header is an address, localhost or one of our names.

    A page of somebody else's whose name was made to lead here (DNS rebinding) asks for its own name.
    """
    host = _host(header)
    return bool(host) and (host == "localhost" or address(host) is not None or host in {n.lower() for n in names})


def _host(header: str) -> str:
    try:
        return (urlsplit(f"//{header}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_foreign(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a page of another origin made the browser ask (https://www.w3.org/TR/fetch-metadata/).

    Following a link to here is no such thing. What sends neither Origin nor Sec-Fetch-Site is no browser of today.
    """
    site, safe = headers.get("Sec-Fetch-Site", "none"), method in ("GET", "HEAD")
    if site not in ("none", "same-origin"):
        top = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") in (None, "document")
        return not (safe and top)
    return not safe and not _same_origin(headers)


def _same_origin(headers: Mapping[str, str]) -> bool:
    """Whether Origin names the host that was asked; its scheme is a proxy's business."""
    if (origin := headers.get("Origin")) is None:
        return True
    scheme, _, rest = origin.partition("://")
    ports = {"http": ":80", "https": ":443"}
    host = headers.get("Host", "").lower()
    return (
        bool(rest) and scheme in ports and rest.lower().removesuffix(ports[scheme]) == host.removesuffix(ports[scheme])
    )
