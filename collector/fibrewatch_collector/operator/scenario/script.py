"""A scenario file: targets, boxes, faults, declared work and reports."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration
from fibrewatch.measurement import Label, Role

Moment = Annotated[datetime, Meta(tz=True)]
Ratio = Annotated[float, Meta(ge=0, le=1)]
BoxId = Annotated[str, Meta(pattern=r"\A[a-z0-9-]{1,20}(/[a-z0-9-]{1,20}){2}\Z")]
SiteId = Annotated[str, Meta(pattern=r"\A[a-z0-9-]{1,20}/[a-z0-9-]{1,20}\Z")]
Kind = Literal[
    "line_cut",
    "operator_down",
    "brown_out",
    "lan_cut",
    "wifi_storm",
    "target_down",
    "agent_dark",
    "power_cut",
    "clock_jump",
    "undated",
    "late_batch",
    "results_lost",
    "slow",
    "censored",
    "invalid",
]
MINUTE_S = 60


class ScriptTarget(Struct, frozen=True, kw_only=True):
    """[[target]]: what boxes measure to.

    Attributes:
        rtt_s: The least round trip.
        loss: Share of packets that are lost on a good day.
        peer: The box of ours that stands there.
    """

    name: Label
    role: Role
    rtt_s: Annotated[Duration, Meta(gt=0, le=2)] = field(name="rtt")
    loss: Ratio = 0.0
    peer: BoxId | None = None


class ScriptBox(Struct, frozen=True, kw_only=True):
    """[[box]]: what one box measures.

    Attributes:
        interfaces: Each target is measured over each of them.
        interval_s: Between two samples to one target.
        transfer_every_s: Between two transfers of one direction, over the first interface; None: none are made.
        lookup_every_s: Between two questions to the resolver.
    """

    agent: BoxId
    targets: Annotated[tuple[Label, ...], Meta(min_length=1)]
    interfaces: Annotated[tuple[Label, ...], Meta(min_length=1)] = ("eth0",)
    interval_s: Annotated[Duration, Meta(ge=0.1, le=30)] = field(default=1.0, name="interval")
    transfer_every_s: Annotated[Duration, Meta(ge=300)] | None = field(default=None, name="transfer_every")
    lookup_every_s: Annotated[Duration, Meta(ge=60)] | None = field(default=None, name="lookup_every")


class Fault(Struct, frozen=True, kw_only=True):
    """[[fault]]: at ≤ t < at + for. Which keys it takes follows from its kind, see `KEYS`.

    Attributes:
        access: Of operator_down: its access targets are down too.
        loss: Share of packets lost on top.
        delay_s: Mean of what comes on top of each round trip.
        share: Of slow and censored: of the rate that the line carries else.
        bound: Of censored: the share of the line's rate that the test proves all the same.
        ahead_s, behind_s: Of clock_jump: how far the box's clock is off.
        delivered: Of late_batch: when the box's results come at last.
        reason: Of censored and invalid.
    """

    kind: Kind
    at: Moment
    for_s: Annotated[Duration, Meta(ge=1)] = field(name="for")
    site: SiteId | None = None
    uplink: str | None = None
    operator: str | None = None
    access: bool | None = None
    box: BoxId | None = None
    interface: Label | None = None
    target: Label | None = None
    loss: Ratio | None = None
    delay_s: Annotated[Duration, Meta(le=5)] | None = field(default=None, name="delay")
    share: Annotated[float, Meta(gt=0, le=1)] | None = None
    bound: Annotated[float, Meta(gt=0, le=1)] | None = None
    ahead_s: Annotated[Duration, Meta(gt=0)] | None = field(default=None, name="ahead")
    behind_s: Annotated[Duration, Meta(gt=0)] | None = field(default=None, name="behind")
    delivered: Moment | None = None
    reason: Annotated[str, Meta(pattern=r"\A[a-z0-9_]{1,40}\Z")] | None = None

    @property
    def begin(self) -> float:
        """UTC seconds."""
        return self.at.timestamp()

    @property
    def end(self) -> float:
        """UTC seconds."""
        return self.begin + self.for_s


class Work(Struct, frozen=True, kw_only=True):
    """[[maintenance]]: as somebody declares it, at `declared`."""

    site: SiteId
    begin: Moment = field(name="from")
    end: Moment = field(name="to")
    declared: Moment
    who: str
    why: str
    uplink: str | None = None
    cancelled: Moment | None = None


class Asked(Struct, frozen=True, kw_only=True):
    """[[report]]: a month, or days of which the last is in it, by each site's own time."""

    month: Annotated[str, Meta(pattern=r"\A\d{4}-(0[1-9]|1[0-2])\Z")] | None = None
    first: date | None = field(default=None, name="from")
    last: date | None = field(default=None, name="to")

    def __post_init__(self) -> None:
        if (self.month is None) == (self.first is None) or (self.first is None) != (self.last is None):
            raise ValueError("a report is of a month, or from a day to a day")


class Scenario(Struct, frozen=True, kw_only=True):
    """The whole file.

    Attributes:
        sites: The inventory, from the file's folder on.
        until: How long the collector goes on listening and settling after `end`.
        deliver_every_s: How often a box that can sends what it has.
    """

    name: Annotated[str, Meta(pattern=r"\A[a-z0-9-]{1,40}\Z")]
    sites: Path
    begin: Moment = field(name="from")
    end: Moment = field(name="to")
    until: Moment | None = None
    seed: int = 1
    deliver_every_s: Annotated[Duration, Meta(ge=60, le=3600)] = field(default=60.0, name="deliver_every")
    targets: Annotated[tuple[ScriptTarget, ...], Meta(min_length=1)] = field(name="target")
    boxes: Annotated[tuple[ScriptBox, ...], Meta(min_length=1)] = field(name="box")
    faults: tuple[Fault, ...] = field(default=(), name="fault")
    works: tuple[Work, ...] = field(default=(), name="maintenance")
    reports: Annotated[tuple[Asked, ...], Meta(min_length=1)] = field(name="report")

    @property
    def heard_until(self) -> float:
        """UTC seconds: when the collector stops."""
        return (self.until or self.end).timestamp()

    def target(self, name: str) -> ScriptTarget:
        """By its name."""
        return next(each for each in self.targets if each.name == name)
