"""The box's MQTT connection: results, status, inventory up; acknowledgements down. The only module that knows MQTT."""

import asyncio
import contextlib
import logging
import math
import random
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fibrewatch import wire
from fibrewatch.errors import WireError
from fibrewatch_agent import memory
from fibrewatch_agent.config import BrokerConfig, TlsConfig
from fibrewatch_agent.courier import Courier
from fibrewatch_agent.spool import Spool
from fibrewatch_agent.window import Pace

with memory.without("urllib.request"):  # 2 MiB that paho wants for proxies of WebSockets alone
    import aiomqtt

if TYPE_CHECKING:
    from fibrewatch_agent.identity.renewal import Renewal

log = logging.getLogger(__name__)

GOODBYE_S = 0.4
"""For the last status, and again for leaving."""
MAX_INCOMING = 1000
REFUSED = 128
"""A subscription's return code, MQTT 3.1.1 §3.9.3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds.

    Attributes:
        resend: How long an acknowledgement is waited for.
        reconnect_first_s: The first wait is somewhere below it; it doubles up to `reconnect_cap_s`.
        stable_s: A connection that held so long makes the waits short again.
        puback_s: A broker that takes longer to take a message is left; a batch on a slow line needs its time.
        flush_s: From `stopping` to the end, all in all.
    """

    resend: Pace = field(default_factory=Pace)
    reconnect_first_s: float = 1.0
    reconnect_cap_s: float = 30.0
    stable_s: float = 15.0
    connect_s: float = 30.0
    puback_s: float = 60.0
    status_every_s: float = 30.0
    flush_s: float = 5.0


class LinkLostError(Exception):
    """The connection ended or did not come about; its text says why."""


