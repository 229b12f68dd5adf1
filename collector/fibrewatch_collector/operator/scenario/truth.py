"""The expected answer of a scenario: every figure of each report that it asks for, from the raw samples alone.

Nothing of what a collector judges by (`sla`, `report`, `store`, sketches, statistics) is used; a test holds that.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fibrewatch_collector.operator.scenario import truth_outages
from fibrewatch_collector.operator.scenario.samples import Record, Transfer
from fibrewatch_collector.operator.scenario.script import Asked, Scenario
from fibrewatch_collector.operator.scenario.sites import Sites
from fibrewatch_collector.operator.scenario.truth_editions import Editions
from fibrewatch_collector.operator.scenario.truth_figures import availability, day_counts, hour, series_shown
from fibrewatch_collector.operator.scenario.truth_findings import Findings
from fibrewatch_collector.operator.scenario.truth_minutes import Line, Minutes, Verdict
from fibrewatch_collector.operator.scenario.truth_tests import Key, Series, Tests, utc
from fibrewatch_collector.operator.scenario.world import World

_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Spans = list[tuple[float, float]]


def expected(scenario: Scenario, sites: Sites) -> dict[str, Any]:
    """All reports of all sites, to be written as JSON."""
    truth = _Truth(scenario, sites)
    return {
        "scenario": scenario.name,
        "reports": [
            {"month": asked.month, "from": _day(asked.first), "to": _day(asked.last), "sites": truth.report(asked)}
            for asked in scenario.reports
        ],
    }


def _day(day: date | None) -> str | None:
    return day.isoformat() if day is not None else None


class _Truth:
    def __init__(self, scenario: Scenario, sites: Sites) -> None:
        self._scenario, self._sites = scenario, sites
        self._minutes = Minutes(scenario, sites)
        self._zones = {name: str(sites.site(name)["time_zone"]) for name in sites.names}
        self._tests = {name: Tests(scenario, sites, name, zone) for name, zone in self._zones.items()}
        self._lost: dict[str, list[float]] = {}
        for _, records in World(scenario, sites).records():
            self._take(records)
        self._verdicts: dict[Line, dict[int, Verdict]] = {}
        for minute, verdicts in self._minutes.verdicts():
            for line, verdict in verdicts.items():
                self._verdicts.setdefault(line, {})[minute] = verdict

    def _take(self, records: Sequence[Record]) -> None:
        self._minutes.add(records)
        for record in records:
            self._tests[record.box.agent.rpartition("/")[0]].add(record)
            if record.lost:
                self._lost.setdefault(record.box.agent, []).append(record.at)

    def _lost_in(self, site: str, begin: float, end: float) -> dict[str, int]:
        """How many of each box's measurements of a period are lost."""
        found = {}
        for box, moments in self._lost.items():
            count = sum(begin <= at < end for at in moments)
            if count and box.startswith(f"{site}/"):
                found[box] = count
        return found

    def report(self, asked: Asked) -> dict[str, Any]:
        """Each site in a period of its own time."""
        return {
            name: _Report(self._scenario, self._sites, name, period).all(self._tests[name], self._verdicts)
            | {"lost": self._lost_in(name, *period[:2])}
            for name, zone in self._zones.items()
            if (first := self._minutes.first(name)) is not None
            for period in [(*_period(asked, zone), first * 60.0)]
        }


def _period(asked: Asked, zone: str) -> tuple[float, float]:
    """Local midnights, UTC seconds."""
    if asked.month is not None:
        year, month = map(int, asked.month.split("-"))
        first, after = date(year, month, 1), date(year + month // 12, month % 12 + 1, 1)
    else:
        first, after = asked.first or date.min, (asked.last or date.min) + timedelta(days=1)
    midnights = (datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)) for day in (first, after))
    begin, end = (each.timestamp() for each in midnights)
    return begin, end


