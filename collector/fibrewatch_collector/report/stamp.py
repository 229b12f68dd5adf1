"""Which edition of a period's report this is. Blocks."""

from datetime import UTC, datetime

from msgspec.structs import replace

from fibrewatch_collector.inventory import Site
from fibrewatch_collector.ledger import revisions
from fibrewatch_collector.report.model import Report, Revision
from fibrewatch_collector.sla.periods import Period
from fibrewatch_collector.store import Edition, Store


def stamped(store: Store, report: Report, now: datetime) -> Report:
    """With its revision: that of the kept one it equals, or the next, not final yet, and what it has otherwise."""
    kept = _kept(store, report)
    if not kept:
        return replace(report, revision=Revision(number=1, final=False, made_at=now))
    last = kept[-1]
    changed = revisions.changes(last.report, revisions.encode(report))
    if not changed:
        return replace(report, revision=revisions.decode(last.report).revision)
    return replace(report, revision=Revision(number=last.number + 1, final=False, made_at=now, changes=changed))


def reported_at(store: Store, site: Site, period: Period) -> datetime | None:
    """When a period was first made final: what came later is late."""
    kept = store.editions(*site.key, period.begin.timestamp(), period.end.timestamp())
    return datetime.fromtimestamp(kept[0].made_at, UTC) if kept else None


def _kept(store: Store, report: Report) -> list[Edition]:
    begin, end = report.period.begin.timestamp(), report.period.end.timestamp()
    return store.editions(report.site.territory, report.site.site, begin, end)
