"""The one thread that writes to the store: transactions of up to 500 measurements, and upkeep in between.

Who stops it: `close`. What it holds is bounded in measurements, in bytes, and for each agent, so that memory is, and
one noisy box can't crowd out the others; what doesn't fit isn't acknowledged and comes again.
"""

import logging
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from fibrewatch.errors import StoreError
from fibrewatch.wire import AgentId
from fibrewatch_collector.store import Committed, Delivery, Store

log = logging.getLogger(__name__)
T = TypeVar("T")

FLUSH_S = 0.25
"""So long a group waits to be full. A commit is one fsync however large it is; at 2,000 a second 0.05 s made each
measurement 10 to 30 µs dearer, and no box notices the difference."""
GROUP = 500
_UPKEEP_HOURS = 20
_UPKEEP_ROWS = 2_000
_UPKEEP_BUSY_S, _UPKEEP_IDLE_S, _UPKEEP_FAILED_S = 0.25, 5.0, 60.0
_PRUNE_EVERY_S = 3_600.0
_UNHEARD_S = 86_400.0
"""So far beyond the newest data the clock is believed when it comes to deleting: one that was set to another year for
an hour would empty the store, and shut those hours for good."""
_BACKOFF_S, _BACKOFF_MAX_S = 0.1, 5.0
_TRIES_TOGETHER = 3


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait: measurements and bytes in all, batches of one agent (a box has 4 in flight)."""

    measurements: int = 20_000
    size_bytes: int = 64 * 2**20
    agent_batches: int = 16


class Listener(Protocol):
    """Who is told; called from the writer's thread."""

    def committed(self, done: Committed, seconds: float) -> None:
        """A transaction is durable; it took so long."""

    def failed(self, error: StoreError) -> None:
        """A transaction was not done; it is tried again."""

    def gave_up(self, delivery: Delivery, error: StoreError) -> None:
        """The store works but doesn't take this one: it is left out, not acknowledged."""


