"""The boxes' results as Prometheus series, rendered when they come in, so that a scrape only joins text.

What is shown:
- Gauges are those of the newest run of a series (by started_at; a late batch never walks one back), if that run says
  something: its verdict is not "invalid", and it was ok or, being a window, lost all its samples. Otherwise, and where
  the field was not measured, the series has no value rather than an old one. A skipped run changes nothing.
- Counters and histograms take in every run that is not invalid, late, undated and failed ones with a part of a result
  too. Only what the store called new comes here, so that a resend counts once.
- All of them expire 2.5 periods after the newest run's end; the freshness (`…_last_result_timestamp_seconds`) stays.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fibrewatch.measurement import UNDATED, AnyMeasurement
from fibrewatch.results import ProbeType
from fibrewatch.wire import AgentId
from fibrewatch.wire import Inventory as Schedule
from fibrewatch_collector.families import OTHER_BOUNDS, SECONDS_BOUNDS, Bounds, Family, labels_text
from fibrewatch_collector.series import Box, Latest, Plan, Series, SeriesKey, tells

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

    def __init__(self, probes: Mapping[str, ProbeType]) -> None:
        seconds, other = Bounds(SECONDS_BOUNDS), Bounds(OTHER_BOUNDS)
        self._plans = {name: Plan(probe, seconds, other) for name, probe in probes.items()}
        self._boxes: dict[AgentId, Box] = {}
        self._success = Family("fibrewatch_probe_success", "gauge", "1 when the newest run was ok, 0 when it failed.")
        self._censored = Family(
            "fibrewatch_probe_censored", "gauge", "1 when the box limited the newest run: its values are bounds."
        )
        self._valid = Family(
            "fibrewatch_probe_valid", "gauge", "0 when the newest run proves nothing: its values are not shown."
        )
        self._runs = [Family(name, "counter", text) for name, text in _RUNS]
        self._fresh = Family(
            "fibrewatch_probe_last_result_timestamp_seconds", "gauge", "End of the newest run; never expires."
        )
        self._agent_fresh = Family(
            "fibrewatch_agent_last_result_timestamp_seconds", "gauge", "End of the box's newest run; never expires."
        )
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
        box, plan = self._boxes.get(agent), self._plans.get(run.probe)
        if box is None or plan is None:
            return
        key = (run.test, run.target.name if run.target else "", run.interface or "")
        series = box.series.get(key)
        if series is None or series.plan is not plan:
            series = self._open(box, key, plan)
            if series is None:
                return
        added = self._count(series, run) if counts else ()
        start = run.started_at.timestamp()
        if start > series.start and start <= now + FUTURE_S and UNDATED not in run.reasons:
            self._advance(box, series, run, now)
        if series.shown:
            self._show_counters(series, added)

    def _open(self, box: Box, key: SeriesKey, plan: Plan) -> Series | None:
        old = box.series.pop(key, None)
        if old is not None:  # the same name now stands for another probe
            self._forget(old)
        if len(box.series) >= MAX_SERIES and not self._evict(box):
            self.refused += 1
            return None
        names = dict(zip(("test", "target", "interface"), key, strict=True))
        labels = box.agent._asdict() | {name: names[name] for name in ("interface", "target", "test")}
        series = box.series[key] = Series(plan, key, labels_text(labels))
        return series

    def _evict(self, box: Box) -> bool:
        """Gives up the expired series that is silent for the longest."""
        silent = [key for key, series in box.series.items() if not series.shown]
        if not silent:
            return False
        self._forget(box.series.pop(min(silent, key=lambda key: box.series[key].end)))
        return True

    def _count(self, series: Series, run: AnyMeasurement) -> tuple[Any, ...]:
        """Sums the run up; returns what it added to each counter, nothing if it may not count."""
        runs = series.runs
        runs[0] += 1
        if run.outcome != "ok":
            runs[1 if run.outcome == "failed" else 2] += 1
        if run.verdict == "invalid":
            runs[3] += 1
        if run.verdict == "invalid" or run.result is None:
            return ()
        added = series.plan.get_counters(run.result)
        for i, amount in enumerate(added):
            if amount:
                series.counts[i] += amount
        for histogram, buckets in zip(series.histograms, series.plan.get_histograms(run.result), strict=True):
            if buckets:
                histogram.add(buckets)
        return added

    def _advance(self, box: Box, series: Series, run: AnyMeasurement, now: float) -> None:
        """Makes this run the newest of its series."""
        start = run.started_at.timestamp()
        series.every_s = self._period(box, series, start, run)
        series.start, series.end = start, start + max(run.duration_s, 0.0)
        self._fresh.set(series.labels, series.end)
        if series.end > box.last:
            box.last = series.end
            self._agent_fresh.set(box.labels, series.end)
        if now > series.end + EXPIRY_PERIODS * series.every_s:
            self._expire(series)
        elif run.outcome != "skipped":
            self._show(series, run)

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

    def _show(self, series: Series, run: AnyMeasurement) -> None:
        plan, labels = series.plan, series.labels
        values = plan.get_gauges(run.result) if tells(run, plan) else ()
        series.newest = (run.outcome, run.verdict, run.error, values)
        if values:
            for (name, lines), value in zip(plan.gauge_lines, values, strict=True):
                if value is None:
                    lines.pop(labels, None)
                else:
                    lines[labels] = f"{name}{labels} {value!r}\n"
        else:
            for _, lines in plan.gauge_lines:
                lines.pop(labels, None)
        state = (run.outcome, run.verdict)
        if state != series.state and plan.mode != "event":
            series.state = state
            self._success.set(labels, run.outcome == "ok")
            self._valid.set(labels, run.verdict != "invalid")
            self._censored.set(labels, run.verdict == "censored")
        if not series.shown:
            series.shown = True
            self._show_counters(series, None)

    def _show_counters(self, series: Series, added: tuple[Any, ...] | None) -> None:
        """Renders the counters that moved; all of them when `added` is None."""
        plan, labels = series.plan, series.labels
        if added is None:
            added = (1,) * len(series.counts)
        for family, total, amount in zip(plan.counters, series.counts, added, strict=False):
            if amount:
                family.lines[labels] = f"{family.name}{labels} {total}\n"
        if added:
            for histogram_family, histogram in zip(plan.histograms, series.histograms, strict=True):
                histogram_family.show(labels, histogram)
        if plan.mode != "event":
            for family, amount in zip(self._runs, series.runs, strict=True):
                if amount or labels not in family.lines:
                    family.lines[labels] = f"{family.name}{labels} {amount}\n"

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
        series.shown, series.state = False, None
        for family in (*series.plan.families(), self._success, self._valid, self._censored, *self._runs):
            family.drop(series.labels)

    def _forget(self, series: Series) -> None:
        self._expire(series)
        self._fresh.drop(series.labels)

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
                known = {name: value for name, value in named if value is not None}
                yield Latest(series.plan.probe, test, target, interface, series.end, outcome, verdict, error, known)

    def series(self) -> int:
        """How many series of the boxes are known, the silent ones too."""
        return sum(len(box.series) for box in self._boxes.values())

    def families(self) -> Iterator[Family]:
        """In the order of the page: state and freshness, then each probe's own."""
        yield from (self._success, self._valid, self._censored, *self._runs, self._fresh, self._agent_fresh)
        for plan in self._plans.values():
            yield from plan.families()
