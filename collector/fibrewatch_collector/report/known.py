"""What of a report does not come from measurements: declared work, outages with their causes, rollout, editions."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from fibrewatch_collector.inventory import Inventory, Site, SiteKey
from fibrewatch_collector.ledger import books, maintenance, rollout
from fibrewatch_collector.ledger.maintenance import Declaration
from fibrewatch_collector.ledger.rollout import Step
from fibrewatch_collector.report import outages, stamp, wifi
from fibrewatch_collector.report.model import FloorWifi, Maintenance, Outage, Revision, Rollout
from fibrewatch_collector.sla import bins
from fibrewatch_collector.sla.periods import Period
from fibrewatch_collector.store import Store

NEVER = datetime.max.replace(tzinfo=UTC)


class Known(Struct, frozen=True, kw_only=True):
    """Of one site and one period.

    Attributes:
        live: Since when the SLA's clock runs, `NEVER` where it does not yet; None: from the period's begin.
        revision: None: it was never kept, so it is the first and not final.
        reported_at: When the period was first reported: what comes later is late.
    """

    outages: tuple[Outage, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
    rollout: tuple[Rollout, ...] = ()
    live: datetime | None = None
    wifi: tuple[FloorWifi, ...] = ()
    revision: Revision | None = None
    reported_at: datetime | None = None


class Books(Struct, frozen=True):
    """What the store keeps for all sites, read once however many reports are made.

    Attributes:
        measured: Of each site, the first minute that has a bin.
    """

    declarations: Sequence[Declaration]
    steps: Sequence[Step]
    measured: Mapping[SiteKey, datetime]

    @classmethod
    def of(cls, store: Store) -> "Books":
        """As they stand now."""
        measured: dict[SiteKey, datetime] = {}
        for (territory, site, _), minute in store.first_minutes().items():
            at = datetime.fromtimestamp(minute, UTC)
            measured[territory, site] = min(at, measured.get((territory, site), at))
        return cls(books.declarations(store), books.steps(store), measured)


def known(
    store: Store,
    inventory: Inventory,
    site: Site,
    period: Period,
    now: datetime,
    *,
    kept: Books | None = None,
    evidenced: int = outages.EVIDENCED,
) -> Known:
    """Of one site and one period, as it stands now; `evidenced`: see `outages.of_site`."""
    kept = kept or Books.of(store)
    declared = maintenance.of_site(kept.declarations, site, period.begin, period.end)
    live = rollout.live_from(kept.steps, site, kept.measured.get(site.key, period.begin)) or NEVER
    last = datetime.fromtimestamp(bins.minute_of(now.timestamp()), UTC)
    span = (begin(live, period), min(period.end, last))
    return Known(
        wifi=wifi.of_site(store, site, span, declared),
        outages=outages.of_site(store, inventory, site, span, declared, evidenced=evidenced),
        maintenance=declared,
        rollout=rollout.of_site(kept.steps, site, period.end),
        live=live,
        reported_at=stamp.reported_at(store, site, period),
    )


def begin(live: datetime | None, period: Period) -> datetime:
    """When the SLA's clock starts within a period; its end, where it does not."""
    return min(max(period.begin, live or period.begin), period.end)
