"""What all tests of a site say over a period, counted one by one: series, hours of the day, transfers. Plain loops."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from fibrewatch_collector.operator.scenario.samples import Delays, Lookup, Record, Transfer, Window
from fibrewatch_collector.operator.scenario.script import Scenario, ScriptBox
from fibrewatch_collector.operator.scenario.sites import Sites
from fibrewatch_collector.operator.scenario.truth_minutes import counts

QUANTILES = {"p5": 0.05, "p50": 0.50, "p95": 0.95, "p99": 0.99}
_HOUR_S = 3600
Key = tuple[str, str, str, str]
"""Uplink, probe, test, target."""


class Pile:
    """Delays of many windows; equal tuples are counted, not copied."""

    def __init__(self) -> None:
        self._piles: dict[int, tuple[Delays, int]] = {}
        self._singles: list[float] = []

    def add(self, delays: Delays) -> None:
        """All of a window."""
        found = self._piles.get(id(delays))
        self._piles[id(delays)] = (delays, found[1] + 1 if found else 1)

    def add_one(self, value: float) -> None:
        """A value of its own."""
        self._singles.append(value)

    def add_all(self, other: "Pile") -> None:
        """What another holds."""
        self._singles += other._singles
        for key, (delays, times) in other._piles.items():
            found = self._piles.get(key)
            self._piles[key] = (delays, times + (found[1] if found else 0))

    def ordered(self) -> list[tuple[float, int]]:
        """Each value and how often it is there, the least first."""
        often: dict[float, int] = {}
        for value in self._singles:
            often[value] = often.get(value, 0) + 1
        for delays, times in self._piles.values():
            for delay in delays:
                if delay is not None:
                    often[delay] = often.get(delay, 0) + times
        return sorted(often.items())


def quantile(ordered: Sequence[tuple[float, int]], q: float) -> float | None:
    """The smallest value that at least a share q of all are not above (nearest rank)."""
    n = sum(times for _, times in ordered)
    seen = 0
    for value, times in ordered:
        seen += times
        if seen >= q * n - 1e-6:
            return value
    return None


def percentiles(pile: Pile) -> dict[str, Any]:
    """As a report shows them."""
    ordered = pile.ordered()
    return {"n": sum(times for _, times in ordered)} | {name: quantile(ordered, q) for name, q in QUANTILES.items()}


@dataclass
class Series:
    """One test over one line to one target."""

    role: str
    n: int = 0
    valid: int = 0
    censored: int = 0
    invalid: int = 0
    failed: int = 0
    undated: int = 0
    late: int = 0
    sent: int = 0
    lost: int = 0
    seconds: float = 0.0
    met: int = 0
    missed: int = 0
    invalid_by: dict[str, int] = field(default_factory=dict)
    failed_by: dict[str, int] = field(default_factory=dict)
    fields: dict[str, Pile] = field(default_factory=dict)

    def add(self, record: Record, late: bool) -> None:
        """Counts one."""
        self.n += 1
        self.late += late
        if isinstance(record, Window):
            self._window(record)
        elif isinstance(record, Transfer):
            self._transfer(record)
        else:
            self._lookup(record)

    def _window(self, record: Window) -> None:
        self.valid += 1
        self.sent += len(record.delays)
        self.lost += sum(delay is None for delay in record.delays)
        self.seconds += record.length_s
        self.fields.setdefault("rtt", Pile()).add(record.delays)

    def _transfer(self, record: Transfer) -> None:
        setattr(self, record.verdict, getattr(self, record.verdict) + 1)
        if record.goodput is None:
            self._fail()
        elif record.verdict == "invalid":
            self.invalid_by[record.reason or ""] = self.invalid_by.get(record.reason or "", 0) + 1
        else:
            self.fields.setdefault("goodput", Pile()).add_one(record.goodput)
            if record.bound is not None:
                self.fields.setdefault("bound", Pile()).add_one(record.bound)

    def _lookup(self, record: Lookup) -> None:
        self.valid += 1
        if record.delay is None:
            self._fail()
        else:
            self.met += 1
            self.fields.setdefault("lookup_time", Pile()).add_one(record.delay)

    def _fail(self) -> None:
        self.failed += 1
        self.missed += 1
        self.failed_by["timeout"] = self.failed_by.get("timeout", 0) + 1


def key_of(record: Record) -> Key:
    """Which series a record is of."""
    if isinstance(record, Window):
        return record.uplink, "ping", "latency", record.target.name
    if isinstance(record, Transfer):
        return record.uplink, "throughput", f"{record.direction}load", record.target.name
    return record.uplink, "dns", "resolver", record.target.name


class Tests:
    """All records of one site, of which a period's are asked."""

    __test__ = False

    def __init__(self, scenario: Scenario, sites: Sites, site: str, zone: str) -> None:
        self._scenario, self._sites, self._zone = scenario, sites, ZoneInfo(zone)
        self._boxes = [each for each in scenario.boxes if each.agent.rpartition("/")[0] == site]
        self._records: list[Record] = []

    def add(self, record: Record) -> None:
        """What one of the site's boxes measured."""
        self._records.append(record)

    def tally(self, found: dict[Key, Series], record: Record, reported_at: float | None = None) -> None:
        """Counts a record in its series; what came since it was reported is late."""
        late = reported_at is not None and self._came(record) >= reported_at // _HOUR_S * _HOUR_S
        found.setdefault(key_of(record), Series(record.target.role)).add(record, late)

    def within(self, span: tuple[float, float], spans: Sequence[tuple[float, float]] | None = None) -> list[Record]:
        """What counts and began within a span, by the boxes' clocks; within any of `spans` of it, if given."""
        found = [each for each in self._records if counts(each) and span[0] <= each.dated < span[1]]
        if spans is None:
            return found
        return [each for each in found if any(begin <= each.dated < end for begin, end in spans)]

    def series(self, span: tuple[float, float], reported_at: float | None) -> dict[Key, Series]:
        """Each series in a span."""
        found: dict[Key, Series] = {}
        for record in self.within(span):
            self.tally(found, record, reported_at)
        for record in self._records:
            if record.undated and not record.lost and span[0] <= record.at < span[1]:
                found.setdefault(key_of(record), Series(record.target.role)).undated += 1
        return found

    def _came(self, record: Record) -> float:
        """When it arrived: at once, or when the script says."""
        late = [
            each.delivered.timestamp()
            for each in self._scenario.faults
            if each.kind == "late_batch"
            and each.box == record.box.agent
            and each.delivered is not None
            and each.begin <= record.at < each.end
        ]
        return max(late, default=record.ended)

    def hours(self, span: tuple[float, float]) -> dict[tuple[str, str, int], Pile]:
        """Round trips by line, role of the target, and hour of the local day; whole hours of the span alone."""
        found: dict[tuple[str, str, int], Pile] = {}
        first, last = -(-span[0] // _HOUR_S) * _HOUR_S, span[1] // _HOUR_S * _HOUR_S
        for record in self.within((first, last)):
            if isinstance(record, Window):
                hour = datetime.fromtimestamp(record.dated // _HOUR_S * _HOUR_S, self._zone).hour
                found.setdefault((record.uplink, record.target.role, hour), Pile()).add(record.delays)
        return found

    def transfers(self, span: tuple[float, float]) -> list[dict[str, Any]]:
        """All that have a figure; a censored one at what it proves."""
        found = [
            {
                "uplink": record.uplink,
                "at": record.dated,
                "direction": {"down": "download", "up": "upload"}[record.direction],
                "goodput": max(record.goodput, record.bound or 0.0),
                "verdict": record.verdict,
            }
            for record in self.within(span)
            if isinstance(record, Transfer) and record.goodput is not None and record.verdict != "invalid"
        ]
        return sorted(found, key=lambda each: (each["at"], each["uplink"], each["direction"]))

    def owed(self, span: tuple[float, float]) -> dict[Key, int]:
        """How many runs the schedules ask for."""
        begin = max(span[0], self._scenario.begin.timestamp())
        found: dict[Key, int] = {}
        for key, every in self._scheduled() if begin < span[1] else ():
            count, at = 0, -(-begin // every) * every
            while at < span[1]:
                count, at = count + 1, at + every
            found[key] = found.get(key, 0) + count
        return found

    def _scheduled(self) -> Iterable[tuple[Key, float]]:
        for box in self._boxes:
            over = [self._sites.uplink_of(box.agent, interface) for interface in box.interfaces]
            yield from (((uplink, "ping", "latency", name), 60.0) for uplink in over for name in box.targets)
            if box.transfer_every_s:
                for way in ("down", "up"):
                    key = (over[0], "throughput", f"{way}load", self._first(box, "responder"))
                    yield key, box.transfer_every_s
            if box.lookup_every_s:
                yield (over[0], "dns", "resolver", self._first(box, "service")), box.lookup_every_s

    def _first(self, box: ScriptBox, role: str) -> str:
        return next(name for name in box.targets if self._scenario.target(name).role == role)


def utc(at: float) -> str:
    """For the JSON."""
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
