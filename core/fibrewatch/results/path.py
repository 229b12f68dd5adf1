"""path: the routers on the way to a target, hop by hop, and the largest packet that passes (traceroute over UDP).

One flow keeps its addresses, ports and checksum, so that routers which spread flows over several ways (ECMP) treat all
its packets alike (Augustin et al., "Avoiding traceroute anomalies with Paris traceroute", IMC 2006).
"""

from typing import Annotated

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration, Port
from fibrewatch.measurement import Count
from fibrewatch.metric import Metric
from fibrewatch.results.ping import Stamps

MODE = "burst"

Address = Annotated[str, Meta(max_length=64)]
Way = tuple[Address | None, ...]
"""The router at each distance, from 1; None where none told."""


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of path.

    Attributes:
        port: UDP port of the target that nobody should listen on.
        probes: Packets to each hop on the first flow; the others send one, and again where no answer came.
        flows: How many flows, each with its own source port: their ways may differ.
        timeout_s: Silence after which a hop counts as silent in a round.
        silent_hops: Give up after so many silent hops in a row.
        deadline_s: End of the whole run; what is missing then stays missing.
        mtu: Also find the largest packet that passes.
        file: Lines of prefix, AS number and name with tabs between, see docs/probes-path.md.
    """

    port: Port = 33434
    probes: Annotated[int, Meta(ge=1, le=10)] = 3
    flows: Annotated[int, Meta(ge=1, le=8)] = 1
    max_hops: Annotated[int, Meta(ge=1, le=30)] = 30
    timeout_s: Annotated[Duration, Meta(ge=0.05, le=10)] = field(default=1.0, name="timeout")
    silent_hops: Annotated[int, Meta(ge=1, le=30)] = 5
    deadline_s: Annotated[Duration, Meta(ge=0.1, le=110)] = field(default=30.0, name="deadline")
    mtu: bool = True
    file: str | None = None


class Router(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who answered at a hop; AS number and name come from the file alone."""

    address: Address
    asn: int | None = None
    name: str | None = None


class Hop(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One distance from the box, over all flows.

    Attributes:
        routers: The addresses that answered, the most frequent first, four at most; several where flows part, or a way
            moved meanwhile.
        sent, answered: Packets. Routers answer only so many a second: silence of one is no loss of the line.
    """

    ttl: int
    sent: Count
    answered: Count
    routers: tuple[Router, ...] = ()
    rtt_min: float | None = None
    rtt_p50: float | None = None
    rtt_max: float | None = None


class Flow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The way of one flow; `mixed` when packets of the flow took several ways at the same hop."""

    source_port: int
    way: Way = ()
    reached: bool = False
    mixed: bool = False


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One trace of all flows. A target that was not reached is a failure, with what answered before it."""

    hops: Annotated[Count | None, Metric("", "Distance of the target in hops, on the first flow.")] = None
    rtt_min: Annotated[float | None, Metric("seconds", "Least round-trip time to the target.", "lower")] = None
    rtt_p50: Annotated[float | None, Metric("seconds", "Median round-trip time to the target.", "lower")] = None
    rtt_max: Annotated[float | None, Metric("seconds", "Greatest round-trip time to the target.", "lower")] = None
    sent: Annotated[Count | None, Metric("packets", "Packets sent, those that look for the MTU included.")] = None
    silent: Annotated[Count | None, Metric("hops", "Hops before the target that did not answer.")] = None
    reached_ratio: Annotated[float | None, Metric("ratio", "Flows that reached the target.", "higher")] = None
    branches: Annotated[Count | None, Metric("routers", "Most routers seen at one and the same hop.")] = None
    changes: Annotated[
        Count | None, Metric("changes", "1 when a flow goes another way than before.", "lower", "counter")
    ] = None
    mtu: Annotated[
        Count | None, Metric("bytes", "Largest IP packet that passes to the last hop that answered.", "higher")
    ] = None
    mtu_black_hole: Annotated[
        bool | None,
        Metric("", "1 when larger packets vanish without a word, 0 when a router tells of each limit.", "lower"),
    ] = None
    mtu_to: Address | None = None
    """Who received the largest packet: the target, unless it was silent."""
    mtu_limited_by: Address | None = None
    """The router that told of the smallest limit."""
    changed: bool | None = None
    """None where there is no trace before this one to compare with."""
    previous: Way = ()
    """The way before the change, of the first flow that changed; for a silent hop what it last said."""
    current: Way = ()
    """The way of that flow now."""
    changed_flows: tuple[Port, ...] = ()
    """The source ports of all flows that changed."""
    path: tuple[Hop, ...] = ()
    flows: tuple[Flow, ...] = ()
    stamps: Stamps | None = None