class Doing(Protocol):
    """Has work done with the store, in another thread."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """Its answer."""


class Writer:
    """See the module's docstring."""

    def __init__(
        self,
        store: Store,
        listener: Listener,
        *,
        retention_s: float,
        flush_s: float = FLUSH_S,
        bounds: Bounds = Bounds(),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._listener, self._bounds, self._clock = store, listener, bounds, clock
        self._retention_s, self._flush_s = retention_s, flush_s
        self._changed = threading.Condition()
        self._deliveries: deque[Delivery] = deque()
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._batches: Counter[AgentId] = Counter()
        self._measurements = self._bytes = self._waiting = 0
        self._closing = False
        self._upkeep_at = self._prune_at = 0.0
        self.ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._guarded_run, name="store-writer", daemon=True)

    def start(self) -> None:
        """Begins."""
        self.ended.set_running_or_notify_cancel()  # from now on nobody who waits for it can cancel it
        self._thread.start()

    def close(self) -> None:
        """Writes what waits, tries nothing twice, and returns when the thread has ended; blocks."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    @property
    def depth(self) -> int:
        """Measurements that wait, or are being written."""
        return self._measurements

    def offer(self, delivery: Delivery) -> bool:
        """Takes a batch to write soon; False when there is no room for it."""
        with self._changed:
            if self._closing or not self._has_room(delivery):
                return False
            self._deliveries.append(delivery)
            self._account(delivery, 1)
            before, self._waiting = self._waiting, self._waiting + len(delivery.arrivals)
            # The thread sleeps until the first of a group, and then until the group is full or due.
            if len(self._deliveries) == 1 or before < GROUP <= self._waiting:
                self._changed.notify()
            return True

    def call(self, work: Callable[[], T]) -> "Future[T]":
        """Has the writer's thread do something with the store between two transactions."""
        future: Future[T] = Future()
        with self._changed:
            if self._closing:
                future.cancel()
            else:
                self._calls.append((future, work))
                self._changed.notify()
        return future

    def _has_room(self, delivery: Delivery) -> bool:
        return (
            self._measurements + len(delivery.arrivals) <= self._bounds.measurements
            and self._bytes + delivery.size <= self._bounds.size_bytes
            and self._batches[delivery.agent] < self._bounds.agent_batches
        )

    def _account(self, delivery: Delivery, sign: int) -> None:
        self._measurements += sign * len(delivery.arrivals)
        self._bytes += sign * delivery.size
        self._batches[delivery.agent] += sign
        if not self._batches[delivery.agent]:
            del self._batches[delivery.agent]

    # ---- the thread

    def _guarded_run(self) -> None:
        """What isn't a StoreError is a bug: by `ended` it ends the process, not only this thread."""
        try:
            self._run()
        except BaseException as e:
            self.ended.set_exception(e)
        else:
            self.ended.set_result(None)

    def _run(self) -> None:
        while True:
            group, calls, closing = self._gather()
            if group:
                self._settle(group)
            for future, work in calls:
                _answer(future, work)
            if closing and not group and not calls:
                return
            if not closing and time.monotonic() >= self._upkeep_at:
                self._upkeep()

    def _gather(self) -> tuple[list[Delivery], list[tuple[Future[Any], Callable[[], Any]]], bool]:
        """Waits for a group, for calls, for the time of upkeep or for the end."""
        with self._changed:
            wake = self._upkeep_at - time.monotonic()
            self._changed.wait_for(lambda: self._deliveries or self._calls or self._closing, max(0.0, wake))
            if self._deliveries and not self._calls:
                ready = lambda: self._waiting >= GROUP or self._calls or self._closing  # noqa: E731
                self._changed.wait_for(ready, self._flush_s)
            calls = list(self._calls)
            self._calls.clear()
            return self._next_group(), calls, self._closing

    def _next_group(self) -> list[Delivery]:
        group: list[Delivery] = []
        count = 0
        while self._deliveries and (not group or count + len(self._deliveries[0].arrivals) <= GROUP):
            group.append(self._deliveries.popleft())
            count += len(group[-1].arrivals)
        self._waiting -= count
        return group

    def _settle(self, group: list[Delivery]) -> None:
        """Commits a group, however long it takes, unless the end comes."""
        left, tries = list(group), 0
        while left:
            tries += 1
            error = self._commit(left)
            if error is None:
                break
            self._listener.failed(error)
            if tries >= _TRIES_TOGETHER and not error.full:
                left = self._commit_each(left)
            if left and not self._pause(tries):
                break
        with self._changed:
            for delivery in group:
                self._account(delivery, -1)

    def _commit(self, group: Sequence[Delivery]) -> StoreError | None:
        started = time.perf_counter()
        try:
            done = self._store.commit(group)
        except StoreError as e:
            return e
        self._listener.committed(done, time.perf_counter() - started)
        return None

    def _commit_each(self, group: Sequence[Delivery]) -> list[Delivery]:
        """One by one, so that a batch which the store can't take doesn't hold up the others; returns what is left."""
        failed = [(delivery, error) for delivery in group if (error := self._commit([delivery]))]
        if not self._store_works():
            return [delivery for delivery, _ in failed]
        for delivery, error in failed:
            if not error.full:
                self._listener.gave_up(delivery, error)
        return [delivery for delivery, error in failed if error.full]

    def _store_works(self) -> bool:
        try:
            self._store.check()
        except StoreError:
            return False
        return True

    def _pause(self, tries: int) -> bool:
        """Full-jitter backoff; False when the end has come meanwhile."""
        ceiling = min(_BACKOFF_MAX_S, _BACKOFF_S * 2.0 ** min(tries, 10))
        with self._changed:
            self._changed.wait_for(lambda: self._closing, random.uniform(0, ceiling))  # noqa: S311 not a secret
            return not self._closing

    def _upkeep(self) -> None:
        """A small step of roll-ups and retention."""
        try:
            busy = self._upkeep_step()
        except StoreError as e:
            log.warning("upkeep of the store failed, next try in %d s: %s", _UPKEEP_FAILED_S, e)
            self._upkeep_at = time.monotonic() + _UPKEEP_FAILED_S
        else:
            self._upkeep_at = time.monotonic() + (_UPKEEP_BUSY_S if busy else _UPKEEP_IDLE_S)

    def _upkeep_step(self) -> bool:
        now = self._clock()
        if self._store.roll_up(_UPKEEP_HOURS, now) == _UPKEEP_HOURS:
            return True
        if time.monotonic() < self._prune_at:
            return False
        if self._store.prune(self._believed(now) - self._retention_s, _UPKEEP_ROWS) == _UPKEEP_ROWS:
            return True
        self._prune_at = time.monotonic() + _PRUNE_EVERY_S
        return False

    def _believed(self, now: float) -> float:
        newest = self._store.newest_start()
        return now if newest is None else min(now, newest + _UNHEARD_S)


def _answer(future: "Future[Any]", work: Callable[[], Any]) -> None:
    """Runs a call; whatever it raises belongs to who asked."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except Exception as e:
        future.set_exception(e)
    else:
        future.set_result(result)
