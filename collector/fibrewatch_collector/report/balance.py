"""The year of territories and cities: each month's minutes and answers, added up. Blocks on the store."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from fibrewatch_collector.inventory import Inventory, Site
from fibrewatch_collector.report import figures
from fibrewatch_collector.report.model import Balance, CityMonth, Report
from fibrewatch_collector.sla import periods
from fibrewatch_collector.sla.objectives import COVERAGE_FLOOR
from fibrewatch_collector.sla.periods import Period
from fibrewatch_collector.store import Store


def balance(store: Store, inventory: Inventory, sites: Sequence[Site], year: int, now: datetime) -> Balance:
    """All months that have begun at all the sites."""
    found: list[CityMonth] = []
    for number in range(1, 13):
        label = f"{year:04d}-{number:02d}"
        begun = [site for site in sites if periods.month(label, site.time_zone).begin < now]
        if begun:
            found += _cities(store, inventory, begun, label, now)
    return Balance(year=year, made_at=now, months=tuple(found))


def _cities(
    store: Store, inventory: Inventory, sites: Sequence[Site], label: str, now: datetime
) -> Iterator[CityMonth]:
    def zoned(zone: str) -> Period:
        return periods.month(label, zone)

    grouped: dict[tuple[str, str, str], list[Report]] = {}
    for report in figures.fleet(store, inventory, sites, zoned, now).sites:
        site = report.site
        grouped.setdefault((site.territory, site.territory_name, site.city), []).append(report)
    for (territory, name, city), reports in sorted(grouped.items()):
        yield _added(territory, name, city, label, reports)


def _added(territory: str, name: str, city: str, label: str, reports: Sequence[Report]) -> CityMonth:
    uplinks = [uplink.net for report in reports for uplink in report.uplinks if uplink.sla is not None]
    available, unavailable, not_measured, maintenance, total = (
        sum(getattr(each, word) for each in uplinks)
        for word in ("available", "unavailable", "not_measured", "maintenance", "total")
    )
    known = available + unavailable
    coverage = known / total if total else 0.0
    return CityMonth(
        territory=territory,
        territory_name=name,
        city=city,
        month=label,
        sites=len(reports),
        uplinks=len(uplinks),
        available=available,
        unavailable=unavailable,
        not_measured=not_measured,
        maintenance=maintenance,
        total=total,
        ratio=available / known if known and coverage >= COVERAGE_FLOOR else None,
        coverage=coverage,
        answers=_answers(reports),
    )


def _answers(reports: Iterable[Report]) -> dict[str, int]:
    counts = Counter(finding.answer for report in reports for finding in report.findings)
    return {str(answer): count for answer, count in sorted(counts.items())}
