"""The newest tests of each promised uplink against its objectives: what rare tests allow to say at once. Pure.

An objective is at risk when 3 of its last 5 valid tests missed it, to two targets at least; where there is but one
target, when all five did. Faults of the box, and what was begun under declared work or came late, count nowhere.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from fibrewatch import sketch
from fibrewatch.measurement import UNDATED, AnyMeasurement
from fibrewatch.results import PROBES
from fibrewatch.wire import AgentId
from fibrewatch_collector.inventory import Inventory, Site, Uplink
from fibrewatch_collector.sla import floor
from fibrewatch_collector.sla.bins import Vantage
from fibrewatch_collector.sla.objectives import Objective
from fibrewatch_collector.store.hour import OWN_FAULTS

TESTS, MISSES, TARGETS = 5, 3, 2
LATE_S = 900.0
"""A window older than this tells of an outage that was paged then."""
OLDEST_S = {"window": 900.0, "burst": 3 * 3600.0, "exclusive": 2 * 86400.0, "event": 86400.0}
"""By a probe's mode: a test older than this says nothing of now."""
DIRECTIONS = {"down": "download", "up": "upload"}
NOT_BY_TESTS = ("availability", "coverage", "loss")
"""Kinds of objectives that single tests do not tell of."""
_PROBE_OF = {"compliance": "throughput", "readiness": "voice"}
_zone = lru_cache(maxsize=64)(ZoneInfo)


class _Run(NamedTuple):
    start: float
    target: str
    met: bool


class Lately(NamedTuple):
    """What is known of an objective lately; all of it counts valid tests.

    Attributes:
        targets: To how many targets those went that missed.
    """

    met: int
    missed: int
    targets: int
    at_risk: bool
    kind: str
    peer: str


Key = tuple[str, str, str, str]
"""Territory, site, uplink, objective."""


class _Watched(NamedTuple):
    key: Key
    objective: Objective
    site: Site
    uplink: Uplink


class Recent:
    """Not thread-safe.

    Attributes:
        events, bad: Packets of "loss" objectives since the start, for burn rates.
    """

    def __init__(self, inventory: Inventory) -> None:
        self.events: Counter[Key] = Counter()
        self.bad: Counter[Key] = Counter()
        self._tests: dict[Key, deque[_Run]] = {}
        self.set_inventory(inventory)

    def set_inventory(self, inventory: Inventory) -> None:
        """Watches its promises, and forgets all others."""
        self._inventory = inventory
        self._watched: dict[tuple[Vantage, str], list[_Watched]] = {}
        for each in _watched(inventory):
            self._watched.setdefault((each.key[:3], probe_of(each.objective)), []).append(each)
        known = {each.key: each.objective for found in self._watched.values() for each in found}
        self._tests = {key: tests for key, tests in self._tests.items() if key in known}
        for counter in (self.events, self.bad):
            for key in [key for key in counter if key not in known]:
                del counter[key]
            counter.update({key: 0 for key, each in known.items() if each.kind == "loss"})

    def probes(self) -> set[str]:
        """Of which tests are watched."""
        return {probe for _, probe in self._watched}

    def add(self, agent: AgentId, run: AnyMeasurement, now: float, worked_on: frozenset[str] = frozenset()) -> None:
        """A run that the store took; `worked_on`: the site's uplinks under declared work."""
        if not self._watched:
            return
        if run.verdict == "invalid" or UNDATED in run.reasons or run.trigger is not None or run.request is not None:
            return
        uplink = self._inventory.uplink_of(agent, run.interface)
        if uplink is None or uplink in worked_on:
            return
        for each in self._watched.get(((*agent[:2], uplink), run.probe), ()):
            if self._is_of(each, run, now):
                self._take(each, run)

    def _is_of(self, each: _Watched, run: AnyMeasurement, now: float) -> bool:
        role = run.target.role if run.target is not None else None
        meant = role == each.objective.role if each.objective.role else role != "gateway"
        if not meant or now - run.started_at.timestamp() > max(LATE_S, oldest(run.probe)):
            return False
        promise = self._inventory.promises[each.key[:3]]
        if each.objective.hours != "busy" or promise.busy is None:
            return True
        return promise.busy.holds(run.started_at, _zone(each.site.time_zone))

    def _take(self, each: _Watched, run: AnyMeasurement) -> None:
        if each.objective.kind == "loss":
            if run.result is not None:
                self.events[each.key] += run.result.sent
                self.bad[each.key] += run.result.lost
            return
        met = _met(each, run, self._floor(each, run))
        if met is not None:
            tests = self._tests.setdefault(each.key, deque(maxlen=TESTS))
            test = _Run(run.started_at.timestamp(), run.target.name if run.target else "", met)
            kept = sorted([*tests, test])[-TESTS:]  # boxes and late batches are not in order
            tests.clear()
            tests.extend(kept)

    def _floor(self, each: _Watched, run: AnyMeasurement) -> float | None:
        """What light takes to the target; None where the place is not known, 0 where it does not matter."""
        if not each.objective.over_floor:
            return 0.0
        place = self._inventory.place_of(run.target.name, run.target.peer) if run.target is not None else None
        name = (each.objective.metric or "").partition(".")[2]
        return None if place is None else floor.least(floor.distance(each.site.place, place), name)

    def tests(self, now: float) -> Mapping[Key, Lately]:
        """All objectives of which something is known."""
        found = {}
        for watched in self._watched.values():
            for each in watched:
                first = now - oldest(probe_of(each.objective))
                if known := [test for test in self._tests.get(each.key, ()) if test.start >= first]:
                    found[each.key] = _judged(known, each.objective)
        return found


