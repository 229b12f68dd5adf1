"""The API of what people declare: maintenance and rollout. Small on purpose: each handler parses, asks, answers."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from fibrewatch.config import nearest
from fibrewatch_collector.answers import Declarations, Declared, Steps
from fibrewatch_collector.config import Config
from fibrewatch_collector.hub import Hub
from fibrewatch_collector.ledger import LedgerError, books, certificates, maintenance, rollout
from fibrewatch_collector.ledger.maintenance import Declaration
from fibrewatch_collector.report import acceptance
from fibrewatch_collector.store import Store
from fibrewatch_collector.web.query import QueryError
from fibrewatch_collector.writer import Doing

T = TypeVar("T")
STATUS = {"wrong": 400, "unknown": 404, "conflict": 409}
MAX_BODY_BYTES = 16 * 1024
BODY_TIMEOUT_S = 10.0


class Declaring:
    """Handlers; `read` and `write` run what blocks."""

    def __init__(self, hub: Hub, store: Store, read: Doing, write: Doing, config: Config) -> None:
        self._hub, self._store, self._read, self._write, self._config = hub, store, read, write, config

    def routes(self) -> Iterator[web.RouteDef]:
        """What the server adds."""
        yield web.get("/api/v1/maintenance", self.maintenance)
        yield web.post("/api/v1/maintenance", self.declare)
        yield web.post("/api/v1/maintenance/{id:[0-9]{1,15}}/cancel", self.cancel)
        yield web.get("/api/v1/rollout", self.rollout)
        yield web.post("/api/v1/rollout", self.step)
        yield web.post("/api/v1/rollout/accept", self.accept)
        yield web.get("/api/v1/rollout/{id:[0-9]{1,15}}/certificate", self.certificate)
        yield web.get("/sites/{territory}/{site}/certificate", self.newest_certificate)

    async def maintenance(self, request: web.Request) -> web.Response:
        """Declared work."""
        territory, site = _place(request)
        found = await self._read(lambda: books.declarations(self._store, territory))
        return answer(Declarations(maintenance=[_view(each) for each in found if site in (None, each.site)]))

    async def declare(self, request: web.Request) -> web.Response:
        """Declares work."""
        wish = await body(request, maintenance.Wish)
        inventory, now = self._hub.inventory, self._hub.now()
        return answer(_view(await self._write(lambda: books.declare(self._store, inventory, wish, now))), 201)

    async def cancel(self, request: web.Request) -> web.Response:
        """Cancels a declaration."""
        wish, number = await body(request, maintenance.Cancel), int(request.match_info["id"])
        return answer(_view(await self._write(lambda: books.cancel(self._store, number, wish, self._hub.now()))), 201)

    async def rollout(self, request: web.Request) -> web.Response:
        """The steps so far."""
        territory, site = _place(request)
        found = await self._read(lambda: books.steps(self._store, territory))
        return answer(Steps(rollout=[each for each in found if site in (None, each.site)]))

    async def step(self, request: web.Request) -> web.Response:
        """Records a state reached."""
        wish = await body(request, rollout.Wish)
        inventory, now = self._hub.inventory, self._hub.now()
        return answer(await self._write(lambda: books.take_step(self._store, inventory, wish, now)), 201)

    async def accept(self, request: web.Request) -> web.Response:
        """Evaluates tests, and accepts a place by them."""
        wish = await body(request, certificates.Wish)
        inventory, now, key = self._hub.inventory, self._hub.now(), self._config.evidence.key

        def evaluate() -> certificates.Sealed:
            return acceptance.evaluate(self._store, inventory, wish, now, acceptance.sealer(key))

        sealed = await self._read(evaluate)
        step = await self._write(lambda: acceptance.accept(self._store, inventory, wish, sealed, now))
        return answer(step, 201)

    async def certificate(self, request: web.Request) -> web.Response:
        """That of a step."""
        number = int(request.match_info["id"])
        return await self._certificate(request, {"format": "json"}, lambda: acceptance.of_step(self._store, number))

    async def newest_certificate(self, request: web.Request) -> web.Response:
        """Of a floor, or of the site as a whole."""
        place = tuple(request.match_info[name] for name in ("territory", "site"))
        floor = request.query.get("floor")

        def found() -> certificates.Sealed:
            steps = books.steps(self._store, place[0])
            mine = [e for e in steps if e.certificate and (e.territory, e.site, e.floor) == (*place, floor)]
            return acceptance.of_step(self._store, mine[-1].id if mine else 0)

        return await self._certificate(request, {"format": "html"}, found)

    async def _certificate(
        self, request: web.Request, usual: dict[str, str], found: Callable[[], certificates.Sealed]
    ) -> web.Response:
        from fibrewatch_collector.report.page import certificate

        manner = certificate.manner(usual | {k: v for k, v in request.query.items() if k != "floor"})
        raw = await self._read(lambda: certificate.write(found(), manner))
        headers = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
        }
        charset = None if manner.format == "pdf" else "utf-8"
        return web.Response(body=raw, content_type=manner.content_type, charset=charset, headers=headers)


def _view(found: Declaration) -> Declared:
    return Declared(in_time=found.in_time, declaration=found)


def _place(request: web.Request) -> tuple[str | None, str | None]:
    """The query's territory and site.

    Raises:
        QueryError: There is another parameter.
    """
    for name in request.query:
        if name not in ("territory", "site"):
            raise QueryError(f"{name[:60]}: no such parameter{nearest(name, ('territory', 'site'))}")
    return request.query.get("territory"), request.query.get("site")


async def body(request: web.Request, kind: type[T]) -> T:
    """The request's JSON. Of that content type only: no page of another origin can send it without being asked.

    Raises:
        LedgerError: It is not what it should be.
    """
    if request.content_type != "application/json":
        raise LedgerError("wrong", "the body must be of content type application/json")
    async with asyncio.timeout(BODY_TIMEOUT_S):
        raw = await request.read()
    if len(raw) > MAX_BODY_BYTES:
        raise LedgerError("wrong", f"the body is longer than {MAX_BODY_BYTES} bytes")
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise LedgerError("wrong", str(e).replace(" - at `$.", ": `").replace("Object", "the body")) from e


def answer(found: Any, status: int = 200) -> web.Response:
    """A struct as JSON that nobody keeps."""
    headers = {"Cache-Control": "no-store"}
    raw = msgspec.json.encode(found)
    return web.Response(body=raw, status=status, content_type="application/json", charset="utf-8", headers=headers)
