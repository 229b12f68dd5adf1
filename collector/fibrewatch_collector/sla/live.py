"""A site's state right now, apart from the bins: from the newest windows, the boxes' word and their silence. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from fibrewatch_collector.sla.bins import Flow, Verdict

State = Literal["up", "degraded", "down", "unreachable", "unknown"]
STATES: tuple[State, ...] = get_args(State)
Cause = Literal[
    "access",
    "operator",
    "lan",
    "target",
    "unknown",
    "loss",
    "agent",
    "line_or_power",
    "collector",
    "unheard",
    "samples",
]
CAUSES: tuple[Cause, ...] = get_args(Cause)
"""As in `bins.Cause`, and: loss of some packets; agent: some of the boxes are silent; line_or_power: all are, and
nothing tells which; collector: it can't see; unheard: no box was heard yet; samples: nothing was measured lately."""

LOSSY, LOSSY_PACKETS = 0.05, 2
"""A line that loses this share, and so many packets, of a window is degraded."""


class Seen(NamedTuple):
    """What a box sees of a target at present.

    Attributes:
        lossy: It answers, but loses packets.
        lost_since: UTC seconds; None while it answers.
    """

    flow: Flow
    lossy: bool = False
    lost_since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteView:
    """All that is known of a site at present.

    Attributes:
        heard: Boxes that were heard at all, and of them `silent` are not heard now.
        last_heard: UTC seconds, of any of them.
        uplinks: What the boxes that are not silent see over each uplink.
        doubtful: One of them counts as not silent only because the collector has just begun to listen.
    """

    heard: int
    silent: int
    last_heard: float | None
    uplinks: Mapping[str, Sequence[Seen]]
    doubtful: bool = False


class TargetState(NamedTuple):
    """A target that many sites measure to; `missed`: how many of them do not hear it."""

    down: bool
    since: float | None
    missed: int


class SiteState(NamedTuple):
    """A site now; `since` in UTC seconds, None where it is not known.

    Attributes:
        uplinks: The verdict on each uplink that is measured at present.
        lost: Targets that do not answer.
        doubtful: It may be about to change: the collector has just begun to listen.
    """

    state: State
    cause: Cause | None = None
    since: float | None = None
    uplinks: Mapping[str, Verdict] = {}
    lost: tuple[str, ...] = ()
    doubtful: bool = False


def judge(view: SiteView, verdicts: Mapping[str, Verdict], dead: frozenset[str], *, reached: bool = False) -> SiteState:
    """The state of a site.

    Args:
        view: What its boxes say.
        verdicts: On its uplinks.
        dead: Targets that are themselves to blame.
        reached: Other sites hear one of its boxes.
    """
    if view.heard == 0:
        return SiteState("unknown", "unheard")
    if view.silent == view.heard:
        if reached:  # the line carries packets: it is the boxes
            return SiteState("degraded", "agent", view.last_heard)
        return SiteState("unreachable", "line_or_power", view.last_heard)
    lost = tuple(sorted({seen.flow.target for seen in _all(view) if not seen.flow.answers}))
    state, cause = _state(view, verdicts, dead)
    since = _lost_since(view) if state == "down" else None
    return SiteState(state, cause, since, verdicts, lost, view.doubtful)


def _state(view: SiteView, verdicts: Mapping[str, Verdict], dead: frozenset[str]) -> tuple[State, Cause | None]:
    failed = [verdict for verdict in verdicts.values() if verdict.state == "U" or verdict.cause == "lan"]
    if failed and len(failed) == len(verdicts):
        return "down", _as_live(failed[0])
    if failed:
        return "degraded", _as_live(failed[0])
    if not any(verdict.state == "A" for verdict in verdicts.values()):
        return _undecided(view, dead)
    return _flaws(view, dead)


def _flaws(view: SiteView, dead: frozenset[str]) -> tuple[State, Cause | None]:
    """The line carries packets: all of them, from all boxes, to all targets?"""
    missed = {seen.flow.target for seen in _all(view) if not seen.flow.answers and seen.flow.role != "gateway"}
    if missed - dead:
        return "degraded", "target"
    if view.silent:
        return "degraded", "agent"
    if any(seen.lossy for seen in _all(view)):
        return "degraded", "loss"
    return "up", "target" if missed else None


def _undecided(view: SiteView, dead: frozenset[str]) -> tuple[State, Cause]:
    """No uplink can be judged: too little was measured, or all that is missing is a target."""
    missed = {seen.flow.target for seen in _all(view) if not seen.flow.answers}
    if not missed:
        return "unknown", "samples"
    return ("unknown", "target") if missed <= dead else ("degraded", "target")


def _as_live(verdict: Verdict) -> Cause:
    for cause in CAUSES:
        if cause == verdict.cause:
            return cause
    return "unknown"


def _lost_since(view: SiteView) -> float | None:
    """When the last of the lost targets was lost: then the line was gone."""
    return max((seen.lost_since for seen in _all(view) if seen.lost_since is not None), default=None)


def _all(view: SiteView) -> Iterator[Seen]:
    for flows in view.uplinks.values():
        yield from flows
