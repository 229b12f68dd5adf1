"""A report as data: what JSON gives out, what pages and CSV show, what an evidence pack is checked against.

Base units (seconds, bytes, bytes per second, ratios, minutes as counts); instants are aware and UTC. None: not known.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal

from msgspec import Struct

from fibrewatch_collector.sla.periods import Period
from fibrewatch_collector.sla.proportions import Answer

ObjectiveKind = Literal["availability", "percentile", "loss", "compliance", "success", "coverage", "readiness"]
"""availability: net ≥ asked. percentile: a quantile of delays ≤ asked. loss: lost/sent ≤ asked. compliance: a share of
valid tests reaches a rate. success: a share of runs succeeds. coverage: a share of a floor's minutes has Wi-Fi.
readiness: a share of a pair's runs is fit for telepresence."""

OutageCause = Literal["probe", "lan", "access", "operator", "target", "unknown"]
RolloutState = Literal["planned", "wired", "accepted", "live"]


class Bounds(Struct, frozen=True, kw_only=True):
    """Ratios between which the truth lies, whatever was not measured or not decided."""

    low: float
    high: float


class Availability(Struct, frozen=True, kw_only=True):
    """Minutes of an uplink: A + U + N = total, outside declared maintenance (net) and with it (gross).

    Attributes:
        net: A/(A+U); None where coverage is below the floor: insufficient evidence.
        coverage: (A+U)/T.
        bounds: A/T … (A+N)/T.
        unavailable_by: Minutes that count, by cause: access, operator.
        not_measured_by: Minutes by reason: silent, samples, lan, target, probe …
    """

    available: int
    unavailable: int
    not_measured: int
    maintenance: int
    total: int
    ratio: float | None
    coverage: float
    bounds: Bounds
    unavailable_by: Mapping[str, int] = {}
    not_measured_by: Mapping[str, int] = {}


class Counts(Struct, frozen=True, kw_only=True):
    """How many measurements there are of something, and why not more.

    Attributes:
        invalid_by: By reason; one measurement may have several.
        failed_by: By error.
        missing: Expected by the schedule that was in force, and never came; None where that is not known.
        late: Came after the period had first been reported.
    """

    valid: int = 0
    censored: int = 0
    invalid: int = 0
    failed: int = 0
    skipped: int = 0
    undated: int = 0
    missing: int | None = None
    late: int = 0
    invalid_by: Mapping[str, int] = {}
    failed_by: Mapping[str, int] = {}


class Percentiles(Struct, frozen=True, kw_only=True):
    """Quantiles by nearest rank (RFC 2330 §11.3) of n samples.

    Attributes:
        relative_error: 0 where they are exact, else the sketch's.
    """

    n: int
    p5: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    relative_error: float


class Series(Struct, frozen=True, kw_only=True):
    """What one test measured over one uplink against one target."""

    uplink: str
    probe: str
    test: str
    target: str | None
    role: str | None
    counts: Counts
    fields: Mapping[str, Percentiles]
    sent: int = 0
    lost: int = 0


class Finding(Struct, frozen=True, kw_only=True):
    """One objective, and what the measurements say of it.

    Attributes:
        id: Of the objective within its class.
        subject: What it is about: an uplink, a floor, or the far site of a pair ("territory/site").
        metric: Such as "ping.rtt_p95" or "throughput.goodput"; "" for availability.
        asked: The ratio or limit that was promised, in `unit`.
        floor: Of a delay over a long path: what light in fibre takes at least (great circle); `value` is without it.
        limit: For shares: what each test must reach, in `limit_unit`.
        value: What was found; None without evidence.
        interval: For shares: Wilson's 95 %, open tests counted both ways; for availability its bounds; for a percentile
            between what the sample's own lies (both ends the same where it is exact).
        n: Tests that say something; `met` of them reach the limit; `open` ones are censored below it.
        source: The contract's or preset's citation.
        target: Where an objective over the physical floor is judged target by target.
    """

    id: str
    kind: ObjectiveKind
    subject: str
    metric: str
    asked: float
    unit: str
    answer: Answer
    value: float | None = None
    interval: Bounds | None = None
    n: int = 0
    met: int = 0
    open: int = 0
    limit: float | None = None
    limit_unit: str = ""
    floor: float | None = None
    hours: str = ""
    source: str = ""
    target: str = ""


class Outage(Struct, frozen=True, kw_only=True):
    """A stretch in which an uplink was unavailable, or would have been had it been the operator's fault.

    Attributes:
        begin: Refined by sample times within its first minute; `end` within its last.
        counts: Whether the operator answers for it (access or operator, outside declared maintenance).
        evidence: Facts that led to the cause, one line each, as message ids with arguments (see `Fact`).
        companies: On the floors that hang on it.
        open: Not over at the period's end.
    """

    uplink: str
    begin: datetime
    end: datetime
    minutes: int
    cause: OutageCause
    counts: bool
    evidence: tuple["Fact", ...] = ()
    companies: int = 0
    maintenance: str | None = None
    open: bool = False


class Fact(Struct, frozen=True, kw_only=True):
    """One thing that was seen; `id` names its sentence in each language, `values` fill it."""

    id: str
    values: Mapping[str, str | int | float] = {}


