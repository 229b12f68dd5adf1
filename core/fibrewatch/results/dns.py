"""dns: one question to a resolver, over UDP or TCP (RFC 1035, RFC 6891 EDNS, RFC 7766 TCP)."""

import ipaddress
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration, Port
from fibrewatch.measurement import Count
from fibrewatch.metric import Metric
from fibrewatch.results.ping import Stamps

MODE = "burst"

RecordType = Literal[
    "A",
    "AAAA",
    "CAA",
    "CNAME",
    "DNSKEY",
    "DS",
    "HTTPS",
    "MX",
    "NAPTR",
    "NS",
    "PTR",
    "SOA",
    "SRV",
    "SVCB",
    "TLSA",
    "TXT",
]
Transport = Literal["udp", "tcp"]
Hostname = Annotated[str, Meta(min_length=1, max_length=255)]


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of dns.

    Without `name` the target is what is asked for. With `name` the target is the resolver, and so is a numeric one,
    which is then asked for the root's servers. Without a resolver those of /etc/resolv.conf are asked in turn.

    Attributes:
        type: A for a name, NS for the root, unless set.
        resolver: A numeric address or a name; instead of the system's.
        tcp_on_truncation: A truncated answer is asked for again over TCP, as clients do.
        timeout_s: For the whole run.
        attempts: Rounds at most; in each every resolver is asked, of the system's the first three. A question waits
            for its equal share of the time that is left.
        recursion: Ask the resolver to find out, not only to tell what it knows (RD).
        udp_size: Largest answer over UDP that is asked for by EDNS, bytes; 0 asks without EDNS, for 512.
        expect: An address, or a network, one of which must be among the answers.
    """

    name: Hostname | None = None
    type: RecordType | None = None
    resolver: Hostname | None = None
    port: Port = 53
    transport: Transport = "udp"
    tcp_on_truncation: bool = True
    timeout_s: Annotated[Duration, Meta(ge=0.05, le=60)] = field(default=5.0, name="timeout")
    attempts: Annotated[int, Meta(ge=1, le=10)] = 2
    recursion: bool = True
    udp_size: Annotated[int, Meta(ge=0, le=4096)] = 1232
    expect: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError where `expect` is neither an address nor a network."""
        if self.expect is not None:
            ipaddress.ip_network(self.expect, strict=False)


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer, or what was learnt before there was none."""

    resolver: str | None = None
    """Numeric address of the one that was asked last."""
    transport: Transport | None = None
    response_time: Annotated[
        float | None, Metric("seconds", "From the question to its answer, TCP's connect apart.", "lower")
    ] = None
    lookup_time: Annotated[
        float | None, Metric("seconds", "All a client waits: every attempt, connect and change to TCP.", "lower")
    ] = None
    attempts: Annotated[Count | None, Metric("questions", "Questions asked until the answer came.", "lower")] = None
    rcode: Annotated[
        Count | None, Metric("", "Answer code (RFC 6895): 0 NOERROR, 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED.", "lower")
    ] = None
    code: str | None = None
    """The answer code in words."""
    truncated: Annotated[bool | None, Metric("", "1 when the answer over UDP was truncated (TC).", "lower")] = None
    answers: Annotated[Count | None, Metric("records", "Records in the answer.")] = None
    answers_a: Annotated[Count | None, Metric("records", "IPv4 addresses in the answer.")] = None
    answers_aaaa: Annotated[Count | None, Metric("records", "IPv6 addresses in the answer.")] = None
    ttl_min: Annotated[Count | None, Metric("seconds", "Least time to live of the answer's records.")] = None
    answer_size: Annotated[Count | None, Metric("bytes", "Size of the answer.")] = None
    addresses: tuple[str, ...] = ()
    """The first of the addresses answered."""
    stamps: Stamps | None = None
