"""Which batches are under way, when each is sent again, and how one that is never acknowledged is cornered. Pure.

Acknowledgements are cumulative for each stream, as TCP's are, so only the lowest batch of a stream under way (its
head) tells by its silence that it is missing; those behind it may have arrived long ago and are sent again only once
they are the head themselves.

A head that stays silent is sent again as it was, then halved each time, until a measurement that breaks broker or
collector stands alone. If then the collector acknowledges what is sent behind it again and again, only not the one in
the gap, it is given up, or it would hold back everything behind it for ever. The same halving fits batches to a line
too slow for them.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

MAX_IN_FLIGHT = 4
HALVE_AFTER = 2
"""Sendings of a batch before it is halved: lost once is chance."""
LONE_SENDINGS = 20
"""Sendings of a single measurement before it may be given up; some ten minutes with the usual delays."""
LONE_GAPS = 10
"""Acknowledgements that stopped right before it meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long an acknowledgement is waited for: `first_s` at least, up to `cap_s`, doubling in between."""

    first_s: float = 5.0
    cap_s: float = 60.0

    def delay(self, sendings: int, rng: random.Random) -> float:
        """Seconds to the next sending: full jitter above `first_s`, which an acknowledgement may need."""
        return rng.uniform(self.first_s, min(self.cap_s, self.first_s * 2 ** min(sendings - 1, 10)))


@dataclass(slots=True, eq=False)
class Flight:
    """Numbers first..last of a stream, sent and not acknowledged, or waiting to be sent again."""

    stream: str
    first: int
    last: int
    sendings: int = 0
    due: float = 0.0
    gaps: int = 0

    @property
    def lone(self) -> bool:
        """Whether it is a single measurement."""
        return self.first == self.last


@dataclass(slots=True)
class Window:
    """The batches under way.

    Attributes:
        flights: Sent, unacknowledged; in the order of sending.
        parked: Cut off from a flight; sent again as soon as there is a place.
    """

    rng: random.Random
    pace: Pace = Pace()
    limit: int = MAX_IN_FLIGHT
    flights: list[Flight] = field(default_factory=list)
    parked: list[Flight] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.flights) + len(self.parked)

    @property
    def open(self) -> bool:
        """Whether a new batch may be sent: never before what is parked, which it would shut out for ever.

        Acknowledgements are cumulative, so places that wait for a parked number would never be free again.
        """
        return len(self.flights) < self.limit and not self.parked

    def heads(self) -> list[Flight]:
        """The lowest flight of each stream."""
        lowest: dict[str, Flight] = {}
        for flight in sorted(self.flights, key=lambda flight: flight.first):
            lowest.setdefault(flight.stream, flight)
        return list(lowest.values())

    def overdue(self, now: float) -> list[Flight]:
        """What is to be sent again now, cut in half where it was silent too often."""
        due = [head for head in self.heads() if head.due <= now]
        for head in due:
            self._halve(head)
        return due + self._companions(due)

    def _halve(self, head: Flight) -> None:
        if head.sendings >= HALVE_AFTER and not head.lone:
            middle = (head.first + head.last) // 2
            self._park(Flight(head.stream, middle + 1, head.last, HALVE_AFTER - 1))
            head.last, head.sendings = middle, HALVE_AFTER - 1

    def _companions(self, due: Iterable[Flight]) -> list[Flight]:
        """The next behind each one that is suspected: its acknowledgement shows whether the collector is there."""
        suspects = {head.stream: head for head in due if head.lone and head.sendings > HALVE_AFTER}
        behind = sorted(self.flights, key=lambda flight: flight.first)
        companions: dict[str, Flight] = {}
        for flight in behind:
            if flight.stream in suspects and flight is not suspects[flight.stream]:
                companions.setdefault(flight.stream, flight)
        return list(companions.values())

    def next_due(self) -> float | None:
        """When the next one is overdue."""
        return min((head.due for head in self.heads()), default=None)

    def unpark(self) -> Flight | None:
        """The first one that waits, if there is a place or one behind it in its stream has to give it up."""
        lowest = {head.stream: head.first for head in self.heads()}
        missing = [flight for flight in self.parked if flight.first < lowest.get(flight.stream, 0)]
        if len(self.flights) < self.limit and self.parked:
            flight = missing[0] if missing else self.parked[0]
        elif missing:
            flight = missing[0]
            behind = max((f for f in self.flights if f.stream == flight.stream), key=lambda f: f.first)
            self.flights.remove(behind)
            self._park(behind)
        else:
            return None
        self.parked.remove(flight)
        self.flights.append(flight)
        return flight

    def add(self, stream: str, first: int, last: int) -> Flight:
        """A new one takes a place."""
        flight = Flight(stream, first, last)
        self.flights.append(flight)
        return flight

    def sent(self, flight: Flight, now: float) -> None:
        """It goes out now."""
        flight.sendings += 1
        flight.due = now + self.pace.delay(flight.sendings, self.rng)

    def fit(self, flight: Flight, first: int, last: int) -> None:
        """What is still held of it begins at `first` and has no gap up to `last`."""
        if last < flight.last:
            self._park(Flight(flight.stream, last + 1, flight.last, flight.sendings))
        flight.first, flight.last = first, last

    def _park(self, flight: Flight) -> None:
        self.parked.append(flight)
        self.parked.sort(key=lambda flight: flight.first)

    def forget(self, flight: Flight) -> None:
        """There is nothing to be delivered any more."""
        if flight in self.flights:
            self.flights.remove(flight)

    def ends(self) -> dict[str, int]:
        """The highest number under way, of each stream."""
        highest: dict[str, int] = {}
        for flight in (*self.flights, *self.parked):
            highest[flight.stream] = max(flight.last, highest.get(flight.stream, 0))
        return highest

    def acknowledge(self, stream: str, through: int, now: float) -> None:
        """Takes off what is settled; out of order or twice does no harm."""
        before = len(self)
        self.flights = [flight for flight in self.flights if not _settled(flight, stream, through)]
        self.parked = [flight for flight in self.parked if not _settled(flight, stream, through)]
        moved = len(self) < before
        for flight in (*self.flights, *self.parked):
            if flight.stream == stream and flight.first <= through:
                # The collector took a part, up to one it refused: the rest it left to be sent again.
                flight.first, flight.sendings, moved = through + 1, 0, True
                flight.due = now
        for head in self.heads():
            if head.stream == stream:
                self._judge(head, through, moved, now)

    def _judge(self, head: Flight, through: int, moved: bool, now: float) -> None:
        if head.lone and head.first == through + 1:
            head.gaps += 1
        if moved and head.first > through + 1 and not self.parked:
            head.due = now  # numbers between are dropped: the collector must hear of it in a fresh header

    def hopeless(self) -> Flight | None:
        """A single measurement that is never acknowledged though others behind it get through."""
        for head in self.heads():
            if head.lone and head.sendings >= LONE_SENDINGS and head.gaps >= LONE_GAPS:
                return head
        return None

    def hurry(self, now: float) -> None:
        """The collector or the broker is back: what was under way was probably lost."""
        for flight in self.flights:
            flight.due = now


def _settled(flight: Flight, stream: str, through: int) -> bool:
    return flight.stream == stream and flight.last <= through
