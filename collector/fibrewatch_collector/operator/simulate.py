"""`fibrewatch simulate`: many boxes on the real wire, over one MQTT connection, at a given rate.

One connection publishes for every box, so the broker must let it (no ACL): it is made for loads and tests.
paho without a thread: 50 µs a batch, where aiomqtt's future for each message costs three times as much.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from fibrewatch import wire
from fibrewatch.errors import FibrewatchError, WireError
from fibrewatch_collector.operator import generate
from fibrewatch_collector.operator.boxes import SimulatedBox

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
RECONNECT_S = 0.5
LOOK_FOR_OVERDUE_S = 0.25
ACK_FILTER = f"{wire.ROOT}/+/+/+/down/ack"
COLLECTOR_FILTER = f"{wire.ROOT}/+/collector"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to simulate.

    Attributes:
        rate: Measurements a second, all boxes together.
        batch: Measurements in one message.
        begin: Start of the first ping window, UTC seconds; None dates each by when it is sent.
        patience_s: So long without a new acknowledgement is given up.
    """

    sites: int
    agents: int
    rate: float
    duration_s: float
    host: str = "127.0.0.1"
    port: int = 1883
    batch: int = 1
    seed: str = "1"
    probe: generate.Mix = "ping"
    window_s: float = 60.0
    begin: float | None = None
    patience_s: float = 60.0

    @property
    def total(self) -> int:
        """How many measurements in all."""
        return max(1, round(self.rate * self.duration_s))

    def plan(self, now: float) -> generate.Plan:
        """The boxes' plan for a run that starts now: each window is just over when it is sent."""
        boxes = self.sites * self.agents
        step_s = boxes * len(generate.TARGETS) / self.rate
        if abs(step_s / self.window_s - 1) < 0.01:  # the rate of real boxes: theirs divide the minute
            step_s = self.window_s
        begin = self.begin
        if begin is None:
            begin = now - self.window_s - self.batch * boxes / self.rate
            begin = math.floor(begin / self.window_s) * self.window_s if step_s == self.window_s else begin
        return generate.Plan(seed=self.seed, begin=begin, probe=self.probe, window_s=self.window_s, step_s=step_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What came of it; `resent` counts each measurement each time it was sent again."""

    sent: int
    acknowledged: int
    resent: int
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether everything was acknowledged."""
        return self.acknowledged == self.sent

    def __str__(self) -> str:
        rate = self.acknowledged / self.seconds if self.seconds else 0.0
        return (
            f"sent={self.sent} acknowledged={self.acknowledged} resent={self.resent} "
            f"seconds={self.seconds:.2f} rate={rate:.0f}/s"
        )


class ConnectionLostError(FibrewatchError):
    """The broker can't be reached, or is gone."""


class Link:
    """One clean MQTT session; it does its work inside `connect`, `publish` and `poll`, there is no thread."""

    def __init__(self, host: str, port: int, on_message: Callable[[str, bytes], None]) -> None:
        self._where = f"{host}:{port}"
        self._host, self._port, self._on_message = host, port, on_message
        self._client: mqtt.Client | None = None

    def connect(self) -> None:
        """A new session, subscribed to what boxes listen to.

        Raises:
            ConnectionLostError: Nobody answers.
        """
        client = mqtt.Client(CallbackAPIVersion.VERSION2, clean_session=True)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(0)
        client.on_message = lambda _client, _data, message: self._on_message(message.topic, bytes(message.payload))
        try:
            client.connect(self._host, self._port, keepalive=30)
        except OSError as e:
            raise ConnectionLostError(f"broker {self._where}: {e.strerror or e}") from e
        self._client = client
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while not client.is_connected():
            if time.monotonic() > deadline:
                raise ConnectionLostError(f"broker {self._where}: no answer")
            self.poll(0.1)
        client.subscribe([(ACK_FILTER, 1), (COLLECTOR_FILTER, 1)])

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Hands a message to the broker, QoS 1; only the collector's own acknowledgement counts."""
        if self._client is not None:
            self._client.publish(topic, payload, qos=1, retain=retain)

    def poll(self, timeout_s: float) -> None:
        """Waits at most so long for something from the broker and handles it.

        Raises:
            ConnectionLostError: The session has ended.
        """
        if self._client is None:
            raise ConnectionLostError(f"broker {self._where}: not connected")
        result = self._client.loop(timeout_s)
        if result != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._client = None
            raise ConnectionLostError(f"broker {self._where}: {mqtt.error_string(result)}")

    def close(self) -> None:
        """Sends what is still to be sent, then ends the session."""
        client, self._client = self._client, None
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while client is not None and client.want_write() and time.monotonic() < deadline:
            client.loop(0.1)
        if client is not None:
            client.disconnect()


class Simulation:
    """One run: hands out measurements at the rate, sends, resends, and counts what is acknowledged."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.plan = load.plan(time.time())
        ids = generate.fleet(load.sites, load.agents)
        self.boxes = [SimulatedBox(generate.Source(self.plan, each)) for each in ids]
        for box in self.boxes:
            box.source.prepare()
        self._by_ack = {wire.down_topic(each, "ack"): position for position, each in enumerate(ids)}
        self._topics = [wire.up_topic(each, "results") for each in ids]
        self._ready: set[int] = set()
        self._handed_out = self._settled = 0
        self._next_look = 0.0
        self._progress_at = 0.0
        self._silent_territories: set[str] = set()
        self._link = Link(load.host, load.port, self._receive)

    def run(self) -> Summary:
        """Runs until all is acknowledged, or nothing more is for `patience_s`.

        Raises:
            ConnectionLostError: The broker can't be reached at the start.
        """
        self._link.connect()
        self._announce("online")
        begun = self._progress_at = time.monotonic()
        try:
            while not self._done() and time.monotonic() - self._progress_at < self.load.patience_s:
                self._step(time.monotonic() - begun)
        except KeyboardInterrupt:
            log.warning("interrupted")
        seconds = time.monotonic() - begun
        self._announce("offline")
        self._link.close()
        return self._summary(seconds)

    def _step(self, elapsed_s: float) -> None:
        self._hand_out(elapsed_s)
        now = time.monotonic()
        self._send_ready(now)
        if now >= self._next_look:
            self._next_look = now + LOOK_FOR_OVERDUE_S
            self._send_overdue(now)
        try:
            self._link.poll(0.0 if self._ready else min(0.05, self.load.batch / self.load.rate))
        except ConnectionLostError as e:
            log.warning("%s; connecting again", e)
            self._reconnect()

    def _hand_out(self, elapsed_s: float) -> None:
        """A whole batch to one box after the other: the same load at every moment, whatever the batch."""
        due = min(self.load.total, int(elapsed_s * self.load.rate) + self.load.batch)
        if self._settled == self._handed_out < due:
            self._progress_at = time.monotonic()
        while self._handed_out < due:
            position = self._handed_out // self.load.batch % len(self.boxes)
            count = min(self.load.batch, self.load.total - self._handed_out)
            self.boxes[position].pending += count
            self._handed_out += count
            self._ready.add(position)

    def _send_ready(self, now: float) -> None:
        for position in self._ready:
            for payload in self.boxes[position].next_batches(now, self.load.batch):
                self._link.publish(self._topics[position], payload)
        self._ready.clear()

    def _send_overdue(self, now: float) -> None:
        """Nothing is sent again while the collector says that it is not there."""
        for topic, box in zip(self._topics, self.boxes, strict=True):
            if box.source.agent.territory not in self._silent_territories:
                for payload in box.resends(now):
                    self._link.publish(topic, payload)

    def _receive(self, topic: str, payload: bytes) -> None:
        position = self._by_ack.get(topic)
        try:
            if position is not None:
                self._acknowledge(position, wire.decode(payload, wire.Ack))
            elif topic.endswith("/collector"):
                self._note_collector(topic.split("/")[2], wire.decode(payload, wire.CollectorStatus))
        except WireError as e:
            log.warning("topic=%s %s", topic, e)

    def _acknowledge(self, position: int, ack: wire.Ack) -> None:
        box = self.boxes[position]
        before = box.acknowledged
        box.acknowledge(ack)
        if box.acknowledged > before:
            self._settled += box.acknowledged - before
            self._progress_at = time.monotonic()
        if box.pending:
            self._ready.add(position)

    def _note_collector(self, territory: str, status: wire.CollectorStatus) -> None:
        if status.state == "offline":
            self._silent_territories.add(territory)
        else:
            self._silent_territories.discard(territory)

    def _announce(self, state: generate.State) -> None:
        for box in self.boxes:
            agent = box.source.agent
            status = generate.status(box.source, state, time.time(), box.sent - box.acknowledged)
            self._link.publish(wire.up_topic(agent, "status"), wire.encode(status), retain=True)
            if state == "online":
                content = wire.encode(generate.inventory(self.plan))
                self._link.publish(wire.up_topic(agent, "inventory"), content, retain=True)

    def _reconnect(self) -> None:
        """Tries once; what was in flight may be lost, so it is sent again."""
        time.sleep(RECONNECT_S)
        try:
            self._link.connect()
        except ConnectionLostError as e:
            log.debug("%s", e)
            return
        self._announce("online")
        for box in self.boxes:
            box.resend_all(time.monotonic())

    def _done(self) -> bool:
        return self._settled == self.load.total

    def _summary(self, seconds: float) -> Summary:
        return Summary(
            sent=sum(box.sent for box in self.boxes),
            acknowledged=sum(box.acknowledged for box in self.boxes),
            resent=sum(box.resent for box in self.boxes),
            seconds=seconds,
        )
