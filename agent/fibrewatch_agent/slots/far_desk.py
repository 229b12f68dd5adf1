"""One responder's control API as a box uses it: a question, its answer, and what a refusal means."""

import asyncio
import logging
import os
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TypeVar

import msgspec

from fibrewatch.measurement import Error
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.net.connect import connected
from fibrewatch_agent.net.sockets import Endpoint, probe_error
from fibrewatch_agent.net.streams import PlainStream
from fibrewatch_agent.net.tls_stream import CertificateRefusedError, TlsStream, context
from fibrewatch_agent.services import http_message
from fibrewatch_agent.services.http_exchange import AGENT, Url, ask, parse_url
from fibrewatch_agent.services.http_message import Head, HttpError, NoAnswerError
from fibrewatch_agent.slots.messages import SLOTS, Closed, Granted, Problem, Queued, Wish
from fibrewatch_agent.tables import Control

log = logging.getLogger(__name__)
T = TypeVar("T")

_ANSWERS_S = 10.0
"""What an answer may take, the wait that was asked for not counted."""
_RELEASE_S = 4.0
_SOON_S = 30.0
_LONGEST_TOKEN = 200
_MOST_ANSWER = 64 * 1024
_ERRORS: dict[int, Error] = {401: "denied", 403: "denied", 429: "busy", 503: "busy"}


class RefusedError(ProbeError):
    """No slot there.

    Attributes:
        retry_after_s: After which the responder would be asked again, where it said so.
        site: What is busy is our own site: at another responder two tests of it would measure each other.
    """

    def __init__(self, error: Error, detail: str, retry_after_s: float | None, *, site: bool) -> None:
        self.retry_after_s, self.site = retry_after_s, site
        super().__init__(error, detail)


