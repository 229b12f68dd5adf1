"""A scenario file: targets, boxes, faults, declared work and reports; every error names file, place and value."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, NoReturn

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration, load, nearest
from fibrewatch.errors import ConfigError
from fibrewatch.measurement import Label, Role
from fibrewatch_collector.inventory import load_inventory
from fibrewatch_collector.operator.scenario.sites import Sites

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
LONGEST = timedelta(days=400)
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


class _Keys(Struct, frozen=True):
    required: frozenset[str]
    allowed: frozenset[str]


def _keys(required: str, allowed: str = "") -> _Keys:
    return _Keys(frozenset(required.split()), frozenset(allowed.split()))


KEYS: Mapping[Kind, _Keys] = {
    "line_cut": _keys("site uplink"),
    "operator_down": _keys("operator", "access"),
    "brown_out": _keys("site uplink", "loss delay_s share"),
    "lan_cut": _keys("site", "box"),
    "wifi_storm": _keys("site", "box loss delay_s"),
    "target_down": _keys("target"),
    "agent_dark": _keys("box", "interface"),
    "power_cut": _keys("site"),
    "clock_jump": _keys("box", "ahead_s behind_s"),
    "undated": _keys("box"),
    "late_batch": _keys("box delivered"),
    "results_lost": _keys("box"),
    "slow": _keys("site uplink share"),
    "censored": _keys("box share reason", "bound"),
    "invalid": _keys("box reason"),
}
_COMMON = {"kind", "at", "for_s"}


def read(path: Path) -> tuple[Scenario, Sites]:
    """A scenario and its sites.

    Raises:
        ConfigError: The first thing that is wrong.
    """
    found = load(path, Scenario)
    load_inventory(path.parent / found.sites)
    sites = Sites.read(path.parent / found.sites)
    _Check(str(path), found, sites).all()
    return found, sites


class _Check:
    """What one field alone can't tell."""

    def __init__(self, file: str, scenario: Scenario, sites: Sites) -> None:
        self._file, self._scenario, self._sites = file, scenario, sites
        self._targets = [each.name for each in scenario.targets]
        self._boxes = [each.agent for each in scenario.boxes]

    def all(self) -> None:
        self._span()
        self._unique("target", self._targets)
        self._unique("box", self._boxes)
        for target in self._scenario.targets:
            if target.peer is not None:
                self._known(target.peer, self._boxes, f'target "{target.name}".peer', "box")
        for box in self._scenario.boxes:
            self._box(box)
        for number, fault in enumerate(self._scenario.faults):
            self._fault(fault, f"fault[{number}]")
        for number, work in enumerate(self._scenario.works):
            self._work(work, f"maintenance[{number}]")

    def _span(self) -> None:
        begin, end = self._scenario.begin, self._scenario.end
        for name, at in (("from", begin), ("to", end), ("until", self._scenario.until or end)):
            if at.timestamp() % MINUTE_S:
                self._fail(name, f"{at.isoformat()} is not a whole minute")
        if not begin < end <= begin + LONGEST:
            self._fail("to", f"{end.isoformat()} is not after from, and at most {LONGEST.days} days after")
        if self._scenario.heard_until < end.timestamp():
            self._fail("until", "it is before to")

    def _box(self, box: ScriptBox) -> None:
        place = f'box "{box.agent}"'
        self._known(box.agent, self._sites.agents, place, "agent of sites.toml")
        if MINUTE_S % box.interval_s:
            self._fail(f"{place}.interval", f"{box.interval_s:g} s does not divide the minute")
        for name in box.targets:
            self._known(name, self._targets, f"{place}.targets", "target")
        roles = {self._scenario.target(name).role for name in box.targets}
        for key, every, role in (
            ("transfer_every", box.transfer_every_s, "responder"),
            ("lookup_every", box.lookup_every_s, "service"),
        ):
            if every is not None and role not in roles:
                self._fail(f"{place}.{key}", f"none of its targets is of role {role}")

    def _fault(self, fault: Fault, place: str) -> None:
        keys, place = KEYS[fault.kind], f"{place} {fault.kind}"
        written = {name for name in fault.__struct_fields__ if getattr(fault, name) is not None} - _COMMON
        for name in sorted(keys.required - written):
            self._fail(place, f"{_written(name)} is missing")
        for name in sorted(written - keys.required - keys.allowed):
            takes = ", ".join(map(_written, sorted(keys.required | keys.allowed)))
            self._fail(f"{place}.{_written(name)}", f"{fault.kind} does not take it; it takes {takes}")
        self._names(fault, place)
        if fault.kind == "clock_jump" and (fault.ahead_s is None) == (fault.behind_s is None):
            self._fail(place, "one of ahead and behind says how far")
        if fault.delivered is not None and not fault.end <= fault.delivered.timestamp() <= self._scenario.heard_until:
            self._fail(f"{place}.delivered", f"{fault.delivered.isoformat()} is before the fault's end or after until")
        if not self._scenario.begin <= fault.at < self._scenario.end:
            self._fail(f"{place}.at", f"{fault.at.isoformat()} is outside the scenario")

    def _names(self, fault: Fault, place: str) -> None:
        if fault.site is not None:
            self._known(fault.site, self._sites.names, f"{place}.site", "site")
        if fault.uplink is not None:
            self._known(fault.uplink, self._sites.uplinks(fault.site or ""), f"{place}.uplink", "uplink of the site")
        if fault.operator is not None:
            self._known(fault.operator, self._sites.operators, f"{place}.operator", "operator")
        if fault.box is not None:
            self._known(fault.box, self._boxes, f"{place}.box", "box")
        if fault.target is not None:
            self._known(fault.target, self._targets, f"{place}.target", "target")
        if fault.interface is not None:
            box = next(each for each in self._scenario.boxes if each.agent == fault.box)
            self._known(fault.interface, box.interfaces, f"{place}.interface", "interface of the box")

    def _work(self, work: Work, place: str) -> None:
        self._known(work.site, self._sites.names, f"{place}.site", "site")
        if work.uplink is not None:
            self._known(work.uplink, self._sites.uplinks(work.site), f"{place}.uplink", "uplink of the site")
        if not work.begin < work.end:
            self._fail(f"{place}.to", f"{work.end.isoformat()} is not after from")
        for name, at in (("declared", work.declared), ("cancelled", work.cancelled or work.declared)):
            if at.timestamp() > self._scenario.heard_until:
                self._fail(f"{place}.{name}", f"{at.isoformat()} is after the collector's last moment")

    def _unique(self, what: str, names: Sequence[str]) -> None:
        for name in names:
            if names.count(name) > 1:
                self._fail(f'{what} "{name}"', f"there is another {what} of this name")

    def _known(self, word: str, words: Iterable[str], place: str, what: str) -> None:
        words = list(words)
        if word not in words:
            self._fail(place, f'no {what} "{word}"{nearest(word, words)}')

    def _fail(self, place: str, problem: str) -> NoReturn:
        raise ConfigError(self._file, place, problem)


def _written(name: str) -> str:
    """As the file has it."""
    return name.removesuffix("_s")
