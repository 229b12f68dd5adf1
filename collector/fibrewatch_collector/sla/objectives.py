"""What an operator promised: SLA classes of sites.toml, each a list of objectives with the citation they come from.

An uplink names its class (`sla = "…"`), and may replace or drop single objectives of it. Pure.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, NoReturn

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from fibrewatch.config import Duration, Rate, nearest
from fibrewatch.errors import ConfigError
from fibrewatch.measurement import Role
from fibrewatch.metric import Field, is_statistic
from fibrewatch.results import PROBES
from fibrewatch_collector.sla import floor
from fibrewatch_collector.sla.periods import WEEKDAYS, BusyHours

Id = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,39}\Z")]
Text = Annotated[str, Meta(min_length=1, max_length=300)]
Ratio = Annotated[float, Meta(ge=0, le=1)]
Kind = Literal["availability", "percentile", "loss", "compliance", "success", "coverage", "readiness"]
Direction = Literal["download", "upload"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
COVERAGE_FLOOR = 0.90
_BEGIN, _END = re.compile(r"([01]\d|2[0-3]):[0-5]\d"), re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00")
GRACE_S = 7 * 86400.0


class Hours(Struct, frozen=True, kw_only=True):
    """The week's busy hours, by the wall clock of the site; "24:00" is the day's end."""

    begin: str = field(name="from")
    end: str = field(name="to")
    days: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri")

    def __post_init__(self) -> None:
        for clock, pattern in ((self.begin, _BEGIN), (self.end, _END)):
            if not pattern.fullmatch(clock):
                raise ValueError(f'"{clock}" is not a time of day such as "08:00"')
        if _minutes(self.begin) >= _minutes(self.end):
            raise ValueError(f'from "{self.begin}" is not before to "{self.end}": they end at "24:00" at the latest')
        if not self.days:
            raise ValueError(f"days is empty: some of {', '.join(WEEKDAYS)}")

    @property
    def busy(self) -> BusyHours:
        """As the reckoning takes them."""
        return BusyHours(begin=_minutes(self.begin), end=_minutes(self.end), days=self.days)


class Objective(Struct, frozen=True, kw_only=True):
    """[[sla.objective]]: which keys it takes follows from its kind, see `KEYS`.

    Attributes:
        asked: The ratio: of time, tests, runs; for kind "loss" the greatest loss ratio.
        metric: "probe.field": a histogram of delays for "percentile", "probe" for "loss" and "success".
        role: The group of targets; None: all beyond the gateway.
        quantile: Of the delays, by nearest rank.
        limit_s: What the quantile may be at most.
        over_floor: The limit is for the excess over what light in fibre takes along the great circle.
        of_contract: What a test must reach, as a share of the contracted rate; `rate` says it outright.
        hours: "busy": only within the class's busy hours.
        peer: The far site of a pair, "territory/site".
        source: Where the promise is written.
        burn: Which alerts of [[burn]] it has; None: all of them.
    """

    id: Id
    kind: Kind
    asked: Ratio | None = None
    metric: str | None = None
    role: Role | None = None
    quantile: Annotated[float, Meta(gt=0, lt=1)] | None = None
    limit_s: Annotated[Duration, Meta(gt=0)] | None = field(default=None, name="limit")
    over_floor: bool | None = None
    direction: Direction | None = None
    of_contract: Annotated[float, Meta(gt=0, le=1)] | None = None
    rate: Annotated[Rate, Meta(gt=0)] | None = None
    hours: Literal["all", "busy"] | None = None
    peer: Annotated[str, Meta(pattern=r"\A[a-z0-9-]{1,20}/[a-z0-9-]{1,20}\Z")] | None = None
    source: Text | None = None
    burn: tuple[Id, ...] | None = None


class Class(Struct, frozen=True, kw_only=True):
    """[[sla]]: what one contract promises.

    Attributes:
        presets: Named groups of objectives, see `presets.PRESETS`; own ones of the same id replace theirs.
        coverage_floor: Below this share of measured minutes there is no answer.
        grace_s: So long after its end a period waits for late results.
    """

    id: Id
    contract: Text | None = None
    presets: tuple[str, ...] = ()
    busy: Hours | None = None
    coverage_floor: Ratio = COVERAGE_FLOOR
    grace_s: Annotated[Duration, Meta(ge=0, le=90 * 86400)] = field(default=GRACE_S, name="grace")
    objectives: tuple[Objective, ...] = field(default=(), name="objective")


class Promise(Struct, frozen=True, kw_only=True):
    """A class as it holds for one uplink: presets and overrides resolved."""

    sla: str
    contract: str
    busy: BusyHours | None
    coverage_floor: float
    grace_s: float
    objectives: tuple[Objective, ...]


class Preset(Struct, frozen=True, kw_only=True):
    """Objectives that a public rule names, with its citation."""

    source: str
    objectives: tuple[Objective, ...]
    busy: Hours | None = None


class Keys(Struct, frozen=True):
    """Which keys a kind of objective must and may have, beside id, kind and source."""

    required: frozenset[str]
    allowed: frozenset[str] = frozenset()


def _keys(required: str, allowed: str = "") -> Keys:
    return Keys(frozenset(required.split()), frozenset(allowed.split()))


KEYS: Mapping[Kind, Keys] = {
    "availability": _keys("asked", "burn"),
    "percentile": _keys("metric quantile limit", "role over_floor hours"),
    "loss": _keys("metric asked", "role hours burn"),
    "compliance": _keys("asked direction", "of_contract rate hours"),
    "success": _keys("metric asked", "role hours"),
    "coverage": _keys("asked"),
    "readiness": _keys("asked peer", "hours"),
}
_FREE = {"id", "kind", "source"}


def resolve(
    sla: Class, presets: Mapping[str, Preset], replaced: Iterable[Objective] = (), dropped: Iterable[str] = ()
) -> Promise:
    """A class with its presets, and an uplink's own objectives in place of those of the same id."""
    found: dict[str, Objective] = {}
    busy = sla.busy
    for name in sla.presets:
        preset = presets[name]
        busy = busy or preset.busy
        found |= {each.id: replace(each, source=each.source or preset.source) for each in preset.objectives}
    for each in [*sla.objectives, *replaced]:
        found[each.id] = replace(each, source=each.source or sla.contract)
    for name in dropped:
        found.pop(name, None)
    return Promise(
        sla=sla.id,
        contract=sla.contract or "",
        busy=busy.busy if busy else None,
        coverage_floor=sla.coverage_floor,
        grace_s=sla.grace_s,
        objectives=tuple(found.values()),
    )


