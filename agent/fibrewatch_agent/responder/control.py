"""The responder's control API: HTTP(S) around the keeper of slots. It and door.py alone import aiohttp on this side."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from fibrewatch.errors import ConfigError
from fibrewatch_agent.responder import openapi
from fibrewatch_agent.responder.config import ControlConfig
from fibrewatch_agent.responder.credentials import credentials
from fibrewatch_agent.responder.desk import Desk, Entry, RefusedError
from fibrewatch_agent.responder.door import listening, server_context
from fibrewatch_agent.responder.gate import Gate
from fibrewatch_agent.responder.identity import Tokens, common_name
from fibrewatch_agent.responder.slot_keeper import METHODS, Keeper, Visit
from fibrewatch_agent.slots.messages import SLOTS, Granted, Load, Problem, Queued, Reason, Wish

log = logging.getLogger(__name__)

_LARGEST_BODY = 16 * 1024
_ASK_AGAIN_S = 1.0
_COMES_UP_S = 15.0
_BODY_S = 5.0
_CLOSES_S = 2.0
"""What a slot that is given back may take to end: the box hears what was seen of it."""
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def control(config: ControlConfig) -> AsyncIterator[None]:
    """Answers while this is open.

    Raises:
        ConfigError: Certificates or tokens can't be used.
        ToolError: A tool is missing, or the address can't be had.
    """
    tokens = Tokens(config.tokens) if config.tokens else None
    settings = server_context(config.tls) if config.tls else None
    gate = Gate(f"fibrewatch_slots_{config.port}", config.port_range)
    await gate.set_up(config.firewall)
    try:
        async with credentials() as made:
            desk = Desk(config.capacity, config.limits.for_desk(config.sites))
            keeper = Keeper(desk, config.port_range, made, gate)
            async with keeper.open(), listening(Control(config, keeper, tokens).application(), config, settings):
                yield
    finally:
        await gate.take_down()


class _AnswerError(Exception):
    """What is answered instead."""

    def __init__(
        self,
        status: int,
        error: str,
        detail: str,
        retry_after_s: float | None = None,
        reason: Reason | None = None,
    ) -> None:
        self.status = status
        self.problem = Problem(error=error, detail=detail[:500], retry_after=retry_after_s, reason=reason)
        super().__init__(detail)


class Control:
    """The API's handlers."""

    def __init__(self, config: ControlConfig, keeper: Keeper, tokens: Tokens | None) -> None:
        self._config, self._keeper, self._tokens = config, keeper, tokens
        self._complaint = ""

    def application(self) -> web.Application:
        """Routes and error handling."""
        app = web.Application(middlewares=[_in_json], client_max_size=_LARGEST_BODY)
        app.add_routes(
            [
                web.get("/healthz", self._healthz, allow_head=False),
                web.get("/openapi.json", self._openapi, allow_head=False),
                web.get("/v1/status", self._status, allow_head=False),
                web.post(SLOTS, self._ask),
                web.get(f"{SLOTS}/{{id}}", self._slot, allow_head=False),
                web.delete(f"{SLOTS}/{{id}}", self._release),
            ]
        )
        return app

    async def _healthz(self, _: web.Request) -> web.Response:
        return _json({"state": "serving"})

    async def _openapi(self, _: web.Request) -> web.Response:
        return _json(openapi.document())

    async def _status(self, request: web.Request) -> web.Response:
        self._box(request)
        desk = self._keeper.desk
        running, queued = len(desk.running()), len(desk.queued())
        return _json(Load(capacity=desk.capacity, taken=desk.taken, running=running, queued=queued, methods=METHODS))

    async def _ask(self, request: web.Request) -> web.Response:
        box = self._box(request)
        wish = await self._wish(request)
        try:
            entry = self._keeper.desk.ask(secrets.token_urlsafe(12), box, wish, time.monotonic())
        except RefusedError as e:
            raise _AnswerError(429, "full", str(e), e.retry_after_s, self._keeper.desk.reason(box)) from e
        if msgspec.structs.replace(entry.wish, wait=wish.wait) != wish:
            raise _AnswerError(409, "conflict", f"request {wish.request} was another wish before")
        here, peer = _addresses(request)
        visit = self._keeper.visit(entry, here, peer)
        await self._wait(entry, visit, min(wish.wait, self._config.limits.wait_s))
        return self._state(entry, visit)

    async def _wait(self, entry: Entry, visit: Visit, wait_s: float) -> None:
        """Stands in the queue for so long; who has a slot waits for its server in any case."""
        desk = self._keeper.desk
        entry.attached += 1
        try:
            self._keeper.turn()
            await _set(visit.settled, wait_s if entry.state == "queued" else 0.0)
        finally:
            desk.detach(entry, time.monotonic())
        if entry.state == "running":
            await _set(visit.settled, _COMES_UP_S)

    async def _slot(self, request: web.Request) -> web.Response:
        entry = self._entry(request)
        return self._state(entry, self._keeper.visit(entry, *_addresses(request)))

    async def _release(self, request: web.Request) -> web.Response:
        return _json(await self._keeper.close(self._entry(request), _CLOSES_S))

    def _state(self, entry: Entry, visit: Visit) -> web.Response:
        """Granted, queued or gone."""
        now = time.monotonic()
        if entry.state == "running" and visit.port is not None:
            return _json(self._granted(entry, visit, visit.port, now), 201)
        if entry.state == "ended" and entry.ending == "no_server":
            raise _AnswerError(429, "no_server", "no server could be started", self._config.limits.claim_s)
        if entry.state == "ended":
            raise _AnswerError(410, "over", f"request {entry.wish.request} is over: {entry.ending}")
        desk = self._keeper.desk
        answer = Queued(
            id=entry.id,
            place=desk.place(entry, now),
            expected_in=round(desk.expected_in(entry, now), 3),
            retry_after=_ASK_AGAIN_S,
            kept=desk.limits.lease_s,
            reason=desk.reason(entry.agent),
        )
        return _json(answer, 202, answer.retry_after)

    def _granted(self, entry: Entry, visit: Visit, port: int, now: float) -> Granted:
        desk, since = self._keeper.desk, now - entry.granted_at
        return Granted(
            id=entry.id,
            starts_at=datetime.fromtimestamp(time.time() - since, UTC),
            starts_in=0.0,
            claim_within=max(0.0, desk.claim_s(entry) - since),
            ends_within=max(0.0, entry.until - now),
            port=port,
            token=visit.place.password,
            public_key=self._keeper.credentials.public_key,
            capacity=desk.capacity,
        )

    def _entry(self, request: web.Request) -> Entry:
        entry = self._keeper.desk.find(request.match_info["id"], self._box(request))
        if entry is None:
            raise _AnswerError(404, "not_found", "no such slot of yours")
        return entry

    async def _wish(self, request: web.Request) -> Wish:
        try:
            wish = msgspec.json.decode(await _body(request), type=Wish)
        except msgspec.ValidationError as e:
            raise _AnswerError(422, "invalid", str(e)) from e
        except (msgspec.DecodeError, UnicodeDecodeError) as e:
            raise _AnswerError(400, "malformed", f"not JSON: {e}") from e
        if wish.method not in METHODS:
            raise _AnswerError(422, "method", f"{wish.method} is not served here: {', '.join(METHODS)}")
        if wish.duration > self._config.limits.duration_s:
            raise _AnswerError(422, "invalid", f"duration: {self._config.limits.duration_s:g} s at most")
        return wish

    def _box(self, request: web.Request) -> str:
        """Who asks: its certificate's word, else its token's."""
        transport = request.transport
        certificate = transport.get_extra_info("peercert") if transport is not None else None
        box = common_name(certificate) or self._by_token(request)
        if box is None:
            raise _AnswerError(401, "unauthorised", "no certificate or token of a box")
        return box

    def _by_token(self, request: web.Request) -> str | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if self._tokens is None or scheme.lower() != "bearer":
            return None
        try:
            self._tokens.refresh()
        except ConfigError as e:
            self._complain(str(e))
        else:
            self._complaint = ""
        return self._tokens.box(token.strip())

    def _complain(self, problem: str) -> None:
        """Once: every question tries the file again."""
        if problem != self._complaint:
            log.error("no token is good until the file of tokens can be read: %s", problem)
        self._complaint = problem


