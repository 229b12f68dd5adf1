"""A report's figures from the store: one site, or many read in one go. Blocks; the same store gives the same report.

What is measured before the SLA's clock starts (rollout state "live"), or not yet over, is not in the figures.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from fibrewatch import __version__, sketch
from fibrewatch_collector.inventory import Inventory, Site, Uplink
from fibrewatch_collector.ledger import former
from fibrewatch_collector.report import (
    availability,
    expected,
    gathering,
    judging,
    known,
    model,
    promised,
    stamp,
    tables,
)
from fibrewatch_collector.report.gathering import Line, Span, within
from fibrewatch_collector.report.known import Known
from fibrewatch_collector.report.reading import Reading
from fibrewatch_collector.sla import bins, floor, periods, wifi
from fibrewatch_collector.sla.objectives import COVERAGE_FLOOR, Promise
from fibrewatch_collector.sla.periods import Period
from fibrewatch_collector.store import SeriesDays, Store, hour
from fibrewatch_collector.store.day import Cell
from fibrewatch_collector.store.hour import Point
from fibrewatch_collector.store.timeline import Timeline

VERSION = 2
Zoned = Callable[[str], Period]
"""The period in a time zone: months begin where the site is."""


def report(
    store: Store, inventory: Inventory, site: Site, period: Period, now: datetime, *, knows: Known | None = None
) -> model.Report:
    """One site in full, with the revision that it is, unless `knows` says which."""
    inventory = former.remembered(store, inventory, period.begin.timestamp(), period.end.timestamp())
    known_here = knows if knows is not None else known.known(store, inventory, site, period, now)
    reading = Reading.of(store, period, site, now)
    made = _Reckoning(reading, inventory, site, period, now=now, knows=known_here).report(full=True)
    return made if knows is not None else stamp.stamped(store, made, now)


def fleet(
    store: Store,
    inventory: Inventory,
    sites: Sequence[Site],
    zoned: Zoned,
    now: datetime,
    *,
    territory: str | None = None,
) -> model.Fleet:
    """Many sites, each over the period in its own time zone; without hours, transfers and the outages' evidence."""
    found, readings, kept = [], dict[str, Reading](), known.Books.of(store)
    inventories: dict[str, Inventory] = {}
    for site in sites:
        period = zoned(site.time_zone)
        if site.time_zone not in readings:
            readings[site.time_zone] = Reading.of(store, period, None, now)
            ends = period.begin.timestamp(), period.end.timestamp()
            inventories[site.time_zone] = former.remembered(store, inventory, *ends)
        stood = inventories[site.time_zone]
        knows = known.known(store, stood, site, period, now, kept=kept, evidenced=0)
        reckoning = _Reckoning(readings[site.time_zone], stood, site, period, now=now, knows=knows)
        found.append(stamp.stamped(store, reckoning.report(full=False), now))
    first = found[0].period if found else zoned("UTC")
    return model.Fleet(period=first, territory=territory, sites=tuple(found))


def formulas() -> dict[str, int]:
    """The versions of all that figures come from."""
    return {
        "availability": availability.VERSION,
        "bins": bins.VERSION,
        "figures": VERSION,
        "findings": judging.VERSION,
        "roll_ups": hour.VERSION,
        "wifi": wifi.VERSION,
    }


class _Reckoning:
    """One site's report in the making."""

    def __init__(
        self, reading: Reading, inventory: Inventory, site: Site, period: Period, *, now: datetime, knows: Known
    ) -> None:
        self.reading, self.inventory, self.site, self.knows = reading, inventory, site, knows
        self.period, self.now = period, now
        self.begin = known.begin(knows.live, period)
        last = datetime.fromtimestamp(bins.minute_of(now.timestamp()), period.begin.tzinfo)
        self.end = max(self.begin, min(period.end, last))

    @property
    def span(self) -> Span:
        return self.begin.timestamp(), self.end.timestamp()

    @cached_property
    def local_days(self) -> list[periods.Day]:
        return replace(self.period, begin=self.begin, end=self.end).days

    @cached_property
    def lines(self) -> list[Line]:
        """The site's series."""
        return [line for each in self.reading.by_site.get(self.site.key, []) for line in self.lines_of(each)]

    def lines_of(self, days: SeriesDays) -> list[Line]:
        """One, or one for each uplink that its interface was on."""
        ridden = self.inventory.ridden(days.series.agent, days.series.interface, *self.span)
        return [
            Line(days.series, uplink, days, spans, within(days, spans, self.reading.stretch))
            for uplink, spans in ridden.items()
        ]

    def expected(self) -> dict[expected.Key, int]:
        mine = [each for each in self.reading.schedules if (each[0].territory, each[0].site) == self.site.key]
        gone = self.inventory.former.keys() - self.inventory.agents.keys()
        until = {agent: self.inventory.former[agent][-1].until for agent in gone}
        return expected.runs(mine, self.span, self.inventory.ridden, until)

    def report(self, *, full: bool) -> model.Report:
        evidence = [_Evidence(self, uplink) for uplink in self.site.uplinks]
        shown = tables.Shown(self.lines, self.period.time_zone, self.span)
        return model.Report(
            site=self.described(),
            period=self.period,
            revision=self.knows.revision or model.Revision(number=1, final=False, made_at=self.now),
            uplinks=tuple(each.uplink_shown() for each in evidence),
            findings=tuple(self.findings(evidence)),
            outages=self.knows.outages,
            maintenance=self.knows.maintenance,
            rollout=self.knows.rollout,
            series=shown.series(self.expected(), self.knows.reported_at),
            hours=shown.hours() if full else (),
            transfers=shown.transfers() if full else (),
            wifi=self.knows.wifi,
            gaps=tuple(self.reading.gaps.get(self.site.key, ())),
            methods=self.methods(),
            promise_changes=promised.changes(self.reading.history, self.site),
        )

    def findings(self, evidence: Sequence["_Evidence"]) -> Iterable[model.Finding]:
        """A floor's Wi-Fi is the site's, whichever uplinks promise it: it is judged once."""
        seen: set[tuple[str, str, str]] = set()
        for each in evidence:
            if each.promise is None:
                continue
            for finding in judging.findings(each.promise, each.uplink, each):
                key = (finding.kind, finding.id, finding.subject)
                if finding.kind != "coverage" or key not in seen:
                    yield finding
                seen.add(key)

    def described(self) -> model.Site:
        site, territory = self.site, self.inventory.territories.get(self.site.territory)
        return model.Site(
            territory=site.territory,
            territory_name=territory.name if territory else site.territory,
            site=site.id,
            name=site.name,
            city=site.city,
            companies=site.companies,
            floors=len(site.floors),
        )

    def methods(self) -> model.Methods:
        promises = [each for uplink in self.site.uplinks if (each := self.inventory.promise(self.site, uplink.id))]
        versions = {each.version for agent, _, each in self.reading.schedules if agent[:2] == self.site.key}
        responders = {line.series.target or "" for line in self.lines if line.series.role == "responder"}
        return model.Methods(
            collector_version=__version__,
            agent_versions=tuple(sorted(versions)),
            formulas={name: each for name, each in formulas().items() if name != "wifi" or self.knows.wifi},
            responders=tuple(sorted(responders)),
            contract="; ".join(dict.fromkeys(each.contract for each in promises if each.contract)),
            sources=tuple(dict.fromkeys(o.source for each in promises for o in each.objectives if o.source)),
            relative_error=sketch.RELATIVE_ERROR,
        )


