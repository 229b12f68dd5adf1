"""Acknowledgements on their way out: of each stream only the newest, so that many batches need one message."""

import asyncio
from collections.abc import Mapping

from fibrewatch.wire import AgentId

StreamKey = tuple[AgentId, str]
_MOST = 50_000


class PendingAcks:
    """Filled after each commit, emptied by the tasks that publish; of one event loop."""

    def __init__(self) -> None:
        self._through: dict[StreamKey, int] = {}
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._through)

    def add(self, through: Mapping[StreamKey, int]) -> None:
        """Notes what may be acknowledged; what doesn't fit is acknowledged when it is sent again."""
        for key, number in through.items():
            if len(self._through) < _MOST or key in self._through:
                self._through[key] = max(number, self._through.get(key, 0))
        if self._through:
            self._filled.set()

    async def take(self) -> tuple[StreamKey, int]:
        """Waits for the next one; first in, first out."""
        while not self._through:
            self._filled.clear()
            await self._filled.wait()
        key = next(iter(self._through))
        return key, self._through.pop(key)
