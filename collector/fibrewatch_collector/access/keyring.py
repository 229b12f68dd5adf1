"""The tokens as the running collector knows them: read again after a second, so that a revoked one is soon void."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime

from fibrewatch_collector.access import AccessError, tokens
from fibrewatch_collector.access.records import TokenFile
from fibrewatch_collector.access.tokens import Token

log = logging.getLogger(__name__)

READ_EVERY_S = 1.0
KEPT_S = 60.0
"""So long an old list is believed while the file can't be read."""
WRITE_EVERY_S = 60.0


class KeyRing:
    """`find` and `by_id`; `close` writes down what was used."""

    def __init__(self, file: TokenFile, clock: Callable[[], float] = time.monotonic) -> None:
        self._file, self._clock = file, clock
        self._kept: dict[str, tuple[Token, bytes]] = {}
        self._read_at = self._tried_at = self._written_at = float("-inf")
        self._uses: dict[str, tuple[float, str]] = {}
        self._turn = asyncio.Lock()

    async def find(self, text: str) -> Token | None:
        """The token that this is, good or no longer.

        Raises:
            AccessError: Tokens can't be read.
        """
        await self._refresh()
        shown = tokens.presented(text)
        token, kept = self._kept.get(shown.id, (None, None)) if shown else (None, None)
        return token if tokens.is_right(shown.secret if shown else "", kept) else None

    async def by_id(self, number: str) -> Token | None:
        """The token that a session was opened with.

        Raises:
            AccessError: Tokens can't be read.
        """
        await self._refresh()
        return self._kept.get(number, (None,))[0]

    def used(self, token: Token, at: datetime, where: str) -> None:
        """Written down within about a minute, when somebody else asks."""
        self._uses[token.id] = at.timestamp(), where

    async def close(self) -> None:
        """Writes down what was used."""
        await asyncio.to_thread(self._write_uses)

    async def _refresh(self) -> None:
        if self._clock() - self._tried_at < READ_EVERY_S:
            return self._check()
        async with self._turn:
            if self._clock() - self._tried_at >= READ_EVERY_S:
                await asyncio.to_thread(self._read)
                self._tried_at = self._clock()
        return self._check()

    def _check(self) -> None:
        if self._clock() - self._read_at > KEPT_S:
            raise AccessError("tokens can't be read at present")

    def _read(self) -> None:
        try:
            self._kept = {token.id: (token, kept) for token, kept in self._file.all()}
        except AccessError as e:
            log.warning("tokens are not read anew: %s", e)
            return
        self._read_at = self._clock()
        if self._read_at - self._written_at >= WRITE_EVERY_S:
            self._write_uses()

    def _write_uses(self) -> None:
        uses, self._uses = self._uses, {}
        self._written_at = self._clock()
        if uses:
            try:
                self._file.used(uses)
            except AccessError as e:
                log.warning("when tokens were used is not written: %s", e)
