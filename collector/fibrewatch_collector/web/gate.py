"""Before every route: who asks, whether he may, how often, and, for a change, a record of it."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec
from aiohttp import web
from msgspec import Struct

from fibrewatch_collector.access import AccessError, origin, scopes
from fibrewatch_collector.access.audit import Audit, described
from fibrewatch_collector.access.keyring import KeyRing
from fibrewatch_collector.access.limits import Buckets
from fibrewatch_collector.access.peers import Peers
from fibrewatch_collector.access.records import TokenFile
from fibrewatch_collector.access.scopes import Scope
from fibrewatch_collector.access.sessions import Sessions
from fibrewatch_collector.access.tokens import Token
from fibrewatch_collector.answers import Problem
from fibrewatch_collector.config import Config
from fibrewatch_collector.own_metrics import OwnMetrics
from fibrewatch_collector.web import signin
from fibrewatch_collector.web.declarations import BODY_TIMEOUT_S, answer

log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

GUESSES_PER_MINUTE = 10
_SAID_PER_S = 1 / 60
_CHALLENGE = 'Bearer realm="fibrewatch"'


class Caller(Struct, frozen=True, kw_only=True):
    """Who asks.

    Attributes:
        key: By which requests are counted; None: they aren't.
        by_itself: A browser would send along what lets him in, whoever made the page.
    """

    who: str
    scope: Scope
    key: str | None
    by_itself: bool


class RefusedError(Exception):
    """Why a request goes no further; `reason` is a metric's label."""

    def __init__(self, status: int, reason: str, text: str, **headers: str) -> None:
        super().__init__(text)
        self.status, self.reason, self.text = status, reason, text
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Gate:
    """One for all addresses that a collector listens on."""

    def __init__(self, config: Config, own: OwnMetrics, now: Callable[[], float]) -> None:
        http = config.http
        self._http, self._own, self._now = http, own, now
        self._free, self._proxies = origin.networks(http.free), origin.networks(http.proxies)
        self._ring, self._audit = KeyRing(TokenFile(config.tokens)), Audit(config.audit)
        self._peers = Peers(http.tls) if http.tls is not None else None
        self.sessions = Sessions(http.session_lasts_s)
        self._asked = Buckets(http.requests_per_minute / 60, http.requests_per_minute)
        self._guesses = Buckets(GUESSES_PER_MINUTE / 60, GUESSES_PER_MINUTE)
        self._said = Buckets(_SAID_PER_S, 1)

    async def close(self) -> None:
        """Writes down what was used."""
        await self._ring.close()

    def ours(self, host: str) -> bool:
        """Whether connections from there aren't counted: this machine, a proxy."""
        where = origin.address(host)
        return origin.within(where, self._free) or origin.within(where, self._proxies)

    @web.middleware
    async def admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The answer, or why there is none."""
        resource = request.match_info.route.resource
        path = resource.canonical if resource is not None else request.path
        try:
            self._check_way(request)
            _check_packing(request)
            wanted = scopes.needed(request.method, path)
            if wanted is None:
                self._count(origin.key(self._client(request)))
                return await handler(request)
            caller, changes = await self._caller(request), request.method not in scopes.SAFE_METHODS
            try:
                self._check(request, caller, wanted)
            except RefusedError as e:
                if changes and resource is not None:
                    await self._record_denied(request, caller, e)
                raise
            if changes and resource is not None:
                return await self._recorded(request, handler, caller)
            return await handler(request)
        except RefusedError as e:
            return self._refused(request, e)
        except AccessError as e:
            log.warning("%s", e)
            return answer(Problem(error="who may do what can't be read or recorded at present"), 503)

    # ---- who

    def _client(self, request: web.Request) -> origin.Address | None:
        return origin.client(origin.address(request.remote or ""), request.headers, self._proxies)

    def _check_way(self, request: web.Request) -> None:
        """Over plain HTTP only those are heard who were named, since others' tokens could be read on the way."""
        peer = origin.address(request.remote or "")
        secure = request.transport is not None and request.transport.get_extra_info("sslcontext") is not None
        if not secure and not (peer is not None and peer.is_loopback) and not self.ours(request.remote or ""):
            raise RefusedError(403, "plain", "plain HTTP is for [http] free and proxies alone: ask by https")

    async def _caller(self, request: web.Request) -> Caller:
        where = self._client(request)
        key = origin.key(where)
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            token = await self.token(shown.strip(), where)
            return Caller(who=f"token {token.name}", scope=token.scope, key=f"{token.id} {key}", by_itself=False)
        if (found := await self._by_session(request) or self._by_certificate(request)) is not None:
            return found
        if self._is_free(request):
            return Caller(who="this machine", scope=scopes.LOCAL, key=None, by_itself=True)
        self._count(key)
        raise RefusedError(401, "unauthenticated", "a token is needed", WWW_Authenticate=_CHALLENGE)

    async def token(self, shown: str, where: origin.Address | None) -> Token:
        """The token, if it is good.

        Raises:
            RefusedError: It is not, or there were too many from there that were not.
            AccessError: Tokens can't be read.
        """
        key = origin.key(where)
        if wait := self._guesses.wait(key):
            raise _limited(wait, "too many wrong tokens")
        found = await self._ring.find(shown)
        problem = found.problem(self._moment()) if found is not None else "unknown"
        if found is None:
            self._guesses.take(key)
        if found is None or problem is not None:
            if not self._said.take(key):
                named = f" {found.name}" if found is not None else ""
                log.warning("a token was refused from=%s: it is %s%s", where, problem, named)
            challenge = f'{_CHALLENGE}, error="invalid_token", error_description="the token is {problem}"'
            raise RefusedError(401, "unauthenticated", f"the token is {problem}", WWW_Authenticate=challenge)
        self._ring.used(found, self._moment(), str(where))
        return found

    async def token_of_form(self, request: web.Request, shown: str) -> Token:
        """As `token`, for the sign-in page."""
        return await self.token(shown, self._client(request))

    async def _by_session(self, request: web.Request) -> Caller | None:
        cookie = request.cookies.get(signin.COOKIE)
        number = self.sessions.token(cookie) if cookie else None
        found = await self._ring.by_id(number) if number else None
        if found is None or found.problem(self._moment()) is not None:
            return None
        return Caller(
            who=f"token {found.name}",
            scope=found.scope,
            key=f"{found.id} {origin.key(self._client(request))}",
            by_itself=True,
        )

    def _by_certificate(self, request: web.Request) -> Caller | None:
        shown = request.transport.get_extra_info("peercert") if request.transport is not None else None
        found = self._peers.find(shown, self._moment()) if shown and self._peers is not None else None
        if found is None:
            return None
        name = f"certificate {found.name}"
        return Caller(who=name, scope=found.scope, key=name, by_itself=True)

    def _is_free(self, request: web.Request) -> bool:
        """From a free network and by no proxy.

        Raises:
            RefusedError: It is, but for a name that isn't ours.
        """
        peer = origin.address(request.remote or "")
        if origin.was_forwarded(request.headers) or origin.within(peer, self._proxies):
            return False
        if not origin.within(peer, self._free):
            return False
        if not origin.host_is_ours(request.host, (*self._http.names, self._http.host)):
            raise RefusedError(403, "host", f"{request.host[:100]!r} is no name of this collector: see [http] names")
        return True

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)

    # ---- whether

    def _count(self, key: str | None) -> None:
        if key is not None and (wait := self._asked.take(key)):
            raise _limited(wait, f"more than {self._http.requests_per_minute} requests a minute")

    def _check(self, request: web.Request, caller: Caller, wanted: Scope) -> None:
        self._count(caller.key)
        if caller.by_itself and origin.is_foreign(request.method, request.headers):
            raise RefusedError(403, "foreign", "another site's page made the browser ask")
        if not scopes.covers(caller.scope, wanted):
            challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{wanted}"'
            text = f"{caller.who} has the scope {caller.scope}, this takes {wanted}"
            raise RefusedError(403, "scope", text, WWW_Authenticate=challenge)

    # ---- changes

    async def _recorded(self, request: web.Request, handler: Handler, caller: Caller) -> web.StreamResponse:
        """What can't be recorded isn't done."""
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                detail = described(await request.read())
        except TimeoutError as e:
            raise RefusedError(408, "slow", f"the body was not there within {BODY_TIMEOUT_S:g} s") from e
        except web.HTTPRequestEntityTooLarge as e:
            raise RefusedError(413, "large", "the body is far too long") from e
        what, where = f"{request.method} {request.rel_url.raw_path}", str(self._client(request))
        number = await asyncio.to_thread(self._audit.begin, caller.who, where, what, detail)
        outcome = "failed"
        try:
            response = await handler(request)
            outcome = _outcome(response)
            return response
        finally:
            await asyncio.shield(asyncio.to_thread(self._end, number, outcome))

    async def _record_denied(self, request: web.Request, caller: Caller, why: RefusedError) -> None:
        """Who may come in and tries what he may not; one a minute of each, so that he can't fill the record."""
        if why.status == 403 and not self._said.take(f"denied {caller.key or caller.who}"):
            what, where = f"{request.method} {request.rel_url.raw_path}", str(self._client(request))
            number = await asyncio.to_thread(self._audit.begin, caller.who, where, what)
            await asyncio.to_thread(self._end, number, f"refused ({why.status}): {why.text}")

    def _end(self, number: int, outcome: str) -> None:
        try:
            self._audit.end(number, outcome)
        except AccessError:
            log.exception("change=%d: its outcome is not recorded: %s", number, outcome)

    def _refused(self, request: web.Request, why: RefusedError) -> web.Response:
        self._own.http_refused[why.reason] = self._own.http_refused.get(why.reason, 0) + 1
        if request.path == "/signin":
            response = signin.page("/", foreign=False, problem=why.text, status=why.status)
        elif why.status == 401 and signin.by_browser(request):
            response = signin.page(request.path_qs, foreign=signin.from_elsewhere(request))
        else:
            response = answer(Problem(error=why.text), why.status)
        response.headers.update(why.headers)
        return response


def _check_packing(request: web.Request) -> None:
    if (packing := request.headers.get("Content-Encoding", "identity").strip().lower()) != "identity":
        raise RefusedError(415, "packed", f"Content-Encoding {packing[:40]!r}: send it as it is")


def _limited(wait: float, text: str) -> RefusedError:
    return RefusedError(429, "limited", f"{text}: wait {math.ceil(wait)} s", Retry_After=str(math.ceil(wait)))


def _outcome(response: web.StreamResponse) -> str:
    """The status, and what was said when it is a refusal."""
    if response.status < 400:
        return f"done ({response.status})"
    body = response.body if isinstance(response, web.Response) else None
    try:
        text = msgspec.json.decode(body if isinstance(body, bytes) else b"", type=Problem).error
    except msgspec.MsgspecError:
        text = response.reason or ""
    return f"refused ({response.status}): {text}"
