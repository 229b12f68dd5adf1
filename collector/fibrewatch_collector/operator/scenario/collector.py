"""A collector with a clock of its own: payloads go through admission, the writer and the store as those from MQTT do.

Bins, roll-ups and final months are made as the collector makes them, when it is told what time it is. Blocks.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from fibrewatch.errors import StoreError
from fibrewatch.wire import AgentId, encode
from fibrewatch.wire import Inventory as Schedule
from fibrewatch_collector import admission
from fibrewatch_collector.inventory import Inventory
from fibrewatch_collector.ledger.revisions import Delivered
from fibrewatch_collector.report import editions
from fibrewatch_collector.sla.binner import Backlog, judge_all
from fibrewatch_collector.store import Committed, Delivery, Store
from fibrewatch_collector.writer import Writer

RETENTION_S = 400 * 86400.0
_HOURS = 500


class VirtualCollector:
    """See writer.Listener; who made it sets `now`, and calls `settle` before what needs all that came.

    Attributes:
        stored: How many measurements were new.
    """

    def __init__(
        self,
        store: Store,
        inventory: Inventory,
        acknowledged: Callable[[AgentId, str, int], None] = lambda agent, stream, through: None,
    ) -> None:
        self.store, self.inventory, self.now, self.stored = store, inventory, 0.0, 0
        self.backlog = Backlog(lambda: inventory)
        self._acknowledged = acknowledged
        self._error: StoreError | None = None
        self._committed: list[Committed] = []
        self._writer = Writer(store, self, retention_s=RETENTION_S, flush_s=0.0, clock=lambda: 0.0)
        self._writer.start()

    # ---- what the writer's thread tells

    def committed(self, done: Committed, seconds: float) -> None:
        """Called by the writer's thread."""
        self._committed.append(done)

    def failed(self, error: StoreError) -> None:
        """There is nobody who would send again."""
        self._error = error

    def gave_up(self, delivery: Delivery, error: StoreError) -> None:
        """As `failed`."""
        self._error = error

    # ---- what comes in

    def schedule(self, agent: AgentId, schedule: Schedule) -> None:
        """What a box was told to do."""
        self.backlog.set_schedule(agent, schedule)
        self.call(lambda: self.store.save_schedule(agent, self.now, encode(schedule)))

    def receive(self, agent: AgentId, payload: bytes) -> None:
        """One message with results."""
        delivery = admission.delivery(agent, payload, self.now, RETENTION_S)
        while not self._writer.offer(delivery):
            self.settle()

    def settle(self) -> None:
        """Until all that came is stored.

        Raises:
            StoreError: The store would not.
        """
        while self._writer.depth:
            self.call(lambda: None)
        if self._error is not None:
            raise self._error
        done, self._committed = self._committed, []
        for each in done:
            self.stored += len(each.stored)
            for agent, run in each.stored:
                self.backlog.mark(agent, run)
            for (agent, stream), through in each.through.items():
                self._acknowledged(agent, stream, through)

    def call(self, work: Callable[[], object]) -> object:
        """Has something done by the thread that writes."""
        return self._writer.call(work).result()

    # ---- what the clock brings

    def judge(self) -> None:
        """The minutes that are over."""
        work = self.backlog.take(self.now)
        if work:
            found = judge_all(work, self.store, self.inventory, self.backlog.intervals())
            self.call(lambda: self.store.save_bins(found))

    def roll_up(self) -> None:
        """The hours and days that are due."""
        while self.call(lambda: self.store.roll_up(_HOURS, self.now)):
            pass

    def make_final(self, delivered: Mapping[AgentId, Delivered]) -> None:
        """The months that are due, and those of which more is known now."""
        now = datetime.fromtimestamp(self.now, UTC)
        for site, period in list(editions.due(self.store, self.inventory, now)):
            edition = editions.settle(self.store, self.inventory, site, period, now=now, delivered=delivered)
            if edition is not None:
                self.call(lambda edition=edition: self.store.save_edition(edition))  # type: ignore[misc]

    def close(self) -> None:
        """Ends the writer; the store stays open."""
        self._writer.close()
