"""The collector's clock for reports: makes months final by itself, one site at a time, and looks again each day."""

import asyncio
import logging
from datetime import UTC, datetime

from fibrewatch.errors import StoreError
from fibrewatch.wire import AgentId
from fibrewatch_collector.hub import Hub
from fibrewatch_collector.ledger.revisions import Delivered
from fibrewatch_collector.report import editions
from fibrewatch_collector.sla.periods import Period
from fibrewatch_collector.store import Edition, Store
from fibrewatch_collector.writer import Doing

log = logging.getLogger(__name__)
ROUND_S = 3600.0
"""A month that waits for a box is looked at so often."""
AGAIN_ROUNDS = 24
"""One that was made final: it costs a whole report."""
BEHIND_S = 300.0
PAUSE_S = 1.0
"""Between two reports, so that what else runs has its turn."""


class Settling:
    """See the module's docstring; `run` until cancelled."""

    def __init__(self, hub: Hub, store: Store, write: Doing) -> None:
        self._hub, self._store, self._write = hub, store, write

    async def run(self) -> None:
        """Rounds, once the minutes so far are judged."""
        number = 0
        while True:
            if self._hub.listening_since is not None and self._judged():
                try:
                    await self.round(again=number % AGAIN_ROUNDS == 0)
                    number += 1
                except StoreError as e:
                    log.warning("reports are not made final, next try in %d s: %s", ROUND_S, e)
                await asyncio.sleep(ROUND_S)
            else:
                await asyncio.sleep(PAUSE_S)

    def _judged(self) -> bool:
        """Whether bins have caught up: after a start there is a backlog, and figures of half of it are none."""
        behind = self._hub.own.levels.bins_behind_seconds
        return behind is not None and behind < BEHIND_S

    async def round(self, *, again: bool) -> None:
        """Every month that is due; with `again` also those that were made final.

        Raises:
            StoreError: The store can't be read, or does not take it.
        """
        now = datetime.fromtimestamp(self._hub.now(), UTC)
        due = await asyncio.to_thread(lambda: list(editions.due(self._store, self._hub.inventory, now)))
        reported = {each[:4] for each in await asyncio.to_thread(self._store.reported)}
        for site, period in due:
            key = (*site.key, period.begin.timestamp(), period.end.timestamp())
            if key in reported and not again:
                continue
            await self._one(site.key, period, now)
            await asyncio.sleep(PAUSE_S)

    async def _one(self, key: tuple[str, str], period: Period, now: datetime) -> None:
        inventory, delivered = self._hub.inventory, self.delivered()
        site = inventory.sites.get(key)
        if site is None:  # it was taken out meanwhile
            return

        def reckon() -> Edition | None:
            return editions.settle(self._store, inventory, site, period, now=now, delivered=delivered)

        edition = await asyncio.to_thread(reckon)
        if edition is not None:
            await self._write(lambda: self._store.save_edition(edition))
            log.info("report final site=%s/%s period=%s revision=%d", *key, period.label, edition.number)

    def delivered(self) -> dict[AgentId, Delivered]:
        """How far each box has come."""
        return {agent: self._delivered(agent) for agent in self._hub.inventory.agents}

    def _delivered(self, agent: AgentId) -> Delivered:
        heard = self._hub.heard.get(agent)
        spool = heard.status.spool if heard is not None and heard.status is not None else None
        newest = self._hub.exposition.last_result(agent)
        if spool is None:
            return Delivered(newest, None, known=False)
        waiting = spool.oldest_at.timestamp() if spool.depth and spool.oldest_at is not None else None
        return Delivered(newest, waiting, known=True)
