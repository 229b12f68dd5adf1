"""A scenario into a store, at the times at which it would have happened."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from random import Random

from fibrewatch.wire import AgentId
from fibrewatch_collector.inventory import Inventory
from fibrewatch_collector.ledger import books, maintenance
from fibrewatch_collector.ledger.revisions import Delivered
from fibrewatch_collector.operator.scenario.boxes import Message, SpoolingBox
from fibrewatch_collector.operator.scenario.collector import VirtualCollector
from fibrewatch_collector.operator.scenario.script import MINUTE_S, Scenario, Work
from fibrewatch_collector.operator.scenario.sites import Sites
from fibrewatch_collector.operator.scenario.world import World
from fibrewatch_collector.store import Store

LATENCY_S = 6.0
"""From a minute's end until its results are there: a reply may take two seconds."""
_HOUR_S, _DAY_S = 3600, 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Disorder:
    """What a network may do to messages: they come late, in another order, and some of them twice."""

    seed: int
    twice: float = 0.2
    late: float = 0.3
    late_s: float = 7200.0


def play(scenario: Scenario, sites: Sites, inventory: Inventory, store: Store, disorder: Disorder | None = None) -> int:
    """Fills the store; returns how many measurements it holds.

    Raises:
        StoreError: The store would not.
        LedgerError: Work that can't be declared.
    """
    run = _Run(scenario, sites, inventory, store, disorder)
    try:
        run.all()
    finally:
        run.collector.close()
    return run.collector.stored


class _Run:
    def __init__(
        self, scenario: Scenario, sites: Sites, inventory: Inventory, store: Store, disorder: Disorder | None
    ) -> None:
        self._scenario, self._sites, self._inventory, self._store = scenario, sites, inventory, store
        self._boxes = {(box := SpoolingBox(scenario, sites, each)).agent: box for each in scenario.boxes}
        self.collector = VirtualCollector(store, inventory, self._acknowledged)
        self._network = _Network(disorder)
        self._every = int(scenario.deliver_every_s) // MINUTE_S * MINUTE_S
        self._to_do = sorted(
            [(at.timestamp(), number, work) for number, work in enumerate(scenario.works) for at in _moments(work)],
            key=lambda each: each[:2],
        )

    def all(self) -> None:
        self.collector.now = self._scenario.begin.timestamp()
        self._declare()
        for agent, box in self._boxes.items():
            self.collector.schedule(agent, box.schedule())
        for minute, records in World(self._scenario, self._sites).records():
            for record in records:
                self._boxes[_agent(record.box.agent)].take(record)
            self._minute_over((minute + 1) * MINUTE_S)
        at = int(self._scenario.end.timestamp())
        while at < self._scenario.heard_until:
            at += self._every
            self._minute_over(at)
        self._last()

    def _minute_over(self, at: int) -> None:
        if at % self._every:
            return
        self.collector.now = at + LATENCY_S
        self._declare()
        self._deliver(float(at))
        self.collector.judge()
        if at % _HOUR_S == 0:
            self.collector.roll_up()
        if at % _DAY_S == 0:
            self.collector.make_final(self._delivered())

    def _last(self) -> None:
        """What is still on its way arrives; the day after, all is judged and summed up."""
        self.collector.now = max(self._scenario.heard_until, self._scenario.end.timestamp() + self._every) + LATENCY_S
        self._deliver(self.collector.now - LATENCY_S)
        self._receive(self._network.rest())
        self.collector.judge()
        self.collector.roll_up()

    def _deliver(self, now: float) -> None:
        sent = [message for box in self._boxes.values() for message in box.messages(now)]
        self._receive(self._network.carry(sent, now))

    def _receive(self, messages: list[Message]) -> None:
        for message in messages:
            self.collector.receive(message.agent, message.payload)
        self.collector.settle()

    def _acknowledged(self, agent: AgentId, stream: str, through: int) -> None:
        self._boxes[agent].acknowledge(stream, through)

    def _delivered(self) -> dict[AgentId, Delivered]:
        return {agent: Delivered(box.newest, box.waiting_since, known=True) for agent, box in self._boxes.items()}

    # ---- what people do

    def _declare(self) -> None:
        """What was said by now, at the moment at which it was."""
        while self._to_do and self._to_do[0][0] <= self.collector.now:
            at, number, work = self._to_do.pop(0)
            if at == work.declared.timestamp():
                self.collector.call(partial(books.declare, self._store, self._inventory, _wish(work), at))
            else:
                self.collector.call(partial(self._cancel, number, at))

    def _cancel(self, number: int, at: float) -> None:
        work = self._scenario.works[number]
        found = next(each for each in books.declarations(self._store) if (each.begin, each.who) == _key(work))
        books.cancel(self._store, found.id, maintenance.Cancel(who=work.who, why=work.why), at)


def _key(work: Work) -> tuple[datetime, str]:
    return work.begin.astimezone(UTC), work.who


def _agent(text: str) -> AgentId:
    return AgentId(*text.split("/"))


def _moments(work: Work) -> list[datetime]:
    return [work.declared, *([work.cancelled] if work.cancelled is not None else [])]


def _wish(work: Work) -> maintenance.Wish:
    territory, site = work.site.split("/")
    return maintenance.Wish(
        territory=territory,
        site=site,
        uplink=work.uplink,
        begin=work.begin.isoformat(),
        end=work.end.isoformat(),
        who=work.who,
        why=work.why,
    )


class _Network:
    """Between boxes and collector."""

    def __init__(self, disorder: Disorder | None) -> None:
        self._disorder = disorder
        self._draw = Random(disorder.seed if disorder else 0)  # noqa: S311 - it shall be repeatable, not secret
        self._on_the_way: list[Message] = []

    def carry(self, sent: list[Message], now: float) -> list[Message]:
        """What arrives by now."""
        if self._disorder is None:
            return sent
        for message in sent:
            self._on_the_way += [
                self._delayed(message) for _ in range(1 + (self._draw.random() < self._disorder.twice))
            ]
        self._draw.shuffle(self._on_the_way)
        arrived = [each for each in self._on_the_way if each.at <= now]
        self._on_the_way = [each for each in self._on_the_way if each.at > now]
        return arrived

    def rest(self) -> list[Message]:
        """What is still on its way."""
        found, self._on_the_way = self._on_the_way, []
        return found

    def _delayed(self, message: Message) -> Message:
        late = self._disorder is not None and self._draw.random() < self._disorder.late
        delay = self._draw.uniform(0, self._disorder.late_s) if late and self._disorder else 0.0
        return message._replace(at=message.at + delay)