def _judged(tests: list[_Run], objective: Objective) -> Lately:
    missed = [test.target for test in tests if not test.met]
    targets, tried = len(set(missed)), len({test.target for test in tests})
    confirmed = targets >= TARGETS or (tried == 1 and len(missed) == TESTS)
    at_risk = len(missed) >= MISSES and confirmed
    return Lately(len(tests) - len(missed), len(missed), targets, at_risk, objective.kind, objective.peer or "")


def _watched(inventory: Inventory) -> Iterator[_Watched]:
    for (territory, name, line), promise in inventory.promises.items():
        site = inventory.sites[territory, name]
        uplink = next(each for each in site.uplinks if each.id == line)
        for objective in promise.objectives:
            if objective.kind not in ("availability", "coverage"):
                yield _Watched((territory, name, line, objective.id), objective, site, uplink)


def probe_of(objective: Objective) -> str:
    """Of whose tests it is judged."""
    return _PROBE_OF.get(objective.kind) or (objective.metric or "").partition(".")[0]


def oldest(probe: str) -> float:
    """How long a test of a probe tells of now, seconds."""
    return OLDEST_S[PROBES[probe].mode]


def _met(each: _Watched, run: AnyMeasurement, floor_s: float | None) -> bool | None:
    """Whether a run meets an objective; None where it says nothing of it."""
    objective = each.objective
    if objective.kind == "success":
        return None if run.outcome == "skipped" or run.error in OWN_FAULTS else run.outcome == "ok"
    if objective.kind == "readiness":
        return _ready(objective, run)
    if run.result is None or run.outcome != "ok":
        return None
    return _fast(each, run) if objective.kind == "compliance" else _soon(objective, run, floor_s)


def _ready(objective: Objective, run: AnyMeasurement) -> bool | None:
    """A call that failed was not fit either."""
    peer = run.target.peer if run.target is not None else None
    if peer is None or peer.rpartition("/")[0] != objective.peer:
        return None
    if run.outcome == "failed":
        return None if run.error in OWN_FAULTS else False
    ready: bool | None = getattr(run.result, "ready", None)
    return ready


def _fast(each: _Watched, run: AnyMeasurement) -> bool | None:
    """As reports judge transfers: a censored one below the rate proves nothing."""
    objective, result = each.objective, run.result
    goodput, bound = getattr(result, "goodput", None), getattr(result, "bound", None)
    if DIRECTIONS.get(getattr(result, "direction", "")) != objective.direction or goodput is None:
        return None
    contracted = getattr(each.uplink, objective.direction or "") or 0.0
    limit = objective.rate if objective.rate is not None else (objective.of_contract or 0.0) * contracted
    if run.verdict == "valid":
        return bool(goodput >= limit)
    return True if max(goodput, bound or 0.0) >= limit else None


def _soon(objective: Objective, run: AnyMeasurement, floor_s: float | None) -> bool | None:
    """Whether a run's own quantile, or its one delay, keeps the limit."""
    found: Any = getattr(run.result, (objective.metric or "").partition(".")[2], None)
    delay = sketch.quantile(found, objective.quantile or 0.0) if isinstance(found, dict) else found
    if delay is None or floor_s is None:
        return None
    return bool(delay - floor_s <= (objective.limit_s or 0.0))
