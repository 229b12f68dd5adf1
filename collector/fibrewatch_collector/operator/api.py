"""A collector's HTTP API, asked: of its answers only what is used here is read."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec
from msgspec import Struct

from fibrewatch.errors import FibrewatchError
from fibrewatch.measurement import AnyMeasurement
from fibrewatch.wire import SpoolState

TIMEOUT_S = 10.0
REPORT_TIMEOUT_S = 130.0
T = TypeVar("T")


class ApiError(FibrewatchError):
    """The collector does not answer as it should."""


class Uplink(Struct, frozen=True, kw_only=True):
    """Of a site; `minutes` of the last 24 hours by state: A, U, N."""

    id: str
    state: str | None
    minutes: Mapping[str, int]


class Site(Struct, frozen=True, kw_only=True):
    """A site and how it stands."""

    territory: str
    site: str
    name: str
    state: str
    cause: str | None
    since: datetime | None
    uplinks: list[Uplink]


class Latest(Struct, frozen=True, kw_only=True):
    """The newest run of a test; `values` in base units by field."""

    probe: str
    test: str
    target: str
    ended_at: datetime
    outcome: str
    verdict: str
    error: str | None
    values: Mapping[str, float]
    peer: str | None = None


class Agent(Struct, frozen=True, kw_only=True):
    """A box and what it last said."""

    territory: str
    site: str
    agent: str
    spool: SpoolState | None
    latest: list[Latest]


class Stored(Struct, frozen=True, kw_only=True):
    """A measurement of the store."""

    row: int
    measurement: AnyMeasurement


class _Sites(Struct):
    sites: list[Site]


class _Agents(Struct):
    agents: list[Agent]


class Page(Struct, frozen=True, kw_only=True):
    """Measurements; `next` is `after` for the next page, None on the last one."""

    measurements: list[Stored]
    next: int | None


class _Problem(Struct):
    error: str


def _why(body: bytes) -> str:
    """What the collector says of it."""
    try:
        return f": {msgspec.json.decode(body, type=_Problem).error}"
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


class Api:
    """GET requests to one collector; every method raises ApiError when there is no good answer."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self._session = url.rstrip("/"), session

    async def sites(self) -> list[Site]:
        """All of them."""
        return (await self._read("/api/v1/sites", _Sites)).sites

    async def agents(self) -> list[Agent]:
        """All of them."""
        return (await self._read("/api/v1/agents", _Agents)).agents

    async def measurements(self, probe: str, after: int = 0) -> Page:
        """A page of one probe's."""
        return await self._read(f"/api/v1/measurements?probe={probe}&after={after}&limit=1000", Page)

    async def report(self, words: Mapping[str, str]) -> bytes:
        """A report in the format that was asked for; takes longer than other answers."""
        return await self._get(f"/api/v1/report?{urlencode(words)}", REPORT_TIMEOUT_S)

    async def text(self, path: str) -> str:
        """The body at a path, such as /metrics."""
        return (await self._get(path)).decode()

    async def _read(self, path: str, kind: type[T]) -> T:
        body = await self._get(path)
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as e:
            raise ApiError(f"{self.url}{path}: {e}") from e

    async def _get(self, path: str, timeout_s: float = TIMEOUT_S) -> bytes:
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self._session.get(f"{self.url}{path}", timeout=timeout) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError, ValueError) as e:
            raise ApiError(f"{self.url}{path}: {str(e) or 'no answer'}") from e
        if answer.status != 200:
            raise ApiError(f"{self.url}{path}: HTTP status {answer.status}{_why(body)}")
        return body
