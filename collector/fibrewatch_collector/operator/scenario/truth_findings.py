"""Whether promises were kept, by sites.toml and the records alone: each rule as docs/objectives.md has it."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fibrewatch_collector.operator.scenario import sites as plain
from fibrewatch_collector.operator.scenario.samples import Transfer
from fibrewatch_collector.operator.scenario.sites import Sites, Table
from fibrewatch_collector.operator.scenario.truth_minutes import Line
from fibrewatch_collector.operator.scenario.truth_tests import Key, Pile, Series, quantile

SKETCH_ERROR = 0.0202
"""A limit so near to a quantile may be told as undecided: a bucket's two edges are 2.02 % apart."""
EXACT = 10_000
Tallied = Callable[[bool], Mapping[Key, Series]]
"""The line's series, of all hours or of the busy ones."""


def wilson(met: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval, as he printed it."""
    if n == 0:
        return 0.0, 1.0
    z, p = 1.959963984540054, met / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


class Findings:
    """Of one line in one period."""

    def __init__(
        self,
        sites: Sites,
        line: Line,
        net: Mapping[str, Any],
        *,
        series: Tallied,
        transfers: Callable[[bool], Sequence[Transfer]],
        seconds: Callable[[bool], float],
    ) -> None:
        self._sites, self._line, self._net = sites, line, net
        self._series, self._transfers, self._seconds = series, transfers, seconds
        self._sla = sites.sla(*line) or {}

    def all(self) -> list[dict[str, Any]]:
        """Each objective of the line's class; presets and a line's own ones are not told."""
        return [found for each in self._sla.get("objective", []) for found in self._one(each)]

    def _one(self, objective: Table) -> Iterable[dict[str, Any]]:
        kinds: Mapping[str, Callable[[Table], Iterable[dict[str, Any]]]] = {
            "availability": self._availability,
            "percentile": self._percentile,
            "loss": self._loss,
            "compliance": self._compliance,
            "success": self._success,
        }
        if objective["kind"] in kinds:
            for found in kinds[objective["kind"]](objective):
                yield {"id": objective["id"], "kind": objective["kind"], "subject": self._line[1], "target": ""} | found

    def _availability(self, objective: Table) -> Iterable[dict[str, Any]]:
        ratio, answer = self._net["ratio"], "insufficient"
        if ratio is not None:
            answer = "pass" if ratio >= objective["asked"] else "fail"
        yield {"answer": answer, "value": ratio, "n": self._net["available"] + self._net["unavailable"]}

    def _group(self, objective: Table, probe: str) -> list[Series]:
        """To targets of the role that is meant, or to all beyond the gateway."""
        role = objective.get("role")
        return [
            series
            for (uplink, name, _, _), series in self._series(objective.get("hours") == "busy").items()
            if uplink == self._line[1] and name == probe and (series.role == role if role else series.role != "gateway")
        ]

    def _enough(self, objective: Table, group: Iterable[Series]) -> bool:
        spans = [each.seconds for each in group if each.sent]
        floor = self._sla.get("coverage_floor", 0.90)
        return not spans or max(spans) >= floor * self._seconds(objective.get("hours") == "busy")

    def _percentile(self, objective: Table) -> Iterable[dict[str, Any]]:
        if objective.get("over_floor"):
            return
        probe, _, name = objective["metric"].partition(".")
        group, pile = self._group(objective, probe), Pile()
        for each in group:
            if name in each.fields:
                pile.add_all(each.fields[name])
        ordered = pile.ordered()
        n = sum(times for _, times in ordered)
        value, limit = quantile(ordered, objective["quantile"]), plain.seconds(objective["limit"])
        known = value is not None and self._enough(objective, group)
        error = SKETCH_ERROR if n > EXACT or name == "rtt" else 0.0
        edges = (limit, limit * (1 - error), limit * (1 + error))
        answer, *others = [_held(ordered, edge, objective["quantile"]) if known else "insufficient" for edge in edges]
        near = any(each != answer for each in others)
        yield {"answer": answer, "value": value if known else None, "n": n, "near": near}

    def _loss(self, objective: Table) -> Iterable[dict[str, Any]]:
        group = self._group(objective, objective["metric"])
        sent, lost = sum(each.sent for each in group), sum(each.lost for each in group)
        low, high = wilson(lost, sent)
        answer = "undecided"
        if not sent or not self._enough(objective, group):
            answer = "insufficient"
        elif high <= objective["asked"]:
            answer = "pass"
        elif low > objective["asked"]:
            answer = "fail"
        value = lost / sent if answer != "insufficient" else None
        yield {"answer": answer, "value": value, "n": sent, "met": sent - lost, "low": low, "high": high}

    def _compliance(self, objective: Table) -> Iterable[dict[str, Any]]:
        direction = {"download": "down", "upload": "up"}[objective["direction"]]
        if "rate" in objective:
            limit = plain.bytes_per_second(objective["rate"])
        else:
            limit = objective["of_contract"] * (self._sites.rate(*self._line, objective["direction"]) or 0.0)
        met = missed = undecided = 0
        for test in self._transfers(objective.get("hours") == "busy"):
            if test.direction != direction or test.goodput is None or test.verdict == "invalid":
                continue
            if max(test.goodput, test.bound or 0.0 if test.verdict == "censored" else 0.0) >= limit:
                met += 1
            elif test.verdict == "censored":
                undecided += 1
            else:
                missed += 1
        yield _share(met, missed, undecided, objective["asked"]) | {"limit": limit}

    def _success(self, objective: Table) -> Iterable[dict[str, Any]]:
        group = self._group(objective, objective["metric"])
        yield _share(sum(each.met for each in group), sum(each.missed for each in group), 0, objective["asked"])


def _held(ordered: Sequence[tuple[float, int]], limit: float, asked: float) -> str:
    """Whether that share of all samples is at most so long, by Wilson's interval."""
    met = sum(times for value, times in ordered if value <= limit)
    low, high = wilson(met, sum(times for _, times in ordered))
    return "pass" if low >= asked else "fail" if high < asked else "undecided"


def _share(met: int, missed: int, undecided: int, asked: float) -> dict[str, Any]:
    """Three answers; open tests are missed for the low end and met for the high one."""
    n = met + missed + undecided
    low, high = wilson(met, n)[0], wilson(met + undecided, n)[1]
    answer = "undecided"
    if not met + missed:
        answer = "insufficient"
    elif low >= asked:
        answer = "pass"
    elif high < asked:
        answer = "fail"
    value = met / (met + missed) if met + missed else None
    return {
        "answer": answer,
        "value": value,
        "n": met + missed,
        "met": met,
        "open": undecided,
        "low": low,
        "high": high,
    }
