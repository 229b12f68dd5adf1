"""Outages: minutes without a line, joined to stretches, each with its cause and what led there. Pure.

Minutes add up: those of all stretches that count, and of the operator's ones under maintenance, are the U that count.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from fibrewatch.measurement import Role
from fibrewatch.wire import AgentId
from fibrewatch_collector.sla import bins
from fibrewatch_collector.sla.bins import MINUTE_S
from fibrewatch_collector.store.timeline import NO_BIN, Timeline

VERSION = 1
Cause = Literal["probe", "lan", "access", "operator", "target", "unknown"]
Kind = Literal["line", "unknown", "lan", "target", "dark"]
"""line: the operator's, access or operator. dark: nothing was measured."""
DARK_MINUTES = 5
"""A box that restarts is silent for a minute or two: shorter darkness is no outage."""
LATE_S = 300.0
_PROBES_FAULT = ("probe", "samples")
_KINDS: Mapping[tuple[str, str | None], Kind] = {
    ("U", "access"): "line",
    ("U", "operator"): "line",
    ("U", "unknown"): "unknown",
    ("N", "lan"): "lan",
    ("N", "target"): "target",
    ("N", "probe"): "dark",
    ("N", "silent"): "dark",
    ("N", "samples"): "dark",
}
DARK = frozenset(cause for (_, cause), kind in _KINDS.items() if kind == "dark")
_CODES: Sequence[Kind] = ("line", "unknown", "lan", "target", "dark")
_RUN = re.compile(rb"([^\x00])\1*", re.DOTALL)

FACTS: Mapping[str, tuple[str, ...]] = {
    "targets_lost": ("targets", "count"),
    "targets_answering": ("targets", "count"),
    "gateway_answering": ("boxes", "count"),
    "gateway_lost": ("boxes", "count"),
    "gateway_unmeasured": (),
    "access_answering": ("targets", "count"),
    "boxes_agree": ("boxes", "count"),
    "boxes_silent": ("minutes",),
    "uplink_up": ("uplink",),
    "uplink_down": ("uplink",),
    "sites_fine": ("operator", "count"),
    "sites_affected": ("operator", "count"),
    "target_missed": ("target", "missed", "heard"),
    "neighbours_missed": ("sites", "count"),
    "neighbours_reached": ("sites", "count"),
    "path_last_hop": ("target", "hop", "address"),
    "results_late": ("minutes",),
    "box_back": ("boxes", "count"),
    "box_restarted": ("boxes", "count"),
    "results_lost": ("count",),
}
"""What an outage may rest on: the id of each fact, and the values that its sentence is filled with."""


class Overlay(NamedTuple):
    """Declared maintenance that leaves the net figure: begin ≤ minute < end, minutes since 1970."""

    begin: int
    end: int
    id: str


class Stretch(NamedTuple):
    """Minutes since 1970, begin ≤ minute < end, of one kind and under one declaration, or none.

    Attributes:
        causes: The bins', with how many minutes of each.
        sharp_begin: It begins where the minute before was another kind; else it is cut by maintenance or the period.
        open: Nothing is known of what comes after.
    """

    kind: Kind
    begin: int
    end: int
    causes: Mapping[str, int]
    maintenance: str | None = None
    sharp_begin: bool = True
    sharp_end: bool = True
    open: bool = False

    @property
    def minutes(self) -> int:
        """How long."""
        return self.end - self.begin

    @property
    def counts(self) -> bool:
        """Whether the operator answers for it."""
        return self.kind == "line" and self.maintenance is None


class Sight(NamedTuple):
    """A window: what a box saw of a target.

    Attributes:
        start: UTC seconds; `first_lost_s` after it the first loss.
        late: It was received long after it was measured.
    """

    agent: AgentId
    uplink: str
    target: str
    role: Role
    start: float
    sent: int
    lost: int
    first_lost_s: float | None = None
    late: bool = False

    @property
    def answers(self) -> bool:
        """Whether the target counts as answering."""
        return bins.answers(self.sent, self.lost)


