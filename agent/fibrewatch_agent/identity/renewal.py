"""Asks for the next certificate over the `renew` channel when a third of the present one's time is left."""

import asyncio
import base64
import logging
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from fibrewatch import python_child, wire
from fibrewatch.errors import ToolError
from fibrewatch.identity import RenewReply, RenewRequest
from fibrewatch.wire import AgentId
from fibrewatch_agent.child import child
from fibrewatch_agent.config import TlsConfig
from fibrewatch_agent.services import certificate

log = logging.getLogger(__name__)

LOOK_EVERY_S = 3600.0
_ANSWER_S = 60.0
_CHILD_S = 60.0
_LARGEST = 64 * 1024
Publish = Callable[[wire.UpChannel, bytes], Awaitable[None]]


class RenewalError(Exception):
    """No new certificate this time; the one in force stays."""


class Renewal:
    """One box's; `run` for as long as a connection lasts, `answered` for what comes on the channel."""

    def __init__(self, agent: AgentId, tls: TlsConfig, clock: Callable[[], float] = time.time) -> None:
        self._agent, self._tls, self._clock = agent, tls, clock
        self._reply: asyncio.Future[RenewReply] | None = None

    @property
    def possible(self) -> bool:
        """Key and certificate are one file, which can be changed at once: what `join` writes."""
        return self._tls.certificate is not None and self._tls.certificate == self._tls.key and self._tls.ca is not None

    def answered(self, payload: bytes) -> None:
        """What the collector says."""
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(wire.decode(payload, RenewReply))

    async def run(self, publish: Publish) -> None:
        """Until cancelled."""
        while True:
            left, lasts = self._times()
            if left < lasts / 3:
                try:
                    await self._renew(publish)
                except RenewalError as e:
                    log.warning("no new certificate, %.1f days are left: %s", left / 86400, e)
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        """An hour, or less for a short certificate; spread, so that boxes enrolled together don't meet."""
        left, lasts = self._times()
        wait = left - lasts / 3 if left > lasts / 3 else max(left, lasts / 3) / 10
        return min(LOOK_EVERY_S, max(1.0, wait)) * random.uniform(1.0, 1.2)  # noqa: S311

    def _times(self) -> tuple[float, float]:
        """Seconds that are left, and that it lasts in all; plenty where the file can't be read: then nothing helps."""
        try:
            text = Path(self._tls.certificate or "").read_text("ascii")
            begin, end = text.index(ssl.PEM_HEADER), text.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)
            read = certificate.read(ssl.PEM_cert_to_DER_cert(text[begin:end]))
        except (OSError, ValueError):
            return LOOK_EVERY_S, LOOK_EVERY_S
        last = read.not_after.timestamp()
        return last - self._clock(), last - read.not_before.timestamp()

    async def _renew(self, publish: Publish) -> None:
        request = msgspec.json.decode(await self._child("ask"), type=RenewRequest)
        self._reply = asyncio.get_running_loop().create_future()
        try:
            await publish("renew", wire.encode(request))
            async with asyncio.timeout(_ANSWER_S):
                reply = await self._reply
        except TimeoutError as e:
            raise RenewalError("the collector does not answer") from e
        finally:
            self._reply = None
        if reply.certificate is None:
            raise RenewalError(f"the collector refuses: {reply.refused}")
        packed = base64.b64encode(reply.certificate.encode()).decode()
        await self._child("take", str(self._tls.ca), packed)
        log.info("a new certificate, in use from the next connection on")

    async def _child(self, step: str, *more: str) -> bytes:
        arguments = (step, str(self._agent), str(self._tls.certificate), *more)
        argv = python_child.command("fibrewatch_agent.identity.child", *arguments)
        try:
            async with asyncio.timeout(_CHILD_S), child(argv, keep=_LARGEST) as process:
                if await process.wait() != 0:
                    raise RenewalError(process.errors.decode("utf-8", "replace").strip().rpartition("\n")[2])
                return bytes(process.output)
        except (ToolError, TimeoutError) as e:
            raise RenewalError(str(e) or "the child took too long") from e
