"""Keeps the probe-minutes of each floor's boxes: judged once they are over, and again when late results come."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from fibrewatch.errors import WireError
from fibrewatch.measurement import UNDATED, AnyMeasurement
from fibrewatch.wire import AgentId, decode_measurement
from fibrewatch_collector.inventory import Inventory, SiteKey
from fibrewatch_collector.sla import wifi
from fibrewatch_collector.sla.wifi import LINK, MINUTE_S, ONBOARDING, Link, Onboarded
from fibrewatch_collector.store import Filter, FloorMinute, Store

log = logging.getLogger(__name__)

GRACE_S = 5.0
LONGEST_S = 600.0
"""More than any onboarding takes: runs that began so much earlier may have ended in a stretch."""
_PAGE = 1000
_DAY_S = 86400
Work = dict[AgentId, set[int]]
"""Minutes to be judged, by box."""


@dataclass(slots=True)
class Backlog:
    """What is still to be judged. Not thread-safe: all calls come from the event loop."""

    inventory: Callable[[], Inventory]
    _work: Work = field(default_factory=dict)

    def mark(self, agent: AgentId, run: AnyMeasurement) -> None:
        """A run came in: its minutes are to be judged, again if need be."""
        if run.probe not in (LINK, ONBOARDING) or UNDATED in run.reasons:
            return
        inventory = self.inventory()
        first = last = run.started_at.timestamp()
        site = inventory.site_of(agent)
        if site is None or inventory.floor_of(agent, first) is None:
            return
        if run.probe == ONBOARDING:
            last += run.duration_s + site.wifi.age_s
        self._work.setdefault(agent, set()).update(range(_minute(first), _minute(last) + MINUTE_S, MINUTE_S))

    def take(self, now: float) -> Work:
        """The minutes that are over; the rest stays."""
        end = _minute(now - GRACE_S)
        due = {agent: {each for each in minutes if each < end} for agent, minutes in self._work.items()}
        left = {agent: {each for each in minutes if each >= end} for agent, minutes in self._work.items()}
        self._work = {agent: minutes for agent, minutes in left.items() if minutes}
        return {agent: minutes for agent, minutes in due.items() if minutes}

    def put_back(self, work: Work) -> None:
        """The store would not: later again."""
        for agent, minutes in work.items():
            self._work.setdefault(agent, set()).update(minutes)


def judge_all(work: Work, store: Store, inventory: Inventory) -> list[FloorMinute]:
    """All that is due; blocks on the store."""
    found: list[FloorMinute] = []
    for agent, minutes in work.items():
        site = inventory.site_of(agent)
        if site is None:
            continue
        for _, day in groupby(sorted(minutes), key=lambda minute: minute // _DAY_S):
            for minute, state in _judged(store, agent, list(day), site.wifi).items():
                if (floor := inventory.floor_of(agent, minute)) is not None:
                    found.append(FloorMinute(*site.key, floor, agent.agent, minute, int(state), wifi.VERSION))
    return found


def judge_site(store: Store, inventory: Inventory, site: SiteKey, now: float) -> None:
    """Judges all that a store holds of a site, and keeps it there."""
    backlog = Backlog(lambda: inventory)
    for agent in sorted(inventory.agents.keys() | inventory.former.keys()):
        if agent[:2] == site:
            for probe in (LINK, ONBOARDING):
                for run in _runs(store, agent, probe, None, None):
                    backlog.mark(agent, run)
    store.save_floors(judge_all(backlog.take(now), store, inventory))


def _judged(store: Store, agent: AgentId, minutes: list[int], limits: wifi.Limits) -> Mapping[int, wifi.State]:
    """Minutes of one day, in order."""
    begin, end = minutes[0], minutes[-1] + MINUTE_S
    links = _links(_runs(store, agent, LINK, begin, end), limits)
    earlier = begin - limits.age_s - LONGEST_S
    return wifi.judge(minutes, links, _onboardings(_runs(store, agent, ONBOARDING, earlier, end), limits), limits)


def _links(runs: Iterable[AnyMeasurement], limits: wifi.Limits) -> Iterator[Link]:
    return (link for run in runs if (link := wifi.link_of(run, limits)) is not None)


def _onboardings(runs: Iterable[AnyMeasurement], limits: wifi.Limits) -> Mapping[str, list[Onboarded]]:
    found: dict[str, list[Onboarded]] = {}
    for run in runs:
        if (each := wifi.onboarded(run, limits)) is not None:
            found.setdefault(run.test, []).append(each)
    return {test: sorted(each) for test, each in found.items()}


def _runs(store: Store, agent: AgentId, probe: str, begin: float | None, end: float | None) -> Iterator[AnyMeasurement]:
    """begin ≤ started_at < end."""
    where, after = Filter(*agent, probe=probe, begin=begin, end=end), 0
    while rows := store.measurements(where, after, _PAGE):
        for row in rows:
            try:
                yield decode_measurement(row.raw)
            except WireError as e:  # stored by a newer program whose contract this one doesn't know
                log.debug("row %d is not read: %s", row.row, e)
        after = rows[-1].row


def _minute(at: float) -> int:
    return int(at // MINUTE_S) * MINUTE_S
