"""Simulated boxes as the wire sees them: numbered streams, batches, at most 4 in flight, resent until acknowledged."""

from collections import deque
from dataclasses import dataclass
from random import Random

from msgspec import Raw

from fibrewatch import wire
from fibrewatch_collector.operator.generate import Source

MAX_IN_FLIGHT = 4
RESEND_AFTER_S = 5.0
RESEND_AT_MOST_S = 60.0
PAYLOAD_BYTES = wire.MAX_PAYLOAD_BYTES - 2 * wire.MAX_MEASUREMENT_BYTES


@dataclass(slots=True)
class Flight:
    """A batch on its way; `due` is when it is sent again, on the monotonic clock."""

    first: int
    measurements: list[Raw]
    due: float
    tries: int = 1

    @property
    def last(self) -> int:
        """The number of its last measurement."""
        return self.first + len(self.measurements) - 1


class SimulatedBox:
    """One box: what it has measured, what is in flight, what was acknowledged. It knows no MQTT and no clock.

    Attributes:
        pending: Measured and not yet sent for the first time.
        sent: How many were sent at least once; the numbers are 1 … sent.
        acknowledged: Every number up to this one is settled.
        resent: Measurements sent again, each time counted.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.pending = self.sent = self.acknowledged = self.resent = 0
        self._flights: deque[Flight] = deque()
        self._jitter = Random(str(source.agent))  # noqa: S311 - spreads resends

    def next_batches(self, now: float, size: int) -> list[bytes]:
        """What may be sent for the first time now: batches of at most `size`, as long as few are in flight."""
        batches = []
        while self.pending and len(self._flights) < MAX_IN_FLIGHT:
            batches.append(self._take(min(size, self.pending), now))
        return batches

    def resends(self, now: float) -> list[bytes]:
        """The batches whose acknowledgement is overdue."""
        return [self._again(flight, now) for flight in self._flights if flight.due <= now]

    def resend_all(self, now: float) -> None:
        """Makes all that is in flight due: the connection was lost, and what was in it may be too."""
        for flight in self._flights:
            flight.due = now

    def acknowledge(self, ack: wire.Ack) -> None:
        """Forgets what is settled; an acknowledgement of another stream says nothing."""
        if ack.stream != self.source.stream:
            return
        self.acknowledged = max(self.acknowledged, min(ack.through, self.sent))
        while self._flights and self._flights[0].last <= self.acknowledged:
            self._flights.popleft()

    def _take(self, count: int, now: float) -> bytes:
        """Up to `count` measurements, fewer where they would not fit one payload."""
        raws: list[Raw] = []
        size = 0
        while len(raws) < count and size < PAYLOAD_BYTES:
            encoded = wire.encode(self.source.measurement(self.sent + len(raws)))
            raws.append(Raw(encoded))
            size += len(encoded)
        flight = Flight(self.sent + 1, raws, now + RESEND_AFTER_S)
        self._flights.append(flight)
        self.sent += len(raws)
        self.pending -= len(raws)
        return self._payload(flight)

    def _again(self, flight: Flight, now: float) -> bytes:
        """Full jitter between half and all of a doubling delay."""
        delay = min(RESEND_AFTER_S * 2**flight.tries, RESEND_AT_MOST_S)
        flight.due = now + delay * self._jitter.uniform(0.5, 1.0)
        flight.tries += 1
        self.resent += len(flight.measurements)
        return self._payload(flight)

    def _payload(self, flight: Flight) -> bytes:
        batch = wire.Batch(
            stream=self.source.stream,
            first=flight.first,
            oldest=self.acknowledged + 1,
            measurements=flight.measurements,
        )
        return wire.encode(batch)