async def _body(request: web.Request) -> bytes:
    """The whole of it, as it is.

    Raises:
        _AnswerError: It is packed, or breaks off.
    """
    packing = request.headers.get("Content-Encoding", "identity").strip().lower()
    if packing != "identity":
        raise _AnswerError(415, "encoding", f"Content-Encoding {packing[:40]!r}: send it as it is")
    try:
        async with asyncio.timeout(_BODY_S):
            return await request.read()
    except TimeoutError as e:  # a chunk of another form is answered by the library with silence
        raise _AnswerError(400, "malformed", f"no whole body within {_BODY_S:g} s") from e
    except (web.RequestPayloadError, HttpProcessingError) as e:
        raise _AnswerError(400, "malformed", f"the body can't be read: {e}") from e


async def _set(event: asyncio.Event, within_s: float) -> None:
    """Returns when it is set, or the time is over."""
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return


def _addresses(request: web.Request) -> tuple[str, str]:
    """Ours and the box's, an IPv4 one as such on a socket of both families."""
    transport = request.transport
    here, peer = (transport.get_extra_info(name) for name in ("sockname", "peername")) if transport else (None, None)
    if not here or not peer:
        raise _AnswerError(400, "gone", "the connection has ended")
    return here[0].removeprefix("::ffff:"), peer[0].removeprefix("::ffff:")


@web.middleware
async def _in_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Every error is a Problem; one of ours is logged, and says nothing of us."""
    try:
        return await handler(request)
    except _AnswerError as e:
        return _json(e.problem, e.status, e.problem.retry_after)
    except web.HTTPException as e:
        answer = _json(Problem(error="http", detail=e.reason), e.status)
        if "Allow" in e.headers:
            answer.headers["Allow"] = e.headers["Allow"]
        return answer


def _json(value: object, status: int = 200, retry_after_s: float | None = None) -> web.Response:
    answer = web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")
    answer.headers["Cache-Control"] = "no-store"
    if retry_after_s is not None:
        answer.headers["Retry-After"] = str(max(0, round(retry_after_s)))
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer
