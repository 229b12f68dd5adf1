"""http: one GET, its phases apart, redirects when they are asked for, and the test for captive portals."""

import asyncio
import contextlib
import dataclasses
import time
from typing import NamedTuple

from fibrewatch.results.http import Params, Result
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.findings import Findings
from fibrewatch_agent.net.connect import Connection, connected
from fibrewatch_agent.net.streams import CHUNK, PlainStream, Stream
from fibrewatch_agent.net.tls_stream import CertificateRefusedError, TlsStream, context
from fibrewatch_agent.services.http_exchange import DEFAULT_PORTS, Content, Url, get, redirected, refusal
from fibrewatch_agent.services.http_message import Head, HttpError
from fibrewatch_agent.traffic.amounts import HANDSHAKE_BYTES, Amount, Way, tcp

NEEDS_TARGET = True
_REQUEST_BYTES, _HEAD_BYTES = 200, 1000
_SMALL_BYTES = 2**16
"""The window that Linux opens to a server before anything was read; who reads no more than that needs no larger one."""
_GROWTH = 4
"""How much a server may be ahead of what was read while the kernel grows the window, in bodies, on a busy box."""
_MOST_REDIRECTS = 5
_LINGER_S = 1.0  # for a body behind an answer that has none by its status
_PHASES = (
    *("resolve", "connect", "tls", "first_byte", "body"),
    *("rtt", "status", "size", "complete", "version", "location", "total"),
)


class _Run(NamedTuple):
    """What one run is made of; `content` is the latest answer's, as far as it was read."""

    params: Params
    findings: Findings[Result]
    content: Content
    began: float


async def http(params: Params, box: Box) -> Result:
    """One answer, or with `follow` the last of several.

    Raises:
        ProbeError: As `Findings.within`; protocol for what is not HTTP or not expected, tls for a certificate; denied
            or busy where the status says so.
    """
    findings = Findings(Result)
    run = _Run(params, findings, Content(params.text, params.max_body), time.monotonic())
    try:
        async with findings.within(params.timeout_s):
            try:
                head = await _follow(_first(params, box), box, run)
            except HttpError as e:
                raise ProbeError("protocol", f"{findings.step}: {e}") from e
            if params.portal:
                findings.note(portal_detected=not _as_expected(head, run))
            else:
                _judge(head, run)
    except ProbeError as e:
        status = e.result.status if params.portal and e.result is not None else None
        if status is None or _begins_as_expected(status, run):
            raise
        findings.note(portal_detected=True)  # however it ended, another answer had begun
    return findings.result()


def _first(params: Params, box: Box) -> Url:
    port = params.port or DEFAULT_PORTS[params.scheme]
    return Url(params.scheme, params.host or box.address or "", port, params.path)


async def _follow(url: Url, box: Box, run: _Run) -> Head:
    for redirects in range(_MOST_REDIRECTS + 1):
        head = await _get(url, box, run)
        to = redirected(url, head) if run.params.follow else None
        if to is None:
            return head
        url, box = to, dataclasses.replace(box, address=to.host)
        run.findings.note(redirects=redirects + 1, redirect=time.monotonic() - run.began)
    raise HttpError(f"more than {_MOST_REDIRECTS} redirects")


async def _get(url: Url, box: Box, run: _Run) -> Head:
    findings = run.findings
    findings.note(**dict.fromkeys(_PHASES))  # those of an earlier request say nothing about this one
    run.content.clear()
    to = await findings.resolve(box, url.port)
    findings.step = f"connecting to {to}"
    async with connected(to, _SMALL_BYTES if run.params.max_body <= _SMALL_BYTES else None) as connection:
        findings.note(connect=connection.connect_s, rtt=connection.rtt_s)
        if url.scheme == "http":
            return await _asked(PlainStream(connection.sock), url, run)
        stream = await _secured(connection, url, run.params, findings)
        head = await _asked(stream, url, run)
        stream.goodbye()
        return head


async def _asked(stream: Stream, url: Url, run: _Run) -> Head:
    head = await get(stream, url, run.content, run.findings)
    took_s = time.monotonic() - run.began
    run.findings.note(total=took_s)
    if run.params.portal and run.params.text is None and not run.content.size + run.content.behind:
        run.content.behind = await _more(stream, min(_LINGER_S, (run.params.timeout_s - took_s) / 2))
    return head


async def _more(stream: Stream, wait_s: float) -> int:
    """Bytes behind an answer that should have no body; the server was asked to close, so mostly there's no wait."""
    with contextlib.suppress(OSError, ProbeError):  # a timeout is one as well
        async with asyncio.timeout(wait_s):
            return len(await stream.receive())
    return 0


async def _secured(connection: Connection, url: Url, params: Params, findings: Findings[Result]) -> TlsStream:
    findings.step = f"TLS handshake with {url.authority}"
    settings = context(params.ca, verify=params.verify, alpn=("http/1.1",))
    stream, began = TlsStream(connection.sock, settings, url.host), time.monotonic()
    try:
        await stream.handshake()
    except CertificateRefusedError as e:
        raise ProbeError("tls", f"{url.authority}: {e.problem.replace('_', ' ')}: {e}") from e
    findings.note(tls=time.monotonic() - began)
    return stream


def _as_expected(head: Head, run: _Run) -> bool:
    """Whether a portal's test came back exactly as its server sends it."""
    text, content = run.params.text, run.content
    if not _begins_as_expected(head.status, run):
        return False
    if text is None:
        return not content.behind and head.fields.get("content-length", "0").strip("0, ") == ""
    return content.beginning.strip() == text.strip().encode()


def _begins_as_expected(status: int, run: _Run) -> bool:
    """Whether what came may be the beginning of what a portal's test expects."""
    text, content = run.params.text, run.content
    if text is None:
        return status in (run.params.status or (204,)) and not content.size
    return status in (run.params.status or (200,)) and text.strip().encode().startswith(content.beginning.strip())


def _judge(head: Head, run: _Run) -> None:
    status, params = head.status, run.params
    expected = params.status or (range(200, 300) if params.follow else range(200, 400))
    if status not in expected:
        raise ProbeError(refusal(status), f"status {status}")
    if params.text is not None and not run.content.found:
        raise ProbeError("protocol", f"{params.text[:60]!r} is not in the first {run.content.size} bytes")


def traffic(params: Params, way: Way) -> Amount:
    """As large an answer as is read, and what a server may have sent meanwhile; redirects, when followed, five."""
    up, down = HANDSHAKE_BYTES if params.scheme == "https" else (0, 0)
    times = 6 if params.follow else 1
    ahead = 2 * _SMALL_BYTES if params.max_body <= _SMALL_BYTES else _GROWTH * params.max_body
    answer = _HEAD_BYTES + params.max_body + CHUNK + ahead
    request = _REQUEST_BYTES + len(params.path)
    return tcp(way, times * (up + request), times * (down + answer))._replace(basis="at most")
