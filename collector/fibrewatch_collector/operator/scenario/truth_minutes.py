"""The truth of each minute of each line: what the raw samples say, and whose fault it was by the script.

Plain loops after docs/sla.md; none of what judges minutes in a collector is used here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fibrewatch_collector.operator.scenario.samples import Record, Window
from fibrewatch_collector.operator.scenario.script import Fault, Scenario
from fibrewatch_collector.operator.scenario.sites import Sites
from fibrewatch_collector.operator.scenario.ways import Way

REFUSED_AHEAD_S = 3600.0
"""What a box dates further ahead than this is not taken."""
FAULT_OF: Mapping[str, str] = {
    "line_cut": "access",
    "brown_out": "access",
    "operator_down": "operator",
    "lan_cut": "lan",
    "wifi_storm": "lan",
    "target_down": "target",
}
_NEAREST = ("lan", "access", "operator")
"""Of two faults at once the nearer one is to blame: nobody saw the other."""
Line = tuple[str, str]
"""Site (territory/site) and uplink."""
Seen = tuple[str, str, int, int]
"""Box, target, sent, lost."""


class Verdict(NamedTuple):
    """A, U or N of a minute, and why."""

    state: str
    cause: str


def counts(record: Record) -> bool:
    """Whether a record reaches the figures: it comes, has a date, and is not dated far ahead."""
    return not record.lost and not record.undated and record.clock_off_s <= REFUSED_AHEAD_S


@dataclass
class Minutes:
    """What was seen of each line in each minute, since 1970."""

    scenario: Scenario
    sites: Sites
    seen: dict[Line, dict[int, tuple[Seen, ...]]] = field(default_factory=dict)
    _same: dict[tuple[Seen, ...], tuple[Seen, ...]] = field(default_factory=dict)

    def add(self, records: Sequence[Record]) -> None:
        """The windows of one true minute; those of a box whose clock is off lie in another."""
        found: dict[tuple[Line, int], list[Seen]] = {}
        for record in records:
            if isinstance(record, Window) and counts(record):
                line = (record.box.agent.rpartition("/")[0], record.uplink)
                lost = 0
                for delay in record.delays:
                    if delay is None:
                        lost += 1
                seen = (record.box.agent, record.target.name, len(record.delays), lost)
                found.setdefault((line, int(record.dated // 60)), []).append(seen)
        for (line, minute), more in found.items():
            whole = (*self.seen.setdefault(line, {}).get(minute, ()), *more)
            self.seen[line][minute] = self._same.setdefault(whole, whole)

    def first(self, site: str) -> int | None:
        """The first minute in which any line of a site was measured."""
        starts = [min(minutes) for line, minutes in self.seen.items() if line[0] == site and minutes]
        return min(starts, default=None)

    def verdicts(self) -> Iterator[tuple[int, dict[Line, Verdict]]]:
        """Minute by minute, from the first that has anything to the scenario's end."""
        starts = [min(minutes) for minutes in self.seen.values() if minutes]
        judge = _Judge(self)
        for minute in range(min(starts, default=0), int(self.scenario.end.timestamp()) // 60):
            yield minute, {line: judge.verdict(line, minute) for line in self.seen}


class _Judge:
    def __init__(self, minutes: Minutes) -> None:
        self._seen, self._sites = minutes.seen, minutes.sites
        scenario = minutes.scenario
        self._role = {each.name: each.role for each in scenario.targets}
        self._peer = {each.name: each.peer for each in scenario.targets}
        self._interval = {each.agent: each.interval_s for each in scenario.boxes}
        self._faults = scenario.faults
        self._ways: dict[Line, list[Way]] = {}
        for box in scenario.boxes:
            for interface in box.interfaces:
                for name in box.targets:
                    way = Way(scenario, self._sites, box, interface, scenario.target(name))
                    self._ways.setdefault((way.site, way.uplink), []).append(way)

    def verdict(self, line: Line, minute: int) -> Verdict:
        samples = self._seen[line].get(minute)
        told = self._told(line, minute)
        if not told:
            return self._untold(line, minute, "samples" if samples else "silent")
        gateway_of = {box for box, target, _ in told if self._role[target] == "gateway"}
        hears = {box for box, _, answers in told if answers}
        beyond: dict[str, bool] = {}
        for box, target, answers in told:
            if self._role[target] != "gateway" and not (box in gateway_of and box not in hears):
                beyond[target] = beyond.get(target, False) or answers
        if not beyond:
            return Verdict("N", "lan" if gateway_of - hears else "targets")
        return self._by_targets(line, minute, beyond)

    def _told(self, line: Line, minute: int) -> list[tuple[str, str, bool]]:
        """Boxes, targets, and whether they answered; where three quarters of the samples were sent."""
        sums: dict[tuple[str, str], list[int]] = {}
        for box, target, sent, lost in self._seen[line].get(minute, ()):
            both = sums.setdefault((box, target), [0, 0])
            both[0] += sent
            both[1] += lost
        found = []
        for (box, target), (sent, lost) in sums.items():
            if sent * self._interval[box] >= 45:
                found.append((box, target, lost * 5 <= sent))
        return found

    def _by_targets(self, line: Line, minute: int, beyond: Mapping[str, bool]) -> Verdict:
        down = {each.target for each in self._faults if each.kind == "target_down" and touches(each, minute)}
        mine = {target: answers for target, answers in beyond.items() if answers or target not in down}
        far = {target: answers for target, answers in mine.items() if self._role[target] != "access"}
        if any(mine.values()):
            if len(far) >= 2 and not any(far.values()):
                return Verdict("U", self._blamed(line, minute))
            return Verdict("A", "")
        if len(mine) >= 2:
            return Verdict("U", self._blamed(line, minute))
        return Verdict("N", "target" if len(beyond) >= 2 else "targets")

    def _blamed(self, line: Line, minute: int) -> str:
        """Whose fault hit the line in this minute, by the script."""
        causes = {
            FAULT_OF[each.kind]
            for way in self._ways[line]
            for each in way.touched(minute)
            if each.kind in FAULT_OF and way.target.peer is None
        }
        if not any(way.target.role == "gateway" for way in self._ways[line]):
            return "unknown"  # whatever the script says: the box could not know
        return next((each for each in _NEAREST if each in causes), "unknown")

    def _untold(self, line: Line, minute: int, cause: str) -> Verdict:
        """A minute of which the line's own boxes say nothing: others may have tried to reach them."""
        reached, missed = set(), set()
        for other in self._seen:
            if other != line:
                told = self._told(other, minute)
                for box, target, answers in told:
                    peer = self._peer[target]
                    if peer is None or (peer.rpartition("/")[0], self._sites.reached_over(peer)) != line:
                        continue
                    others = any(a and t != target and self._is_far(t) for b, t, a in told if b == box)
                    if answers:
                        reached.add(peer)
                    elif others:
                        missed.add(peer)
        missed -= reached
        running = {
            box
            for other in self._seen
            if other[0] == line[0] and other != line
            for box, _, _ in self._told(other, minute)
        }
        if not reached and missed and running and (missed & running or len(missed) >= 2):
            return Verdict("U", "access")
        return Verdict("N", "probe" if reached else cause)

    def _is_far(self, target: str) -> bool:
        return self._role[target] not in ("gateway", "access")


def touches(fault: Fault, minute: int) -> bool:
    """Whether it lasts into a minute since 1970."""
    return fault.begin < minute * 60 + 60 and fault.end > minute * 60
