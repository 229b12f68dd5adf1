"""The collector's MQTT connection, by gmqtt: a result received and its share of an acknowledgement cost 16 µs of CPU,
with aiomqtt 65 (DECISIONS.md). One object is one connection; coming back is the caller's business.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import gmqtt
from gmqtt.mqtt.constants import MQTTv311
from gmqtt.mqtt.handler import MQTTError
from msgspec import Struct

from fibrewatch_collector.config import Broker, Tls

_NEVER = -2
"""gmqtt's number of reconnects, of which -1 means without end."""
_REFUSED = 0x80  # MQTT 3.1.1 §3.9.3
_TIMEOUT_S = 10.0
_FAREWELL_S = 2.0
GULP_S = 0.05
"""So long the socket is left alone after messages came, so that more come at once: to wake up for each costs more than
reading it. What fills gmqtt's buffer meanwhile is read at once all the same."""
logging.getLogger("gmqtt").setLevel(logging.CRITICAL)  # it reports each lost connection as several errors; we do once


class LinkError(Exception):
    """The connection did not come about, or ended; its text says why."""


class Will(Struct, frozen=True, kw_only=True):
    """What the broker publishes, retained, when the connection breaks."""

    topic: str
    payload: bytes


class Connection:
    """Made by `connect`; `publish` never waits, `ended` raises when it is over."""

    def __init__(self, client: gmqtt.Client, on_message: Callable[[str, bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        self._client, self._sink = client, on_message
        self._over: asyncio.Future[Any] = loop.create_future()
        self._granted: asyncio.Future[Any] = loop.create_future()
        self._loop, self._resting = loop, False
        client.on_message, client.on_disconnect, client.on_subscribe = self._on_message, self._on_end, self._on_granted

    async def subscribe(self, filters: Sequence[tuple[str, int]]) -> None:
        """Asks for (topic filter, QoS) pairs, once for each connection.

        Raises:
            LinkError: The broker refused one of them, or did not answer.
        """
        self._client.subscribe([gmqtt.Subscription(topic, qos=qos) for topic, qos in filters])
        async with _answer("the broker did not answer to the subscription"):
            await asyncio.wait((self._granted, self._over), return_when=asyncio.FIRST_COMPLETED)
        if not self._granted.done() or any(qos >= _REFUSED for qos in self._granted.result()):
            raise LinkError("the broker refused the subscription")

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """At QoS 1; what the broker has not taken when the connection ends is gone with it."""
        self._client.publish(topic, payload, qos=1, retain=retain)

    @property
    def broker_certificate_until(self) -> float | None:
        """When the broker's certificate expires, in UTC seconds; None without TLS."""
        shown = self._transport.get_extra_info("peercert")
        return float(ssl.cert_time_to_seconds(shown["notAfter"])) if shown else None

    async def ended(self) -> None:
        """Waits for the end.

        Raises:
            LinkError: It ended.
            Exception: What `on_message` raised.
        """
        await asyncio.shield(self._over)

    async def close(self) -> None:
        """Says goodbye to the broker, which then does not publish the will."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                await self._client.disconnect()
        if self._over.done():
            self._over.exception()  # it has been heard of elsewhere, or nobody cares any more

    def _on_message(self, client: gmqtt.Client, topic: str, payload: bytes, qos: int, properties: object) -> None:
        try:
            self._sink(topic, payload)
        except Exception as e:  # a fault of ours must end the process, not gmqtt's reading task unseen
            self._end(e)
        if not self._resting:
            self._resting = True
            self._transport.pause_reading()
            self._loop.call_later(GULP_S, self._read_on)

    def _read_on(self) -> None:
        self._resting = False
        if not self._transport.is_closing():
            self._transport.resume_reading()

    @property
    def _transport(self) -> asyncio.Transport:
        transport: asyncio.Transport = self._client._connection._transport  # it has no public way to it
        return transport

    def _on_end(self, client: gmqtt.Client, packet: bytes, exc: Exception | None = None) -> None:
        self._end(LinkError("connection lost"))

    def _on_granted(self, client: gmqtt.Client, mid: int, qos: Sequence[int], properties: object) -> None:
        if not self._granted.done():
            self._granted.set_result(qos)

    def _end(self, error: Exception) -> None:
        if not self._over.done():
            self._over.set_exception(error)


async def connect(broker: Broker, *, on_message: Callable[[str, bytes], None], will: Will | None = None) -> Connection:
    """Connects with a clean session.

    Raises:
        LinkError: The broker can't be reached, refused, or did not answer in time.
    """
    message = gmqtt.Message(will.topic, will.payload, qos=1, retain=True) if will else None
    client = gmqtt.Client(None, clean_session=True, will_message=message)
    client.set_config({"reconnect_retries": _NEVER})
    connection = Connection(client, on_message)
    try:
        async with _answer("the broker did not answer"):
            await client.connect(
                broker.host,
                broker.port,
                ssl=_tls_context(broker.tls) if broker.tls else False,
                keepalive=round(broker.keepalive_s),
                version=MQTTv311,
            )
    except (OSError, MQTTError) as e:
        raise LinkError(str(e) or type(e).__name__) from e
    except BaseException:
        await connection.close()
        raise
    return connection


@contextlib.asynccontextmanager
async def _answer(complaint: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            yield
    except TimeoutError as e:
        raise LinkError(f"{complaint} within {_TIMEOUT_S:g} s") from e


def _tls_context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    return context
