"""The true outages: minutes without a line, joined, each with whose fault it was by the script. Plain loops."""

from collections.abc import Mapping, Sequence
from typing import Any

from fibrewatch_collector.operator.scenario.script import Scenario, Work
from fibrewatch_collector.operator.scenario.sites import Sites
from fibrewatch_collector.operator.scenario.truth_minutes import Line, Verdict, touches
from fibrewatch_collector.operator.scenario.ways import Way

KIND_OF: Mapping[tuple[str, str], str] = {
    ("U", "access"): "line",
    ("U", "operator"): "line",
    ("U", "unknown"): "unknown",
    ("N", "lan"): "lan",
    ("N", "target"): "target",
    ("N", "probe"): "dark",
    ("N", "silent"): "dark",
    ("N", "samples"): "dark",
}
SHORTEST_DARK = 5
_DAY_S = 86400.0
_HARD = ("line_cut", "operator_down", "lan_cut", "target_down")
"""Nothing at all comes through: the first lost sample tells when."""


class Outages:
    """Of one line over minutes begin … end."""

    def __init__(
        self, scenario: Scenario, sites: Sites, line: Line, verdicts: Mapping[int, Verdict], span: tuple[int, int]
    ) -> None:
        self._scenario, self._sites, self._line = scenario, sites, line
        self._verdicts, self._span = verdicts, span
        ways = [
            Way(scenario, sites, box, interface, scenario.target(name))
            for box in scenario.boxes
            for interface in box.interfaces
            for name in box.targets
        ]
        mine = [way for way in ways if (way.site, way.uplink) == line and way.target.peer is None]
        self._hits = [each for each in scenario.faults if any(each in way.faults for way in mine)]

    def all(self) -> list[dict[str, Any]]:
        """In order of time."""
        found, begin = [], self._span[0]
        while begin < self._span[1]:
            kind, end = self._kind(begin), begin + 1
            while end < self._span[1] and self._kind(end) == kind:
                end += 1
            if kind is not None and not (kind == "dark" and end - begin < SHORTEST_DARK):
                found += self._pieces(kind, begin, end)
            begin = end
        return found

    def _kind(self, minute: int) -> str | None:
        verdict = self._verdicts.get(minute, Verdict("N", "silent"))
        return KIND_OF.get((verdict.state, verdict.cause))

    def _pieces(self, kind: str, begin: int, end: int) -> list[dict[str, Any]]:
        """Cut where declared work begins or ends."""
        found, first = [], begin
        for minute in range(begin, end + 1):
            if minute == end or (minute > first and self._works(minute) != self._works(minute - 1)):
                found.append(self._outage(kind, (begin, end), (first, minute)))
                first = minute
        return found

    def _outage(self, kind: str, whole: tuple[int, int], piece: tuple[int, int]) -> dict[str, Any]:
        works = self._works(piece[0])
        begin, end = self._moments(kind, whole, piece)
        return {
            "uplink": self._line[1],
            "minutes": piece[1] - piece[0],
            "first_minute": piece[0] * 60,
            "begin": begin,
            "end": end,
            "cause": self._cause(kind, whole, piece),
            "counts": kind == "line" and not works,
            "companies": self._sites.companies(*self._line),
            "maintenance": bool(works),
            "open": whole[1] == self._span[1] and piece[1] == whole[1],
        }

    def _works(self, minute: int) -> list[Work]:
        """What was declared in time and holds in a minute."""
        return [each for each in self._scenario.works if excludes(each, self._line, minute)]

    def _cause(self, kind: str, whole: tuple[int, int], piece: tuple[int, int]) -> str:
        causes = [self._verdicts.get(minute, Verdict("N", "silent")).cause for minute in range(*piece)]
        if kind == "line":
            return "operator" if causes.count("operator") > causes.count("access") else "access"
        if kind != "dark":
            return kind
        told = causes.count("probe") + causes.count("samples")
        if told * 2 > len(causes):
            return "probe"
        is_back = whole[1] < self._span[1] or self._kind(whole[1]) != "dark"
        return "probe" if is_back and not self._results_lost(piece) else "unknown"

    def _results_lost(self, piece: tuple[int, int]) -> bool:
        """Whether a box of the site had to drop results, and said so until a day after."""
        return any(
            each.kind == "results_lost"
            and (each.box or "").rpartition("/")[0] == self._line[0]
            and piece[0] * 60 <= each.end < piece[1] * 60 + _DAY_S
            for each in self._scenario.faults
        )

    def _moments(self, kind: str, whole: tuple[int, int], piece: tuple[int, int]) -> tuple[float | None, float | None]:
        """When the fault truly began and ended, where it took everything and lies in the outage's edge minutes."""
        hard = [each for each in self._hits if each.kind in _HARD and kind != "dark"]
        begins = [each.begin for each in hard if int(each.begin // 60) == piece[0] and touches(each, piece[0])]
        ends = [each.end for each in hard if int(-(-each.end // 60)) - 1 == piece[1] - 1]
        return (
            min(begins) if begins and piece[0] == whole[0] else None,
            max(ends) if ends and piece[1] == whole[1] else None,
        )


def excludes(work: Work, line: Line, minute: int) -> bool:
    """Whether declared work takes a minute out of a line's net figure."""
    end = work.end if work.cancelled is None else min(work.end, work.cancelled)
    return (
        work.site == line[0]
        and work.uplink in (None, line[1])
        and work.declared < work.begin
        and work.begin.timestamp() <= minute * 60 < end.timestamp()
    )


def in_order(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """By time, then by line."""
    return sorted(found, key=lambda each: (each["first_minute"], each["uplink"]))
