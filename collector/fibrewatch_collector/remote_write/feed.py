"""Sends what the store holds beyond a mark, in the order of arrival; see the package's docstring.

What becomes of a run:
- Too old when it came, without a trusted time, ahead of the clock, of a box or a probe that is not known: counted.
- A server that can't be reached, or says 429 or more than 500, is asked again, ever more seldom, until the run has
  become too old (`expired`). One that answers 500 is believed after some tries.
- Refused for good (400, say): halves are sent, so that what is wrong is left alone; within `_PIECES` requests.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from fibrewatch.errors import StoreError, WireError
from fibrewatch.measurement import UNDATED, AnyMeasurement
from fibrewatch.wire import AgentId, decode_measurement
from fibrewatch_collector import recovery
from fibrewatch_collector.config import RemoteWrite
from fibrewatch_collector.exposition import FUTURE_S
from fibrewatch_collector.remote_write.encoding import Sample
from fibrewatch_collector.remote_write.samples import Sampler, ended_at
from fibrewatch_collector.remote_write.sender import Answer, Sender
from fibrewatch_collector.stats import RemoteStats
from fibrewatch_collector.store import Filter, Store, Stored
from fibrewatch_collector.writer import Doing

log = logging.getLogger(__name__)
T = TypeVar("T")

ROWS = 500
"""Read at once; with one request all that is held in memory."""
LINGER_S = 1.0
"""So long more news is waited for: a request of one run costs as much as one of fifty."""
IDLE_S = 30.0
"""An import beside the collector tells nobody."""
MARK_EVERY_S = 5.0
"""What was sent since the mark is sent again after a restart; exactly the same is no duplicate."""
_PIECES = 24
_DOUBTS = 5
_BACKOFF_S, _BACKOFF_MAX_S = 0.5, 30.0


class Sampled(NamedTuple):
    """A run that is to be sent; `ended_at` is its samples' time."""

    ended_at: float
    samples: list[Sample]


class _Page(NamedTuple):
    runs: list[Sampled]
    last: int
    full: bool