class _Report:
    """One site, one period; the SLA's clock starts with the first measurement."""

    def __init__(self, scenario: Scenario, sites: Sites, site: str, period: tuple[float, float, float]) -> None:
        self._scenario, self._sites, self._site = scenario, sites, site
        begin, self._period_end, measured = period
        self._zone = ZoneInfo(sites.site(site)["time_zone"])
        self._span = (max(begin, measured), max(begin, measured, min(self._period_end, scenario.heard_until)))
        self._period_begin = begin

    @property
    def _span_minutes(self) -> tuple[int, int]:
        return int(self._span[0]) // 60, int(self._span[1]) // 60

    def all(self, tests: Tests, verdicts: Mapping[Line, Mapping[int, Verdict]]) -> dict[str, Any]:
        editions = Editions(self._scenario, self._sites, self._site, self._period_begin, self._period_end)
        series, owed = tests.series(self._span, editions.final()), tests.owed(self._span)
        lines = [(self._site, name) for name in self._sites.uplinks(self._site)]
        of_line = {line: verdicts.get(line, {}) for line in lines}
        uplinks = {line[1]: self._uplink(line, judged) for line, judged in of_line.items()}
        return {
            "begin": utc(self._span[0]),
            "end": utc(self._span[1]),
            **editions.revision(),
            "uplinks": uplinks,
            "outages": truth_outages.in_order(
                [found for line in lines if verdicts.get(line) for found in self._outages(line, of_line[line])]
            ),
            "series": [
                series_shown(key, series.get(key), owed.get(key)) for key in sorted(series.keys() | owed.keys())
            ],
            "hours": [hour(*key, pile) for key, pile in sorted(tests.hours(self._span).items())],
            "transfers": tests.transfers(self._span),
            "findings": [found for line in lines for found in self._findings(line, tests, uplinks[line[1]]["net"])],
            "maintenance": self._maintenance(),
        }

    # ---- minutes

    def _uplink(self, line: Line, judged: Mapping[int, Verdict]) -> dict[str, Any]:
        minutes = range(*self._span_minutes)
        works = [each for each in self._scenario.works if each.site == self._site]
        out = {minute for minute in minutes if any(truth_outages.excludes(each, line, minute) for each in works)}
        days: dict[str, list[int]] = {}
        for minute in minutes:
            day = datetime.fromtimestamp(minute * 60, self._zone).date().isoformat()
            days.setdefault(day, []).append(minute)
        floor = (self._sites.sla(*line) or {}).get("coverage_floor", 0.90)
        return {
            "net": availability(judged, [each for each in minutes if each not in out], len(out), floor),
            "gross": availability(judged, minutes, len(out), floor),
            "days": {day: day_counts(judged, found, out) for day, found in days.items()},
        }

    def _outages(self, line: Line, judged: Mapping[int, Verdict]) -> list[dict[str, Any]]:
        return truth_outages.Outages(self._scenario, self._sites, line, judged, self._span_minutes).all()

    # ---- promises

    def _findings(self, line: Line, tests: Tests, net: Mapping[str, Any]) -> list[dict[str, Any]]:
        busy = self._busy(line)

        def series(only_busy: bool) -> dict[Key, Series]:
            found: dict[Key, Series] = {}
            for record in tests.within(self._span, busy if only_busy else None):
                tests.tally(found, record)
            return found

        def transfers(only_busy: bool) -> list[Transfer]:
            return [
                record
                for record in tests.within(self._span, busy if only_busy else None)
                if isinstance(record, Transfer) and record.uplink == line[1] and not self._worked_on(line, record)
            ]

        def seconds(only_busy: bool) -> float:
            return sum(end - begin for begin, end in (busy if only_busy else [self._span]))

        return Findings(self._sites, line, net, series=_once(series), transfers=transfers, seconds=seconds).all()

    def _worked_on(self, line: Line, record: Record) -> bool:
        return any(truth_outages.excludes(each, line, int(record.dated // 60)) for each in self._scenario.works)

    def _busy(self, line: Line) -> Spans:
        """The class's hours by the wall clock of the place, minute by minute."""
        hours = (self._sites.sla(*line) or {}).get("busy")
        found: Spans = []
        if hours is None:
            return found
        for minute in range(*self._span_minutes):
            local = datetime.fromtimestamp(minute * 60, self._zone)
            clock = local.strftime("%H:%M")
            if _WEEK[local.weekday()] in hours.get("days", _WEEK[:5]) and hours["from"] <= clock < hours["to"]:
                if found and found[-1][1] == minute * 60:
                    found[-1] = (found[-1][0], minute * 60 + 60.0)
                else:
                    found.append((minute * 60.0, minute * 60 + 60.0))
        return found

    # ---- what was declared

    def _maintenance(self) -> list[dict[str, Any]]:
        found = [
            {
                "uplink": each.uplink,
                "begin": utc(each.begin.timestamp()),
                "end": utc(each.end.timestamp()),
                "who": each.who,
                "in_time": each.declared < each.begin,
                "cancelled": each.cancelled is not None,
            }
            for each in self._scenario.works
            if each.site == self._site
            and each.begin.timestamp() < self._period_end
            and each.end.timestamp() > self._period_begin
        ]
        return sorted(found, key=lambda each: str(each["begin"]))


def _once(made: Callable[[bool], dict[Key, Series]]) -> Callable[[bool], Mapping[Key, Series]]:
    kept: dict[bool, dict[Key, Series]] = {}

    def found(only_busy: bool) -> Mapping[Key, Series]:
        if only_busy not in kept:
            kept[only_busy] = made(only_busy)
        return kept[only_busy]

    return found
