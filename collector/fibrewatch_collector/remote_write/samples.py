"""A run as samples: the series that `/metrics` would show of it, at the moment when the run ended. Pure."""

from collections.abc import Iterator, Mapping

from fibrewatch.measurement import AnyMeasurement
from fibrewatch.wire import AgentId
from fibrewatch_collector.remote_write.encoding import Sample, labels
from fibrewatch_collector.series import STATES, Plan, SeriesKey, series_key, series_labels, states, tells

_MAX_KNOWN = 100_000


def ended_at(run: AnyMeasurement) -> float:
    """UTC seconds: only then a window's value is known, and no past query may know it earlier."""
    return run.started_at.timestamp() + max(run.duration_s, 0.0)


class _Known:
    """A series' encoded labels by field, and which fields ever had a value."""

    __slots__ = ("had", "names", "series", "states")

    def __init__(self, agent: AgentId, key: SeriesKey, plan: Plan) -> None:
        self.names = series_labels(agent, key)
        self.states = [labels(name, self.names) for name, _ in STATES] if plan.mode != "event" else []
        self.series: list[bytes | None] = [None] * len(plan.gauges)  # most fields are never measured: on demand
        self.had: set[int] = set()


class Sampler:
    """Makes samples of runs; not thread-safe."""

    def __init__(self, plans: Mapping[str, Plan]) -> None:
        self._plans = plans
        self._known: dict[tuple[AgentId, str, SeriesKey], _Known] = {}

    def knows(self, run: AnyMeasurement) -> bool:
        """Whether this program knows the probe."""
        return run.probe in self._plans

    def samples(self, agent: AgentId, run: AnyMeasurement) -> list[Sample]:
        """None of a run that was skipped; what had a value and has none in this run ends, as it does in /metrics."""
        if run.outcome == "skipped":
            return []
        plan = self._plans[run.probe]
        known, at_ms = self._series(agent, run, plan), round(ended_at(run) * 1000)
        told = zip(known.states, states(run.outcome, run.verdict), strict=False)
        return [Sample(series, float(value), at_ms) for series, value in told] + [
            Sample(series, value, at_ms) for series, value in _gauges(known, plan, run)
        ]

    def _series(self, agent: AgentId, run: AnyMeasurement, plan: Plan) -> _Known:
        at = (agent, run.probe, series_key(run))
        known = self._known.get(at)
        if known is None:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            known = self._known[at] = _Known(agent, at[2], plan)
        return known


def _gauges(known: _Known, plan: Plan, run: AnyMeasurement) -> Iterator[tuple[bytes, float | None]]:
    values = plan.get_gauges(run.result) if tells(run, plan) else (None,) * len(plan.gauges)
    for i, value in enumerate(values):
        if value is None and i not in known.had:
            continue
        series = known.series[i]
        if series is None:
            series = known.series[i] = labels(plan.gauges[i].name, known.names)
        known.had.add(i)
        yield series, None if value is None else float(value)
