"""One request of remote write 1.0, and what its answer means."""

import asyncio
import ssl
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, NamedTuple

import aiohttp
import cramjam

from fibrewatch import __version__
from fibrewatch_collector.config import RemoteWrite
from fibrewatch_collector.remote_write.encoding import Sample, write_request

TIMEOUT_S, CLOSE_S = 30.0, 2.0
MAX_RETRY_AFTER_S = 300.0
_TOLD = 300
_HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "User-Agent": f"fibrewatch-collector/{__version__}",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
Verdict = Literal["taken", "later", "doubtful", "refused"]


class Answer(NamedTuple):
    """What became of a request.

    Attributes:
        verdict: "doubtful" is a 500: what older Prometheus say of a sample beyond their window, and of a full disk.
        told: For people.
        divisible: A part of what was refused may be taken.
        after_s: How long the server wants to be left alone.
    """

    verdict: Verdict
    told: str = ""
    divisible: bool = False
    after_s: float | None = None


class Sender:
    """Asks one server; `close` ends its connections."""

    def __init__(self, config: RemoteWrite) -> None:
        """To be called within a running loop.

        Raises:
            OSError: The authorities' file can't be read (ssl.SSLError: is none).
        """
        self._config = config
        trust = ssl.create_default_context(cafile=config.ca) if config.ca is not None else True
        self._session = aiohttp.ClientSession(
            headers={**_HEADERS, **config.headers},
            connector=aiohttp.TCPConnector(ssl=trust),
            timeout=aiohttp.ClientTimeout(total=None),  # its own deadline may swallow a cancellation that comes with it
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Ends its connections, in any case soon: what a server does not read of them is no reason to wait."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._session.close()

    async def send(self, samples: Iterable[Sample]) -> Answer:
        """Asks once; never raises for what a server or a network may do."""
        body = bytes(cramjam.snappy.compress_raw(write_request(samples)))
        try:
            token = self._config.token()
            headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
            async with (
                asyncio.timeout(TIMEOUT_S),
                self._session.post(self._config.url, data=body, headers=headers, allow_redirects=False) as response,
            ):
                return _judged(response, (await response.content.read(_TOLD)).decode("utf-8", "replace"))
        except (aiohttp.ClientError, OSError, ValueError) as e:
            return Answer("later", str(e) or type(e).__name__)


def _judged(response: aiohttp.ClientResponse, text: str) -> Answer:
    told = f"{response.status} {' '.join(text.split())}".rstrip()
    if 200 <= response.status < 300:
        return Answer("taken")
    if response.status == 500:
        return Answer("doubtful", told, divisible=True)
    if response.status == 429 or response.status > 500:
        return Answer("later", told, after_s=_retry_after(response.headers.get("Retry-After", "")))
    return Answer("refused", told, divisible=response.status in (400, 413, 422))


def _retry_after(header: str) -> float | None:
    """Seconds, or the moment (RFC 9110 §10.2.3); None where it says nothing that can be used."""
    try:
        seconds = (
            float(header)
            if header.strip().isdecimal()
            else (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
        )
    except (TypeError, ValueError):  # TypeError: a date without its zone
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)
