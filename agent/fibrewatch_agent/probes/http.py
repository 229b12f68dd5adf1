"""http: one GET, its phases apart, redirects when they are asked for, and the test for captive portals."""

import dataclasses
import time
from typing import NamedTuple

from fibrewatch.results.http import Params, Result
from fibrewatch_agent.amounts import HANDSHAKE_BYTES, Amount, Way, tcp
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.connect import Connection, connected
from fibrewatch_agent.findings import Findings
from fibrewatch_agent.http_exchange import DEFAULT_PORTS, Content, Url, get, redirected, refusal
from fibrewatch_agent.http_message import Head, HttpError
from fibrewatch_agent.streams import PlainStream
from fibrewatch_agent.tls_stream import CertificateRefusedError, TlsStream, context

NEEDS_TARGET = True
_REQUEST_BYTES, _HEAD_BYTES = 200, 1000
_AHEAD_BYTES = 3 * 2**16
"""The window that Linux opens to a server before anything was read is 2^16; it grows while a busy box reads."""
_MOST_REDIRECTS = 5
_PHASES = (
    *("resolve", "connect", "tls", "first_byte", "body"),
    *("rtt", "status", "size", "complete", "version", "location"),
)


class _Answer(NamedTuple):
    """An answer's head, and its body as far as it was read."""

    head: Head
    content: Content


async def http(params: Params, box: Box) -> Result:
    """One answer, or with `follow` the last of several.

    Raises:
        ProbeError: As `Findings.within`; protocol for what is not HTTP or not expected, tls for a certificate; denied
            or busy where the status says so.
    """
    findings, began = Findings(Result), time.monotonic()
    async with findings.within(params.timeout_s):
        try:
            answer = await _follow(_first(params, box), params, box, findings)
        except HttpError as e:
            raise ProbeError("protocol", f"{findings.step}: {e}") from e
        findings.note(total=time.monotonic() - began)
        if params.portal:
            findings.note(portal_detected=not _as_expected(answer, params))
        else:
            _judge(answer, params)
    return findings.result()


def _first(params: Params, box: Box) -> Url:
    port = params.port or DEFAULT_PORTS[params.scheme]
    return Url(params.scheme, params.host or box.address or "", port, params.path)


async def _follow(url: Url, params: Params, box: Box, findings: Findings[Result]) -> _Answer:
    began = time.monotonic()
    for redirects in range(_MOST_REDIRECTS + 1):
        answer = await _get(url, params, box, findings)
        to = redirected(url, answer.head) if params.follow else None
        if to is None:
            return answer
        url, box = to, dataclasses.replace(box, address=to.host)
        findings.note(redirects=redirects + 1, redirect=time.monotonic() - began)
    raise HttpError(f"more than {_MOST_REDIRECTS} redirects")


async def _get(url: Url, params: Params, box: Box, findings: Findings[Result]) -> _Answer:
    findings.note(**dict.fromkeys(_PHASES))  # those of an earlier request say nothing about this one
    to = await findings.resolve(box, url.port)
    findings.step = f"connecting to {to}"
    async with connected(to) as connection:
        findings.note(connect=connection.connect_s, rtt=connection.rtt_s)
        content = Content(params.text, params.max_body)
        if url.scheme == "http":
            return _Answer(await get(PlainStream(connection.sock), url, content, findings), content)
        stream = await _secured(connection, url, params, findings)
        head = await get(stream, url, content, findings)
        stream.goodbye()
        return _Answer(head, content)


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


def _as_expected(answer: _Answer, params: Params) -> bool:
    """Whether a portal's test came back exactly as its server sends it."""
    status, content = answer.head.status, answer.content
    if params.text is None:
        return status in (params.status or (204,)) and not content.size
    return status in (params.status or (200,)) and content.beginning.strip() == params.text.strip().encode()


def _judge(answer: _Answer, params: Params) -> None:
    status = answer.head.status
    expected = params.status or (range(200, 300) if params.follow else range(200, 400))
    if status not in expected:
        raise ProbeError(refusal(status), f"status {status}")
    if params.text is not None and not answer.content.found:
        raise ProbeError("protocol", f"{params.text[:60]!r} is not in the first {answer.content.size} bytes")


def traffic(params: Params, way: Way) -> Amount:
    """As large an answer as is read, and what a server may have sent meanwhile; redirects, when followed, five."""
    up, down = HANDSHAKE_BYTES if params.scheme == "https" else (0, 0)
    times = 6 if params.follow else 1
    answer = _HEAD_BYTES + 2 * params.max_body + _AHEAD_BYTES
    request = _REQUEST_BYTES + len(params.path)
    return tcp(way, times * (up + request), times * (down + answer))._replace(basis="at most")
