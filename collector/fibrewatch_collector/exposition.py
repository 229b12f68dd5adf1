"""The boxes' results as Prometheus series. A scrape renders what came since the last one and joins it to the rest.

What is shown:
- Gauges are those of the newest run of a series (by started_at; a late batch never walks one back), if that run says
  something: its verdict is not "invalid", and it was ok or, being a window, lost all its samples. Otherwise, and where
  the field was not measured, the series has no value rather than an old one. A skipped run changes nothing.
- Counters and histograms take in every run that is not invalid, late, undated and failed ones with a part of a result
  too. Only what the store called new comes here, so that a resend counts once.
- All of them expire 2.5 periods after the newest run's end; the freshness (`…_last_result_timestamp_seconds`) stays.
"""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from fibrewatch.measurement import UNDATED, AnyMeasurement, Error, Outcome, Verdict
from fibrewatch.results import ProbeType
from fibrewatch.wire import AgentId, agent_id
from fibrewatch.wire import Inventory as Schedule
from fibrewatch_collector import mesh_series
from fibrewatch_collector.families import BOX_LABELS, OTHER_BOUNDS, SECONDS_BOUNDS, Bounds, Family, labels_text
from fibrewatch_collector.mesh import Mesh
from fibrewatch_collector.mesh_series import Peers
from fibrewatch_collector.series import (
    STATES,
    Box,
    Latest,
    Plan,
    Series,
    SeriesKey,
    series_key,
    series_labels,
    states,
    tells,
)

MAX_SERIES = 500
"""Series of one box: what wire.Inventory may schedule. A test of another name beyond it is counted, not shown."""
EXPIRY_PERIODS = 2.5
UNTIL_LEARNED_S = 300.0
EVENT_PERIOD_S = 86400.0
FUTURE_S = 300.0
"""A start further ahead than this would keep out all that follow: such a run is taken as undated."""

_RUNS = (
    ("fibrewatch_probe_runs_total", "Runs that were stored."),
    ("fibrewatch_probe_failures_total", "Runs that failed."),
    ("fibrewatch_probe_skips_total", "Runs that did not take place."),
    ("fibrewatch_probe_invalid_total", "Runs whose values prove nothing; they are in no other metric of the probe."),
)