class Maintenance(Struct, frozen=True, kw_only=True):
    """A declared stretch of work.

    Attributes:
        in_time: Declared before it began: only then its minutes leave the net figure.
        cancelled_at: None while it stands.
    """

    id: str
    uplink: str | None
    begin: datetime
    end: datetime
    who: str
    why: str
    declared_at: datetime
    in_time: bool
    cancelled_at: datetime | None = None


class Rollout(Struct, frozen=True, kw_only=True):
    """How far a floor, or the site itself (None), has come; the SLA clock starts at `live`."""

    floor: str | None
    state: RolloutState
    since: date | None


class Gap(Struct, frozen=True, kw_only=True):
    """Results that a box measured and that were lost for good: numbers of a stream."""

    agent: str
    first: int
    last: int
    recorded_at: datetime


class Day(Struct, frozen=True, kw_only=True):
    """A local day of an uplink, for the calendar."""

    date: date
    available: int
    unavailable: int
    not_measured: int
    maintenance: int


class Hour(Struct, frozen=True, kw_only=True):
    """An hour of the local day (0–23) over the whole period: quantiles of the round trip to one group of targets."""

    uplink: str
    role: str
    hour: int
    delay: Percentiles


class Transfer(Struct, frozen=True, kw_only=True):
    """One throughput test, for the plot; goodput in bytes per second."""

    uplink: str
    at: datetime
    direction: str
    goodput: float
    verdict: str


class FloorWifi(Struct, frozen=True, kw_only=True):
    """Wi-Fi of a floor: minutes with signal and onboarding in order, of all that were measured.

    Attributes:
        expected: Minutes of the period, of each of the floor's boxes that brought something; None: not known.
    """

    floor: str
    good: int
    measured: int
    expected: int | None = None


class Uplink(Struct, frozen=True, kw_only=True):
    """A line of the site; contracted rates in bytes per second, for the plots."""

    id: str
    kind: str
    operator: str | None
    download: float | None
    upload: float | None
    sla: str | None
    net: Availability
    gross: Availability
    days: tuple[Day, ...]


class Site(Struct, frozen=True, kw_only=True):
    """Which site the report is about."""

    territory: str
    territory_name: str
    site: str
    name: str
    city: str
    companies: int
    floors: int


class Change(Struct, frozen=True, kw_only=True):
    """A figure that the revision before had otherwise; values as in the report's JSON."""

    figure: str
    before: str
    after: str


class PromiseChange(Struct, frozen=True, kw_only=True):
    """Something of a line's promise or contracted rate that became another at a moment; values as JSON, "" for none."""

    at: datetime
    uplink: str
    figure: str
    before: str
    after: str


class Revision(Struct, frozen=True, kw_only=True):
    """Which edition of the period's report this is.

    Attributes:
        final: Every expected stream is complete, or the time of grace is over.
        incomplete: Agents that owe results still.
    """

    number: int
    final: bool
    made_at: datetime
    changes: tuple[Change, ...] = ()
    incomplete: tuple[str, ...] = ()


class Methods(Struct, frozen=True, kw_only=True):
    """How it was measured and reckoned: versions of software and formulas, responders, contract and its source.

    Attributes:
        relative_error: Of percentiles that come from sketches.
    """

    collector_version: str
    agent_versions: tuple[str, ...]
    formulas: Mapping[str, int]
    responders: tuple[str, ...]
    contract: str
    sources: tuple[str, ...]
    relative_error: float = 0.0


class Report(Struct, frozen=True, kw_only=True):
    """One site over one period.

    Attributes:
        promise_changes: Since the period began; findings are judged by what was promised when the report was made.
    """

    site: Site
    period: Period
    revision: Revision
    uplinks: tuple[Uplink, ...]
    findings: tuple[Finding, ...]
    outages: tuple[Outage, ...]
    maintenance: tuple[Maintenance, ...]
    rollout: tuple[Rollout, ...]
    series: tuple[Series, ...]
    hours: tuple[Hour, ...]
    transfers: tuple[Transfer, ...]
    wifi: tuple[FloorWifi, ...]
    gaps: tuple[Gap, ...]
    methods: Methods
    promise_changes: tuple[PromiseChange, ...] = ()


class Fleet(Struct, frozen=True, kw_only=True):
    """Many sites over one period: a territory's, or all."""

    period: Period
    territory: str | None
    sites: tuple[Report, ...]


class CityMonth(Struct, frozen=True, kw_only=True):
    """What the uplinks with a promise did in one city in one month, by its sites' own time.

    Attributes:
        ratio: All available minutes out of all that were measured, net; None where coverage is below the floor.
        answers: How many findings of each answer.
    """

    territory: str
    territory_name: str
    city: str
    month: str
    sites: int
    uplinks: int
    available: int
    unavailable: int
    not_measured: int
    maintenance: int
    total: int
    ratio: float | None
    coverage: float
    answers: Mapping[str, int] = {}


class Balance(Struct, frozen=True, kw_only=True):
    """A year of territories and cities, month by month; months that have not begun are not there."""

    year: int
    made_at: datetime
    months: tuple[CityMonth, ...]
