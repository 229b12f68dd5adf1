"""DHCP messages made and read by scapy. Costs 0.25 s of CPU and 44 MB to load: for the short-lived child alone."""

import struct
from typing import Any, Literal, NamedTuple

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP

Kind = Literal["discover", "request", "release"]
_SERVER, _CLIENT = 67, 68
_NOBODY, _EVERYBODY = "0.0.0.0", "255.255.255.255"  # noqa: S104 - nothing is bound
_BROADCAST = 0x8000  # flags: the client can't be reached by unicast before it has an address (RFC 2131 §4.1)
_WANTED = [1, 3, 6, 51, 54]  # netmask, routers, resolvers, lease time, server
_LEASE_S = 120  # what is taken is given back at once; should that get lost, the address is free again soon
_UNREADABLE = (struct.error, ValueError, IndexError, KeyError, TypeError)
"""What scapy raises at packets that are cut short or hold nonsense."""
_KINDS = {2: "offer", 5: "ack", 6: "nak"}


class Client(NamedTuple):
    """Who asks, and in which exchange."""

    mac: bytes
    xid: int

    @property
    def identifier(self) -> bytes:
        """Option 61, type 0: no hardware address. It says to whoever reads the server's leases what this is."""
        return b"\0fibrewatch-" + self.mac.hex().encode()


class Message(NamedTuple):
    """A server's message; addresses as text.

    Attributes:
        relayed: It names a relay (giaddr): where it comes from is the relay's.
    """

    kind: str
    xid: int
    server: str
    source: str
    relayed: bool
    address: str
    netmask: str | None
    lease_s: float | None
    routers: tuple[str, ...]
    resolvers: tuple[str, ...]
    text: str


def discover(client: Client) -> bytes:
    """An IP packet for everybody."""
    return _packet(client, "discover", [("param_req_list", _WANTED)])


def request(client: Client, address: str, server: str) -> bytes:
    """An IP packet for everybody: the servers that are not meant take their offers back."""
    options = [
        ("requested_addr", address),
        ("server_id", server),
        ("lease_time", _LEASE_S),
        ("param_req_list", _WANTED),
    ]
    return _packet(client, "request", options)


def release(client: Client, address: str, server: str) -> bytes:
    """An IP packet for the server alone, from the address that is given back."""
    return _packet(client, "release", [("server_id", server)], address, server)


def parse(packet: bytes, client: bytes) -> Message | None:
    """A server's message to this hardware address in an IP packet; None for anything else."""
    try:
        return _parse(IP(packet), client)
    except _UNREADABLE:
        return None


def _parse(ip: IP, client: bytes) -> Message | None:
    if UDP not in ip or BOOTP not in ip or DHCP not in ip or ip[UDP].sport != _SERVER:
        return None
    bootp, options = ip[BOOTP], _options(ip[DHCP].options)
    kind = _KINDS.get(_first(options, "message-type"))
    if kind is None or bootp.op != 2 or bytes(bootp.chaddr)[:6] != client:
        return None
    lease_s = _first(options, "lease_time")
    return Message(
        kind=kind,
        xid=bootp.xid,
        server=_address(_first(options, "server_id") or ip.src),
        source=_address(ip.src),
        relayed=_address(bootp.giaddr) != _NOBODY,
        address=_address(bootp.yiaddr),
        netmask=_address(options["subnet_mask"][0]) if options.get("subnet_mask") else None,
        lease_s=float(lease_s) if isinstance(lease_s, int) else None,
        routers=tuple(map(_address, options.get("router", ())))[:4],
        resolvers=tuple(map(_address, options.get("name_server", ())))[:8],
        text=_text(_first(options, "error_message")) or "",
    )


def _packet(
    client: Client, kind: Kind, options: list[tuple[str, Any]], source: str = _NOBODY, to: str = _EVERYBODY
) -> bytes:
    """The options, and those that every message of ours has."""
    ours = [("client_id", client.identifier), ("vendor_class_id", b"fibrewatch")]
    hardware = client.mac + bytes(10)
    flags = 0 if kind == "release" else _BROADCAST
    bootp = BOOTP(chaddr=hardware, xid=client.xid, flags=flags, ciaddr=source)
    dhcp = DHCP(options=[("message-type", kind), *ours, *options, "end"])
    return bytes(IP(src=source, dst=to) / UDP(sport=_CLIENT, dport=_SERVER) / bootp / dhcp)


def _options(options: Any) -> dict[str, tuple[Any, ...]]:
    """By name; those without a value (pad, end) and those that scapy does not know are left out."""
    return {each[0]: each[1:] for each in options if isinstance(each, tuple) and isinstance(each[0], str)}


def _first(options: dict[str, tuple[Any, ...]], name: str) -> Any:
    return next(iter(options.get(name, ())), None)


def _address(value: Any) -> str:
    """Of a well-formed option an address; of another whatever scapy made of it, but not more than an address has."""
    return str(value)[:64]


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("ascii", "replace")
    return None if value is None else str(value)
