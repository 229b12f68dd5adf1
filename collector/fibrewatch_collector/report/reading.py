"""What reports need of the store, read in one go. Blocks."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from fibrewatch.wire import AgentId
from fibrewatch.wire import Inventory as Schedule
from fibrewatch_collector.inventory import Site, SiteKey
from fibrewatch_collector.report import expected, judging, model, promised
from fibrewatch_collector.report.gathering import Stretch
from fibrewatch_collector.sla.periods import Period
from fibrewatch_collector.store import Filter, SeriesDays, Store
from fibrewatch_collector.store.timeline import Timeline

_GAPS, _SITES = 1000, 1000


class Reading:
    """What the store holds for a period, of one site and its pairs or of all.

    Attributes:
        history: The inventories since the period's begin, where there was more than one.
    """

    def __init__(
        self,
        series: Iterable[SeriesDays],
        timelines: Mapping[tuple[str, str, str], Timeline],
        schedules: Sequence[tuple[AgentId, float, Schedule]],
        gaps: Mapping[SiteKey, Sequence[model.Gap]],
        stretch: Stretch,
        *,
        history: Sequence[promised.Stood],
    ) -> None:
        self.history = history
        self.timelines, self.schedules, self.gaps, self.stretch = timelines, schedules, gaps, stretch
        self.by_site: dict[SiteKey, list[SeriesDays]] = {}
        self.by_peer: dict[str, list[SeriesDays]] = {}
        for each in series:
            name = each.series
            self.by_site.setdefault((name.agent.territory, name.agent.site), []).append(each)
            if name.peer is not None:
                self.by_peer.setdefault(name.peer.rpartition("/")[0], []).append(each)

    @classmethod
    def of(cls, store: Store, period: Period, site: Site | None, now: datetime) -> "Reading":
        """Of one site, or of all."""
        begin, end = period.begin.timestamp(), period.end.timestamp()
        where = Filter(*site.key, begin=begin, end=end) if site else Filter(begin=begin, end=end)
        series = store.days(where)
        if site is not None:
            pairs = store.days(Filter(peer="/".join(site.key), probe=judging.CALLS, begin=begin, end=end))
            there = {each.row for each in series}
            series += [each for each in pairs if each.row not in there]
        return cls(
            series,
            store.timelines(where),
            expected.decoded(store.schedules(where)),
            _gaps(store, where, period),
            store.stretch,
            history=promised.stood(store, begin, now.timestamp()),
        )


def _gaps(store: Store, where: Filter, period: Period) -> Mapping[SiteKey, Sequence[model.Gap]]:
    """The newest of each site; the same of one site as among all."""
    found: dict[SiteKey, list[model.Gap]] = {}
    for each in store.gaps(where, _GAPS if where.site else _GAPS * _SITES):
        at = datetime.fromtimestamp(each.recorded_at, period.begin.tzinfo)
        mine = found.setdefault((each.agent.territory, each.agent.site), [])
        if len(mine) < _GAPS:
            mine.append(model.Gap(agent=each.agent.agent, first=each.first, last=each.last, recorded_at=at))
    return found