def stretches(line: Timeline, overlays: Iterable[Overlay] = ()) -> list[Stretch]:
    """All that a timeline holds, in order of time."""
    table = bytearray(256)
    for code, judged in enumerate(line.legend, 1):
        kind = _KINDS.get(judged)
        table[code] = _CODES.index(kind) + 1 if kind is not None else 0
    kinds, cuts = line.codes.translate(bytes(table)), sorted(overlays)
    told = len(line.codes.rstrip(bytes([NO_BIN])))  # the newest minutes may not be judged yet
    found: list[Stretch] = []
    for run in _RUN.finditer(kinds):
        kind = _CODES[run.group(1)[0] - 1]
        if kind != "dark" or run.end() - run.start() >= DARK_MINUTES:
            found += _pieces(line, kind, (run.start(), run.end()), told, cuts)
    return found


def _pieces(
    line: Timeline, kind: Kind, edges: tuple[int, int], told: int, cuts: Sequence[Overlay]
) -> Iterator[Stretch]:
    """A run, cut where declared maintenance begins or ends; nothing is told of the minutes from `told` on."""
    first, last = edges
    inside = [cut for cut in cuts if cut.begin - line.begin < last and cut.end - line.begin > first]
    marks = sorted(
        {first, last} | {min(max(edge - line.begin, first), last) for cut in inside for edge in (cut.begin, cut.end)}
    )
    for begin, end in pairwise(marks):
        names = [cut.id for cut in inside if cut.begin - line.begin <= begin < cut.end - line.begin]
        codes = Counter(line.codes[begin:end])
        yield Stretch(
            kind=kind,
            begin=line.begin + begin,
            end=line.begin + end,
            causes={(judged[1] or ""): count for code, count in codes.items() if (judged := line.judged(code))},
            maintenance=names[0] if names else None,
            sharp_begin=begin == first and first > 0,
            sharp_end=end == last < told,
            open=end == last == told,
        )


def cause_of(stretch: Stretch, *, back: bool, results_lost: bool) -> Cause:
    """Whose fault a stretch was.

    Args:
        stretch: A line's is that of most of its minutes.
        back: The box measures again: what it measured in the dark would have come with it.
        results_lost: Some of what the site's boxes measured is lost for good: nothing is known of the dark then.
    """
    if stretch.kind == "line":
        return "operator" if stretch.causes.get("operator", 0) > stretch.causes.get("access", 0) else "access"
    if stretch.kind != "dark":
        return stretch.kind
    if sum(stretch.causes.get(each, 0) for each in _PROBES_FAULT) * 2 > stretch.minutes:
        return "probe"
    return "probe" if back and not results_lost else "unknown"


def edges(stretch: Stretch, uplink: str, sights: Iterable[Sight]) -> tuple[float, float]:
    """Begin and end, UTC seconds: to the minute, and within it to the sample where windows tell.

    Lost is who lost all of its targets: so it begins with the last of them, and ends with the first that is back.
    """
    begin, end = stretch.begin * MINUTE_S, stretch.end * MINUTE_S
    lost = [each for each in sights if each.uplink == uplink and not each.answers and each.role != "gateway"]
    first = [each.start + (each.first_lost_s or 0.0) for each in lost if begin <= each.start < begin + MINUTE_S]
    last = [_back_at(each) for each in lost if end - MINUTE_S <= each.start < end]
    refined = stretch.kind != "dark"
    at = min(max(first), begin + MINUTE_S) if first and refined and stretch.sharp_begin else float(begin)
    until = max(min(last), end - MINUTE_S) if last and refined and stretch.sharp_end else float(end)
    return at, max(at, min(until, float(end)))


def _back_at(sight: Sight) -> float:
    """When a target answers again, if what was lost was lost in one piece."""
    if sight.lost >= sight.sent:
        return sight.start + MINUTE_S
    return sight.start + (sight.first_lost_s or 0.0) + sight.lost * MINUTE_S / sight.sent
