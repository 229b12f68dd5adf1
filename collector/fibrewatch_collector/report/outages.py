"""A site's outages with their evidence, gathered from the store. Blocks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property

from fibrewatch.errors import WireError
from fibrewatch.measurement import AnyMeasurement
from fibrewatch.wire import AgentId, decode_measurement
from fibrewatch_collector.inventory import Inventory, Site, Uplink
from fibrewatch_collector.ledger import former, inventories
from fibrewatch_collector.ledger.inventories import Stood
from fibrewatch_collector.report import availability
from fibrewatch_collector.report.model import Maintenance, Outage
from fibrewatch_collector.sla import bins, evidence, outages
from fibrewatch_collector.sla.bins import MINUTE_S
from fibrewatch_collector.sla.evidence import Hop, Scene
from fibrewatch_collector.sla.outages import Overlay, Sight, Stretch
from fibrewatch_collector.store import BinState, Filter, Gap, Store
from fibrewatch_collector.store.timeline import Timeline

EVIDENCED = 200
"""So many outages of a line are looked into; of a line that fails oftener the others are told without evidence."""
SOON_S = 86400
"""A box that is back tells within a day what its spool had to drop."""
_PAGE = 1000
_GAPS = 1000
Totals = Mapping[tuple[str, str, str], Mapping[BinState, int]]


def of_site(
    store: Store,
    inventory: Inventory,
    site: Site,
    span: tuple[datetime, datetime],
    declared: Sequence[Maintenance],
    *,
    evidenced: int = EVIDENCED,
) -> tuple[Outage, ...]:
    """All that touch a span, in order of time; the `evidenced` longest of each line with evidence and to the sample."""
    begin, end = (availability.minute_after(at) for at in span)
    if end <= begin:
        return ()
    lines = store.timelines(Filter(*site.key, begin=begin * MINUTE_S, end=end * MINUTE_S))
    look = _Look(store, inventory, site, lines, (begin * MINUTE_S, end * MINUTE_S))
    found = [
        outage
        for uplink in site.uplinks
        if (line := lines.get((*site.key, uplink.id))) is not None
        for outage in _of_uplink(look, uplink, line, declared, evidenced)
    ]
    return tuple(sorted(found, key=lambda each: (each.begin, each.uplink)))


def _of_uplink(
    look: "_Look", uplink: Uplink, line: Timeline, declared: Sequence[Maintenance], evidenced: int
) -> Iterator[Outage]:
    overlays = [
        Overlay(begin, end, each.id) for each in declared for begin, end in availability.excluded([each], uplink.id)
    ]
    found = outages.stretches(line, overlays)
    told = {id(each) for each in sorted(found, key=lambda each: -each.minutes)[:evidenced]}
    for stretch in found:
        yield look.outage(uplink, stretch, told=id(stretch) in told)


class _Look:
    """Into one site's outages."""

    def __init__(
        self,
        store: Store,
        inventory: Inventory,
        site: Site,
        lines: Mapping[tuple[str, str, str], Timeline],
        span: tuple[float, float],
    ) -> None:
        self._store, self._inventory, self._site, self._lines = store, inventory, site, lines
        self._span = span

    def outage(self, uplink: Uplink, stretch: Stretch, *, told: bool) -> Outage:
        scene = self._scene(uplink, stretch) if told else None
        ends = [sight for minute in {stretch.begin, stretch.end - 1} for sight in self._sights(minute)] if told else []
        begin, end = outages.edges(stretch, uplink.id, ends)
        back = not stretch.open or self._measured_after(stretch, uplink.id)
        cause = outages.cause_of(stretch, back=back, results_lost=self._lost_since(stretch) > 0)
        return Outage(
            uplink=uplink.id,
            begin=datetime.fromtimestamp(begin, UTC),
            end=datetime.fromtimestamp(end, UTC),
            minutes=stretch.minutes,
            cause=cause,
            counts=stretch.counts,
            evidence=evidence.facts(scene) if scene is not None else (),
            companies=former.companies(self._stood, self._site, uplink.id, begin),
            maintenance=stretch.maintenance,
            open=stretch.open,
        )

    def _scene(self, uplink: Uplink, stretch: Stretch) -> Scene:
        """Of its second minute, where it has one: the first may be cut."""
        minute = min(stretch.begin + 1, stretch.end - 1)
        totals = self._store.bin_totals(minute * MINUTE_S, (minute + 1) * MINUTE_S)
        sights = self._sights(minute)
        return Scene(
            kind=stretch.kind,
            uplink=uplink.id,
            operator=uplink.operator,
            minutes=stretch.minutes,
            sights=sights,
            others={key[2]: state for key, state in self._states(totals, self._is_mine) if key[2] != uplink.id},
            around=[state for _, state in self._states(totals, lambda key: self._is_akin(key, uplink))],
            elsewhere=self._elsewhere(minute, sights, uplink.id) if stretch.kind == "target" else {},
            neighbours=self._neighbours(minute, uplink.id),
            hop=self._hop(stretch, uplink.id),
            late=self._late(stretch, uplink.id),
            back=self._back(stretch) if stretch.kind == "dark" else {},
            results_lost=self._lost_since(stretch) if stretch.kind == "dark" else 0,
        )

    def _is_mine(self, key: tuple[str, str, str]) -> bool:
        return key[:2] == self._site.key

    def _is_akin(self, key: tuple[str, str, str], uplink: Uplink) -> bool:
        return not self._is_mine(key) and uplink.operator is not None and self._operators.get(key) == uplink.operator

    @cached_property
    def _operators(self) -> Mapping[tuple[str, str, str], str]:
        return self._inventory.operators()

    def _states(
        self, totals: Totals, wanted: Callable[[tuple[str, str, str]], bool]
    ) -> Iterator[tuple[tuple[str, str, str], BinState]]:
        for key, states in sorted(totals.items()):
            if wanted(key):
                yield from ((key, state) for state, count in states.items() if count)

    # ---- what boxes measured

    def _runs(self, where: Filter) -> Iterator[tuple[AgentId, AnyMeasurement, float]]:
        """Measurements, with how long after their end they came."""
        for row in self._store.measurements(where, 0, _PAGE):
            try:
                run = decode_measurement(row.raw)
            except WireError:  # of a newer program
                continue
            yield row.agent, run, row.received_at - run.started_at.timestamp() - run.duration_s

    def _sights(self, minute: int) -> list[Sight]:
        where = Filter(*self._site.key, begin=minute * MINUTE_S, end=(minute + 1) * MINUTE_S)
        return [sight for each in self._runs(where) if (sight := self._sight(*each)) is not None]

    def _sight(self, agent: AgentId, run: AnyMeasurement, lag_s: float) -> Sight | None:
        at = run.started_at.timestamp()
        counted, uplink = bins.samples(run), self._inventory.uplink_of(agent, run.interface, at)
        if counted is None or uplink is None or run.target is None:
            return None
        first_lost = getattr(run.result, "first_lost_at_s", None)
        late = lag_s > outages.LATE_S
        return Sight(agent, uplink, run.target.name, run.target.role, at, *counted, first_lost, late)

    def _late(self, stretch: Stretch, uplink: str) -> int:
        """Minutes of it whose first word came late; a long one is told by its first hours."""
        where = Filter(*self._site.key, begin=stretch.begin * MINUTE_S, end=stretch.end * MINUTE_S)
        by_minute: dict[int, bool] = {}
        for each in self._runs(where):
            if (sight := self._sight(*each)) is not None and sight.uplink == uplink:
                minute = int(sight.start // MINUTE_S)
                by_minute[minute] = by_minute.get(minute, True) and sight.late
        return sum(by_minute.values())

    def _neighbours(self, minute: int, uplink: str) -> dict[tuple[str, str], bool]:
        """Other sites that measure to this one's boxes over this line."""
        where = Filter(peer="/".join(self._site.key), begin=minute * MINUTE_S, end=(minute + 1) * MINUTE_S)
        found: dict[tuple[str, str], bool] = {}
        for agent, run, _ in self._runs(where):
            counted, peer = bins.samples(run), run.target.peer if run.target else None
            if counted is None or peer is None or agent[:2] == self._site.key:
                continue
            over = self._inventory.reached_over(AgentId(*peer.split("/")), minute * MINUTE_S)
            if over == (*self._site.key, uplink):
                found[agent[:2]] = found.get(agent[:2], False) or bins.answers(*counted)
        return found

    def _elsewhere(self, minute: int, sights: Sequence[Sight], uplink: str) -> dict[str, tuple[int, int]]:
        """How many other sites missed each lost target, and how many heard it."""
        lost = {each.target for each in sights if each.uplink == uplink and not each.answers}
        found = {}
        for target in sorted(lost):
            heard: dict[tuple[str, str], bool] = {}
            where = Filter(target=target, begin=minute * MINUTE_S, end=(minute + 1) * MINUTE_S)
            for agent, run, _ in self._runs(where):
                if (counted := bins.samples(run)) is not None and agent[:2] != self._site.key:
                    heard[agent[:2]] = heard.get(agent[:2], False) or bins.answers(*counted)
            if heard:
                found[target] = (list(heard.values()).count(False), list(heard.values()).count(True))
        return found

    def _hop(self, stretch: Stretch, uplink: str) -> Hop | None:
        """Of the first trace within the outage that did not arrive."""
        begin, end = stretch.begin * MINUTE_S, stretch.end * MINUTE_S
        for agent, run, _ in self._runs(Filter(*self._site.key, probe="path", begin=begin, end=end)):
            if run.result is None or run.target is None or run.outcome == "ok":
                continue
            answered = [hop for hop in run.result.path if hop.routers]
            line = self._inventory.uplink_of(agent, run.interface, run.started_at.timestamp())
            if line == uplink and answered:
                return Hop(target=run.target.name, hop=answered[-1].ttl, address=answered[-1].routers[0].address)
        return None

    def _back(self, stretch: Stretch) -> dict[AgentId, bool]:
        """Boxes heard in the minute before and the minute after, and whether they started anew between."""
        boots: list[dict[AgentId, str]] = []
        for minute in (stretch.begin - 1, stretch.end):
            where = Filter(*self._site.key, begin=minute * MINUTE_S, end=(minute + 1) * MINUTE_S)
            boots.append({agent: run.boot for agent, run, _ in self._runs(where)})
        before, after = boots
        return {agent: before[agent] != boot for agent, boot in after.items() if agent in before}

    def _measured_after(self, stretch: Stretch, uplink: str) -> bool:
        """Whether the minute after the period was another."""
        at = stretch.end * MINUTE_S
        after = self._store.bins(*self._site.key, at, at + MINUTE_S)
        return any(each.uplink == uplink and each.cause not in outages.DARK for each in after)

    def _lost_since(self, stretch: Stretch) -> int:
        """Measurements of the site's boxes that were found to be lost for good, between its begin and soon after."""
        begin, end = stretch.begin * MINUTE_S, stretch.end * MINUTE_S + SOON_S
        return sum(each.last - each.first + 1 for each in self._gaps if begin <= each.recorded_at < end)

    @cached_property
    def _stood(self) -> Sequence[Stood]:
        return inventories.stood(self._store, self._span[0], former.FOREVER)

    @cached_property
    def _gaps(self) -> Sequence[Gap]:
        begin, end = self._span
        return self._store.gaps(Filter(*self._site.key, begin=begin, end=end), _GAPS)