class Exposition:
    """All series of the boxes; not thread-safe, all calls come from the event loop."""

    def __init__(self, probes: Mapping[str, ProbeType], *, written: bool = False) -> None:
        """`written`: each run's own values go by remote write, at the run's time."""
        self._written = written
        seconds, other = Bounds(SECONDS_BOUNDS), Bounds(OTHER_BOUNDS)
        self.plans = {name: Plan(probe, seconds, other) for name, probe in probes.items()}
        self._boxes: dict[AgentId, Box] = {}
        self._states = [Family(name, "gauge", text) for name, text in STATES]
        self._runs = [Family(name, "counter", text) for name, text in _RUNS]
        self._fresh = Family(
            "fibrewatch_probe_last_result_timestamp_seconds", "gauge", "End of the newest run; never expires."
        )
        self._agent_fresh = Family(
            "fibrewatch_agent_last_result_timestamp_seconds",
            "gauge",
            "End of the box's newest run; never expires.",
            BOX_LABELS,
        )
        self._pairs = Family(mesh_series.FAMILY, "gauge", mesh_series.HELP, mesh_series.LABELS)
        self._planned: Peers = {}
        self._pairs_stale = False
        self._stale: set[Series] = set()
        self.expired = self.refused = 0

    # ---- the fleet

    def set_agents(self, agents: Mapping[AgentId, object]) -> None:
        """Makes room for these boxes and forgets all others."""
        for agent in [each for each in self._boxes if each not in agents]:
            box = self._boxes.pop(agent)
            self._agent_fresh.drop(box.labels)
            for series in box.series.values():
                self._forget(series)
        for agent in agents:
            if agent not in self._boxes:
                self._boxes[agent] = Box(agent)

    def set_mesh(self, mesh: Mesh) -> None:
        """Notes which boxes shall measure to each other: these pairs are shown even before they do."""
        self._planned, self._pairs_stale = mesh_series.planned(mesh), True

    def set_schedule(self, agent: AgentId, schedule: Schedule) -> None:
        """Notes how often a box's tests run; a test that it no longer has goes for good once it has expired."""
        if (box := self._boxes.get(agent)) is not None:
            box.schedule = {(test.test, test.target or ""): test.every_s for test in schedule.schedule}

    # ---- results

    def add(self, agent: AgentId, run: AnyMeasurement, now: float) -> None:
        """Takes in a run that is new to the store; boxes and probes that are not known make no series."""
        self._take(agent, run, now, counts=True)

    def recall(self, agent: AgentId, run: AnyMeasurement, now: float) -> None:
        """The same for a run from before the collector's start: counters begin at 0, as Prometheus expects."""
        self._take(agent, run, now, counts=False)

    def _take(self, agent: AgentId, run: AnyMeasurement, now: float, *, counts: bool) -> None:
        box, plan = self._boxes.get(agent), self.plans.get(run.probe)
        if box is None or plan is None:
            return
        key = series_key(run)
        series = box.series.get(key)
        if series is None or series.plan is not plan:
            series = self._open(box, key, plan)
            if series is None:
                return
        if counts:
            self._count(series, run)
        start = run.started_at.timestamp()
        if start > series.start and start <= now + FUTURE_S and UNDATED not in run.reasons:
            self._advance(box, series, run, start, now)
        self._stale.add(series)

    def _open(self, box: Box, key: SeriesKey, plan: Plan) -> Series | None:
        old = box.series.pop(key, None)
        if old is not None:  # the same name now stands for another probe
            self._forget(old)
        if len(box.series) >= MAX_SERIES and not self._evict(box):
            self.refused += 1
            return None
        series = box.series[key] = Series(plan, key, labels_text(series_labels(box.agent, key)))
        return series

    def _evict(self, box: Box) -> bool:
        """Gives up the expired series that is silent for the longest."""
        silent = [key for key, series in box.series.items() if not series.shown]
        if not silent:
            return False
        self._forget(box.series.pop(min(silent, key=lambda key: box.series[key].end)))
        return True

    def _count(self, series: Series, run: AnyMeasurement) -> None:
        """Sums the run up."""
        runs = series.runs
        runs[0] += 1
        if run.outcome != "ok":
            runs[1 if run.outcome == "failed" else 2] += 1
        if run.verdict == "invalid":
            runs[3] += 1
        if run.verdict == "invalid" or run.result is None:
            return
        for i, amount in enumerate(series.plan.get_counters(run.result)):
            if amount:
                series.counts[i] += amount
        for histogram, buckets in zip(series.histograms, series.plan.get_histograms(run.result), strict=True):
            if buckets:
                histogram.add(buckets)

    def _advance(self, box: Box, series: Series, run: AnyMeasurement, start: float, now: float) -> None:
        """Makes this run, begun at `start`, the newest of its series."""
        series.every_s = self._period(box, series, start, run)
        series.start, series.end = start, start + max(run.duration_s, 0.0)
        peer = run.target.peer if run.target else None
        if peer != series.peer:
            series.peer, self._pairs_stale = peer, True
        box.last = max(box.last, series.end)
        if now > series.end + EXPIRY_PERIODS * series.every_s:
            self._expire(series)
        elif run.outcome != "skipped":
            values = series.plan.get_gauges(run.result) if tells(run, series.plan) else ()
            series.newest, series.shown = (run.outcome, run.verdict, run.error, values), True

    def _period(self, box: Box, series: Series, start: float, run: AnyMeasurement) -> float:
        """Seconds from one run to the next: scheduled, or else learned; a pause doubles what was learned at most."""
        if series.plan.mode == "event":
            return EVENT_PERIOD_S
        scheduled = box.schedule.get(series.key[:2]) if box.schedule else None
        if scheduled:
            return scheduled
        if series.every_s is None:
            return max(UNTIL_LEARNED_S, run.duration_s)
        return min(start - series.start, 2 * series.every_s)

    # ---- rendering

    def _render_stale(self) -> None:
        for series in self._stale:
            self._fresh.set(series.labels, series.end if series.end > float("-inf") else None)
            if series.shown and series.newest is not None:
                self._render(series, *series.newest)
        self._stale.clear()
        for box in self._boxes.values():
            self._agent_fresh.set(box.labels, box.last if box.last > float("-inf") else None)
        if self._pairs_stale:
            self._pairs.replace(mesh_series.info({**self._planned, **self._measured()}))
            self._pairs_stale = False

    def _measured(self) -> Peers:
        """The peers that boxes measure, planned or not; the newest run tells."""
        named = [(box, series) for box in self._boxes.values() for series in box.series.values() if series.peer]
        named.sort(key=lambda each: each[1].start)
        return {(box.agent, series.key[1]): agent_id(series.peer) for box, series in named if series.peer}

    def _render(
        self, series: Series, outcome: Outcome, verdict: Verdict, error: Error | None, values: tuple[Any, ...]
    ) -> None:
        plan, labels = series.plan, series.labels
        for (name, lines), value in zip_longest(plan.gauge_lines, values):
            if value is None:
                lines.pop(labels, None)
            else:
                lines[labels] = f"{name}{labels} {+value!r}\n"  # + makes a bool the number that Prometheus wants
        for histogram_family, histogram in zip(plan.histograms, series.histograms, strict=True):
            histogram_family.show(labels, histogram)
        amounts = [*series.counts, *series.runs] if plan.mode != "event" else series.counts
        for family, amount, before in zip_longest([*plan.counters, *self._runs], amounts, series.rendered):
            if amount is not None and amount != before:
                family.lines[labels] = f"{family.name}{labels} {amount}\n"
        series.rendered = list(amounts)
        if (outcome, verdict) != series.state and plan.mode != "event":
            series.state = (outcome, verdict)
            for family, value in zip(self._states, states(outcome, verdict), strict=True):
                family.set(labels, value)

    # ---- what ends

    def expire(self, now: float) -> None:
        """Takes away the values of series that are silent for 2.5 periods."""
        for box in self._boxes.values():
            for key, series in list(box.series.items()):
                if series.shown and now > series.end + EXPIRY_PERIODS * (series.every_s or 0):
                    self._expire(series)
                gone = box.schedule is not None and key[:2] not in box.schedule and series.plan.mode != "event"
                if gone and not series.shown:
                    self._forget(box.series.pop(key))

    def _expire(self, series: Series) -> None:
        if series.shown:
            self.expired += 1
        series.shown, series.state, series.rendered = False, None, []
        for family in (*series.plan.families(), *self._states, *self._runs):
            family.drop(series.labels)

    def _forget(self, series: Series) -> None:
        self._expire(series)
        self._fresh.drop(series.labels)
        self._stale.discard(series)
        self._pairs_stale |= series.peer is not None

    # ---- what is served

    def last_result(self, agent: AgentId) -> float | None:
        """End of a box's newest run, UTC seconds; None before the first."""
        box = self._boxes.get(agent)
        return box.last if box is not None and box.last > float("-inf") else None

    def latest(self, agent: AgentId) -> Iterator[Latest]:
        """A box's newest runs, but for those that expired."""
        box = self._boxes.get(agent)
        for (test, target, interface), series in box.series.items() if box is not None else ():
            if series.shown and series.newest is not None:
                outcome, verdict, error, values = series.newest
                named = zip(series.plan.gauge_names, values, strict=False)
                known = {name: +value for name, value in named if value is not None}  # a bool as a number
                named_by = (series.plan.probe, test, target, interface, series.peer)
                yield Latest(*named_by, series.end, outcome, verdict, error, known)

    def series(self) -> int:
        """How many series of the boxes are known, the silent ones too."""
        return sum(len(box.series) for box in self._boxes.values())

    def families(self) -> Iterator[Family]:
        """In the order of the page: state and freshness, then each probe's own; brought up to date first.

        Where results are written remotely, without what is written: a series that is scraped too would be both.
        """
        self._render_stale()
        yield from () if self._written else self._states
        yield from (*self._runs, self._fresh, self._agent_fresh)
        yield self._pairs
        for plan in self.plans.values():
            yield from (*plan.counters, *plan.histograms) if self._written else plan.families()
