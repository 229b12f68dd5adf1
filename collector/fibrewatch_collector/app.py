"""The collector as one process: one TaskGroup over ingest, clock, bins and HTTP; the only place that ties them."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from fibrewatch import __version__
from fibrewatch.errors import ConfigError, StoreError
from fibrewatch.results import PROBES
from fibrewatch.sdnotify import Notifier
from fibrewatch.wire import AgentId, encode
from fibrewatch.wire import Inventory as Schedule
from fibrewatch_collector import floor_series, own_certificates, own_clock, recovery
from fibrewatch_collector.config import Config
from fibrewatch_collector.garbage import collect_garbage_seldom
from fibrewatch_collector.hub import Hub
from fibrewatch_collector.identity.service import IdentityService
from fibrewatch_collector.ingest import Events, Ingest
from fibrewatch_collector.inventory import Inventory, load_inventory
from fibrewatch_collector.ledger import books, inventories
from fibrewatch_collector.own_metrics import OwnMetrics
from fibrewatch_collector.report import monthly
from fibrewatch_collector.settling import Settling
from fibrewatch_collector.sla import burn, wifi_keeper
from fibrewatch_collector.sla.binner import Work, judge_all
from fibrewatch_collector.store import Committed, Filter, Store
from fibrewatch_collector.store.sqlite import SqliteStore
from fibrewatch_collector.web.server import Server

if TYPE_CHECKING:
    from fibrewatch_collector.remote_write.feed import Feed

log = logging.getLogger(__name__)
T = TypeVar("T")

TICK_S = 2.0
BINS_EVERY_S = 10.0
SCHEDULES_S = 3.0
"""Retained schedules come right after the subscription; they say how many samples make a minute."""
TOTALS_EVERY_S = 15.0
DAY_S = 86400.0
CERTIFICATES_EVERY_S = 10.0
WRITE_TIMEOUT_S = 10.0
_MARKS_AT_ONCE = 5000


class App:
    """One run of the collector; `run` returns after SIGTERM or SIGINT."""

    def __init__(
        self,
        config: Config,
        inventory: Inventory,
        store: Store,
        notifier: Notifier,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config, self._store, self._notifier, self._clock = config, store, notifier, clock
        self.own = OwnMetrics(__version__)
        self.hub = Hub(inventory, PROBES, self.own, clock, written=config.remote_write is not None)
        self.ingest = Ingest(
            config.broker,
            store,
            known=self._knows,
            shut_out=self._shuts_out,
            territories=list(inventory.territories),
            retention_s=config.store.retention_s,
            version=__version__,
            events=Events(
                committed=self._committed, status=self.hub.status, inventory=self._scheduled, renew=self._renew
            ),
            clock=clock,
        )
        self._identity: IdentityService | None = None
        if config.authority is not None:
            self._identity = IdentityService(config.authority.folder, self.ingest.answer_renewal)
        self._feed = self._remote_write()
        self.own.watch(self.ingest.stats, lambda: self.ingest.writer.depth)
        self._server: Server | None = None
        self._stop = asyncio.Event()
        self._totals_at = self._floors_at = float("-inf")

    async def run(self) -> None:
        """Until a signal.

        Raises:
            OSError: The HTTP address can't be had.
            StoreError: The store can't be read.
        """
        server = self._server = Server(self.hub, self._store, self._write, self._config)
        await server.start()
        try:
            self._listen_to_signals()
            if not await self._clock_is_good():
                return
            await self._recover()
            collect_garbage_seldom()
            await self._work()
        finally:
            await server.stop()

    def _remote_write(self) -> "Feed | None":
        if (config := self._config.remote_write) is None:
            return None
        from fibrewatch_collector.remote_write.feed import Feed
        from fibrewatch_collector.remote_write.samples import Sampler

        sampler = Sampler(self.hub.exposition.plans)
        stats, clock = self.own.remote, self._clock
        return Feed(config, self._store, self._write, sampler=sampler, knows=self._knows, stats=stats, clock=clock)

    def _committed(self, done: Committed, seconds: float) -> None:
        self.hub.committed(done, seconds)
        if self._feed is not None:
            self._feed.wake()

    def _knows(self, agent: AgentId) -> bool:
        return self.hub.inventory.knows(agent)

    def _shuts_out(self, agent: AgentId) -> bool:
        return self._identity is not None and self._identity.shuts_out(agent)

    def _renew(self, agent: AgentId, payload: bytes) -> None:
        if self._identity is not None:
            self._identity.asked(agent, payload)

    def _scheduled(self, agent: AgentId, schedule: Schedule, at: float) -> None:
        """What a box was told to do counts now, and in reports: it says what was to be expected."""
        self.hub.schedule(agent, schedule, at)
        if self._knows(agent):
            raw = encode(schedule)
            self.ingest.writer.call(lambda: self._store.save_schedule(agent, at, raw)).add_done_callback(_complain)

    async def _write(self, work: Callable[[], T]) -> T:
        """Has something done by the one thread that writes.

        Raises:
            StoreError: It was not done in time, or the store would not.
        """
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                return await asyncio.wrap_future(self.ingest.writer.call(work))
        except TimeoutError as e:
            raise StoreError(f"the store took nothing within {WRITE_TIMEOUT_S:g} s") from e

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload)

    async def _clock_is_good(self) -> bool:
        """Waits until this machine's clock is set, which it may not be after a boot; False when the end came first."""
        told = False
        while problem := self.hub.set_clock(await asyncio.to_thread(own_clock.surely_past, self._store)):
            log.log(logging.DEBUG if told else logging.ERROR, "%s", problem)
            told = True
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._stop.wait()
                    return False
        return True

    async def _recover(self) -> None:
        """Takes up what the store tells about the time before, before anything new comes in."""
        for each in await asyncio.to_thread(recovery.recent, self._store, self.hub.inventory, self._clock()):
            self.hub.recall(*each)
        before = await asyncio.to_thread(recovery.judged, self._store, self._clock())
        if before.newest is not None:
            self.hub.backlog.resume(before.uplinks, before.newest)
        rows = recovery.unjudged(self._store, before.newest)
        while chunk := await asyncio.to_thread(lambda: list(islice(rows, _MARKS_AT_ONCE))):
            for each in chunk:
                self.hub.backlog.mark(each.agent, each.run)
                self.hub.wifi.mark(each.agent, each.run)
        await self._recall_promises()
        await asyncio.to_thread(inventories.remember, self._store, self.hub.inventory, self._clock())
        self.hub.set_store(problem=None)

    async def _recall_promises(self) -> None:
        """The minutes and the rare tests that alarms about promises look back at."""
        await self._read_declarations()
        now, inventory = self._clock(), self.hub.inventory
        span = max(burn.windows(inventory.burns))
        for key in sorted({at[:2] for at in inventory.promises}):
            self.hub.add_bins(await asyncio.to_thread(self._store.bins, *key, now - span, now))
        for each in await asyncio.to_thread(recovery.rare, self._store, self.hub.recent.probes(), now):
            self.hub.recent.add(each.agent, each.run, now)

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.ingest.run(), name="ingest"),
                group.create_task(self._tick(), name="tick"),
                group.create_task(self._keep_bins(), name="bins"),
                group.create_task(Settling(self.hub, self._store, self._write).run(), name="settling"),
                group.create_task(self._keep_reports(), name="reports"),
                group.create_task(self._watch_certificates(), name="certificates"),
                group.create_task(self._notifier.feed_watchdog(self._stop), name="watchdog"),
            ]
            if self._identity is not None:
                tasks.append(group.create_task(self._identity.run(), name="identity"))
            if self._feed is not None:
                tasks.append(group.create_task(self._feed.run(), name="remote write"))
            log.info("version=%s http=%s store=%s", __version__, self._config.http.address, self._config.store.path)
            self._notifier.ready(f"{len(self.hub.inventory.agents)} boxes of {len(self.hub.inventory.sites)} sites")
            await self._stop.wait()
            log.info("stopping")
            self._notifier.stopping()
            for task in tasks:
                task.cancel()

    def reload(self) -> None:
        """Reads the inventory and the API's certificate again; the old ones stay in force when the new are bad."""
        if self._server is not None:
            self._server.reload()
        try:
            inventory = load_inventory(self._config.sites)
        except ConfigError as e:
            self.own.levels.reload_failed = 1
            log.error("the inventory in force stays: %s", e)  # noqa: TRY400 the message is the whole of it
            return
        self.own.levels.reload_failed = 0
        new = inventory.agents.keys() - self.hub.inventory.agents.keys()
        self.hub.set_inventory(inventory)
        now = self._clock()
        remembered = self.ingest.writer.call(lambda: inventories.remember(self._store, inventory, now))
        remembered.add_done_callback(_complain)
        self.ingest.set_territories(list(inventory.territories))
        if new:
            self.ingest.listen_anew()
        log.info("inventory reloaded sites=%d agents=%d", len(inventory.sites), len(inventory.agents))

    # ---- the clock

    async def _tick(self) -> None:
        while True:
            self.hub.set_broker(self.ingest.stats.connected)
            self.hub.set_store(self.ingest.stats.store_problem)
            self.hub.tick()
            await asyncio.sleep(TICK_S)

    async def _watch_certificates(self) -> None:
        """The broker's own is known once there is a connection."""
        told_at = float("-inf")
        while True:
            found = await asyncio.to_thread(own_certificates.expiries, self._config)
            if (broker := self.ingest.stats.broker_certificate_until) is not None:
                found["broker"] = broker
            self.own.certificates = found
            if self._clock() - told_at >= DAY_S and self.ingest.stats.connected:
                told_at = self._clock()
                own_certificates.complain(found, told_at)
            await asyncio.sleep(CERTIFICATES_EVERY_S)

    async def _keep_bins(self) -> None:
        while True:
            await self._read_declarations()
            listening = self.hub.listening_since
            heard = listening is not None and self._clock() - listening >= SCHEDULES_S
            if heard:
                work, floors = self.hub.backlog.take(self._clock()), self.hub.wifi.take(self._clock())
                try:
                    await self._judge_floors(floors)  # before the bins, which tell after a restart what was judged
                    await self._judge(work)
                except StoreError as e:
                    self.hub.backlog.put_back(work)
                    self.hub.wifi.put_back(floors)
                    log.warning("bins are behind, next try in %d s: %s", BINS_EVERY_S, e)
            await asyncio.sleep(BINS_EVERY_S if heard else TICK_S)

    async def _read_declarations(self) -> None:
        """Work that goes on silences alarms; that which is over needs not to be kept in mind."""
        try:
            found = await asyncio.to_thread(books.declarations, self._store)
        except StoreError as e:
            log.warning("declared work is not known anew: %s", e)
            return
        oldest = datetime.fromtimestamp(self._clock() - max(burn.windows(self.hub.inventory.burns)), UTC)
        self.hub.declarations = [each for each in found if each.until > oldest]

    async def _keep_reports(self) -> None:
        """A round that is under way at the end stops after the report in hand."""
        if self._config.reports.folder is None:
            return
        while True:
            now, inventory = datetime.fromtimestamp(self._clock(), UTC), self.hub.inventory
            stopped = self._stop.is_set
            done = await asyncio.to_thread(
                monthly.write_due, self._config.reports, self._store, inventory, now, stopped
            )
            self.own.levels.reports_written += done.written
            self.own.levels.report_failures += done.failed
            await asyncio.sleep(monthly.EVERY.total_seconds())

    async def _judge_floors(self, work: wifi_keeper.Work) -> None:
        if work:
            minutes = await asyncio.to_thread(wifi_keeper.judge_all, work, self._store, self.hub.inventory)
            await asyncio.wrap_future(self.ingest.writer.call(lambda: self._store.save_floors(minutes)))
        now = self._clock()
        if work or now - self._floors_at >= TOTALS_EVERY_S:
            self._floors_at = now
            begin, end = floor_series.last_day(now)
            self.hub.set_floors(await asyncio.to_thread(self._store.floors, Filter(begin=begin, end=end)))

    async def _judge(self, work: Work) -> None:
        if work:
            intervals = self.hub.backlog.intervals()
            bins = await asyncio.to_thread(judge_all, work, self._store, self.hub.inventory, intervals)
            await asyncio.wrap_future(self.ingest.writer.call(lambda: self._store.save_bins(bins)))
            self.hub.add_bins(bins)
        now = self._clock()
        if work or now - self._totals_at >= TOTALS_EVERY_S:
            self._totals_at = now
            self.hub.set_totals(await asyncio.to_thread(self._store.bin_totals, now - DAY_S, now))
        self.own.levels.bins_behind_seconds = self.hub.backlog.behind(now)


def _complain(saved: Future[T]) -> None:
    if not saved.cancelled() and (problem := saved.exception()) is not None:
        log.warning("a schedule or an inventory was not saved: %s", problem)


async def serve(config: Config, inventory: Inventory, notifier: Notifier) -> None:
    """Opens the store and runs the collector until it is told to stop."""
    config.store.path.parent.mkdir(parents=True, exist_ok=True)
    store = await asyncio.to_thread(SqliteStore, config.store.path)
    try:
        await App(config, inventory, store, notifier).run()
    finally:
        await asyncio.to_thread(store.close)
