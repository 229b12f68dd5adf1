"""lan: whether the gateway (or another neighbour on the link) is there, by ARP or neighbour solicitation.

Source: RFC 826 and RFC 5227 (ARP), RFC 4861 §7.2 (neighbour discovery).
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration
from fibrewatch.measurement import Count
from fibrewatch.metric import Metric
from fibrewatch.results.ping import Stamps

MODE = "burst"

Method = Literal["arp", "nd", "kernel"]
"""Who asked: this probe by ARP or by neighbour discovery, or the kernel, where the probe may not."""
Mac = Annotated[str, Meta(max_length=64)]


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of lan. Without a target the default route's gateway is asked.

    Attributes:
        probes: Requests, one after the other.
        interval_s: Between two requests; as long a second machine that claims the address is listened for.
        timeout_s: How long an answer may take.
        wait_s: How long the kernel may take where only the kernel may ask: it waits 5 s before it asks about a
            neighbour that it has known, and 3 s for answers.
    """

    probes: Annotated[int, Meta(ge=1, le=20)] = 3
    interval_s: Annotated[Duration, Meta(ge=0.01, le=5)] = field(default=0.2, name="interval")
    timeout_s: Annotated[Duration, Meta(ge=0.01, le=5)] = field(default=1.0, name="timeout")
    wait_s: Annotated[Duration, Meta(ge=0.1, le=30)] = field(default=10.0, name="wait")


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one neighbour answered. A neighbour that does not is a failure, "unreachable"."""

    reachable: Annotated[bool | None, Metric("", "1 when the neighbour answers on the link.", "higher")] = None
    sent: Annotated[Count | None, Metric("packets", "Requests sent.", kind="counter")] = None
    lost: Annotated[Count | None, Metric("packets", "Requests without an answer in time.", "lower", "counter")] = None
    late: Annotated[Count | None, Metric("packets", "Of the lost, those answered too late.", "lower", "counter")] = None
    rtt_min: Annotated[float | None, Metric("seconds", "Least time to an answer.", "lower")] = None
    rtt_p50: Annotated[float | None, Metric("seconds", "Median time to an answer.", "lower")] = None
    rtt_max: Annotated[float | None, Metric("seconds", "Greatest time to an answer.", "lower")] = None
    conflict: Annotated[
        bool | None, Metric("", "1 when more than one hardware address claims the neighbour's.", "lower")
    ] = None
    address: Annotated[str, Meta(max_length=64)] | None = None
    interface: str | None = None
    mac: Mac | None = None
    """The hardware address that answered first."""
    macs: Annotated[tuple[Mac, ...], Meta(max_length=8)] = ()
    """All that claim the address, when there is a conflict."""
    method: Method | None = None
    state: Annotated[str, Meta(max_length=20)] | None = None
    """The kernel's word for the neighbour, where only the kernel asked."""
    stamps: Stamps | None = None
