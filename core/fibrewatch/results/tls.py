"""tls: a TLS handshake, and the certificate that it brings (RFC 8446, RFC 5246; host names: RFC 9525)."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration, Port
from fibrewatch.metric import Metric

MODE = "burst"

Problem = Literal["expired", "not_yet_valid", "wrong_host", "unknown_ca", "self_signed", "revoked", "other"]
"""Why a certificate is not to be trusted."""
Protocol = Annotated[str, Meta(min_length=1, max_length=40)]


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of tls.

    Attributes:
        server_name: What the certificate must be for, and what is asked for (SNI); the target's address unless set.
        verify: False keeps the outcome "ok" whatever the certificate says: it is checked all the same.
        ca: PEM file of the authorities to trust instead of the system's.
        alpn: Application protocols to offer (RFC 7301), such as ["h2", "http/1.1"].
    """

    port: Port = 443
    server_name: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    verify: bool = True
    ca: str | None = None
    alpn: Annotated[tuple[Protocol, ...], Meta(max_length=10)] = ()
    timeout_s: Annotated[Duration, Meta(ge=0.05, le=60)] = field(default=10.0, name="timeout")


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One handshake; where the certificate was refused, a second one, unverified, tells what it says."""

    resolve: Annotated[float | None, Metric("seconds", "Time the name's resolution took.", "lower")] = None
    connect: Annotated[float | None, Metric("seconds", "TCP connect time, before the handshake.", "lower")] = None
    handshake: Annotated[
        float | None,
        Metric("seconds", "From the client's hello until the handshake was done, TCP's connect apart.", "lower"),
    ] = None
    rtt: Annotated[float | None, Metric("seconds", "Round trip of TCP's handshake by the kernel.", "lower")] = None
    verified: Annotated[
        bool | None, Metric("", "1 when chain, dates and host name were found good, 0 when not.", "higher")
    ] = None
    problem: Problem | None = None
    certificate_left: Annotated[
        float | None, Metric("seconds", "Time until the certificate expires; negative when it has.", "higher")
    ] = None
    certificate_until: datetime | None = None
    subject: str | None = None
    issuer: str | None = None
    version: str | None = None
    cipher: str | None = None
    alpn: str | None = None
