"""http: one GET over HTTP/1.1, its phases apart (RFC 9110, RFC 9112); captive portals (the 204 test, cf. RFC 8952)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration, Port, Size
from fibrewatch.measurement import Count
from fibrewatch.metric import Metric

MODE = "burst"

Status = Annotated[int, Meta(ge=100, le=599)]


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of http; the target is the host.

    Attributes:
        port: 80 for http and 443 for https, unless set.
        path: With its query.
        host: Sent as Host, asked for (SNI) and verified instead of the target's address.
        status: What is expected; 200–399 when empty, 200–299 with `follow`.
        text: Must be in the body; for a portal test it is the whole body but for space around it.
        portal: A captive portal's test: exactly status 204 without a body, or with `text` exactly that, is expected
            (and status 200 unless `status` says otherwise). Anything else is a portal: outcome "ok", portal_detected 1.
        follow: Redirects are followed, five at most, each name resolved anew.
        verify: The certificate of https must be good.
        ca: PEM file of the authorities to trust instead of the system's.
        max_body: Reading ends there.
    """

    scheme: Literal["http", "https"] = "http"
    port: Port | None = None
    path: Annotated[str, Meta(pattern=r"\A/[\x21-\x7e]{0,2000}\Z")] = "/"
    host: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._-]{1,255}\Z")] | None = None
    status: Annotated[tuple[Status, ...], Meta(max_length=20)] = ()
    text: Annotated[str, Meta(min_length=1, max_length=1000)] | None = None
    portal: bool = False
    follow: bool = False
    verify: bool = True
    ca: str | None = None
    max_body: Annotated[Size, Meta(ge=0, le=2**30)] = 2**20
    timeout_s: Annotated[Duration, Meta(ge=0.05, le=60)] = field(default=10.0, name="timeout")

    def __post_init__(self) -> None:
        """Raises ValueError where settings exclude each other."""
        if self.portal and self.follow:
            raise ValueError("portal and follow exclude each other: a redirect is what shows the portal")


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer; with redirects the phases are those of the last request, `redirect` and `total` span all."""

    resolve: Annotated[float | None, Metric("seconds", "Time the name's resolution took.", "lower")] = None
    connect: Annotated[float | None, Metric("seconds", "TCP connect time.", "lower")] = None
    tls: Annotated[float | None, Metric("seconds", "TLS handshake time.", "lower")] = None
    first_byte: Annotated[
        float | None, Metric("seconds", "From sending the request to the answer's first byte.", "lower")
    ] = None
    body: Annotated[float | None, Metric("seconds", "From the answer's first byte to its last.", "lower")] = None
    total: Annotated[float | None, Metric("seconds", "From the start to the answer's last byte.", "lower")] = None
    redirect: Annotated[float | None, Metric("seconds", "Time of the requests that were redirected.", "lower")] = None
    redirects: Annotated[Count | None, Metric("requests", "Redirects followed.", "lower")] = None
    rtt: Annotated[float | None, Metric("seconds", "Round trip of TCP's handshake by the kernel.", "lower")] = None
    status: Annotated[Status | None, Metric("", "HTTP status code.")] = None
    size: Annotated[Count | None, Metric("bytes", "Body received, without its framing.")] = None
    portal_detected: Annotated[
        bool | None, Metric("", "1 when something else than the server expected answered.", "lower")
    ] = None
    complete: bool | None = None
    """False when the body was not read to its end."""
    version: str | None = None
    location: str | None = None
    """Where the answer redirects to."""
