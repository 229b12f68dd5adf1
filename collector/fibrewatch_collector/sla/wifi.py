"""Whether a minute of a box's Wi-Fi was good: signal strong enough, and the way onto it short enough. Pure.

A probe-minute is one UTC minute of one box that stands on a floor. It is measured when both are known:
    link         wifi_link ran in the minute. Of several runs, or radios, the worst counts.
    onboarding   the last wifi_onboarding known at the minute's end, at most `age` old. Of several tests (guests, staff)
                 the worst counts; one whose last run is older says nothing.
A measured minute is good when the box was connected, its signal reached the threshold, and its onboarding succeeded
within its limit. What failed by the box's own fault, is invalid or undated says nothing. Half a measurement is none: a
minute without onboarding is not measured, also where its signal was bad, or a box that never tried would only
collect bad minutes.
"""

import bisect
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration
from fibrewatch.measurement import UNDATED, AnyMeasurement
from fibrewatch_collector.store.hour import OWN_FAULTS

VERSION = 1
MINUTE_S = 60
LINK, ONBOARDING = "wifi_link", "wifi_onboarding"


class Limits(Struct, frozen=True, kw_only=True):
    """[[site]] wifi = { signal = -67, onboarding = "10 s", age = "45 min" }: what good Wi-Fi is there.

    Attributes:
        signal: dBm at least; -67 is what makers of voice handsets ask for.
        onboarding_s: From the scan to the first byte, at most.
        age_s: So long an onboarding counts: about 2.5 times as long as they are apart.
    """

    signal: Annotated[float, Meta(ge=-100, le=0)] = -67.0
    onboarding_s: Annotated[Duration, Meta(gt=0, le=300)] = field(default=10.0, name="onboarding")
    age_s: Annotated[Duration, Meta(ge=60, le=86400)] = field(default=2700.0, name="age")


class State(IntEnum):
    """Of a probe-minute, as the store keeps it; 0: nothing was heard of it."""

    NOTHING = 0
    GOOD = 1
    WEAK_SIGNAL = 2
    SLOW_ONBOARDING = 3
    BOTH = 4
    NOT_CONNECTED = 5
    NO_LINK_RESULT = 6
    NO_ONBOARDING_RESULT = 7


MEASURED = (State.GOOD, State.WEAK_SIGNAL, State.SLOW_ONBOARDING, State.BOTH, State.NOT_CONNECTED)
"""All but the first are bad: onboarding too slow or failed, of SLOW_ONBOARDING and BOTH."""


class Link(NamedTuple):
    """What a look at the link says."""

    at: float
    connected: bool
    strong: bool


class Onboarded(NamedTuple):
    """How an onboarding ended, and when."""

    at: float
    good: bool


def link_of(run: AnyMeasurement, limits: Limits) -> Link | None:
    """A wifi_link run; None when it says nothing."""
    if not _tells(run) or run.outcome != "ok" or run.result is None or run.result.connected is None:
        return None
    at, signal = run.started_at.timestamp(), run.result.signal
    if not run.result.connected:
        return Link(at, connected=False, strong=False)
    return None if signal is None else Link(at, connected=True, strong=signal >= limits.signal)


def onboarded(run: AnyMeasurement, limits: Limits) -> Onboarded | None:
    """A wifi_onboarding run; None when it says nothing: the box could not try, or not all of it."""
    if not _tells(run) or run.outcome == "skipped":
        return None
    at = run.started_at.timestamp() + run.duration_s
    if run.outcome == "failed":
        reached = getattr(run.result, "failed_phase", None) is not None
        return Onboarded(at, good=False) if reached or run.error not in OWN_FAULTS else None
    total = getattr(run.result, "total", None)
    return None if total is None else Onboarded(at, good=total <= limits.onboarding_s)


def _tells(run: AnyMeasurement) -> bool:
    return run.verdict != "invalid" and UNDATED not in run.reasons


def judge(
    minutes: Iterable[int], links: Iterable[Link], onboardings: Mapping[str, Sequence[Onboarded]], limits: Limits
) -> dict[int, State]:
    """The state of each minute of one box.

    Args:
        minutes: Their starts.
        links: Those that began in any of them.
        onboardings: By test, in the order of their ends.
    """
    by_minute: dict[int, list[Link]] = {}
    for link in links:
        by_minute.setdefault(int(link.at // MINUTE_S) * MINUTE_S, []).append(link)
    ends = {test: [each.at for each in runs] for test, runs in onboardings.items()}
    found = {}
    for minute in minutes:
        lasts = [_last(onboardings[test], ends[test], minute + MINUTE_S, limits.age_s) for test in onboardings]
        known = [each.good for each in lasts if each is not None]
        found[minute] = _state(by_minute.get(minute, []), known)
    return found


def _last(runs: Sequence[Onboarded], ends: Sequence[float], moment: float, age_s: float) -> Onboarded | None:
    """The last one that had ended before a moment, unless it is too old."""
    place = bisect.bisect_left(ends, moment)
    return runs[place - 1] if place and moment - ends[place - 1] <= age_s else None


def _state(links: Sequence[Link], onboardings: Sequence[bool]) -> State:
    if not links:
        return State.NO_LINK_RESULT if onboardings else State.NOTHING
    if not onboardings:
        return State.NO_ONBOARDING_RESULT
    if not all(link.connected for link in links):
        return State.NOT_CONNECTED
    strong, quick = all(link.strong for link in links), all(onboardings)
    if strong and quick:
        return State.GOOD
    return State.BOTH if not strong and not quick else State.SLOW_ONBOARDING if strong else State.WEAK_SIGNAL


class Floor(NamedTuple):
    """Probe-minutes of a floor by state."""

    counts: Mapping[State, int]

    @property
    def good(self) -> int:
        """Both in order."""
        return self.counts.get(State.GOOD, 0)

    @property
    def measured(self) -> int:
        """Both known."""
        return sum(self.counts.get(state, 0) for state in MEASURED)
