"""The spool as the agent's event loop sees it: nothing here blocks but `open`."""

import asyncio
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from fibrewatch.errors import StoreError
from fibrewatch.measurement import AnyMeasurement
from fibrewatch.wire import SpoolState
from fibrewatch_agent.clock import boottime
from fibrewatch_agent.spool.backlog import Backlog
from fibrewatch_agent.spool.rows import MAX_CHUNK, Chunk, row_of
from fibrewatch_agent.spool.stream import Bounds

A = ParamSpec("A")
T = TypeVar("T")

RETRY_S = 0.5
"""How often it is looked whether a disk that refused may be tried again; the backoff is the disk's own."""


class Spool:
    """Numbered measurements that wait for the collector's acknowledgement; all work on the file is one thread's.

    Attributes:
        stream: The id of the stream that this start opened.
        notify: Called when there may be something new to send.
    """

    def __init__(self, stream: str, backlog: Backlog, lock: int) -> None:
        self.stream = stream
        self.notify: Callable[[], None] = lambda: None
        self._backlog, self._lock = backlog, lock
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._state, self._due_in_s = backlog.state(), backlog.due_in_s()
        self._retry: asyncio.TimerHandle | None = None
        self._closed = False

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        max_bytes: int,
        max_age_s: float,
        sync_s: float = 0.0,
        boot: str,
        clock: Callable[[], float] = time.time,
        boottime: Callable[[], float] = boottime,
    ) -> "Spool":
        """Opens the file, or makes it, and begins a stream; blocks for a moment.

        Args:
            max_bytes: All files of the spool together, 1 MiB at least.
            sync_s: How long a measurement may wait in memory for its acknowledgement; 0: on the disk at once.

        Raises:
            StoreError: Another process holds it, a newer version wrote it, or the folder can't be written.
        """
        lock = _lock(path)
        stream = secrets.token_hex(8)
        bounds = Bounds(max_bytes, max_age_s, sync_s)
        backlog = Backlog(path, bounds, stream=stream, boot=boot, clock=clock, boottime=boottime)
        try:
            backlog.attach()
        except BaseException:
            os.close(lock)
            raise
        return cls(stream, backlog, lock)

    async def append(self, measurement: AnyMeasurement, *, dated: bool) -> int:
        """Numbers a measurement and keeps it: on disk when it returns, or in memory while the disk refuses or `sync_s`.

        Args:
            dated: started_at can be trusted; if not, it waits for `redate` or `release_undated`.

        Returns:
            Its number in this stream.
        """
        row = row_of(measurement, dated=dated, released=self._backlog.released)
        self._backlog.inbox.append(row)
        number = await self._run(self._backlog.settle, row)
        self.notify()
        return number

    async def redate(self, boot_epoch: float) -> None:
        """Dates what is undated of this boot, and lets it go; UTC seconds since 1970 at boottime 0."""
        await self._run(self._backlog.redate, boot_epoch)
        self.notify()

    async def release_undated(self) -> None:
        """Lets go what is undated, marked "undated", and what is appended undated until `redate`."""
        await self._run(self._backlog.release)
        self.notify()

    async def rewind(self, handed: Mapping[str, int]) -> None:
        """Says what was handed out, the highest number of each stream: all above is handed out anew.

        A connection that ends in the middle of `next` would otherwise forget what that gave.
        """
        await self._run(self._backlog.rewind, handed)

    async def next(self, limit: int = MAX_CHUNK) -> Chunk | None:
        """The next batch not yet handed out, None when there is none; the oldest stream first."""
        return await self._run(self._backlog.next, limit)

    async def again(self, stream: str, first: int, last: int) -> Chunk | None:
        """A batch once handed out, as far as it is still held: the same bytes, a header of now."""
        return await self._run(self._backlog.again, stream, first, last)

    async def acknowledge(self, stream: str, through: int) -> None:
        """Forgets what the collector has settled; twice or late does no harm."""
        await self._run(self._backlog.acknowledge, stream, through)

    async def give_up(self, stream: str, number: int) -> None:
        """Drops one measurement that can't be delivered, and records it."""
        await self._run(self._backlog.give_up, stream, number)

    def state(self) -> SpoolState:
        """How full it was after the last thing done to it."""
        return self._state

    async def close(self) -> None:
        """Writes what still waits, closes the file, lets the lock go."""
        if self._closed:
            return
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._worker, self._backlog.close)
        finally:
            self._state = self._backlog.state()
            self._worker.shutdown(wait=False)
            os.close(self._lock)

    async def _run(self, work: Callable[A, T], *args: A.args, **kwargs: A.kwargs) -> T:
        if self._closed:
            raise StoreError("the spool is closed")
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._worker, self._do, work, *args)
        finally:
            self._look_again_later(loop)

    def _do(self, work: Callable[..., T], *args: object) -> T:
        try:
            return work(*args)
        finally:
            self._state, self._due_in_s = self._backlog.state(), self._backlog.due_in_s()

    def _look_again_later(self, loop: asyncio.AbstractEventLoop) -> None:
        wait_s = RETRY_S if self._state.state == "full" else self._due_in_s
        if wait_s is None or self._closed:
            return
        if self._retry is not None:
            if self._retry.when() <= loop.time() + wait_s:
                return
            self._retry.cancel()
        self._retry = loop.call_later(wait_s, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        done = self._worker.submit(self._do, self._backlog.flush)
        loop = asyncio.get_running_loop()
        done.add_done_callback(lambda _: loop.call_soon_threadsafe(self._tried_again, loop))

    def _tried_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self.notify()
        self._look_again_later(loop)


def _lock(path: Path) -> int:
    """Takes the lock beside the file; a lock of its own, because SQLite's are let go when any descriptor closes."""
    try:
        fd = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as e:
        raise StoreError(f"{path}: {e.strerror}") from e
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        os.close(fd)
        raise StoreError(f"{path}: another fibrewatch-agent holds this spool") from e
    return fd
