"""What stands in a pack: its files and the lines in them."""

from datetime import datetime
from typing import Any

from msgspec import Raw, Struct

from fibrewatch.measurement import Role
from fibrewatch.wire import AgentId
from fibrewatch_collector.sla.bins import Flow
from fibrewatch_collector.sla.periods import Period
from fibrewatch_collector.store import BinState

FORMAT = 1
LONGEST_S = 367 * 86400
"""Of a pack's period."""
LATEST_S = 10**11
"""No moment of a pack is later: the year 5138."""
MANIFEST, SIGNATURE, PUBLIC = "manifest.json", "manifest.sig", "key.pem"
UNLISTED = frozenset({MANIFEST, SIGNATURE})
"""The manifest lists every other file."""
REPORT, INVENTORY, OBJECTIVES, CONTEXT = "report.json", "inventory.json", "objectives.json", "context.json"
MEASUREMENTS, NEIGHBOURS = "measurements.ndjson.gz", "neighbours.ndjson.gz"
BINS, VIEWS, STATES = "bins.ndjson.gz", "views.ndjson.gz", "states.ndjson.gz"
HISTORY, SCHEDULES, RECORDS = "inventory_history.ndjson.gz", "schedules.ndjson.gz", "records.ndjson.gz"
EDITIONS, GAPS, README = "editions.ndjson.gz", "gaps.ndjson.gz", "readme.txt"


class Packed(Struct, frozen=True, kw_only=True):
    """A file of the pack.

    Attributes:
        unpacked: Bytes of what a .gz file holds; of others the same as `bytes`.
    """

    bytes: int
    sha256: str
    unpacked: int


class Software(Struct, frozen=True, kw_only=True):
    """What made the pack; libraries that only shape pages are named for the record."""

    fibrewatch: str
    python: str
    libraries: dict[str, str]


class Manifest(Struct, frozen=True, kw_only=True):
    """manifest.json: what is in the pack, and what it is about. This is what is signed.

    Attributes:
        made_at: The moment that the figures were made for: the report's "now".
        formulas: Versions of all formulas that the figures come from, minutes' verdicts included.
        key: Fingerprint of the public key.
        collector_differs: Figures that the collector's own report had otherwise, from minutes judged earlier with less.
    """

    format: int
    territory: str
    site: str
    period: Period
    made_at: datetime
    software: Software
    formulas: dict[str, int]
    key: str
    files: dict[str, Packed]
    collector_differs: tuple[str, ...] = ()


class Line(Struct, frozen=True, kw_only=True):
    """A measurement, byte for byte as its box sent it, and when it came; `fibrewatch-collector import` takes it too."""

    territory: str
    site: str
    agent: str
    stream: str
    sequence: int
    received_us: int
    measurement: Raw

    @property
    def box(self) -> AgentId:
        """Which one sent it."""
        return AgentId(self.territory, self.site, self.agent)


class Span(Struct, frozen=True, kw_only=True):
    """Minutes begin ≤ m < end of an uplink with one and the same verdict; UTC seconds."""

    uplink: str
    begin: int
    end: int
    state: BinState
    cause: str | None
    version: int


class Sighting(Struct, frozen=True, array_like=True):
    """What a box of another site saw of a target: whether it answered."""

    agent: str
    target: str
    role: Role
    answers: bool
    peer: str | None

    @classmethod
    def of(cls, flow: Flow) -> "Sighting":
        """As it is written."""
        return cls(flow.agent.agent, flow.target, flow.role, flow.answers, flow.peer)


class View(Struct, frozen=True, kw_only=True):
    """What another site's boxes saw over an uplink in the minutes begin ≤ m < end, where it matters to this site."""

    territory: str
    site: str
    uplink: str
    begin: int
    end: int
    saw: tuple[Sighting, ...]

    def flows(self) -> list[Flow]:
        """As verdicts take them."""
        return [
            Flow(AgentId(self.territory, self.site, each.agent), each.target, each.role, each.answers, each.peer)
            for each in self.saw
        ]


class States(Struct, frozen=True, kw_only=True):
    """How many minutes of each state the lines of other sites had in a stretch: what an outage's evidence compares."""

    begin: float
    end: float
    territory: str
    site: str
    uplink: str
    states: dict[BinState, int]


class ScheduleLine(Struct, frozen=True, kw_only=True):
    """What a box was told to run, from `since` on (UTC seconds)."""

    agent: str
    since: float
    schedule: Raw


class RecordLine(Struct, frozen=True, kw_only=True):
    """A declaration, a cancellation or a step of the rollout, as it was recorded."""

    row: int
    kind: str
    territory: str
    site: str
    at: float
    body: Raw


class EditionLine(Struct, frozen=True, kw_only=True):
    """A report of this period as it was given out."""

    number: int
    made_at: float
    report: Raw


class GapLine(Struct, frozen=True, kw_only=True):
    """Numbers of a stream that are lost for good."""

    agent: str
    stream: str
    first: int
    last: int
    recorded_at: float


class StoodLine(Struct, frozen=True, kw_only=True):
    """An inventory that was in force since `at`, as far as it is about the site."""

    at: float
    inventory: dict[str, Any]


class Context(Struct, frozen=True, kw_only=True):
    """What the period's own measurements can't tell.

    Attributes:
        first_minutes: Of each uplink, the first minute that was ever judged: the SLA's clock may start there.
        judged: Of each uplink, the stretches of minutes that were judged; outside nothing was asked.
    """

    first_minutes: dict[str, int]
    judged: dict[str, tuple[tuple[int, int], ...]]

    def fits(self, period: Period) -> bool:
        """Whether the minutes that it names are whole ones of the period, or the one after: outages look there.

        A line may first have been judged at any time at all.
        """
        begin, end = period.begin.timestamp(), period.end.timestamp() + 60
        edges = [edge for spans in self.judged.values() for span in spans for edge in span]
        first = all(0 <= minute < LATEST_S for minute in self.first_minutes.values())
        return first and end - begin <= LONGEST_S and all(begin <= edge <= end and edge % 60 == 0 for edge in edges)
