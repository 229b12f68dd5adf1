"""After a start: what the store tells about the time before. Blocks: to be run in a worker thread, before ingest."""

import logging
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fibrewatch.errors import WireError
from fibrewatch.measurement import AnyMeasurement
from fibrewatch.results import PROBES
from fibrewatch.wire import AgentId, decode_measurement
from fibrewatch_collector.inventory import Inventory
from fibrewatch_collector.sla import wifi_keeper
from fibrewatch_collector.sla.binner import GRACE_S, Backlog, judge_all
from fibrewatch_collector.sla.bins import MINUTE_S, Vantage, minute_of
from fibrewatch_collector.sla.recent import OLDEST_S
from fibrewatch_collector.store import Filter, Store

log = logging.getLogger(__name__)

RECENT_S = 900.0
"""Values older than this have mostly expired."""
FAR_BACK_S = 31 * 86400.0
PAGE = 1000
_DAY_S = 86400
_LOOK_BACK_S = (3600, _DAY_S, 32 * _DAY_S, 400 * _DAY_S, 4000 * _DAY_S)


class Recalled(NamedTuple):
    """A stored run."""

    agent: AgentId
    run: AnyMeasurement
    received_at: float


def recent(store: Store, inventory: Inventory, now: float) -> list[Recalled]:
    """The last quarter of an hour of all boxes, and of a box that was silent then the newest hour it was heard."""
    found = list(_decoded(store, Filter(begin=now - RECENT_S)))
    heard = {each.agent for each in found}
    for agent in inventory.agents.keys() - heard:
        found += _newest_hour(store, agent, now)
    return found


def _newest_hour(store: Store, agent: AgentId, now: float) -> Iterator[Recalled]:
    where = Filter(*agent, begin=now - FAR_BACK_S)
    hours = [rollup.hour for rollup in store.rollups(where)]
    last_made = max(hours, default=now - FAR_BACK_S)
    newer = list(_decoded(store, Filter(*agent, begin=max(last_made, now - 7200))))
    if newer or not hours:
        yield from newer
    else:
        yield from _decoded(store, Filter(*agent, begin=last_made, end=last_made + 3600))


def rare(store: Store, probes: Iterable[str], now: float) -> list[Recalled]:
    """Heavy tests of the last days: there are few of them, and a quarter of an hour holds none."""
    heavy = [name for name in probes if PROBES[name].mode == "exclusive"]
    return [each for name in heavy for each in _decoded(store, Filter(probe=name, begin=now - OLDEST_S["exclusive"]))]


class Judged(NamedTuple):
    """Up to where the bins reach, and whose they are; `newest` is None when there are none."""

    newest: int | None
    uplinks: frozenset[Vantage]


def judged(store: Store, now: float) -> Judged:
    """What the bins in the store say of themselves."""
    end = now + _DAY_S
    for span in _LOOK_BACK_S:
        if store.bin_totals(now - span, end):
            newest = _newest_minute(store, minute_of(now - span), end)
            return Judged(newest, frozenset(store.bin_totals(newest, newest + MINUTE_S)))
    return Judged(None, frozenset())


def _newest_minute(store: Store, low: int, end: float) -> int:
    """The last minute that has a bin, by halving; `low` or a later one has."""
    high = minute_of(end)
    while high - low > MINUTE_S:
        middle = low + (high - low) // MINUTE_S // 2 * MINUTE_S
        if store.bin_totals(middle, end):
            low = middle
        else:
            high = middle
    return low


def unjudged(store: Store, newest: int | None) -> Iterator[Recalled]:
    """Runs that came in since the newest bin was saved; all of them when there is no bin."""
    after = 0 if newest is None else row_before(store, newest)
    yield from _decoded(store, Filter(), after)


def rejudge(store: Store, inventory: Inventory, since: float, now: float) -> int:
    """Restates the bins that rows received since then belong to, as far as bins reach, and minutes of Wi-Fi.

    Returns how many bins.

    For an import beside a collector that may be running: newer minutes are the collector's. One without any bin so far
    does not look back: all minutes that are over are judged for it.
    """
    newest = judged(store, now).newest
    if newest is None:
        newest = minute_of(now - GRACE_S) - MINUTE_S
    floors, backlog = wifi_keeper.Backlog(lambda: inventory), Backlog(lambda: inventory)
    backlog.resume((), newest)
    for each in _decoded(store, Filter(), row_before(store, since)):
        floors.mark(each.agent, each.run)
        if each.run.started_at.timestamp() < newest + MINUTE_S:
            backlog.mark(each.agent, each.run)
    store.save_floors(wifi_keeper.judge_all(floors.take(now), store, inventory))
    bins = judge_all(backlog.take(newest + MINUTE_S + GRACE_S), store, inventory, {})
    store.save_bins(bins)
    return len(bins)


def row_before(store: Store, received_at: float) -> int:
    """A row such that all received at or after a moment come later: rows are in the order of arrival."""
    received_at -= 1e-6  # rows keep whole microseconds: one of this very moment may be rounded down
    low, high = 0, 1
    while (row := store.measurements(Filter(), high, 1)) and row[0].received_at < received_at:
        low = row[0].row
        high = max(2 * high, low + 1)
    while high > low:
        middle = (low + high) // 2
        row = store.measurements(Filter(), middle, 1)
        if row and row[0].received_at < received_at:
            low = row[0].row
        else:
            high = middle
    return low


def _decoded(store: Store, where: Filter, after: int = 0) -> Iterator[Recalled]:
    while rows := store.measurements(where, after, PAGE):
        for row in rows:
            try:
                yield Recalled(row.agent, decode_measurement(row.raw), row.received_at)
            except WireError as e:  # stored by a newer program whose contract this one doesn't know
                log.debug("row %d is not read: %s", row.row, e)
        after = rows[-1].row