@dataclass(slots=True)
class Aftermath:
    """What the responder saw of a slot that is over; None where it did not say."""

    told: Closed | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot that is ours.

    Attributes:
        host: Numeric address, the same that the responder was asked at.
        deadline: Of the monotonic clock: what still runs then is killed at the other end.
        capacity: The responder's own, bytes per second.
        after: Filled in when it was given back.
    """

    host: str
    port: int
    user: str
    token: str
    public_key: str
    deadline: float
    capacity: float
    after: Aftermath = field(default_factory=Aftermath)

    @property
    def left_s(self) -> float:
        """Seconds until the deadline."""
        return max(0.0, self.deadline - time.monotonic())


class Desk:
    """One responder's control API."""

    def __init__(self, control: Control, url: str, box: Box) -> None:
        self._control, self.url = control, _url(url)
        self._box, self._address = box, ""

    async def ask(self, wish: Wish) -> Granted | Queued:
        """One question.

        Raises:
            ProbeError: No answer, or one that says no.
        """
        body = msgspec.json.encode(wish)
        head, content = await self._exchange("POST", SLOTS, body, _ANSWERS_S + wish.wait)
        if head.status == 201:
            return self._decoded(content, Granted)
        if head.status == 202:
            return self._decoded(content, Queued)
        return self._refused(head, content)

    async def started(self, granted: Granted) -> Granted:
        """Waits for its start.

        Raises:
            ProbeError: protocol, it is too far away for a slot that is kept.
        """
        if granted.starts_in > _SOON_S:
            await self.release(granted.id)
            raise ProbeError("protocol", f"{self.url.authority}: a slot {granted.starts_in:g} s from now")
        await asyncio.sleep(granted.starts_in)
        return granted

    async def release(self, name: str) -> Closed | None:
        """Gives a slot or a place back, and tells what was seen of it; if that fails it ends by itself."""
        try:
            head, content = await self._exchange("DELETE", f"{SLOTS}/{name}", b"", _RELEASE_S)
            return self._decoded(content, Closed) if head.status == 200 else None
        except ProbeError as e:
            log.debug("slot not given back error=%s detail=%s", e.error, e.detail)
            return None

    def slot(self, granted: Granted) -> Slot:
        """What was granted, as the box uses it."""
        return Slot(
            host=self._address,
            port=granted.port,
            user=granted.id,
            token=granted.token,
            public_key=granted.public_key,
            deadline=time.monotonic() + granted.ends_within,
            capacity=granted.capacity,
        )

    async def _exchange(self, method: str, path: str, body: bytes, limit_s: float) -> tuple[Head, bytes]:
        """One request and its answer.

        Raises:
            ProbeError: For whatever went wrong.
        """
        where = self.url.authority
        try:
            async with asyncio.timeout(limit_s):
                self._address = await self._box.resolved_address(self.url.host)
                return await self._over(Endpoint(self._address, self.url.port, self._box.interface), method, path, body)
        except TimeoutError as e:
            raise ProbeError("timeout", f"{where}: no answer within {limit_s:g} s") from e
        except OSError as e:
            raise ProbeError(probe_error(e), f"{where}: {os.strerror(e.errno) if e.errno else e}") from e
        except NoAnswerError as e:
            raise ProbeError("reset", f"{where}: {e}") from e
        except HttpError as e:
            raise ProbeError("protocol", f"{where}: {e}") from e
        except CertificateRefusedError as e:
            raise ProbeError("tls", f"{where}: {e.problem.replace('_', ' ')}: {e}") from e

    async def _over(self, to: Endpoint, method: str, path: str, body: bytes) -> tuple[Head, bytes]:
        fields = {"Content-Type": "application/json"} if body else {}
        if self._control.token is not None:
            fields["Authorization"] = f"Bearer {_token(self._control.token)}"
        request = http_message.request(path, self.url.authority, AGENT, method=method, fields=fields, body=body)
        async with connected(to) as connection:
            if self.url.scheme == "http":
                return await ask(PlainStream(connection.sock), request, _MOST_ANSWER)
            secured = TlsStream(connection.sock, _settings(self._control), self.url.host)
            await secured.handshake()
            answer = await ask(secured, request, _MOST_ANSWER)
            secured.goodbye()
            return answer

    def _decoded(self, content: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
            raise ProbeError("parse", f"{self.url.authority}: {e}") from e

    def _refused(self, head: Head, content: bytes) -> NoReturn:
        """Raises what an answer that says no stands for."""
        try:
            told = msgspec.json.decode(content, type=Problem)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            told = Problem(error="", detail=f"status {head.status}")
        error, detail = _ERRORS.get(head.status, "protocol"), f"{self.url.authority}: {told.detail}"
        raise RefusedError(error, detail, told.retry_after if error == "busy" else None, site=told.reason == "site")


def _url(text: str) -> Url:
    try:
        return parse_url(text)
    except HttpError as e:
        raise ProbeError("protocol", f"control: {e}") from e


def _settings(control: Control) -> ssl.SSLContext:
    """The client's side of TLS, with the box's certificate where it has one.

    Raises:
        ProbeError: permission or tls: a file can't be used.
    """
    made = context(str(control.ca) if control.ca else None, verify=True, alpn=("http/1.1",))
    if control.certificate is not None:
        try:
            made.load_cert_chain(control.certificate, control.key)
        except PermissionError as e:
            raise ProbeError("permission", f"{control.certificate}: {e.strerror}") from e
        except OSError as e:
            raise ProbeError("tls", f"{control.certificate}: no usable certificate with key: {e}") from e
    return made


def _token(path: Path) -> str:
    """The box's token: the file's only line.

    Raises:
        ProbeError: permission or denied: it can't be read, or holds no token.
    """
    try:
        token = path.read_text("ascii").strip()
    except PermissionError as e:
        raise ProbeError("permission", f"{path}: {e.strerror}") from e
    except (OSError, UnicodeDecodeError) as e:
        raise ProbeError("denied", f"{path}: {getattr(e, 'strerror', None) or 'no token'}") from e
    if not token or len(token) > _LONGEST_TOKEN or not all(c.isalnum() or c in "-_" for c in token):
        raise ProbeError("denied", f"{path}: no token")
    return token
