"""One GET over one connection, its phases timed apart (RFC 9110, RFC 9112); what is asked for, and what came."""

import re
import time
from typing import Any, NamedTuple, NoReturn
from urllib.parse import quote, urljoin, urlsplit

from fibrewatch import __version__
from fibrewatch.measurement import Error
from fibrewatch_agent.findings import Findings
from fibrewatch_agent.net.streams import Stream
from fibrewatch_agent.services import http_message
from fibrewatch_agent.services.http_message import Body, Head, HttpError, body_of, parse_head, split_head, status_of

DEFAULT_PORTS = {"http": 80, "https": 443}
KEPT_BYTES = 4096
AGENT = f"fibrewatch/{__version__}"
_MOST_INTERIM = 8
_REDIRECTS = {301, 302, 303, 307, 308}
_HOST = re.compile(r"[A-Za-z0-9._:%-]{1,255}")
_LONGEST_LOCATION = 200
_DENIED, _BUSY = {401, 403, 407, 451, 511}, {429, 503}


class Url(NamedTuple):
    """Where to: `host` is a name or a numeric address, `path` has the query with it."""

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self._at(self.host)}{self.path}"

    @property
    def authority(self) -> str:
        """As the Host field says it (RFC 9110 §7.2); servers know their names without the dot of the root."""
        return self._at(self.host.removesuffix("."))

    def _at(self, host: str) -> str:
        host = host.partition("%")[0]
        host = f"[{host}]" if ":" in host else host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


class Content:
    """What is kept of a body: its size, its beginning, and whether a text was in it.

    Attributes:
        most: Bytes after which reading ends.
        behind: Bytes that came together with the body's end and are none of it; they are discarded (RFC 9112 §6.3).
    """

    def __init__(self, text: str | None, most: int) -> None:
        self.most = most
        self._wanted = (text or "").encode()
        self.clear()

    def clear(self) -> None:
        """Forgets an earlier answer's body."""
        self.size = self.behind = 0
        self.beginning = self._tail = b""
        self.found = False

    def add(self, part: bytes) -> None:
        """Takes the next part of the body."""
        self.size += len(part)
        self.beginning += part[: KEPT_BYTES - len(self.beginning)]
        window = self._tail + part
        self.found = self.found or self._wanted in window
        self._tail = window[max(0, len(window) - len(self._wanted) + 1) :]


async def get(stream: Stream, url: Url, content: Content, findings: Findings[Any]) -> Head:
    """Sends the request and reads the answer; notes first_byte, body, status, size, version, location and complete.

    Raises:
        HttpError: What came is no answer.
        ProbeError, OSError: As the stream.
    """
    findings.step = f"sending the request for {url}"
    sent = time.monotonic()
    await stream.send(http_message.request(url.path, url.authority, AGENT))
    findings.step = f"waiting for the first byte of {url}"
    data = await stream.receive()
    first = time.monotonic()
    if data:
        findings.note(first_byte=first - sent)
    findings.step = f"reading the head of {url}"
    try:
        head, data = await _head(stream, data)
    except HttpError as e:
        findings.note(status=e.status)
        raise
    findings.note(status=head.status, version=head.version, location=_printable(head.fields.get("location")))
    findings.step = f"reading the body of {url}"
    await _read(stream, body_of(head), data, content, findings)
    findings.note(body=time.monotonic() - first)
    return head


async def ask(stream: Stream, request: bytes, most: int) -> tuple[Head, bytes]:
    """Any request, and its whole answer.

    Args:
        most: Bytes that the answer's body may have.

    Raises:
        HttpError: What came is no answer, or too long a one.
        ProbeError, OSError: As the stream.
    """
    await stream.send(request)
    head, data = await _head(stream, await stream.receive())
    coming, content = body_of(head), b""
    while True:
        content += coming.feed(data)
        if len(content) > most:
            raise HttpError(f"an answer of more than {most} bytes")
        if coming.done:
            return head, content
        data = await stream.receive()
        if not data:
            coming.end()
            return head, content


def parse_url(text: str) -> Url:
    """A URL of HTTP.

    Raises:
        HttpError: It is none.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as e:
        raise HttpError(f"{text[:60]!r}: {e}") from e
    if parts.scheme not in DEFAULT_PORTS or not _HOST.fullmatch(host) or parts.username is not None:
        raise HttpError(f"{text[:60]!r} is not http(s)://host[:port]")
    return Url(parts.scheme, host, port or DEFAULT_PORTS[parts.scheme], parts.path or "/")


async def _head(stream: Stream, data: bytes) -> tuple[Head, bytes]:
    """The head of the final answer, and what came behind it; interim ones are passed over (RFC 9110 §15.2)."""
    for _ in range(_MOST_INTERIM):
        head, data = await _any_head(stream, data)
        if head.status >= 200:
            return head, data
        if head.status == 101:
            raise HttpError("it switches protocols unasked")
    raise HttpError("interim answers without end")


async def _any_head(stream: Stream, data: bytes) -> tuple[Head, bytes]:
    try:
        while (parts := split_head(data)) is None:
            more = await stream.receive()
            data += more or _ended(data)
        return parse_head(parts[0]), parts[1]
    except HttpError as e:
        e.status = status_of(data)
        raise


def _ended(data: bytes) -> NoReturn:
    if not data:
        raise http_message.NoAnswerError("closed without an answer")
    raise HttpError(f"closed after {len(data)} bytes of a head")


async def _read(stream: Stream, body: Body, data: bytes, content: Content, findings: Findings[Any]) -> None:
    findings.note(complete=False)
    while True:
        content.add(body.feed(data))
        findings.note(size=content.size)
        if body.done or content.size >= content.most:
            break
        data = await stream.receive()
        if not data:
            body.end()
            break
    content.behind = len(body.rest)
    findings.note(complete=body.done)


def redirected(url: Url, head: Head) -> Url | None:
    """Where the answer sends us; None when it is no redirect.

    Raises:
        HttpError: It sends us nowhere that HTTP goes.
    """
    location = head.fields.get("location")
    if head.status not in _REDIRECTS or location is None:
        return None
    try:
        parts = urlsplit(urljoin(str(url), location))
        host, port = parts.hostname or "", parts.port
    except ValueError as e:
        raise HttpError(f"it redirects to {location[:60]!r}") from e
    if parts.scheme not in DEFAULT_PORTS or not _HOST.fullmatch(host) or parts.username is not None:
        raise HttpError(f"it redirects to {location[:60]!r}")
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    query = f"?{quote(parts.query, safe='/?%:@!$&()*+,;=~')}" if parts.query else ""
    return Url(parts.scheme, host, port or DEFAULT_PORTS[parts.scheme], path + query)


def refusal(status: int) -> Error:
    """The word of the fixed list for a status that was not wanted."""
    if status in _DENIED:
        return "denied"
    return "busy" if status in _BUSY else "protocol"


def _printable(text: str | None) -> str | None:
    if text is None:
        return None
    return "".join(c for c in text if c.isprintable())[:_LONGEST_LOCATION]