def check_classes(classes: Iterable[Class], presets: Mapping[str, Preset], file: str) -> None:
    """The rules that one field alone can't tell.

    Raises:
        ConfigError: The first thing that is wrong.
    """
    seen: set[str] = set()
    for sla in classes:
        check = Check(file, f'sla "{sla.id}"')
        if sla.id in seen:
            check.fail("", "there is another sla of this id")
        seen.add(sla.id)
        for name in sla.presets:
            if name not in presets:
                check.fail("presets", f'no preset "{name}"{nearest(name, presets)}; one of {", ".join(presets)}')
        check.objectives(sla.objectives)
        check.busy(resolve(sla, presets))


class Check:
    """Objectives in one place of a file."""

    def __init__(self, file: str, place: str) -> None:
        self.file, self.place = file, place

    def objectives(self, objectives: Iterable[Objective]) -> None:
        """Each alone, and their ids."""
        seen: set[str] = set()
        for each in objectives:
            place = f'objective "{each.id}"'
            if each.id in seen:
                self.fail(place, "there is another objective of this id")
            seen.add(each.id)
            self._keys(each, place)
            self._metric(each, place)

    def busy(self, promise: Promise) -> None:
        """Busy hours must be told where an objective means them."""
        for each in promise.objectives:
            if each.hours == "busy" and promise.busy is None:
                self.fail(
                    f'objective "{each.id}".hours', '"busy", but the class has no busy hours: busy = { from, to }'
                )

    def _keys(self, each: Objective, place: str) -> None:
        keys, written = KEYS[each.kind], _written(each)
        for name in sorted(keys.required - written):
            self.fail(place, f"{name} is missing: kind {each.kind} needs it")
        for name in sorted(written - keys.required - keys.allowed):
            takes = ", ".join(sorted(keys.required | keys.allowed))
            self.fail(f"{place}.{name}", f"kind {each.kind} does not take it; it takes {takes}")
        if each.kind == "compliance" and (each.of_contract is None) == (each.rate is None):
            self.fail(place, "one of of_contract and rate says what a test must reach")

    def _metric(self, each: Objective, place: str) -> None:
        if each.metric is None:
            return
        probe, _, name = each.metric.partition(".")
        place = f"{place}.metric"
        if probe not in PROBES:
            self.fail(place, f"{each.metric}: no such probe{nearest(probe, PROBES)}")
        fields = PROBES[probe].fields
        if each.kind == "percentile":
            self._histogram(each.metric, probe, name, fields, place)
            if each.over_floor and not floor.has_floor(name):
                self.fail(place, f"{each.metric}: over_floor is for delays that contain the way: rtt, owd, connect")
        elif name:
            self.fail(place, f"{each.metric}: kind {each.kind} takes a probe alone: {probe}")
        elif each.kind == "loss" and PROBES[probe].mode != "window":
            windows = ", ".join(name for name in PROBES if PROBES[name].mode == "window")
            self.fail(place, f"{probe} does not count packets; one of {windows}")

    def _histogram(self, metric: str, probe: str, name: str, fields: tuple[Field, ...], place: str) -> None:
        """Percentiles come from samples, never from percentiles: of a histogram, or of one delay a run."""
        usable = [each.name for each in fields if _holds_samples(each, probe)]
        if name not in usable:
            takes = f"; {probe} has {', '.join(usable)}" if usable else ""
            self.fail(place, f"{metric}: no such metric of delays{nearest(name, usable)}{takes}")

    def fail(self, place: str, problem: str) -> NoReturn:
        """Raises the ConfigError."""
        raise ConfigError(self.file, f"{self.place}.{place}" if place else self.place, problem)


def _holds_samples(one: Field, probe: str) -> bool:
    """A histogram of a window, or the one delay of a run that is no window."""
    if one.metric.unit != "seconds" or one.metric.better != "lower":
        return False
    if PROBES[probe].mode == "window":
        return one.metric.kind == "histogram"
    return one.metric.kind == "gauge" and not is_statistic(one.name)


def _written(each: Objective) -> set[str]:
    """The keys that the file has."""
    names = zip(each.__struct_fields__, each.__struct_encode_fields__, strict=True)
    return {written for name, written in names if name not in _FREE and getattr(each, name) is not None}


def _minutes(clock: str) -> int:
    hour, minute = clock.split(":")
    return int(hour) * 60 + int(minute)
