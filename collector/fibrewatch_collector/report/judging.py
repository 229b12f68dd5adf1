"""Objectives into findings: what was asked, what was found, how surely. Pure, but for what `Evidence` reads.

A censored test that reaches its limit is a pass, one that does not is open: it accuses nobody. What was measured for
less than the class's coverage floor of the time gives no answer.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from fibrewatch.results import PROBES
from fibrewatch_collector.inventory import Uplink
from fibrewatch_collector.report import distribution
from fibrewatch_collector.report.gathering import Line
from fibrewatch_collector.report.model import Availability, Bounds, Finding, FloorWifi
from fibrewatch_collector.sla import proportions
from fibrewatch_collector.sla.objectives import Objective, Promise
from fibrewatch_collector.sla.proportions import Answer, Tally
from fibrewatch_collector.store.day import Cell
from fibrewatch_collector.store.hour import Point

VERSION = 2
DIRECTIONS = {"down": "download", "up": "upload"}
TRANSFERS, CALLS = "throughput", "voice"


class Evidence(Protocol):
    """What was measured over one uplink of a site; `busy` asks for the class's busy hours alone."""

    @property
    def lines(self) -> Sequence[Line]:
        """Its series."""

    @property
    def availability(self) -> Availability:
        """Net."""

    @property
    def wifi(self) -> Sequence[FloorWifi]:
        """Of the site's floors."""

    def cell(self, line: Line, busy: bool) -> Cell:
        """What a series measured."""

    def seconds(self, busy: bool) -> float:
        """How long that is."""

    def calls(self, peer: str) -> Sequence[Line]:
        """Calls between this site, over this uplink, and another site, whichever end started them."""

    def floor_s(self, line: Line, field: str) -> float | None:
        """What light takes at least; None where a place is not known."""

    def transfers(self, direction: str, busy: bool) -> Sequence[Point]:
        """Tests outside declared maintenance."""


class _Case(NamedTuple):
    objective: Objective
    promise: Promise
    uplink: Uplink
    evidence: Evidence

    @property
    def busy(self) -> bool:
        return self.objective.hours == "busy"

    def finding(self, **found: object) -> Finding:
        """What all kinds have in common."""
        objective = self.objective
        common = {
            "id": objective.id,
            "kind": objective.kind,
            "subject": self.uplink.id,
            "metric": objective.metric or "",
            "asked": objective.asked,
            "unit": "ratio",
            "hours": "busy" if self.busy else "",
            "source": objective.source or "",
        }
        return Finding(**common | found)  # type: ignore[arg-type]  # the kinds' own names below

    def share(self, tally: Tally, **found: object) -> Finding:
        """Of a share with Wilson's interval."""
        low, high = proportions.interval(tally)
        shared = {
            "answer": proportions.answer(tally, self.objective.asked or 0.0),
            "value": tally.share,
            "interval": Bounds(low=low, high=high),
            "n": tally.decided,
            "met": tally.met,
            "open": tally.open,
        }
        return self.finding(**shared | found)


def findings(promise: Promise, uplink: Uplink, evidence: Evidence) -> list[Finding]:
    """All objectives of an uplink, in their order."""
    cases = (_Case(each, promise, uplink, evidence) for each in promise.objectives)
    return [finding for case in cases for finding in _KINDS[case.objective.kind](case)]


def _availability(case: _Case) -> Iterable[Finding]:
    found, asked = case.evidence.availability, case.objective.asked or 0.0
    answer: Answer = "insufficient"
    if found.ratio is not None:
        answer = "pass" if found.ratio >= asked else "fail"
    yield case.finding(
        answer=answer,
        value=found.ratio,
        interval=found.bounds,
        n=found.available + found.unavailable,
        met=found.available,
        open=found.not_measured,
    )


def _group(case: _Case, probe: str) -> list[Line]:
    """A probe's series to the targets that are meant: of a role, or all beyond the gateway."""
    role = case.objective.role
    return [
        line
        for line in case.evidence.lines
        if line.series.probe == probe and (line.series.role == role if role else line.series.role != "gateway")
    ]


def _enough(case: _Case, cells: Iterable[Cell]) -> bool:
    """Whether the best measured of the series spans the coverage floor; bursts have no span to tell by."""
    spans = [cell.body.seconds for cell in cells if cell.sent]
    return not spans or max(spans) >= case.promise.coverage_floor * case.evidence.seconds(case.busy)


def _percentile(case: _Case) -> Iterable[Finding]:
    probe, _, field = (case.objective.metric or "").partition(".")
    lines = _group(case, probe)
    if not case.objective.over_floor:
        yield _quantile(case, lines, field, None, "")
        return
    targets = sorted({line.series.target or "" for line in lines})
    for target in targets or [""]:
        of_target = [line for line in lines if (line.series.target or "") == target]
        floors = {case.evidence.floor_s(line, field) for line in of_target}
        yield _quantile(case, of_target, field, floors.pop() if len(floors) == 1 else None, target)


