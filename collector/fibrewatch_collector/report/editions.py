"""Reports as they were given out: kept when final, and told apart from what would be said now. Blocks."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from fibrewatch.wire import AgentId
from fibrewatch_collector.inventory import Inventory, Site
from fibrewatch_collector.ledger import revisions
from fibrewatch_collector.ledger.revisions import Delivered
from fibrewatch_collector.report import figures
from fibrewatch_collector.report.model import Report
from fibrewatch_collector.sla import periods
from fibrewatch_collector.sla.periods import Period
from fibrewatch_collector.store import Edition, Store

MONTHS = 3
"""So many months back are made final, and looked at again for what came late: more than a spool holds."""


def kept(store: Store, site: Site, period: Period, number: int) -> Report | None:
    """A report as it was given out; None: there is no such revision."""
    found = store.editions(*site.key, period.begin.timestamp(), period.end.timestamp())
    return next((revisions.decode(each.report) for each in found if each.number == number), None)


def due(store: Store, inventory: Inventory, now: datetime) -> Iterator[tuple[Site, Period]]:
    """The months to look at: those that are over and in which the site was measured."""
    measured: dict[tuple[str, str], int] = {}
    for (territory, name, _), minute in store.first_minutes().items():
        measured[territory, name] = min(minute, measured.get((territory, name), minute))
    for site in inventory.sites.values():
        for period in months(site.time_zone, now):
            if measured.get(site.key, now.timestamp()) < period.end.timestamp():
                yield site, period


def months(zone: str, now: datetime) -> list[Period]:
    """The last months that are over, the oldest first."""
    local = now.astimezone(ZoneInfo(zone))
    number = local.year * 12 + local.month - 1
    names = [f"{each // 12:04d}-{each % 12 + 1:02d}" for each in range(number - MONTHS, number)]
    return [periods.month(name, zone) for name in names]


def settle(
    store: Store,
    inventory: Inventory,
    site: Site,
    period: Period,
    *,
    now: datetime,
    delivered: Mapping[AgentId, Delivered],
) -> Edition | None:
    """What is to be kept of a period now: its first final report, or the next; None: nothing new."""
    before = store.editions(*site.key, period.begin.timestamp(), period.end.timestamp())
    owed = revisions.owing(delivered, site, period.end)
    if not before and not revisions.is_due(period.end, now, revisions.grace(inventory, site), owed):
        return None
    report = figures.report(store, inventory, site, period, now)
    if before and report.revision.final:
        return None
    final = replace(report.revision, final=True, made_at=now, incomplete=owed)
    return Edition(
        *site.key,
        begin=period.begin.timestamp(),
        end=period.end.timestamp(),
        number=final.number,
        made_at=now.timestamp(),
        report=revisions.encode(replace(report, revision=final)),
    )