class Feed:
    """One task, `run`; `wake` tells it that something came."""

    def __init__(
        self,
        config: RemoteWrite,
        store: Store,
        write: Doing,
        *,
        sampler: Sampler,
        knows: Callable[[AgentId], bool],
        stats: RemoteStats,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`sleep` is what is waited with until a server is asked again."""
        self._config, self._store, self._write, self._clock = config, store, write, clock
        self._sampler, self._knows, self._stats = sampler, knows, stats
        self._sleep = sleep
        self._news = asyncio.Event()
        self._after = self._marked = 0
        self._marked_at = float("-inf")
        self._oldest = float("inf")

    def wake(self) -> None:
        """Something came into the store."""
        self._news.set()

    async def run(self) -> None:
        """For ever."""
        sender = Sender(self._config)
        try:
            await self._repeat(self._begin)
            while True:
                self._news.clear()
                page = await self._repeat(self._read)
                for request in _requests(page.runs, self._config.samples_per_request):
                    await self._deliver(sender, request)
                self._after = page.last
                await self._mark()
                if not page.full:
                    await self._rest()
        finally:
            await sender.close()

    # ---- what the store holds

    async def _repeat(self, work: Callable[[], T]) -> T:
        """Reads, however long the store can't be read."""
        while True:
            try:
                return await asyncio.to_thread(work)
            except StoreError as e:
                log.warning("the store can't be read, remote write waits: %s", e)
                await asyncio.sleep(_BACKOFF_MAX_S)

    def _begin(self) -> None:
        """Where the mark stands; what came before all that may still be sent is passed over, and counted."""
        mark = self._store.sent_through()
        oldest = recovery.row_before(self._store, self._clock() - self._config.max_age_s)
        self._after = self._marked = max(mark or 0, oldest)
        if mark is not None and self._after > mark:
            self._stats.dropped["expired"] += self._after - mark

    def _read(self) -> _Page:
        rows = self._store.measurements(Filter(), self._after, ROWS)
        runs = [sampled for row in rows if (sampled := self._sampled(row)) is not None]
        self._oldest = rows[0].received_at if rows else float("inf")
        self._stats.behind_seconds = max(self._clock() - self._oldest, 0.0)
        return _Page(runs, rows[-1].row if rows else self._after, full=len(rows) == ROWS)

    def _sampled(self, row: Stored) -> Sampled | None:
        try:
            run = decode_measurement(row.raw)
        except WireError:  # stored by a newer program
            self._stats.dropped["unknown"] += 1
            return None
        reason = self._objection(row, run)
        if reason:
            self._stats.dropped[reason] += 1
            return None
        samples = self._sampler.samples(row.agent, run)
        return Sampled(ended_at(run), samples) if samples else None

    def _objection(self, row: Stored, run: AnyMeasurement) -> str:
        """Why a run can't be sent; "" when it can."""
        if not self._knows(row.agent) or not self._sampler.knows(run):
            return "unknown"
        if UNDATED in run.reasons:
            return "undated"
        end, now = ended_at(run), self._clock()
        if end > now + FUTURE_S:
            return "ahead"
        if end < now - self._config.max_age_s:
            return "too_old" if end < row.received_at - self._config.max_age_s else "expired"
        return ""

    async def _mark(self) -> None:
        now, after = self._clock(), self._after
        if after == self._marked or abs(now - self._marked_at) < MARK_EVERY_S:
            return
        try:
            await self._write(lambda: self._store.save_sent_through(after))
        except StoreError as e:
            log.debug("how far was sent is not noted: %s", e)
            return
        self._marked, self._marked_at = after, now

    async def _rest(self) -> None:
        """Until something came, and a moment longer."""
        self._stats.behind_seconds = 0.0
        try:
            async with asyncio.timeout(IDLE_S if self._after == self._marked else MARK_EVERY_S):
                await self._news.wait()
        except TimeoutError:
            return
        await asyncio.sleep(LINGER_S)

    # ---- what the server takes

    async def _deliver(self, sender: Sender, runs: Sequence[Sampled]) -> None:
        """Until it is taken, refused or too old."""
        pieces, left = [list(runs)], _PIECES
        while pieces:
            piece = pieces.pop()
            piece, answer = await self._insist(sender, piece, doubts=_DOUBTS if left == _PIECES else 1)
            left -= 1
            if not piece:
                continue
            if answer.verdict == "taken":
                self._stats.measurements += len(piece)
                self._stats.samples += sum(len(run.samples) for run in piece)
            elif len(piece) == 1 or not answer.divisible or left < len(pieces) + 2:
                self._refuse(len(piece), answer)
            else:  # by time: those beyond a server's window stand together
                piece.sort(key=lambda run: run.ended_at)
                pieces += [piece[: len(piece) // 2], piece[len(piece) // 2 :]]

    async def _insist(self, sender: Sender, runs: list[Sampled], doubts: int) -> tuple[list[Sampled], Answer]:
        """Asks until there is an answer for good; returns what had not become too old by then."""
        delay = _BACKOFF_S
        while runs:
            answer = await sender.send(sample for run in runs for sample in run.samples)
            doubts -= answer.verdict == "doubtful"
            if answer.verdict in ("taken", "refused") or (answer.verdict == "doubtful" and not doubts):
                self._stats.up = answer.verdict == "taken"
                return runs, answer
            self._note_trouble(answer)
            wait = delay * random.uniform(0.5, 1)  # noqa: S311
            await self._sleep(max(answer.after_s or 0.0, wait))  # a server may say 0, or a moment that has passed
            delay = min(2 * delay, _BACKOFF_MAX_S)
            runs = self._young(runs)
        return [], Answer("later")

    def _young(self, runs: list[Sampled]) -> list[Sampled]:
        oldest = self._clock() - self._config.max_age_s
        young = [run for run in runs if run.ended_at >= oldest]
        if len(young) < len(runs):
            self._stats.dropped["expired"] += len(runs) - len(young)
        self._stats.behind_seconds = max(self._clock() - self._oldest, 0.0)
        return young

    def _note_trouble(self, answer: Answer) -> None:
        level = logging.WARNING if self._stats.up is not False else logging.DEBUG
        log.log(level, "remote write is tried again url=%s: %s", self._config.shown_url, answer.told)
        self._stats.up = False
        self._stats.retries += 1

    def _refuse(self, count: int, answer: Answer) -> None:
        level = logging.DEBUG if self._stats.dropped["refused"] else logging.WARNING
        log.log(level, "remote write was refused url=%s runs=%d: %s", self._config.shown_url, count, answer.told)
        self._stats.dropped["refused"] += count


def _requests(runs: Sequence[Sampled], limit: int) -> Iterator[list[Sampled]]:
    """Runs in their order, so many that their samples stay within the limit, at least one."""
    request: list[Sampled] = []
    size = 0
    for run in runs:
        if request and size + len(run.samples) > limit:
            yield request
            request, size = [], 0
        request.append(run)
        size += len(run.samples)
    if request:
        yield request