def _quantile(case: _Case, lines: Sequence[Line], field: str, floor: float | None, target: str) -> Finding:
    objective, probe = case.objective, (case.objective.metric or "").partition(".")[0]
    cells = [case.evidence.cell(line, case.busy) for line in lines]
    found = distribution.merged((cell.body.valid.histograms.get(field, {}), singles(cell, field)) for cell in cells)
    quantile = found.quantile(objective.quantile or 0.0)
    known = quantile is not None and _enough(case, cells) and not (objective.over_floor and floor is None)
    resolution, limit = _resolution(probe, field), objective.limit_s or 0.0
    shown = quantile.within(resolution).less(floor or 0.0) if quantile is not None and known else None
    tally = found.at_most(limit + (floor or 0.0), resolution)
    return case.finding(
        metric=f"{objective.metric} p{(objective.quantile or 0.0) * 100:g}",
        asked=limit,
        unit="seconds",
        answer=_at_most(tally, objective.quantile or 0.0) if shown else "insufficient",
        value=shown.value if shown else None,
        interval=Bounds(low=shown.low, high=shown.high) if shown else None,
        n=found.n,
        floor=floor,
        target=target,
    )


def _resolution(probe: str, field: str) -> float:
    return next((metric.resolution for name, metric in PROBES[probe].fields if name == field), 0.0)


def _at_most(tally: Tally, share: float) -> Answer:
    """A quantile is at most a limit where that share of all samples is: a few of them can't prove it."""
    return proportions.answer(tally, share) if tally.decided else "undecided"


def singles(cell: Cell, field: str, *, bounds: bool = False) -> list[float]:
    """Single values of valid runs; with `bounds` those of censored ones as well."""
    return [
        point.values[field]
        for point in cell.body.points
        if field in point.values and (bounds or point.verdict == "valid")
    ]


def _loss(case: _Case) -> Iterable[Finding]:
    cells = [case.evidence.cell(line, case.busy) for line in _group(case, case.objective.metric or "")]
    sent, lost = sum(cell.sent for cell in cells), sum(cell.lost for cell in cells)
    low, high = proportions.wilson(lost, sent)
    asked = case.objective.asked or 0.0
    answer: Answer = "undecided"
    if not sent or not _enough(case, cells):
        answer = "insufficient"
    elif high <= asked or low > asked:
        answer = "pass" if high <= asked else "fail"
    value = lost / sent if answer != "insufficient" else None
    yield case.finding(answer=answer, value=value, interval=Bounds(low=low, high=high), n=sent, met=sent - lost)


def _compliance(case: _Case) -> Iterable[Finding]:
    objective = case.objective
    contracted: float = getattr(case.uplink, objective.direction or "") or 0.0
    limit = objective.rate if objective.rate is not None else (objective.of_contract or 0.0) * contracted
    reached = [_reached(point, limit) for point in case.evidence.transfers(objective.direction or "", case.busy)]
    tally = Tally(reached.count(True), reached.count(False), reached.count(None))
    yield case.share(
        tally, metric=f"{TRANSFERS}.goodput {objective.direction}", limit=limit, limit_unit="bytes_per_second"
    )


def _reached(point: Point, limit: float) -> bool | None:
    """None: a bound below the limit."""
    if point.verdict == "valid":
        return point.values["goodput"] >= limit
    return True if max(point.values["goodput"], point.values.get("bound", 0.0)) >= limit else None


def _success(case: _Case) -> Iterable[Finding]:
    cells = [case.evidence.cell(line, case.busy) for line in _group(case, case.objective.metric or "")]
    yield case.share(Tally(sum(cell.body.met for cell in cells), sum(cell.body.missed for cell in cells)))


def _coverage(case: _Case) -> Iterable[Finding]:
    """Too little of a floor's time measured says nothing, whatever that was."""
    for floor in case.evidence.wifi:
        named = {"subject": floor.floor, "metric": "wifi"}
        if floor.measured < case.promise.coverage_floor * (floor.expected or 0):
            named |= {"answer": "insufficient"}
        yield case.share(Tally(floor.good, floor.measured - floor.good), **named)
    if not case.evidence.wifi:
        yield case.share(Tally(0, 0), metric="wifi")


def _readiness(case: _Case) -> Iterable[Finding]:
    """Calls that failed were not fit either; what could not be told counts nowhere."""
    met = told = missed = 0
    for line in case.evidence.calls(case.objective.peer or ""):
        cell = case.evidence.cell(line, case.busy)
        ready = cell.body.valid.sums.get("ready")
        if ready is not None:
            met, told = met + round(ready.sum), told + ready.count
        missed += cell.body.missed
    tally = Tally(met, told - met + missed)
    yield case.share(tally, subject=case.objective.peer, metric=f"{CALLS}.ready")


_KINDS: dict[str, Callable[[_Case], Iterable[Finding]]] = {
    "availability": _availability,
    "percentile": _percentile,
    "loss": _loss,
    "compliance": _compliance,
    "success": _success,
    "coverage": _coverage,
    "readiness": _readiness,
}
