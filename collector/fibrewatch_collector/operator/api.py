"""A collector's HTTP API, asked: of its answers only what is used here is read."""

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

import aiohttp
import msgspec
from msgspec import Struct

from fibrewatch.errors import FibrewatchError
from fibrewatch.measurement import AnyMeasurement
from fibrewatch.wire import SpoolState
from fibrewatch_collector.answers import Declarations, Declared, Page, Problem, Steps
from fibrewatch_collector.ledger import certificates, maintenance, rollout

TIMEOUT_S = 10.0
REPORT_TIMEOUT_S = 130.0
PACK_TIMEOUT_S = 5400.0
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


def _why(body: bytes) -> str:
    """What the collector says of it."""
    try:
        return f": {msgspec.json.decode(body, type=Problem).error}"
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


class Api:
    """Requests to one collector; every method raises ApiError when there is no good answer."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self._session = _checked(url).rstrip("/"), session

    async def sites(self) -> list[Site]:
        """All of them."""
        return (await self._read("/api/v1/sites", _Sites)).sites

    async def agents(self) -> list[Agent]:
        """All of them."""
        return (await self._read("/api/v1/agents", _Agents)).agents

    async def measurements(self, probe: str, after: int = 0) -> Page[Stored]:
        """A page of one probe's."""
        return await self._read(f"/api/v1/measurements?probe={probe}&after={after}&limit=1000", Page[Stored])

    async def report(self, words: Mapping[str, str]) -> bytes:
        """A report in the format that was asked for; takes longer than other answers."""
        return await self._get(f"/api/v1/report?{urlencode(words)}", REPORT_TIMEOUT_S)

    async def evidence(self, words: Mapping[str, str], out: Path | None) -> Path:
        """A pack, written to a file as it comes; returns which."""
        path, timeout = f"/api/v1/evidence?{urlencode(words)}", aiohttp.ClientTimeout(total=PACK_TIMEOUT_S)
        try:
            async with self._session.get(f"{self.url}{path}", timeout=timeout) as answer:
                if answer.status != 200:
                    raise ApiError(f"{self.url}{path}: HTTP status {answer.status}{_why(await answer.read())}")
                named = answer.content_disposition.filename if answer.content_disposition else None
                to = out or Path(Path(named or "evidence.tar").name)
                await _save(answer.content, to)
                return to
        except (aiohttp.ClientError, TimeoutError, ValueError) as e:
            raise ApiError(f"{self.url}{path}: {str(e) or 'no answer'}") from e

    async def text(self, path: str) -> str:
        """The body at a path, such as /metrics."""
        return (await self._get(path)).decode()

    async def declarations(self, territory: str | None = None, site: str | None = None) -> list[Declared]:
        """Declared work, oldest first."""
        return (await self._read(f"/api/v1/maintenance{_query(territory, site)}", Declarations)).maintenance

    async def declare(self, wish: maintenance.Wish) -> Declared:
        """Declares work."""
        return await self._post("/api/v1/maintenance", wish, Declared)

    async def cancel(self, number: int, wish: maintenance.Cancel) -> Declared:
        """Cancels a declaration."""
        return await self._post(f"/api/v1/maintenance/{number}/cancel", wish, Declared)

    async def steps(self, territory: str | None = None, site: str | None = None) -> list[rollout.Step]:
        """All steps of the rollout, in the order in which they were recorded."""
        return (await self._read(f"/api/v1/rollout{_query(territory, site)}", Steps)).rollout

    async def take_step(self, wish: rollout.Wish) -> rollout.Step:
        """Records a state reached."""
        return await self._post("/api/v1/rollout", wish, rollout.Step)

    async def accept(self, wish: certificates.Wish) -> rollout.Step:
        """Has tests evaluated and a place accepted."""
        return await self._post("/api/v1/rollout/accept", wish, rollout.Step, REPORT_TIMEOUT_S)

    async def certificate(self, number: int, words: Mapping[str, str]) -> bytes:
        """A certificate in the format that was asked for."""
        return await self._get(f"/api/v1/rollout/{number}/certificate?{urlencode(words)}", REPORT_TIMEOUT_S)

    async def _post(self, path: str, wish: Struct, kind: type[T], timeout_s: float = TIMEOUT_S) -> T:
        timeout, headers = aiohttp.ClientTimeout(total=timeout_s), {"Content-Type": "application/json"}
        try:
            async with self._session.post(
                f"{self.url}{path}", data=msgspec.json.encode(wish), headers=headers, timeout=timeout
            ) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError, ValueError) as e:
            raise ApiError(f"{self.url}{path}: {str(e) or 'no answer'}") from e
        if answer.status != 201:
            raise ApiError(f"{self.url}{path}: HTTP status {answer.status}{_why(body)}")
        return self._decoded(path, body, kind)

    async def _read(self, path: str, kind: type[T]) -> T:
        return self._decoded(path, await self._get(path), kind)

    def _decoded(self, path: str, body: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
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


def _checked(url: str) -> str:
    """The URL of a collector.

    Raises:
        ApiError: It can be none; aiohttp would only say the URL itself.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and url.isprintable()
    except ValueError:
        good = False
    if not good:
        raise ApiError(f"{url!r} is no URL such as http://127.0.0.1:8480")
    return url


async def _save(body: aiohttp.StreamReader, to: Path) -> None:
    """All of it, or no file."""
    part = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        with part.open("wb") as file:
            async for chunk in body.iter_chunked(1 << 18):
                file.write(chunk)
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)


def _query(territory: str | None, site: str | None) -> str:
    """The part of a URL that says where."""
    parts = [f"{name}={value}" for name, value in (("territory", territory), ("site", site)) if value is not None]
    return f"?{'&'.join(parts)}" if parts else ""