class _Evidence:
    """See judging.Evidence: one uplink of the site."""

    def __init__(self, of: _Reckoning, uplink: Uplink) -> None:
        self._of, self.uplink = of, uplink
        self.promise: Promise | None = of.inventory.promise(of.site, uplink.id)
        self.lines = [line for line in of.lines if line.uplink == uplink.id]
        self._busy_cells: dict[int, Cell] = {}

    @property
    def coverage_floor(self) -> float:
        return self.promise.coverage_floor if self.promise else COVERAGE_FLOOR

    @cached_property
    def timeline(self) -> Timeline:
        first, last = (availability.minute_after(edge) for edge in (self._of.begin, self._of.end))
        found = self._of.reading.timelines.get((*self._of.site.key, self.uplink.id), Timeline(first, b"", ()))
        return found.cut(first, last)

    @cached_property
    def excluded(self) -> list[availability.Minutes]:
        return availability.excluded(self._of.knows.maintenance, self.uplink.id)

    @cached_property
    def availability(self) -> model.Availability:
        return availability.net(self.timeline, self.excluded, self.coverage_floor)

    @property
    def wifi(self) -> Sequence[model.FloorWifi]:
        return self._of.knows.wifi

    @cached_property
    def busy(self) -> list[Span]:
        hours, zone = self.promise and self.promise.busy, ZoneInfo(self._of.period.time_zone)
        if not hours:
            return []
        found = [each for day in self._of.local_days for each in hours.stretches(day, zone)]
        return [(begin.timestamp(), end.timestamp()) for begin, end in found]

    def cell(self, line: Line, busy: bool) -> Cell:
        if not busy:
            return line.whole
        row = line.days.row
        if row not in self._busy_cells:
            busy_spans = gathering.common(self.busy, line.spans)
            self._busy_cells[row] = within(line.days, busy_spans, self._of.reading.stretch)
        return self._busy_cells[row]

    def seconds(self, busy: bool) -> float:
        return sum(end - begin for begin, end in (self.busy if busy else [self._of.span]))

    def calls(self, peer: str) -> Sequence[Line]:
        mine = [line for line in self.lines if (line.series.peer or "").rpartition("/")[0] == peer]
        theirs = [
            each
            for each in self._of.reading.by_peer.get("/".join(self._of.site.key), [])
            if "/".join(each.series.agent[:2]) == peer and self._reached_over(each)
        ]
        found = [*mine, *(line for each in theirs for line in self._of.lines_of(each))]
        return [line for line in found if line.series.probe == judging.CALLS]

    def _reached_over(self, days: SeriesDays) -> bool:
        """A call that the far end starts comes in over the main uplink: nothing tells of another."""
        return self.uplink.id == self._of.site.main_uplink

    def floor_s(self, line: Line, field: str) -> float | None:
        place = self._of.inventory.place_of(line.series.target or "", line.series.peer)
        return None if place is None else floor.least(floor.distance(self._of.site.place, place), field)

    def transfers(self, direction: str, busy: bool) -> Sequence[Point]:
        lines = [line for line in self.lines if line.series.probe == judging.TRANSFERS]
        return [
            point
            for line in lines
            for point in tables.points(self.cell(line, busy), self.busy if busy else [self._of.span])
            if judging.DIRECTIONS.get(point.direction or "") == direction and not self._under_maintenance(point.at)
        ]

    def _under_maintenance(self, at: float) -> bool:
        minute = at // availability.MINUTE_S
        return any(begin <= minute < end for begin, end in self.excluded)

    def uplink_shown(self) -> model.Uplink:
        uplink = self.uplink
        return model.Uplink(
            id=uplink.id,
            kind=uplink.kind,
            operator=uplink.operator,
            download=uplink.download,
            upload=uplink.upload,
            sla=uplink.sla,
            net=self.availability,
            gross=availability.gross(self.timeline, self.excluded, self.coverage_floor),
            days=availability.days(self.timeline, self.excluded, self._of.local_days),
        )
