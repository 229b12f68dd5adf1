"""What of a report does not come from measurements: declared work, outages with their causes, rollout, editions."""

from datetime import datetime

from msgspec import Struct

from fibrewatch_collector.inventory import Inventory, Site
from fibrewatch_collector.report.model import FloorWifi, Maintenance, Outage, Revision, Rollout
from fibrewatch_collector.sla import periods
from fibrewatch_collector.sla.periods import Period
from fibrewatch_collector.store import Store


class Known(Struct, frozen=True, kw_only=True):
    """Of one site and one period.

    Attributes:
        revision: None: it was never kept, so it is the first and not final.
        reported_at: When the period was first reported: what comes later is late.
    """

    outages: tuple[Outage, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
    rollout: tuple[Rollout, ...] = ()
    wifi: tuple[FloorWifi, ...] = ()
    revision: Revision | None = None
    reported_at: datetime | None = None


def known(store: Store, inventory: Inventory, site: Site, period: Period, now: datetime) -> Known:
    """Of one site and one period, as it stands now."""
    return Known()


def live_from(rollout: tuple[Rollout, ...], period: Period) -> datetime:
    """When the SLA's clock starts within the period: at its begin where nobody keeps a rollout of the site."""
    for each in rollout:
        if each.floor is None:
            if each.state != "live":
                return period.end
            since = period.begin if each.since is None else periods.midnight(each.since, period.time_zone)
            return min(max(period.begin, since), period.end)
    return period.begin
