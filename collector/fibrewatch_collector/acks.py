"""Acknowledgements on their way out: of each stream only the newest, so that many batches need one message.

A publish costs about as much CPU as a batch received does, and a box goes on sending until 4 batches are in flight: so
an acknowledgement waits a little for the next batches of its stream, but not when the box might be waiting for it.
"""

import asyncio
from collections.abc import Mapping

from fibrewatch.wire import AgentId

StreamKey = tuple[AgentId, str]
HOLD_S = 0.5
"""So long an acknowledgement waits at most; a box sends again after seconds."""
ENOUGH = 4
"""Batches of a stream that are acknowledged at once: as many as a box has in flight, so that it may be waiting."""
_MOST = 50_000


class PendingAcks:
    """Filled after each commit, emptied by the tasks that publish; of one event loop."""

    def __init__(self, hold_s: float = HOLD_S) -> None:
        self._hold_s = hold_s
        self._through: dict[StreamKey, int] = {}
        self._batches: dict[StreamKey, int] = {}
        self._due: asyncio.Queue[StreamKey] = asyncio.Queue()

    def __len__(self) -> int:
        return len(self._through)

    def add(self, through: Mapping[StreamKey, int], batches: Mapping[StreamKey, int]) -> None:
        """Notes what may be acknowledged; what doesn't fit is acknowledged when it is sent again."""
        held = []
        for key, number in through.items():
            before = self._batches.get(key, 0)
            if not before and len(self._through) >= _MOST:
                continue
            self._through[key] = max(number, self._through.get(key, 0))
            self._batches[key] = before + batches[key]
            if before < ENOUGH <= self._batches[key]:
                self._due.put_nowait(key)
            elif not before:
                held.append(key)
        if held:
            asyncio.get_running_loop().call_later(self._hold_s, self._release, held)

    def _release(self, held: list[StreamKey]) -> None:
        for key in held:
            if key in self._through:
                self._due.put_nowait(key)

    async def take(self) -> tuple[StreamKey, int]:
        """Waits for the next one."""
        while True:
            key = await self._due.get()
            if key in self._through:  # else it went out before its time was over
                del self._batches[key]
                return key, self._through.pop(key)
