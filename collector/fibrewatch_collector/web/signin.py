"""Browsers beyond this machine: a form takes the token, then a cookie stands for it that no script can read."""

import asyncio
import html
import logging
from collections.abc import Awaitable, Callable, Iterator
from importlib.resources import files

from aiohttp import web

from fibrewatch_collector.access import origin
from fibrewatch_collector.access.scopes import covers
from fibrewatch_collector.access.sessions import Sessions
from fibrewatch_collector.access.tokens import Token
from fibrewatch_collector.web.declarations import BODY_TIMEOUT_S

log = logging.getLogger(__name__)
COOKIE = "__Host-fibrewatch"
POLICY = "default-src 'none'; style-src 'self'; form-action 'self'"
_AGAIN = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0"><title>fibrewatch</title>'
"""A link from elsewhere comes without the cookie (SameSite=Strict); asked again by our own page, it is there."""


class SignIn:
    """Handlers; `token` is the gate's: it checks and counts guesses."""

    def __init__(self, sessions: Sessions, token: Callable[[web.Request, str], Awaitable[Token]]) -> None:
        self._sessions, self._token = sessions, token

    def routes(self) -> Iterator[web.RouteDef]:
        """What the server adds."""
        yield web.get("/signin", self.form)
        yield web.post("/signin", self.sign_in)
        yield web.post("/signout", self.sign_out)

    async def form(self, request: web.Request) -> web.Response:
        """Asks for a token."""
        return page(request.query.get("next", "/"), foreign=False, status=200)

    async def sign_in(self, request: web.Request) -> web.Response:
        """Makes a session of a token that may see pages."""
        if origin.is_foreign("POST", request.headers):
            return _text(403, "another site's page sent this")
        if request.content_type != "application/x-www-form-urlencoded":
            return _text(415, "a form is expected")
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                fields = await request.post()
        except (ValueError, LookupError):  # not of its character set, or that is none
            return _text(400, "the form can't be read")
        except TimeoutError:
            return _text(408, f"the form was not there within {BODY_TIMEOUT_S:g} s")
        shown, after = (str(fields.get(name, "")) for name in ("token", "next"))
        token = await self._token(request, shown.strip())
        if not covers(token.scope, "read"):
            return _text(403, f"token {token.name} has the scope {token.scope}, pages take read")
        log.info("signed in token=%s from=%s", token.name, request.remote)
        response = web.Response(status=303, headers={"Location": local(after)})
        lasts = int(self._sessions.lasts_s)
        response.set_cookie(
            COOKIE, self._sessions.open(token.id), max_age=lasts, secure=True, httponly=True, samesite="Strict"
        )
        return response

    async def sign_out(self, request: web.Request) -> web.Response:
        """Ends the session."""
        if origin.is_foreign("POST", request.headers):
            return _text(403, "another site's page sent this")
        self._sessions.close(request.cookies.get(COOKIE, ""))
        response = web.Response(status=303, headers={"Location": "/signin"})
        response.del_cookie(COOKIE, secure=True, httponly=True, samesite="Strict")
        return response


def by_browser(request: web.Request) -> bool:
    """Whether somebody wants to see a page."""
    return request.method == "GET" and "text/html" in request.headers.get("Accept", "")


def from_elsewhere(request: web.Request) -> bool:
    """Whether it follows a link of another site's page."""
    return request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")


def page(after: str, *, foreign: bool, problem: str = "", status: int = 401) -> web.Response:
    """The form; `after` is where to go then."""
    text = _AGAIN
    if not foreign:
        text = files(__package__).joinpath("signin.html").read_text("utf-8")
        text = text.replace("$next", html.escape(local(after))).replace("$problem", html.escape(problem))
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8", headers=headers)


def local(path: str) -> str:
    """A path of ours, whatever somebody wrote into the link."""
    ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if ours and not path.startswith(("/signin", "/signout")) else "/"


def _text(status: int, text: str) -> web.Response:
    return web.Response(text=f"{text}\n", status=status, headers={"Cache-Control": "no-store"})
