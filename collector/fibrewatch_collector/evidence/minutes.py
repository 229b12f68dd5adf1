"""A site's minutes judged anew: from what its boxes measured, and from what others saw in the minutes where it matters.

Where all of a line's targets answer, nobody else is asked: it was available. So only the other minutes need the others.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import groupby
from typing import NamedTuple

from fibrewatch.wire import AgentId
from fibrewatch_collector.evidence.contents import Context, Sighting, Span, States, View
from fibrewatch_collector.inventory import Inventory, Site
from fibrewatch_collector.report import expected
from fibrewatch_collector.sla import bins
from fibrewatch_collector.sla.bins import MINUTE_S, Flow, Vantage, Verdict
from fibrewatch_collector.sla.verdicts import Judge
from fibrewatch_collector.store import Bin, Filter, Scheduled, Store, WindowCount
from fibrewatch_collector.store.timeline import Timeline

DAY_S = 86400
Views = dict[Vantage, list[Flow]]
ByMinute = dict[int, Views]
Edges = tuple[int, int]
"""begin ≤ minute < end, UTC seconds."""


class Intervals:
    """How far apart each box's samples were, by the schedules in force at the time."""

    def __init__(self, schedules: Iterable[Scheduled]) -> None:
        self._since: dict[AgentId, list[float]] = {}
        self._tests: dict[AgentId, list[Mapping[tuple[str, str], float]]] = {}
        for agent, since, schedule in expected.decoded(schedules):
            tests = {(e.test, e.target or ""): e.interval_s for e in schedule.schedule if e.interval_s}
            self._since.setdefault(agent, []).append(since)
            self._tests.setdefault(agent, []).append(tests)

    def of(self, count: WindowCount, minute: int) -> float:
        """Seconds between samples; one, where no schedule says another."""
        place = bisect_right(self._since.get(count.agent, []), minute + MINUTE_S) - 1
        if place < 0:
            return bins.INTERVAL_S
        return self._tests[count.agent][place].get((count.test, count.target), bins.INTERVAL_S)