async def run_uplink(  # noqa: PLR0917
    broker: BrokerConfig,
    agent: wire.AgentId,
    spool: Spool,
    status: Callable[[], wire.Status],
    inventory: Callable[[], wire.Inventory],
    status_changed: asyncio.Event,
    stopping: asyncio.Event,
    *,
    renewal: "Renewal | None" = None,
    timing: Timing | None = None,
    rng: random.Random | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Delivers until `stopping`, then flushes, says goodbye and returns, all within `timing.flush_s`.

    Whatever broker, line or certificate do, it tries again: a box that nobody visits must come back by itself.
    """
    timing, rng = timing or Timing(), rng or random.Random()  # noqa: S311
    courier = Courier(spool, timing.resend, rng, clock)
    reporter = Reporter(agent, status, inventory, status_changed, timing)
    failures = 0
    while not stopping.is_set():
        link = Link(broker, reporter, courier, renewal, stopping=stopping, timing=timing)
        began = clock()
        try:
            await link.run()
        except LinkLostError as e:
            failures = 0 if link.connected and clock() - began >= timing.stable_s else failures
            level = logging.DEBUG if failures else logging.WARNING
            log.log(level, "no connection to %s:%d: %s", broker.host, broker.port, e)
            # Full jitter, so that a city's boxes don't come back to a restarted broker in one moment.
            cap = min(timing.reconnect_cap_s, timing.reconnect_first_s * 2 ** min(failures, 10))
            failures += 1
            await _wait(stopping, rng.uniform(0, cap))


@dataclass(slots=True)
class Reporter:
    """Status and inventory, both retained.

    Attributes:
        farewell: The last status: published by the broker when the box vanishes, by the box when it stops.
    """

    agent: wire.AgentId
    status: Callable[[], wire.Status]
    inventory: Callable[[], wire.Inventory]
    changed: asyncio.Event
    timing: Timing
    farewell: bytes = b""
    _told: bytes = b""

    def __post_init__(self) -> None:
        now = self.status()
        self.farewell = wire.encode(wire.Status(state="offline", version=now.version, boot=now.boot))

    async def begin(self, link: "Link") -> None:
        """On a new connection all is told: the broker may have lost what it retained."""
        self._told = b""
        await self._tell(link)

    async def run(self, link: "Link") -> None:
        """Tells at once what changed, and everything now and then."""
        while True:
            await _wait(self.changed, self.timing.status_every_s)
            await self._tell(link)

    async def _tell(self, link: "Link") -> None:
        self.changed.clear()
        await link.publish("status", wire.encode(self.status()), retain=True)
        inventory = wire.encode(self.inventory())
        if inventory != self._told:
            await link.publish("inventory", inventory, retain=True)
            self._told = inventory


class Link:
    """One connection, from the first packet to the goodbye.

    Attributes:
        connected: Whether the broker let it in.
    """

    def __init__(
        self,
        broker: BrokerConfig,
        reporter: Reporter,
        courier: Courier,
        renewal: "Renewal | None",
        *,
        stopping: asyncio.Event,
        timing: Timing,
    ) -> None:
        self.connected = False
        self._broker, self._agent, self._timing = broker, reporter.agent, timing
        self._reporter, self._courier, self._stopping = reporter, courier, stopping
        self._renewal = renewal if renewal is not None and renewal.possible else None
        self._ack_topic = wire.down_topic(self._agent, "ack")
        self._renew_topic = wire.down_topic(self._agent, "renew")
        self._collector_topic = wire.collector_topic(self._agent.territory)
        self._client: aiomqtt.Client

    async def run(self) -> None:
        """Serves until `stopping`.

        Raises:
            LinkLostError: It ended before, or did not come about.
        """
        try:
            self._client = self._new_client()
            if await self._connect():
                try:
                    await self._serve()
                finally:
                    await self._leave()
        except (aiomqtt.MqttError, OSError, ValueError) as e:  # ValueError: a host that is no name, a bad key file
            raise LinkLostError(str(e) or type(e).__name__) from e

    def _new_client(self) -> aiomqtt.Client:
        tls = self._broker.tls
        return aiomqtt.Client(
            self._broker.host,
            self._broker.port,
            identifier=".".join(self._agent),  # no '/': some brokers (rumqttd) drop such a connection
            clean_session=True,
            will=aiomqtt.Will(wire.up_topic(self._agent, "status"), self._reporter.farewell, qos=1, retain=True),
            keepalive=max(1, round(self._broker.keepalive_s)),
            tls_context=None if tls is None else tls_context(tls),
            max_queued_incoming_messages=MAX_INCOMING,
        )

    async def _connect(self) -> bool:
        """False when `stopping` was set before it was done."""
        async with asyncio.TaskGroup() as tasks:
            entering = tasks.create_task(self._enter(), name="uplink-connect")
            stopped = tasks.create_task(self._stopping.wait(), name="uplink-stop")
            await asyncio.wait({entering, stopped}, timeout=self._timing.connect_s, return_when=asyncio.FIRST_COMPLETED)
            entering.cancel()
            stopped.cancel()
        if entering.cancelled() and self._stopping.is_set():
            return False
        error = LinkLostError("no answer in time") if entering.cancelled() else entering.result()
        if error is not None:
            raise error
        self.connected = True
        log.info("connected to %s:%d", self._broker.host, self._broker.port)
        return True

    async def _enter(self) -> Exception | None:
        try:
            await self._client.__aenter__()
        except (aiomqtt.MqttError, OSError, ValueError) as e:
            return e
        return None

    async def _serve(self) -> None:
        limit = asyncio.timeout(None)
        try:
            async with limit, asyncio.TaskGroup() as tasks:
                jobs = [
                    tasks.create_task(self._receive(), name="uplink-receive"),
                    tasks.create_task(self._reporter.run(self), name="uplink-report"),
                    tasks.create_task(self._limit_flush(limit), name="uplink-flush"),
                ]
                await self._subscribe()
                if self._renewal is not None:
                    jobs.append(tasks.create_task(self._renewal.run(self.publish), name="uplink-renew"))
                await self._reporter.begin(self)
                await self._courier.deliver(self._publish_results, self._stopping)
                for job in jobs:
                    job.cancel()
        except TimeoutError:
            log.info("stopped before everything was acknowledged; the spool keeps the rest")
        except BaseExceptionGroup as e:
            cause = _cause(e)
            if cause is None:
                raise
            raise cause from e

    async def _limit_flush(self, limit: asyncio.Timeout) -> None:
        await self._stopping.wait()
        limit.reschedule(asyncio.get_running_loop().time() + max(0.0, self._timing.flush_s - 2.5 * GOODBYE_S))
        self._courier.wake.set()

    async def _subscribe(self) -> None:
        (ack,) = await self._client.subscribe(self._ack_topic, qos=1)
        if ack == REFUSED:
            raise LinkLostError(f"the broker refuses {self._ack_topic}: check its access rules")
        if self._renewal is not None:
            await self._client.subscribe(self._renew_topic, qos=1)
        (collector,) = await self._client.subscribe(self._collector_topic, qos=1)
        if collector == REFUSED:
            log.warning("the broker refuses %s: sending goes on while the collector is away", self._collector_topic)

    async def _leave(self) -> None:
        self._client.timeout = GOODBYE_S
        with contextlib.suppress(aiomqtt.MqttError):
            if self._stopping.is_set():
                await self._client.publish(
                    wire.up_topic(self._agent, "status"), self._reporter.farewell, qos=1, retain=True
                )
            await self._client.__aexit__(None, None, None)

    # ---- up

    async def _publish_results(self, payload: bytes) -> None:
        await self.publish("results", payload)

    async def publish(self, channel: wire.UpChannel, payload: bytes, *, retain: bool = False) -> None:
        """Returns once the broker has taken it, which says nothing of the collector.

        Raises:
            LinkLostError: The broker did not take it in time.
        """
        try:
            async with asyncio.timeout(self._timing.puback_s):
                topic = wire.up_topic(self._agent, channel)
                await self._client.publish(topic, payload, qos=1, retain=retain, timeout=math.inf)
        except TimeoutError as e:
            raise LinkLostError(f"the broker did not take a message in {self._timing.puback_s:g} s") from e

    # ---- down

    async def _receive(self) -> None:
        async for message in self._client.messages:
            payload = message.payload if isinstance(message.payload, bytes) else b""
            try:
                await self._take(str(message.topic), payload)
            except WireError as e:
                log.warning("ignored a message: topic=%s %s", message.topic, e)

    async def _take(self, topic: str, payload: bytes) -> None:
        if topic == self._ack_topic:
            await self._courier.acknowledged(wire.decode(payload, wire.Ack))
        elif topic == self._renew_topic and self._renewal is not None:
            self._renewal.answered(payload)
        elif topic == self._collector_topic:
            # Nothing retained any more: not known, and then it is worth trying.
            state = wire.decode(payload, wire.CollectorStatus).state if payload else "online"
            self._courier.collector_is(ready=state == "online")


def tls_context(tls: TlsConfig) -> ssl.SSLContext:
    """What the files say now: a renewed certificate is in use from the next connection on."""
    context = ssl.create_default_context(cafile=tls.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    return context


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _cause(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """The first error of a connection's tasks; None if one of them is something else."""
    _, rest = group.split((aiomqtt.MqttError, LinkLostError, OSError))
    return group.exceptions[0] if rest is None else None
