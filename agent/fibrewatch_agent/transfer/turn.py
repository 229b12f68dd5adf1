"""The box is one heavy test's at a time: a run takes its turn, and may let others go first while it waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turn:
    """One run's hold on the lock that all heavy tests of a box share."""

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock, self._held = lock, False

    async def take(self) -> None:
        """Waits until the box is ours."""
        await self._lock.acquire()
        self._held = True

    def leave(self) -> None:
        """Lets the next one have it; nothing if it is not ours."""
        if self._held:
            self._held = False
            self._lock.release()

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[None]:
        """Others may have the box while this is entered; at its end it is ours again, unless that end is an error."""
        self.leave()
        yield
        await self.take()
