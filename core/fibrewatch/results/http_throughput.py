"""http_throughput: TCP goodput to or from any web server, by GET, POST or PUT (RFC 9110, RFC 9112; RFC 2647 §3.17)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration, Port, Size
from fibrewatch.measurement import Count
from fibrewatch.metric import Metric
from fibrewatch.results.http import Status
from fibrewatch.results.throughput import Stopped

MODE = "exclusive"


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of http_throughput; the target is the host of the URL.

    Attributes:
        direction: "down" asks for the URL, again and again while there is time; "up" sends random bytes to it.
        port: 80 for http and 443 for https, unless set.
        path: With its query.
        host: Sent as Host, asked for (SNI) and verified instead of the target's address.
        method: Of an upload.
        upload_size: Of one request's body; after its answer the next one begins.
        follow: Redirects are followed, five at most; of an upload only 307 and 308.
        verify: The certificate of https must be good.
        ca: PEM file of the authorities to trust instead of the system's.
        duration_s: How long data flow at most, without `omit_s`.
        omit_s: What is left out of the figures at least: slow start.
        early_stop: End the transfer once its rate has converged, see `error`; else it takes its whole duration.
        error: The relative error of goodput at which it has converged.
        max_bytes: The most that one transfer may move; None for no limit. Half a second is measured in any case.
        timeout_s: What a connection, an answer's beginning, or silence of all streams may last.
    """

    direction: Literal["down", "up"]
    scheme: Literal["http", "https"] = "http"
    port: Port | None = None
    path: Annotated[str, Meta(pattern=r"\A/[\x21-\x7e]{0,2000}\Z")] = "/"
    host: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._-]{1,255}\Z")] | None = None
    method: Literal["POST", "PUT"] = "POST"
    upload_size: Annotated[Size, Meta(ge=100_000, le=100_000_000_000)] = 25_000_000
    follow: bool = True
    verify: bool = True
    ca: str | None = None
    streams: Annotated[int, Meta(ge=1, le=16)] = 4
    duration_s: Annotated[Duration, Meta(ge=0.5, le=120)] = field(default=10.0, name="duration")
    omit_s: Annotated[Duration, Meta(ge=0, le=10)] = field(default=1.0, name="omit")
    early_stop: bool = True
    error: Annotated[float, Meta(ge=0.02, le=0.5)] = 0.03
    max_bytes: Annotated[Size, Meta(ge=1_000_000)] | None = 600_000_000
    timeout_s: Annotated[Duration, Meta(ge=0.5, le=60)] = field(default=5.0, name="timeout")


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One transfer in one direction."""

    direction: Literal["down", "up"]
    streams: int
    goodput: Annotated[
        float | None,
        Metric("bytes_per_second", "TCP payload per second that arrived, or that the server acknowledged.", "higher"),
    ] = None
    bound: Annotated[
        float | None,
        Metric("bytes_per_second", "Of a censored test: what the line is proved to carry, tenants included.", "higher"),
    ] = None
    goodput_error: Annotated[
        float | None, Metric("ratio", "95 % bound of goodput's relative error, from its swings.", "lower")
    ] = None
    stopped: Stopped | None = None
    transferred: Annotated[
        Count | None, Metric("bytes", "TCP payload that came through, warm-up included.", kind="counter")
    ] = None
    transfer_duration: Annotated[float | None, Metric("seconds", "Time over which goodput was counted.")] = None
    warm_up: Annotated[float | None, Metric("seconds", "Time left out before it.")] = None
    waiting: Annotated[
        float | None, Metric("ratio", "Share of the streams' time in which they waited for an answer.", "lower")
    ] = None
    connect: Annotated[float | None, Metric("seconds", "TCP connect time of the first stream.", "lower")] = None
    tls: Annotated[float | None, Metric("seconds", "TLS handshake time of the first stream.", "lower")] = None
    first_byte: Annotated[
        float | None, Metric("seconds", "From its first request to the answer's first byte.", "lower")
    ] = None
    rtt_min: Annotated[float | None, Metric("seconds", "Least round trip that TCP saw on any stream.", "lower")] = None
    retransmits: Annotated[Count | None, Metric("segments", "Segments sent again by the box.", "lower", "counter")] = (
        None
    )
    requests: Annotated[Count | None, Metric("requests", "Answers that came to their end.")] = None
    redirects: Annotated[Count | None, Metric("requests", "Redirects that the first stream followed.", "lower")] = None
    status: Annotated[Status | None, Metric("", "Last HTTP status code.")] = None
    cpu_local: Annotated[float | None, Metric("ratio", "CPU that the transfer used on the box, in cores.", "lower")] = (
        None
    )
    congestion: str | None = None
    """The box's congestion control, of an upload."""
    location: str | None = None
    """Where the redirects led."""
    intervals: tuple[float, ...] = ()
    """Goodput of each interval of one second, bytes per second."""
    complete: bool = True
    """False when a failure ended the transfer: what is here was measured until then."""
