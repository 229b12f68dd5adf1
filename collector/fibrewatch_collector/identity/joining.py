"""Where boxes with a join token get their certificate: HTTPS by the authority's own signature."""

import asyncio
import logging
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
from aiohttp import web

from fibrewatch.errors import WireError
from fibrewatch.files import Content, write_together
from fibrewatch.identity import MAX_BYTES, Bundle, IdentityError, JoinRequest
from fibrewatch_collector.access import AccessError, origin
from fibrewatch_collector.access.audit import NAME, Audit
from fibrewatch_collector.identity import certificates, enrolment
from fibrewatch_collector.identity.authority import Authority
from fibrewatch_collector.identity.settings import Settings
from fibrewatch_collector.web.listening import Door

log = logging.getLogger(__name__)

SERVER = "join.pem"
_RENEWED_BEFORE = timedelta(days=30)
_READ_S = 15.0
_TRIES, _WITHIN_S, _SOURCES = 20, 60.0, 1000


class Joining:
    """`start` … `stop`."""

    def __init__(self, authority: Authority, settings: Settings) -> None:
        """Raises IdentityError when [join] is missing."""
        if settings.join is None:
            raise IdentityError("authority.toml: [join] is missing")
        self._authority, self._settings, self._join = authority, settings, settings.join
        self._tries, self._door = Tries(), Door(lambda host: False)
        app = web.Application(middlewares=[self._door.watch], client_max_size=MAX_BYTES)
        app.add_routes([web.get("/v1/ca", self._ca), web.post("/v1/join", self._enrol)])
        self._runner = web.AppRunner(
            app, access_log=None, keepalive_timeout=5.0, shutdown_timeout=2.0, auto_decompress=False
        )

    async def start(self) -> None:
        """Listens.

        Raises:
            OSError: The address can't be had.
        """
        context = await asyncio.to_thread(server_context, self._authority, self._join.names)
        await self._runner.setup()
        try:
            await self._door.listen(self._runner, *self._join.address, context)
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Ends all connections."""
        self._door.close()
        await self._runner.cleanup()

    async def _ca(self, _: web.Request) -> web.Response:
        """No secret: the box compares it with what its token says."""
        return web.Response(text=self._authority.pem)

    async def _enrol(self, request: web.Request) -> web.Response:
        source = request.remote or ""
        if not self._tries.allowed(origin.key(origin.address(source))):
            return _refused(429, "too many tries: wait a minute")
        try:
            async with asyncio.timeout(_READ_S):
                asked = msgspec.json.decode(await request.read(), type=JoinRequest)
            bundle = await asyncio.to_thread(self._let_in, asked, source)
        except TimeoutError:
            return _refused(408, "the request took too long")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, WireError) as e:
            return _refused(400, str(e))
        except IdentityError as e:
            log.warning("join from %s refused: %s", source, e)
            return _refused(403, str(e))
        log.info("agent=%s: joined from %s", asked.agent, source)
        return web.Response(body=msgspec.json.encode(bundle), content_type="application/json")

    def _let_in(self, asked: JoinRequest, source: str) -> Bundle:
        """Recorded when it is done: wrong tokens are no change, and would fill the record."""
        bundle = enrolment.join(self._authority, self._settings, asked)
        audit = Audit(self._authority.folder / NAME)
        try:
            audit.end(audit.begin(f"box {asked.agent}", source, f"join {asked.agent}"), "done")
        except AccessError as e:
            log.error("agent=%s: its joining is not recorded: %s", asked.agent, e)  # noqa: TRY400
        return bundle


class Tries:
    """How often an address (IPv6: a /64) asked of late; remembers the last thousand."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def allowed(self, source: str) -> bool:
        """Counts this one."""
        began, count = self._since.pop(source, (self._clock(), 0))
        if self._clock() - began > _WITHIN_S:
            began, count = self._clock(), 0
        self._since[source] = began, count + 1
        while len(self._since) > _SOURCES:
            self._since.popitem(last=False)
        return count < _TRIES


def server_context(authority: Authority, names: Sequence[str]) -> ssl.SSLContext:
    """TLS as these names; the certificate is made when none will do, and kept with the authority."""
    path = authority.folder / SERVER
    if not _good(path, authority, names):
        certificate, key = authority.issue_own(names[0], "server", names)
        write_together({path: Content(certificate.encode() + key, 0o600)})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(path)
    return context


def _good(path: Path, authority: Authority, names: Sequence[str]) -> bool:
    try:
        found = certificates.read_certificate(path.read_bytes())
        certificates.check_issued(found, authority.certificate)
    except (OSError, IdentityError):
        return False
    fresh = found.not_valid_after_utc - authority.now() > _RENEWED_BEFORE
    return fresh and certificates.hosts(found) == set(names)


def _refused(status: int, why: str) -> web.Response:
    return web.json_response({"error": why}, status=status)
