"""What the collector asks of a store; SQLite is `store.sqlite`, PostgreSQL will stand beside it.

Every method blocks: call it from the writer thread (`commit`, `save_bins`, `prune`) or from a worker thread (the rest).
All times are UTC seconds since 1970. A StoreError says that nothing of the call was done.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from msgspec import Struct

from fibrewatch.measurement import AnyMeasurement, Role
from fibrewatch.wire import AgentId
from fibrewatch_collector.store.hour import Fields

if TYPE_CHECKING:
    from fibrewatch_collector.store.day import Cell, Day
    from fibrewatch_collector.store.timeline import Timeline


class Arrival(Struct, frozen=True):
    """One measurement of a batch: decoded, or refused with a reason (then it is kept raw and settled)."""

    seq: int
    raw: bytes
    measurement: AnyMeasurement | None
    refused: str | None = None


class Delivery(Struct, frozen=True):
    """One batch as it came; see `fibrewatch.wire.Batch`.

    Attributes:
        stream: "" for a payload of which not even stream and number are known: its arrivals, refused, are set aside.
        oldest: 0 for what was imported: it says nothing about which numbers of the stream are settled or lost.
        size: Bytes that it came in: what it holds of memory while it waits.
    """

    agent: AgentId
    stream: str
    oldest: int
    received_at: float
    arrivals: Sequence[Arrival]
    size: int = 0


@dataclass(slots=True)
class Committed:
    """What one transaction did.

    Attributes:
        stored: The measurements that were new, in order.
        through: Highest number settled without a gap, of each stream in the transaction: what may be acknowledged.
        batches: How many of each of those streams there were.
        conflicts: Same key, other digest: kept raw in quarantine, settled, alarmed; `conflicting` says whose.
        refused: Newly in quarantine for another reason; `reasons` has them by reason.
        lost: Numbers that can never come any more, newly known.
        untaken: Too far ahead of their stream: not settled, so the box sends them again.
    """

    stored: list[tuple[AgentId, AnyMeasurement]] = field(default_factory=list)
    through: dict[tuple[AgentId, str], int] = field(default_factory=dict)
    batches: dict[tuple[AgentId, str], int] = field(default_factory=dict)
    duplicates: int = 0
    conflicts: int = 0
    refused: int = 0
    lost: int = 0
    untaken: int = 0
    conflicting: set[AgentId] = field(default_factory=set)
    reasons: dict[str, int] = field(default_factory=dict)


class Stored(NamedTuple):
    """A measurement in the store; `raw` are the very bytes that the box sent."""

    row: int
    agent: AgentId
    stream: str
    seq: int
    received_at: float
    raw: bytes


class Gap(NamedTuple):
    """Numbers of a stream that were never delivered and never will be."""

    agent: AgentId
    stream: str
    first: int
    last: int
    recorded_at: float


class Refusal(NamedTuple):
    """Something kept in quarantine: bounded, oldest first out."""

    agent: AgentId
    stream: str
    seq: int
    reason: str
    received_at: float
    raw: bytes


@dataclass(frozen=True, slots=True)
class Filter:
    """Which measurements; None means any. begin ≤ started_at < end.

    Attributes:
        peer: The box at the target, territory/site/agent, or any box of territory/site.
    """

    territory: str | None = None
    site: str | None = None
    agent: str | None = None
    probe: str | None = None
    test: str | None = None
    target: str | None = None
    begin: float | None = None
    end: float | None = None
    peer: str | None = None


class WindowCount(NamedTuple):
    """Samples sent and lost by one box to one target over one interface, summed over the windows of a stretch."""

    agent: AgentId
    test: str
    target: str
    role: Role
    interface: str | None
    family: int | None
    sent: int
    lost: int
    windows: int
    peer: str | None = None


class Rollup(NamedTuple):
    """One hour of one series; it outlives the measurements that it was made from.

    Attributes:
        hour: Its start, UTC seconds since 1970.
        version: Of the formulas that made it.
        n: Measurements, then the same by outcome and by verdict; undated ones are in no hour.
        sent: As in WindowCount; 0 for what isn't a window.
        fields: Sums and histograms of the valid ones; `bounds` those of the censored ones.
    """

    agent: AgentId
    probe: str
    test: str
    target: str | None
    role: Role | None
    interface: str | None
    family: int | None
    hour: float
    version: int
    n: int
    ok: int
    failed: int
    skipped: int
    valid: int
    censored: int
    invalid: int
    sent: int
    lost: int
    fields: Fields
    bounds: Fields


BinState = Literal["A", "U", "N"]


class Bin(NamedTuple):
    """One UTC minute of one uplink of a site.

    Attributes:
        minute: Its start, a multiple of 60.
        version: Of the formula that judged it.
    """

    territory: str
    site: str
    uplink: str
    minute: int
    state: BinState
    cause: str | None
    version: int


class FloorBox(NamedTuple):
    """A box on the floor where it stood."""

    territory: str
    site: str
    floor: str
    agent: str


class FloorMinute(NamedTuple):
    """One UTC minute of a box's Wi-Fi.

    Attributes:
        minute: Its start, a multiple of 60.
        state: See `sla.wifi.State`; below 256.
        version: Of the formula that judged it.
    """

    territory: str
    site: str
    floor: str
    agent: str
    minute: int
    state: int
    version: int


class SeriesId(NamedTuple):
    """What tells one series from another."""

    agent: AgentId
    probe: str
    test: str
    target: str | None
    role: Role | None
    interface: str | None
    family: int | None
    peer: str | None


class SeriesDays(NamedTuple):
    """A series and its UTC days, by their number since 1970; those without measurements are left out.

    Attributes:
        row: For `Store.stretch`.
    """

    row: int
    series: SeriesId
    days: "Mapping[int, Day]"


class Scheduled(NamedTuple):
    """What a box was told to do, in force since `since` until the next one; `raw` is its `wire.Inventory`."""

    agent: AgentId
    since: float
    raw: bytes


class Record(NamedTuple):
    """Something that was declared: never changed, never deleted.

    Attributes:
        site: "" for a whole territory.
        at: By the collector's clock.
    """

    row: int
    kind: str
    territory: str
    site: str
    at: float
    body: bytes


class Edition(NamedTuple):
    """A report as it was given out: the `number`th of its period, begin ≤ t < end."""

    territory: str
    site: str
    begin: float
    end: float
    number: int
    made_at: float
    report: bytes


class Store(Protocol):
    """See the module's docstring."""

    def commit(self, deliveries: Sequence[Delivery]) -> Committed:
        """Stores batches in one durable transaction; when it returns, they survive a power cut."""

    def check(self) -> None:
        """Writes something small, durably: raises StoreError where that can't be done."""

    def newest_start(self) -> float | None:
        """The latest start of the measurements that came last; undated ones don't count. None when there are none."""

    def measurements(self, where: Filter, after: int, limit: int) -> list[Stored]:
        """A page in the order of arrival: rows above `after`, at most `limit`."""

    def export(self, begin: float, end: float) -> Iterator[Stored]:
        """All with begin ≤ started_at < end, by series and time, without holding them all in memory."""

    def arrivals(self, where: Filter) -> Iterator[Stored]:
        """All that match, in the order of arrival, without holding them all in memory."""

    def gaps(self, where: Filter, limit: int) -> list[Gap]:
        """Newest first; of the filter territory, site, agent count, and begin and end: what was measured then.

        A gap lies between the measurements before and after it; where one of them is not there, when it was found.
        """

    def refusals(self, where: Filter, limit: int) -> list[Refusal]:
        """Newest first; of the filter only territory, site, agent count."""

    def window_counts(self, territory: str, site: str, begin: float, end: float) -> list[WindowCount]:
        """Sums over all window measurements (results with sent and lost) of a site started in the stretch.

        Undated ones, those that could not run and those of verdict "invalid" (the box was at fault) stay out.
        """

    def minute_counts(self, where: Filter) -> Iterator[tuple[int, WindowCount]]:
        """As `window_counts`, minute by minute (its start), by series and time."""

    def save_bins(self, bins: Sequence[Bin]) -> None:
        """Writes or restates bins, durably."""

    def bins(self, territory: str, site: str, begin: float, end: float) -> list[Bin]:
        """Bins with begin ≤ minute < end, by minute."""

    def bin_totals(self, begin: float, end: float) -> Mapping[tuple[str, str, str], Mapping[BinState, int]]:
        """(territory, site, uplink) → number of minutes in each state, for all sites in one query."""

    def save_floors(self, minutes: Sequence[FloorMinute]) -> None:
        """Writes or restates minutes of Wi-Fi, durably."""

    def floors(self, where: Filter) -> Mapping[FloorBox, bytes]:
        """Boxes with a minute of Wi-Fi → a state for each minute from begin on to end, 0 where there is none.

        Of the filter territory, site, agent, begin and end count; the last two must be there.
        """

    def roll_up(self, limit: int, now: float) -> int:
        """Makes up to `limit` hours of series, or days when no hour waits, that are over and changed.

        Returns how many, 0 when all are made.
        """

    def days(self, where: Filter) -> list[SeriesDays]:
        """Every series, with the UTC days that touch begin … end; what was not made yet is made for the answer."""

    def stretch(self, series: int, begin: float, end: float) -> "Cell":
        """A part of an hour, from the measurements themselves; empty once they are pruned."""

    def timelines(self, where: Filter) -> "Mapping[tuple[str, str, str], Timeline]":
        """(territory, site, uplink) → its minutes with begin ≤ minute < end; of the filter also territory and site."""

    def save_schedule(self, agent: AgentId, at: float, raw: bytes) -> None:
        """Remembers what a box says that it was told to do, from `at` on; the same again changes nothing."""

    def schedules(self, where: Filter) -> list[Scheduled]:
        """Those that began before the filter's end, by agent and time."""

    def observers(self) -> Mapping[tuple[str, str], set[tuple[str, str]]]:
        """Site → the sites whose boxes ever measured to one of its boxes (`Target.peer`)."""

    def rollups(self, where: Filter) -> list[Rollup]:
        """Hours with begin ≤ hour < end, by series and time."""

    def append(self, record: Record) -> int:
        """Adds a record; returns its number, which is its own whatever `row` says."""

    def records(self, kinds: Sequence[str], territory: str | None = None) -> list[Record]:
        """Those of some kinds, in the order in which they were added."""

    def save_edition(self, edition: Edition) -> None:
        """Keeps a report; StoreError where that number of the period is there already."""

    def editions(self, territory: str, site: str, begin: float, end: float) -> list[Edition]:
        """Of exactly this period, by number."""

    def reported(self) -> list[tuple[str, str, float, float, int]]:
        """(territory, site, begin, end, highest number) of every period of which there is an edition."""

    def first_minutes(self) -> Mapping[tuple[str, str, str], int]:
        """(territory, site, uplink) → its first minute that has a bin."""

    def sent_through(self) -> int | None:
        """Up to which row results went by remote write; None where none ever did."""

    def save_sent_through(self, row: int) -> None:
        """Notes that, durably."""

    def pruned_before(self) -> float:
        """Raw measurements that began earlier may be gone; UTC seconds, 0 where none were ever deleted."""

    def prune(self, before: float, limit: int | None = None) -> int:
        """Deletes raw measurements of the hours that ended before; roll-ups and bins stay. Returns how many.

        What is older is refused from then on. With a limit it deletes no more than that: call again until 0.
        """

    def close(self) -> None:
        """Ends all connections."""
