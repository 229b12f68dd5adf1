"""The HTTP side: routes over the hub and the store, which is read in threads and under a deadline."""

import asyncio
import logging
import ssl
import zlib
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.resources import files
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web

from fibrewatch.errors import ConfigError, StoreError
from fibrewatch_collector.access import AccessError, settings
from fibrewatch_collector.answers import Problem
from fibrewatch_collector.config import Config
from fibrewatch_collector.evidence import EvidenceError
from fibrewatch_collector.families import CONTENT_TYPE, OPENMETRICS_TYPE
from fibrewatch_collector.hub import Hub
from fibrewatch_collector.ledger import LedgerError
from fibrewatch_collector.report import asked, output
from fibrewatch_collector.report.page.pdf import PdfError
from fibrewatch_collector.store import Store
from fibrewatch_collector.web import accept, query, views
from fibrewatch_collector.web.admin import Admin
from fibrewatch_collector.web.declarations import STATUS, Declaring
from fibrewatch_collector.web.gate import Gate
from fibrewatch_collector.web.listening import Door
from fibrewatch_collector.web.packs import Packs
from fibrewatch_collector.web.signin import COOKIE, SignIn
from fibrewatch_collector.writer import Doing

log = logging.getLogger(__name__)
T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

READ_TIMEOUT_S = 10.0
REPORT_TIMEOUT_S = 120.0
READERS = 4
GZIP_LEVEL = 1
COMPRESS_FROM_BYTES = 4096
SCRAPE_TIMEOUT_S = 60.0
CONTENT_POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:"
"""Nothing is loaded from elsewhere, and no script is within the page."""
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""A report is read, not run."""
MAX_BODY_BYTES = 1 << 16
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "fibrewatch",
}
_POLICY = "default-src 'none'"
_POLICY_END = "; base-uri 'none'; frame-ancestors 'none'"
_ASSETS = {"page.css": "text/css", "page.js": "text/javascript"}
_SIGN_OUT = b'<form class="session" method="post" action="/signout"><button>sign out</button></form>'


class Server:
    """Serves one hub and one store, /metrics on an address of its own too where that is wanted; `start` … `stop`."""

    def __init__(self, hub: Hub, store: Store, write: Doing, config: Config) -> None:
        """`write` has something done where nobody else writes to the store meanwhile."""
        self._hub, self._store = hub, store
        self._declaring = Declaring(hub, store, self._read_report, write, config)
        self._packs = Packs(hub, config, hub.now)
        self._gate, self._admin = Gate(config, hub.own, hub.now), Admin(config, hub.now)
        self._signin = SignIn(self._gate.sessions, self._gate.token_of_form)
        self._http, self._door = config.http, Door(self._gate.ours)
        self._tls: ssl.SSLContext | None = None
        self._reporter = ThreadPoolExecutor(1, "http-report")
        self._readers = ThreadPoolExecutor(READERS, "http-read")
        self._page = files(__package__).joinpath("page.html").read_bytes()
        self._runners = [_runner(self.app())]
        if config.http.metrics is not None:
            self._runners.append(_runner(self.metrics_app()))

    async def start(self) -> None:
        """Listens where [http] says.

        Raises:
            OSError: An address can't be had.
            ConfigError: A certificate can't be used.
        """
        addresses = [(self._http.host, self._http.port), *([self._http.metrics.at] if self._http.metrics else [])]
        if self._http.tls is not None:
            self._tls = await asyncio.to_thread(settings.context, self._http.tls)
        try:
            for runner, (host, port) in zip(self._runners, addresses, strict=True):
                await runner.setup()
                await self._door.listen(runner, host, port, self._tls)
        except OSError:
            await self.stop()
            raise

    def reload(self) -> None:
        """Takes up a renewed certificate; connections that are there keep theirs."""
        if self._tls is not None and self._http.tls is not None:
            try:
                settings.load_own(self._tls, self._http.tls)
            except ConfigError as e:
                log.error("the certificate in force stays: %s", e)  # noqa: TRY400 the message is the whole of it

    async def stop(self) -> None:
        """Ends all connections."""
        self._door.close()
        for runner in self._runners:
            await runner.cleanup()
        await self._gate.close()
        for pool in (self._readers, self._reporter):
            pool.shutdown(wait=False, cancel_futures=True)

    def app(self) -> web.Application:
        """All that the main address serves."""
        app = self._bare()
        app.add_routes(
            [
                web.get("/", self._index),
                *(web.get(f"/{name}", _asset(name)) for name in _ASSETS),
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/api/v1/sites", self._sites),
                web.get("/api/v1/agents", self._agents),
                web.get("/api/v1/measurements", self._measurements),
                *self._declaring.routes(),
                self._packs.route(),
                web.get("/api/v1/report", self._report),
                web.get("/sites/{territory}/{site}/report", self._site_report),
                *self._admin.routes(),
                *self._signin.routes(),
            ]
        )
        return app

    def metrics_app(self) -> web.Application:
        """All that [http.metrics] serves."""
        app = self._bare()
        app.add_routes([web.get("/metrics", self._metrics), web.get("/healthz", self._healthz)])
        return app

    def _bare(self) -> web.Application:
        middlewares = [self._door.watch, self._gate.admit, _in_json]
        app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY_BYTES)
        app.on_response_prepare.append(_secure)
        return app

    async def _index(self, request: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": CONTENT_POLICY, "Cache-Control": "no-store"}
        signed_in = COOKIE in request.cookies
        page = self._page.replace(b"<!-- session -->", _SIGN_OUT if signed_in else b"")
        return web.Response(body=page, content_type="text/html", charset="utf-8", headers=headers)

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        problems = self._hub.problems
        text = "".join(f"{each}\n" for each in problems or ["ready"])
        return web.Response(text=text, status=503 if problems else 200)

    async def _sites(self, request: web.Request) -> web.Response:
        return _json(request, views.sites(self._hub))

    async def _agents(self, request: web.Request) -> web.Response:
        return _json(request, views.agents(self._hub))

    async def _measurements(self, request: web.Request) -> web.Response:
        where, after, limit = query.page(request.query)
        rows = await self._read(lambda: self._store.measurements(where, after, limit))
        return _json(request, views.measurements(rows, limit))

    async def _report(self, request: web.Request) -> web.Response:
        return await self._answer(asked.question(request.query))

    async def _site_report(self, request: web.Request) -> web.Response:
        """A page for a site: of this month, unless another period is asked for."""
        words = {"format": "html"}
        if not any(name in request.query for name in asked.PERIODS):
            site = self._hub.inventory.sites.get((request.match_info["territory"], request.match_info["site"]))
            zone = ZoneInfo(site.time_zone) if site else UTC
            words["month"] = f"{datetime.fromtimestamp(self._hub.now(), zone):%Y-%m}"
        named = {"site": f"{request.match_info['territory']}/{request.match_info['site']}"}
        return await self._answer(asked.question(words | dict(request.query) | named))

    async def _answer(self, question: asked.Question) -> web.Response:
        """One report at a time: it keeps a core busy, and scrapes must not wait for it."""
        form, inventory = output.FORMATS[question.format], self._hub.inventory
        now = datetime.fromtimestamp(self._hub.now(), UTC)

        def work() -> bytes:
            return question.write(asked.answer(self._store, inventory, question, now))

        body = await self._read(work, self._reporter, REPORT_TIMEOUT_S)
        charset = None if question.format == "pdf" else "utf-8"
        response = web.Response(body=body, content_type=form.content_type, charset=charset)
        response.headers["Cache-Control"] = "no-store"
        response.headers["Content-Security-Policy"] = REPORT_POLICY
        if len(body) >= COMPRESS_FROM_BYTES and question.format != "pdf":
            response.enable_compression()
        return response

    async def _read(self, work: Callable[[], T], pool: Executor | None = None, timeout_s: float = READ_TIMEOUT_S) -> T:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                return await loop.run_in_executor(pool or self._readers, work)
        except TimeoutError as e:
            raise StoreError(f"the store did not answer within {timeout_s:g} s") from e

    async def _read_report(self, work: Callable[[], T]) -> T:
        """What may take as long as a report does."""
        return await self._read(work, self._reporter, REPORT_TIMEOUT_S)

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        """Family by family, so that other work gets its turn and no second copy of it all is made."""
        openmetrics = accept.wants_openmetrics(request.headers.get("Accept", ""))
        content = OPENMETRICS_TYPE if openmetrics else CONTENT_TYPE
        response = web.StreamResponse(headers={"Content-Type": content, "Vary": "Accept, Accept-Encoding"})
        packer = None
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)
            response.headers["Content-Encoding"] = "gzip"
        try:
            async with asyncio.timeout(SCRAPE_TIMEOUT_S):
                await response.prepare(request)
                for chunk in self._hub.metrics(openmetrics=openmetrics):
                    await response.write(await asyncio.to_thread(packer.compress, chunk) if packer else chunk)
                await response.write_eof(packer.flush() if packer else b"")
        except TimeoutError:
            log.warning("a scrape was given up: its reader took nothing for %d s", SCRAPE_TIMEOUT_S)
            if request.transport is not None:
                request.transport.abort()
        except ConnectionResetError:  # the reader has gone: its timeout was shorter than ours
            log.debug("a scrape was given up by its reader")
        return response


def _runner(app: web.Application) -> web.AppRunner:
    """Packed bodies are not unpacked: a kilobyte may become a megabyte before anybody has asked who sends it."""
    return web.AppRunner(app, access_log=None, shutdown_timeout=2.0, keepalive_timeout=75.0, auto_decompress=False)


def _asset(name: str) -> Handler:
    body, kind = files(__package__).joinpath(name).read_bytes(), _ASSETS[name]

    async def asset(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=kind, charset="utf-8", headers={"Cache-Control": "no-cache"})

    return asset


async def _secure(_: web.Request, response: web.StreamResponse) -> None:
    """What each answer tells a browser, whoever made it."""
    response.headers.update(_ALWAYS)
    policy = response.headers.get("Content-Security-Policy", _POLICY)
    form = "" if "form-action" in policy else "; form-action 'self'"
    response.headers["Content-Security-Policy"] = f"{policy}{form}{_POLICY_END}"


def _json(request: web.Request, answer: msgspec.Struct, status: int = 200) -> web.Response:
    body = msgspec.json.encode(answer)
    response = web.Response(body=body, status=status, content_type="application/json", charset="utf-8")
    response.headers["Cache-Control"] = "no-store"
    if len(body) >= COMPRESS_FROM_BYTES:
        response.enable_compression()
    return response


@web.middleware
async def _in_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors of the API as one line of JSON; nothing but a fault of ours is a 500."""
    try:
        return await handler(request)
    except (query.QueryError, asked.AskError) as e:
        return _problem(request, 400, str(e))
    except LedgerError as e:
        return _problem(request, STATUS[e.reason], str(e))
    except web.HTTPException as e:
        return _problem(request, e.status, f"{request.method} {request.path[:100]}: {e.reason}")
    except EvidenceError as e:
        return _problem(request, 409, str(e))
    except (StoreError, PdfError, AccessError) as e:
        log.warning("a request was not answered path=%s: %s", request.rel_url.raw_path, e)
        return _problem(request, 503, str(e))


def _problem(request: web.Request, status: int, text: str) -> web.Response:
    return _json(request, Problem(error=text), status)
