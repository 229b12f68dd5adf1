"""The API for whoever answers for the collector: which tokens there are, and what was changed by whom."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from aiohttp import web
from msgspec import Struct

from fibrewatch_collector.access.audit import Audit, Change
from fibrewatch_collector.access.records import TokenFile
from fibrewatch_collector.access.tokens import Token
from fibrewatch_collector.answers import Problem
from fibrewatch_collector.config import Config
from fibrewatch_collector.web.declarations import answer
from fibrewatch_collector.web.query import QueryError

NEWEST = 1000


class Tokens(Struct, frozen=True, kw_only=True):
    """GET /api/v1/tokens; no token and no hash is in it."""

    tokens: list[Token]


class Changes(Struct, frozen=True, kw_only=True):
    """GET /api/v1/audit: the newest, oldest first."""

    changes: list[Change]


class Admin:
    """Handlers."""

    def __init__(self, config: Config, now: Callable[[], float]) -> None:
        self._tokens, self._audit, self._now = TokenFile(config.tokens), Audit(config.audit), now

    def routes(self) -> Iterator[web.RouteDef]:
        """What the server adds."""
        yield web.get("/api/v1/tokens", self.tokens)
        yield web.post("/api/v1/tokens/{name}/revoke", self.revoke)
        yield web.get("/api/v1/audit", self.changes)

    async def tokens(self, _: web.Request) -> web.Response:
        """All of them, without their secrets."""
        found = await asyncio.to_thread(self._tokens.all)
        return answer(Tokens(tokens=[token for token, _ in found]))

    async def revoke(self, request: web.Request) -> web.Response:
        """Makes one void."""
        name, now = request.match_info["name"], datetime.fromtimestamp(self._now(), UTC)
        if not await asyncio.to_thread(self._tokens.revoke, name, now):
            return answer(Problem(error=f"there is no token {name[:40]!r}"), 404)
        return answer(Tokens(tokens=[t for t, _ in await asyncio.to_thread(self._tokens.all) if t.name == name]))

    async def changes(self, request: web.Request) -> web.Response:
        """The newest of the record."""
        if request.query:
            raise QueryError(f"{next(iter(request.query))[:60]}: no such parameter")
        return answer(Changes(changes=(await asyncio.to_thread(self._audit.changes))[-NEWEST:]))
