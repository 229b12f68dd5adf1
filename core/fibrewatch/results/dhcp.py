"""dhcp: what the DHCP servers on a link offer, and how fast, asked as a client of its own (RFC 2131, RFC 2132)."""

from typing import Annotated

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration
from fibrewatch.measurement import Count
from fibrewatch.metric import Metric
from fibrewatch.results.ping import Stamps

MODE = "burst"

Address = Annotated[str, Meta(max_length=64)]


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of dhcp.

    Attributes:
        full: Also request the address offered, and release it at once: DISCOVER, OFFER, REQUEST, ACK, RELEASE.
        timeout_s: How long the first offer, and the answer to a request, may take.
        wait_s: How long other servers are listened for after the first offer: some look for 3 s whether an address
            is in use before they offer it.
        expected_servers: Addresses of the servers that may answer; others count as rogue. Empty: none does.
    """

    full: bool = False
    timeout_s: Annotated[Duration, Meta(ge=0.1, le=30)] = field(default=10.0, name="timeout")
    wait_s: Annotated[Duration, Meta(ge=0, le=30)] = field(default=4.0, name="wait")
    expected_servers: Annotated[tuple[Address, ...], Meta(max_length=20)] = ()


class Offer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one server offers.

    Attributes:
        server: Its identifier (option 54), or where the offer came from when it gives none.
        source: Address that the offer came from: a relay's, where there is one.
        mac: Hardware address that it came from.
    """

    server: Address
    offer_time: float
    address: Address
    source: Address | None = None
    mac: Address | None = None
    netmask: Address | None = None
    lease_time: float | None = None
    routers: Annotated[tuple[Address, ...], Meta(max_length=4)] = ()
    resolvers: Annotated[tuple[Address, ...], Meta(max_length=8)] = ()


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One exchange. Server, address and the times are those of the offer chosen: the first of an expected server."""

    offer_time: Annotated[float | None, Metric("seconds", "From DISCOVER to the OFFER.", "lower")] = None
    ack_time: Annotated[float | None, Metric("seconds", "From REQUEST to the ACK.", "lower")] = None
    transaction_time: Annotated[
        float | None,
        Metric("seconds", "Both exchanges, without the time that other servers were listened for.", "lower"),
    ] = None
    attempts: Annotated[Count | None, Metric("packets", "DISCOVERs sent until an offer came.", "lower")] = None
    servers: Annotated[Count | None, Metric("", "Servers that made an offer.")] = None
    rogue_servers: Annotated[
        Count | None,
        Metric("", "Servers that are not expected, or a second one that claims to be one that is.", "lower"),
    ] = None
    lease_time: Annotated[float | None, Metric("seconds", "Lease time offered.")] = None
    interface: str | None = None
    server: Address | None = None
    address: Address | None = None
    routers: Annotated[tuple[Address, ...], Meta(max_length=4)] = ()
    resolvers: Annotated[tuple[Address, ...], Meta(max_length=8)] = ()
    released: bool | None = None
    """True when the address was given back; None where none was taken."""
    offers: Annotated[tuple[Offer, ...], Meta(max_length=16)] = ()
    stamps: Stamps | None = None
