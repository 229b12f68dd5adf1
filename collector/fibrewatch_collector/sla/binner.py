"""Keeps the one-minute bins: each minute once it is over, restated when late results come, N where nothing was heard.

Every minute since an uplink was first measured has a bin, so that A + U + N is all of the time. What is to be done is
kept in memory; after a restart it follows from the rows that came in since the newest bin was saved.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from fibrewatch.measurement import AnyMeasurement
from fibrewatch.wire import AgentId
from fibrewatch.wire import Inventory as Schedule
from fibrewatch_collector.inventory import Inventory, SiteKey
from fibrewatch_collector.ledger import former
from fibrewatch_collector.sla import bins
from fibrewatch_collector.sla.bins import MINUTE_S, Flow, Vantage, Verdict
from fibrewatch_collector.sla.verdicts import Judge
from fibrewatch_collector.store import Bin, BinState, Store, WindowCount

GRACE_S = 5.0
"""A minute's last window is sent when its last reply is overdue, a few seconds after the minute's end."""
MAX_FILL_S = 32 * 86400
"""So far back the time between an uplink's first windows is filled: a box keeps nothing older than its spool's age."""
LATE_S = 120.0
"""Minutes so much older than the newest are not the usual ones: boxes may have been elsewhere then."""
Intervals = Mapping[AgentId, Mapping[tuple[str, str], float]]
"""Of each box by test and target."""


@dataclass(slots=True)
class Work:
    """What is to be judged.

    Attributes:
        judge: By minute, the sites that have data in it.
        fill: By minute, uplinks that have no bin yet: N, unless there are data.
        back: Uplinks that were measured earlier than was known, and since when: what has no bin from there on is N.
        through: The newest minute taken up before.
    """

    judge: dict[int, set[SiteKey]] = field(default_factory=dict)
    fill: dict[int, set[Vantage]] = field(default_factory=dict)
    back: dict[Vantage, int] = field(default_factory=dict)
    through: int | None = None

    def __bool__(self) -> bool:
        return bool(self.judge or self.fill or self.back)


class Backlog:
    """What is still to be judged. Not thread-safe: all calls come from the event loop."""

    def __init__(self, inventory: Callable[[], Inventory]) -> None:
        self._inventory = inventory
        self._begun: dict[Vantage, int] = {}
        self._work = Work()
        self._intervals: dict[AgentId, dict[tuple[str, str], float]] = {}
        self._marked: object = None

    @property
    def begun(self) -> Collection[Vantage]:
        """The lines that were ever measured."""
        return self._begun.keys()

    def resume(self, begun: Iterable[Vantage], newest: int) -> None:
        """After a restart: these uplinks have bins up to and with the minute `newest`."""
        for vantage in begun:
            self._begun[vantage] = min(newest, self._begun.get(vantage, newest))
        self._work.through = newest

    def set_schedule(self, agent: AgentId, schedule: Schedule) -> None:
        """Notes how far apart a box's samples are."""
        self._intervals[agent] = {
            (test.test, test.target or ""): test.interval_s
            for test in schedule.schedule
            if test.interval_s is not None and test.interval_s > 0
        }

    def mark(self, agent: AgentId, run: AnyMeasurement) -> None:
        """A window came in: its minute is to be judged, again if need be."""
        if bins.samples(run) is None:
            return
        inventory, minute, site = self._inventory(), bins.minute_of(run.started_at.timestamp()), agent[:2]
        mark = (inventory, agent, run.interface, minute)
        if mark == self._marked:  # a batch is of one box, and most of it of one minute
            return
        uplink = inventory.uplink_of(agent, run.interface)
        if uplink is None:
            return
        self._marked = mark
        self._begin((*site, uplink), minute)
        self._work.judge.setdefault(minute, set()).add(site)

    def _begin(self, vantage: Vantage, minute: int) -> None:
        """Notes an uplink's first minute, as far as it is known."""
        known = self._begun.get(vantage)
        if known is not None and minute >= known:
            return
        self._begun[vantage] = minute
        if self._work.through is not None and minute <= self._work.through:
            self._work.back[vantage] = minute

    def take(self, now: float) -> Work:
        """What is due: all minutes that are over; the rest stays."""
        last = bins.minute_of(now - GRACE_S) - MINUTE_S
        due, self._work, self._marked = self._work, Work(through=last), None
        if due.through is None:
            due.through = min([*due.judge, last + MINUTE_S]) - MINUTE_S
        for minute in range(due.through + MINUTE_S, last + MINUTE_S, MINUTE_S):
            due.fill.setdefault(minute, set()).update(each for each, first in self._begun.items() if first <= minute)
        for minute in [minute for minute in due.judge if minute > last]:
            self._work.judge[minute] = due.judge.pop(minute)
        return due

    def behind(self, now: float) -> float | None:
        """Seconds since the end of the newest minute that was taken up; None before the first."""
        return None if self._work.through is None else now - self._work.through - MINUTE_S

    def put_back(self, work: Work) -> None:
        """The store would not: later again."""
        for minute, sites in work.judge.items():
            self._work.judge.setdefault(minute, set()).update(sites)
        for minute, uplinks in work.fill.items():
            self._work.fill.setdefault(minute, set()).update(uplinks)
        for vantage, minute in work.back.items():
            self._work.back[vantage] = min(minute, self._work.back.get(vantage, minute))

    def intervals(self) -> Intervals:
        """Seconds between samples, for `judge_all` in another thread."""
        return dict(self._intervals)


