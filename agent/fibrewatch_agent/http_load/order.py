"""What the agent and the child that transfers over HTTP say to each other, as JSON."""

from msgspec import Struct

from fibrewatch.measurement import Error
from fibrewatch.results.http_throughput import Params
from fibrewatch.results.throughput import Stopped

ORDER = "FIBREWATCH_ORDER"
"""The order's place in the environment: a path may hold a key, and command lines can be read by all."""


class Order(Struct, frozen=True, kw_only=True):
    """What to transfer.

    Attributes:
        host: Of the URL; address: its numeric one, for the first request. Names in redirects are asked for anew.
        congestion: To set; None leaves the kernel's.
    """

    params: Params
    host: str
    port: int
    address: str
    interface: str | None
    family: int | None
    congestion: str | None


class Outcome(Struct, kw_only=True, omit_defaults=True):
    """What came of it; with an error, what was seen before. Times of the monotonic clock.

    Attributes:
        samples: When, TCP payload and segments with payload that had come through; from when all streams flowed.
        saturated: A thread, or all together, used the CPU that they can use.
    """

    samples: list[tuple[float, int, int]] = []
    stopped: Stopped | None = None
    address: str = ""
    location: str | None = None
    connect_s: float | None = None
    tls_s: float | None = None
    first_byte_s: float | None = None
    rtt_min_s: float | None = None
    retransmits: int | None = None
    requests: int = 0
    redirects: int = 0
    status: int | None = None
    waited_s: float = 0.0
    cpu: float | None = None
    saturated: bool = False
    congestion: str | None = None
    error: Error | None = None
    detail: str | None = None
