"""What the exposition keeps of each test of each box, and what becomes of a result's fields. Pure."""

from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

from fibrewatch.measurement import AnyMeasurement, Error, Outcome, Verdict
from fibrewatch.metric import Field, prometheus_name
from fibrewatch.results import ProbeType
from fibrewatch.wire import AgentId
from fibrewatch_collector.families import Bounds, Family, Histogram, HistogramFamily, labels_text

SeriesKey = tuple[str, str, str]
"""Test, target, interface; "" where the measurement names none."""

STATES = (
    ("fibrewatch_probe_success", "1 when the newest run was ok, 0 when it failed."),
    ("fibrewatch_probe_valid", "0 when the newest run proves nothing: its values are not shown."),
    ("fibrewatch_probe_censored", "1 when the box limited the newest run: its values are bounds."),
)
"""What is said of every run but of events; see `states`."""


def series_key(run: AnyMeasurement) -> SeriesKey:
    """Which series of its box a run belongs to."""
    return run.test, run.target.name if run.target else "", run.interface or ""


def series_labels(agent: AgentId, key: SeriesKey) -> dict[str, str]:
    """The labels of a series, in the order of the page."""
    test, target, interface = key
    return agent._asdict() | {"interface": interface, "target": target, "test": test}


def states(outcome: Outcome, verdict: Verdict) -> tuple[bool, ...]:
    """The values of STATES."""
    return outcome == "ok", verdict != "invalid", verdict == "censored"


class Plan:
    """What becomes of each field of a probe's result."""

    def __init__(self, probe: ProbeType, seconds: Bounds, other: Bounds) -> None:
        gauges, counters, histograms = (
            [field for field in probe.fields if field.metric.kind == kind and field.metric.exposed]
            for kind in ("gauge", "counter", "histogram")
        )
        self.probe = probe.name
        self.mode = probe.mode
        self.gauges = [Family(prometheus_name(probe.name, field), "gauge", field.metric.help) for field in gauges]
        self.counters = [Family(prometheus_name(probe.name, field), "counter", field.metric.help) for field in counters]
        self.histograms = [
            HistogramFamily(
                prometheus_name(probe.name, field),
                field.metric.help,
                seconds if field.metric.unit == "seconds" else other,
            )
            for field in histograms
        ]
        self.gauge_names = [field.name for field in gauges]
        self.get_gauges, self.get_counters, self.get_histograms = map(_getter, (gauges, counters, histograms))
        self.gauge_lines = [(family.name, family.lines) for family in self.gauges]  # saves two look-ups a value

    def families(self) -> Iterator[Family]:
        """Gauges, counters, histograms."""
        yield from self.gauges
        yield from self.counters
        yield from self.histograms


def _getter(fields: list[Field]) -> Callable[[Any], tuple[Any, ...]]:
    """All fields of a result at once, as a tuple."""
    names = [field.name for field in fields]
    if len(names) > 1:
        return attrgetter(*names)
    only = attrgetter(*names) if names else None  # of one name it gives no tuple
    return lambda result: (only(result),) if only else ()


class Latest(NamedTuple):
    """The newest run of a series that is not silent; `values` by field, only those that were measured."""

    probe: str
    test: str
    target: str
    interface: str
    peer: str | None
    ended_at: float
    outcome: Outcome
    verdict: Verdict
    error: Error | None
    values: Mapping[str, float]


class Series:
    """One test of one box against one target over one interface.

    `rendered` and `state` are what stands in the families: counters and runs, outcome and verdict. `peer` is the box at
    the target, by the newest run.
    """

    __slots__ = (
        "counts",
        "end",
        "every_s",
        "histograms",
        "key",
        "labels",
        "newest",
        "peer",
        "plan",
        "rendered",
        "runs",
        "shown",
        "start",
        "state",
    )

    def __init__(self, plan: Plan, key: SeriesKey, labels: str) -> None:
        self.plan, self.key, self.labels = plan, key, labels
        self.start = self.end = float("-inf")
        self.every_s: float | None = None
        self.peer: str | None = None
        self.shown = False
        self.rendered: list[int] = []
        self.state: tuple[Outcome, Verdict] | None = None
        self.newest: tuple[Outcome, Verdict, Error | None, tuple[Any, ...]] | None = None
        self.runs = [0, 0, 0, 0]
        self.counts = [0] * len(plan.counters)
        self.histograms = [Histogram(family.bounds) for family in plan.histograms]


class Box:
    """One agent of the inventory."""

    __slots__ = ("agent", "labels", "last", "schedule", "series")

    def __init__(self, agent: AgentId) -> None:
        self.agent = agent
        self.labels = labels_text(agent._asdict())
        self.series: dict[SeriesKey, Series] = {}
        self.schedule: dict[tuple[str, str], float] | None = None
        self.last = float("-inf")


def tells(run: AnyMeasurement, plan: Plan) -> bool:
    """Whether the run's values may be shown as the series' values."""
    if run.result is None or run.verdict == "invalid":
        return False
    return run.outcome == "ok" or (run.outcome == "failed" and plan.mode == "window")