class Bench(NamedTuple):
    """What is needed to judge."""

    inventory: Inventory
    site: Site
    context: Context
    intervals: Intervals

    def edges(self) -> Edges:
        """Of all minutes that were judged."""
        all_ = [edge for spans in self.context.judged.values() for edge in spans]
        return (min(begin for begin, _ in all_), max(end for _, end in all_)) if all_ else (0, 0)

    def days(self) -> Iterator[Edges]:
        """Those minutes, by the UTC day."""
        begin, end = self.edges()
        for day in range(begin // DAY_S, -(-end // DAY_S)):
            yield max(begin, day * DAY_S), min(end, (day + 1) * DAY_S)

    def vantages(self, minute: int) -> list[Vantage]:
        """The site's lines that are judged in a minute."""
        return [
            (*self.site.key, uplink)
            for uplink, spans in self.context.judged.items()
            if any(begin <= minute < end for begin, end in spans)
        ]

    def seen(self, counts: Iterable[tuple[int, WindowCount]]) -> ByMinute:
        """Views by the minute; a line without enough samples has no flows."""
        found: ByMinute = {}
        for minute, count in counts:
            uplink = self.inventory.uplink_of(count.agent, count.interface, minute)
            if uplink is not None:
                flows = found.setdefault(minute, {}).setdefault((*count.agent[:2], uplink), [])
                if bins.enough(count.sent, self.intervals.of(count, minute)):
                    answers = bins.answers(count.sent, count.lost)
                    flows.append(Flow(count.agent, count.target, count.role, answers, count.peer))
        return found

    def unclear(self, minute: int, views: Views) -> bool:
        """Whether others have a say in a minute: something is lost, or a line says nothing."""
        lines = [views.get(vantage, []) for vantage in self.vantages(minute)]
        return any(not flows or not all(flow.answers for flow in flows) for flows in lines)


def judged(timelines: Mapping[Vantage, Timeline]) -> dict[str, tuple[Edges, ...]]:
    """Of each uplink, the stretches in which it has a bin."""
    return {vantage[2]: tuple(_stretches(line)) for vantage, line in sorted(timelines.items())}


def _stretches(line: Timeline) -> Iterator[Edges]:
    at = line.begin
    for there, codes in groupby(line.codes, bool):
        length = sum(1 for _ in codes)
        if there:
            yield at * MINUTE_S, (at + length) * MINUTE_S
        at += length


def around(bench: Bench, mine: Store, everyone: Store) -> Iterator[View]:
    """What others saw in the minutes in which they have a say, by the day and the minute at which it begins."""
    for begin, end in bench.days():
        own = bench.seen(mine.minute_counts(Filter(*bench.site.key, begin=begin, end=end)))
        unclear = [minute for minute in range(begin, end, MINUTE_S) if bench.unclear(minute, own.get(minute, {}))]
        runs: list[View] = []
        for first, last in _joined(unclear):
            others = bench.seen(everyone.minute_counts(Filter(begin=first, end=last)))
            _add_silent(others, everyone.timelines(Filter(begin=first, end=last)))
            runs += _runs(bench.site, others)
        yield from sorted(runs, key=lambda each: (each.begin, each.territory, each.site, each.uplink))


def _add_silent(others: ByMinute, timelines: Mapping[Vantage, Timeline]) -> None:
    """Lines that are judged though their boxes say nothing: they may be cut."""
    for vantage, line in timelines.items():
        for place, code in enumerate(line.codes):
            if code:
                others.setdefault((line.begin + place) * MINUTE_S, {}).setdefault(vantage, [])


def _joined(minutes: Iterable[int]) -> Iterator[Edges]:
    """Minutes, in order, as stretches."""
    for _, group in groupby(enumerate(minutes), lambda each: each[1] - each[0] * MINUTE_S):
        found = [minute for _, minute in group]
        yield found[0], found[-1] + MINUTE_S


def _runs(site: Site, others: ByMinute) -> Iterator[View]:
    """Minutes in which a line's boxes saw the same, as one."""
    going: dict[Vantage, View] = {}
    for minute in sorted(others):
        for vantage, flows in others[minute].items():
            if vantage[:2] == site.key:
                continue
            saw, before = tuple(Sighting.of(flow) for flow in flows), going.get(vantage)
            begin = minute
            if before is not None and before.end == minute and before.saw == saw:
                begin = before.begin
            elif before is not None:
                yield before
            going[vantage] = View(
                territory=vantage[0], site=vantage[1], uplink=vantage[2], begin=begin, end=minute + MINUTE_S, saw=saw
            )
    yield from going.values()


def judge(bench: Bench, mine: Store, views: Iterable[View]) -> Iterator[list[Bin]]:
    """The verdicts, a day at a time; `views` as `around` has them."""
    referee, by_day = Judge(bench.inventory), _ByDay(views)
    for begin, end in bench.days():
        seen = _day(bench, mine, by_day, (begin, end))
        yield [
            Bin(*vantage, minute, *verdict, bins.VERSION)
            for minute in range(begin, end, MINUTE_S)
            for vantage, verdict in _mine(bench, referee, minute, seen.get(minute, {}))
        ]


def states(bench: Bench, mine: Store, views: Iterable[View], wanted: Collection[int]) -> Iterator[States]:
    """What other sites' lines were in some minutes, by what their boxes saw."""
    referee, by_day = Judge(bench.inventory), _ByDay(views)
    for begin, end in bench.days():
        asked = sorted(minute for minute in wanted if begin <= minute < end)
        seen = _day(bench, mine, by_day, (begin, end)) if asked else {}
        for minute in asked:
            judged = referee.together(seen.get(minute, {}), bench.vantages(minute), at=minute)
            for vantage, verdict in sorted(judged.verdicts.items()):
                if vantage[:2] != bench.site.key:
                    yield States(
                        begin=minute,
                        end=minute + MINUTE_S,
                        territory=vantage[0],
                        site=vantage[1],
                        uplink=vantage[2],
                        states={verdict.state: 1},
                    )


def contradictions(bench: Bench, mine: Store, views: Iterable[View]) -> Iterator[tuple[View, Flow]]:
    """Views that say otherwise than other sites' measurements of the same minute, where a store has any of those."""
    known: ByMinute = {}
    for key in bench.inventory.sites.keys() - {bench.site.key}:
        for minute, found in bench.seen(mine.minute_counts(Filter(*key))).items():
            known.setdefault(minute, {}).update(found)
    for view in views if known else ():
        for minute in (each for each in known if view.begin <= each < view.end):  # whatever a view says of its end
            measured = known[minute].get((view.territory, view.site, view.uplink), ())
            yield from ((view, flow) for flow in view.flows() if _denied(flow, measured))


def _denied(said: Flow, measured: Iterable[Flow]) -> bool:
    """Whether a box's windows to that target all say the opposite."""
    there = [each for each in measured if (each.agent, each.target) == (said.agent, said.target)]
    return bool(there) and said not in there


class _ByDay:
    """Views, taken in their order, day after day."""

    def __init__(self, views: Iterable[View]) -> None:
        self._groups = groupby(views, lambda each: each.begin // DAY_S)
        self._waiting = next(self._groups, None)

    def of(self, day: int) -> list[View]:
        """Those that begin on a day; days must be asked for in order."""
        while self._waiting is not None and self._waiting[0] < day:
            self._waiting = next(self._groups, None)
        if self._waiting is None or self._waiting[0] != day:
            return []
        found = list(self._waiting[1])
        self._waiting = next(self._groups, None)
        return found


def _day(bench: Bench, mine: Store, views: _ByDay, edges: Edges) -> ByMinute:
    """What all saw in a day's minutes: the site's boxes by their measurements, others by the views."""
    begin, end = edges
    seen = bench.seen(mine.minute_counts(Filter(*bench.site.key, begin=begin, end=end)))
    for view in views.of(begin // DAY_S):
        for minute in range(max(begin, view.begin), min(end, view.end), MINUTE_S):
            seen.setdefault(minute, {})[view.territory, view.site, view.uplink] = view.flows()
    return seen


def _mine(bench: Bench, referee: Judge, minute: int, views: Views) -> Iterator[tuple[Vantage, Verdict]]:
    """On the site's lines that are judged in a minute."""
    vantages = bench.vantages(minute)
    verdicts = referee.together(views, vantages, at=minute).verdicts
    return ((vantage, verdicts[vantage]) for vantage in vantages)


def spans(days: Iterable[list[Bin]]) -> Iterator[Span]:
    """Bins as stretches of one verdict, in the order in which they end."""
    going: dict[str, Span] = {}
    for found in days:
        for each in found:
            before, begin = going.get(each.uplink), each.minute
            said = (each.state, each.cause, each.version)
            if before is not None and before.end == begin and (before.state, before.cause, before.version) == said:
                begin = before.begin
            elif before is not None:
                yield before
            going[each.uplink] = Span(
                uplink=each.uplink,
                begin=begin,
                end=each.minute + MINUTE_S,
                state=each.state,
                cause=each.cause,
                version=each.version,
            )
    yield from (going[uplink] for uplink in sorted(going))