def judge_all(work: Work, store: Store, inventory: Inventory, intervals: Intervals) -> list[Bin]:
    """The bins of everything that is due; blocks on the store."""
    newest = max([*work.judge, *work.fill, work.through or 0])
    if work.judge and min(work.judge) < newest - LATE_S:  # then a box may have been replaced or moved since
        inventory = former.remembered(store, inventory, min(work.judge), newest)
    judge = _Judge(store, inventory, intervals)
    fill = {minute: set(uplinks) for minute, uplinks in work.fill.items()}
    for vantage, minute in _gaps(work, store):
        fill.setdefault(minute, set()).add(vantage)
    found: list[Bin] = []
    for minute in sorted(work.judge.keys() | fill.keys()):
        silent = {vantage for vantage in fill.get(minute, ()) if vantage[:2] in inventory.sites}
        verdicts = judge.minute(minute, work.judge.get(minute, set()), silent)
        found += [Bin(*vantage, minute, *verdict, bins.VERSION) for vantage, verdict in sorted(verdicts.items())]
    return found


def _gaps(work: Work, store: Store) -> Iterator[tuple[Vantage, int]]:
    """Minutes without a bin since an uplink's first one."""
    for vantage, first in work.back.items():
        territory, site, uplink = vantage
        end = (work.through if work.through is not None else first) + MINUTE_S
        begin = max(first, end - MAX_FILL_S)
        there = {each.minute for each in store.bins(territory, site, begin, end) if each.uplink == uplink}
        yield from ((vantage, minute) for minute in range(begin, end, MINUTE_S) if minute not in there)


class _Judge:
    """Judges minutes; a lost target is looked at from all sites, because it may be the target's own fault.

    A site that says nothing is looked at from those that measure to it: they may know whether its line is cut.
    """

    def __init__(self, store: Store, inventory: Inventory, intervals: Intervals) -> None:
        self._store, self._inventory, self._intervals = store, inventory, intervals
        self._observers, self._judge = store.observers(), Judge(inventory)

    def minute(self, minute: int, sites: set[SiteKey], silent: set[Vantage]) -> dict[Vantage, Verdict]:
        """The verdicts on all that is touched.

        Args:
            minute: Its start.
            sites: Those that have data in it.
            silent: Uplinks that have no bin yet.
        """
        wanted = sites | {observer for vantage in silent for observer in self._observers.get(vantage[:2], ())}
        wanted &= self._inventory.sites.keys()
        views = self._views(minute, wanted)
        seen = bins.seen_sites(views) & self._inventory.sites.keys()
        views |= self._views(minute, seen - wanted)
        wanted |= seen
        others = self._store.bin_totals(minute, minute + MINUTE_S) if views else {}
        if _all_sites_matter(views, others):
            views |= self._views(minute, self._inventory.sites.keys() - wanted)
        judged = self._judge.together(views, silent | others.keys(), at=minute)
        touched = views.keys() | silent | judged.outside.keys()
        return {vantage: verdict for vantage, verdict in judged.verdicts.items() if vantage in touched}

    def _views(self, minute: int, sites: Iterable[SiteKey]) -> dict[Vantage, list[Flow]]:
        """Uplinks with any samples; those without enough of them have no flows."""
        views: dict[Vantage, list[Flow]] = {}
        for site in sites:
            for count in self._store.window_counts(*site, minute, minute + MINUTE_S):
                uplink = self._inventory.uplink_of(count.agent, count.interface, minute)
                if uplink is not None:
                    views.setdefault((*site, uplink), []).extend(self._flow(count))
        return views

    def _flow(self, count: WindowCount) -> Iterator[Flow]:
        interval = self._intervals.get(count.agent, {}).get((count.test, count.target), bins.INTERVAL_S)
        if bins.enough(count.sent, interval):
            yield Flow(count.agent, count.target, count.role, bins.answers(count.sent, count.lost), count.peer)


def _all_sites_matter(views: Mapping[Vantage, list[Flow]], others: Mapping[Vantage, Mapping[BinState, int]]) -> bool:
    """Whether something is lost in these views, or was in those that were judged before."""
    if not all(flow.answers for flows in views.values() for flow in flows):
        return True
    return any(states.get("U") or states.get("N") for vantage, states in others.items() if vantage not in views)
