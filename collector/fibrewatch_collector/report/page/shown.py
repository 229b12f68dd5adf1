"""What the templates show of a site's report, as text and drawings. Pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from markupsafe import Markup

from fibrewatch.results import PROBES
from fibrewatch_collector.report.model import Availability, Fact, Outage, Report, Series, Transfer, Uplink
from fibrewatch_collector.report.page import findings, keys
from fibrewatch_collector.report.page.plots.calendar import calendar
from fibrewatch_collector.report.page.plots.hours import hours
from fibrewatch_collector.report.page.plots.outages import timeline
from fibrewatch_collector.report.page.plots.throughput import is_thinned, throughput
from fibrewatch_collector.report.page.plots.wifi import wifi
from fibrewatch_collector.report.page.words import Words

ON_ONE_PAGE, OUTAGES_ON_ONE_PAGE = 5, 3
_DIRECTIONS = ("download", "upload")


class Figure(NamedTuple):
    """One percentile row of a series."""

    test: str
    target: str
    uplink: str
    field: str
    n: str
    quantiles: tuple[str, ...]
    exact: bool


class Shown:
    """One site's report in one language."""

    def __init__(self, report: Report, words: Words) -> None:
        self.report, self.words = report, words
        self.name = f"{report.site.territory}-{report.site.site}"

    # ---- the verdict

    @property
    def verdict(self) -> str:
        """See findings.verdict."""
        return findings.verdict(self.report.findings)

    @property
    def counted(self) -> str:
        """How many objectives of each answer."""
        return findings.counted(self.words, self.report.findings)

    @property
    def objectives(self) -> list[findings.Row]:
        """All, as the contract has them."""
        return findings.rows(self.words, self.report.findings)

    @property
    def foremost(self) -> list[findings.Row]:
        """The worst, as many as one page holds."""
        return findings.rows(self.words, findings.worst_first(self.report)[:ON_ONE_PAGE])

    @property
    def more(self) -> int:
        """How many that leaves out."""
        return max(0, len(self.report.findings) - ON_ONE_PAGE)

    def tally(self, answer: str) -> int:
        """How many objectives have an answer."""
        return sum(each.answer == answer for each in self.report.findings)

    @property
    def where(self) -> str:
        """City and territory, which are often one."""
        site = self.report.site
        if site.city == site.territory_name:
            return site.city
        return self.words.text("site.where", city=site.city, territory=site.territory_name)

    @property
    def edition(self) -> str:
        """Which edition this is, and when it was made."""
        revision = self.report.revision
        state = self.words.text("edition.final" if revision.final else "edition.provisional")
        number, at = self.words.number(revision.number), self.words.moment(revision.made_at)
        return self.words.text("edition.line", number=number, state=state, at=at)

    # ---- availability

    @property
    def main(self) -> Uplink | None:
        """The uplink with a promise, else the first."""
        uplinks = self.report.uplinks
        return next((each for each in uplinks if each.sla is not None), uplinks[0] if uplinks else None)

    def ratio(self, found: Availability) -> str:
        """Availability, or that nothing can be said."""
        if found.ratio is None:
            return self.words.text("availability.insufficient")
        return self.words.percent(found.ratio, 3)

    def bounds(self, found: Availability) -> str:
        """Between what and what the truth lies."""
        low, high = (self.words.percent(end, 3) for end in (found.bounds.low, found.bounds.high))
        return low if low == high else self.words.text("objective.low_high", low=low, high=high)

    def reasons(self, minutes: Mapping[str, int]) -> str:
        """Minutes by cause, the longest first."""
        longest = sorted(minutes.items(), key=lambda each: -each[1])
        return self.words.listed(
            self.words.text(
                "availability.part", cause=self.words.named("cause", cause), duration=self.words.minutes(count)
            )
            for cause, count in longest
        )

    def down(self, found: Availability) -> str:
        """Minutes that count against the operator: at least so many, where too little was measured."""
        return keys.down(found, self.words)

    def calendar(self, uplink: Uplink) -> Markup | None:
        """Each day of an uplink."""
        return calendar(self.words, self._id("calendar", uplink.id), uplink) if uplink.days else None

    @property
    def short_calendar(self) -> Markup | None:
        """For one page: there is no room for more than two months."""
        main = self.main
        return self.calendar(main) if main and len({each.date.month for each in main.days}) <= 2 else None

    # ---- outages and work

    def timeline(self, uplink: Uplink) -> Markup | None:
        """Of an uplink that had an outage or declared work."""
        outages = [each for each in self.report.outages if each.uplink == uplink.id]
        works = [each for each in self.report.maintenance if each.uplink in (None, uplink.id)]
        if not outages and (not works or uplink.sla is None):
            return None
        return timeline(
            self.words, self._id("outages", uplink.id), self.report.period, uplink.id, outages=outages, works=works
        )

    @property
    def counting(self) -> str:
        """How many outages count, and how long they were."""
        counting = [each for each in self.report.outages if each.counts]
        duration = self.words.minutes(sum(each.minutes for each in counting))
        return self.words.count("outages.counting", len(counting), duration=duration)

    @property
    def longest(self) -> list[Outage]:
        """Those the manager's page has room for."""
        return sorted(self.report.outages, key=lambda each: (-each.minutes, each.begin))[:OUTAGES_ON_ONE_PAGE]

    def lasted(self, outage: Outage) -> str:
        """To the second, since begin and end are refined."""
        return self.words.between(outage.begin, outage.end)

    def fact(self, fact: Fact) -> str:
        """Its sentence."""
        return self.words.fact(fact.id, fact.values)

    # ---- plots of measurements

    @property
    def throughputs(self) -> list[tuple[str, Markup]]:
        """With a caption: one for each uplink and direction with a figure."""
        each = ((uplink, direction) for uplink in self.report.uplinks for direction in _DIRECTIONS)
        return [self._throughput(*one) for one in each if self._transfers(*one)]

    def _throughput(self, uplink: Uplink, direction: str) -> tuple[str, Markup]:
        words, name = self.words, self._id("throughput", uplink.id, direction)
        title = words.text("throughput.plot", direction=words.text(f"throughput.{direction}"), uplink=uplink.id)
        mine, contract = self._transfers(uplink, direction), getattr(uplink, direction)
        return title, throughput(words, name, title, self.report.period, transfers=mine, contract=contract)

    @property
    def thinned(self) -> bool:
        """Whether a plot leaves tests out."""
        return is_thinned(self.report.transfers)

    def _transfers(self, uplink: Uplink, direction: str) -> list[Transfer]:
        return [each for each in self.report.transfers if each.uplink == uplink.id and each.direction == direction]

    @property
    def latencies(self) -> list[tuple[str, Markup]]:
        """With a caption: one for each uplink and group of targets, those that tell most first."""
        groups = sorted({(each.uplink, each.role) for each in self.report.hours}, key=_rank)
        return [(title, self._hours(title, *group)) for group in groups if (title := self._delay_title(*group))]

    def _delay_title(self, uplink: str, role: str) -> str:
        return self.words.text("latency.plot", role=self.words.named("role", role), uplink=uplink)

    def _hours(self, title: str, uplink: str, role: str) -> Markup:
        mine = [each for each in self.report.hours if (each.uplink, each.role) == (uplink, role)]
        return hours(self.words, self._id("hours", uplink, role), title, mine)

    @property
    def wifi(self) -> Markup | None:
        """Each floor's."""
        return wifi(self.words, self._id("wifi"), self.report.wifi) if self.report.wifi else None

    # ---- measurements

    def measured(self, series: Series) -> Iterable[tuple[str, str]]:
        """Counts of a series by column; what is not known is a dash."""
        for column in ("valid", "censored", "invalid", "failed", "skipped", "undated", "missing", "late"):
            count = getattr(series.counts, column)
            yield column, "–" if count is None else self.words.number(count)

    def loss(self, series: Series) -> str:
        """Of packets, where a series sends any."""
        return self.words.percent(series.lost / series.sent) if series.sent else "–"

    def lost(self, series: Series) -> str:
        """How many packets that is."""
        words = self.words
        return words.text("series.lost_of", lost=words.number(series.lost), sent=words.number(series.sent))

    def why(self, series: Series) -> list[str]:
        """Reasons of what is invalid or failed."""
        counts, found = series.counts, []
        for key, section, reasons in (
            ("series.invalid_by", "reason", counts.invalid_by),
            ("series.failed_by", "error", counts.failed_by),
        ):
            if reasons:
                found.append(self.words.text(key, parts=self._reasons(section, reasons)))
        return found

    def _reasons(self, section: str, reasons: Mapping[str, int]) -> str:
        most = sorted(reasons.items(), key=lambda each: -each[1])
        return self.words.listed(
            self.words.text("series.part", count=self.words.number(count), reason=self.words.named(section, name))
            for name, count in most
        )

    @property
    def figures(self) -> list[Figure]:
        """Percentiles of every series' fields."""
        return [
            Figure(
                f"{series.probe} {series.test}",
                series.target or "–",
                series.uplink,
                self._figure(series.probe, field),
                self.words.number(found.n),
                tuple(
                    self._quantile(series.probe, field, each) for each in (found.p5, found.p50, found.p95, found.p99)
                ),
                found.relative_error == 0,
            )
            for series in self.report.series
            for field, found in series.fields.items()
        ]

    def _figure(self, probe: str, field: str) -> str:
        """What it is called; by its own name where it has no other."""
        named = self.words.named("metric", f"{probe}.{field}")
        return field if named == f"{probe}.{field}".replace("_", " ") else named

    def _quantile(self, probe: str, field: str, value: float | None) -> str:
        return "–" if value is None else self.words.value(value, unit(probe, field))

    @property
    def keys(self) -> list[keys.Key]:
        """The few that a tenant asks for."""
        return keys.of(self.report, self.main, self.words)

    def _id(self, *parts: str) -> str:
        return "-".join((self.name, *parts)).replace("/", "-").replace(" ", "-")


def unit(probe: str, field: str) -> str:
    """A field's unit by the contract; "" where the probe is not known here."""
    if probe not in PROBES:
        return ""
    return next((metric.unit for name, metric in PROBES[probe].fields if name == field), "")


def _rank(group: tuple[str, str]) -> tuple[str, int]:
    uplink, role = group
    return (uplink, keys.ROLES.index(role) if role in keys.ROLES else len(keys.ROLES))
