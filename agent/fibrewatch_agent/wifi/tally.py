"""What happened to a link between two looks at it: roams, losses, interruptions, reasons. Pure; times are monotonic.

A station that moves of its own accord leaves the old access point first, so that a roam and a loss begin alike: only
the next connection tells. Linux' mac80211 says "deauthenticated, local, reason 1" for it.
"""

from collections import Counter, deque
from collections.abc import Iterator
from typing import NamedTuple

from fibrewatch.results import wifi_link
from fibrewatch.results.wifi_link import EventKind, Side

ROAM_S = 5.0
"""A move takes less; who connects later was without a link."""
_INACTIVITY = 4  # what mac80211 gives when beacons stay away
_MOST = 32
_REASONS = {  # IEEE 802.11-2020 Table 9-49
    1: "unspecified",
    2: "authentication no longer valid",
    3: "station is leaving",
    4: "inactivity",
    5: "access point is full",
    6: "frame of an unauthenticated station",
    7: "frame of an unassociated station",
    8: "station leaves the BSS",
    9: "not authenticated",
    10: "power capability",
    11: "supported channels",
    12: "BSS transition",
    13: "bad element",
    14: "message integrity failure",
    15: "4-way handshake timeout",
    16: "group key handshake timeout",
    17: "handshake element mismatch",
    18: "bad group cipher",
    19: "bad pairwise cipher",
    20: "bad key management",
    21: "RSN version",
    22: "RSN capabilities",
    23: "802.1X authentication failed",
    24: "cipher rejected by policy",
    34: "poor channel conditions",
    36: "station is leaving",
    45: "peer key mismatch",
    46: "peer ended it",
}


class Event(NamedTuple):
    """As the kernel told it."""

    kind: EventKind
    at: float
    bssid: str | None = None
    by: Side | None = None
    reason: int | None = None


class _Left(NamedTuple):
    """A link that ended of the box's own accord: a roam or a loss, the next connection tells."""

    at: float
    bssid: str | None
    ssid: bytes | None


class Taken(NamedTuple):
    """The counts between two looks; None when events were lost and nobody knows."""

    watched: float
    complete: bool
    roams: int
    disconnects: int
    deauthentications: int
    disassociations: int
    interruption_max: float | None
    interruption_time: float
    events: tuple[wifi_link.Event, ...]
    reasons: tuple[wifi_link.Reason, ...]


class Tally:
    """Counts until it is taken."""

    def __init__(self, at: float) -> None:
        self._bssid: str | None = None
        self._ssid: bytes | None = None
        self._linked = self._up = self._ever_usable = False
        self._left: _Left | None = None
        self._down_since: float | None = None
        self._events: deque[Event] = deque(maxlen=_MOST)
        self._counts: Counter[tuple[str, str, int]] = Counter()
        self._reset(at)

    def _reset(self, at: float) -> None:
        self._since = at
        self._roams = self._disconnects = 0
        self._longest: float | None = None
        self._gone_s = 0.0
        self._complete = True
        self._events.clear()
        self._counts.clear()

    def sees(self, at: float, bssid: str | None, ssid: bytes | None, *, up: bool) -> None:
        """How the link is, when the events begin, or begin again."""
        self._bssid, self._ssid, self._linked, self._up = bssid, ssid, bssid is not None, up
        self._note(at)

    def missed(self) -> None:
        """Events were lost: what is counted is too little."""
        self._complete = False

    def hear(self, event: Event, ssid: bytes | None = None) -> None:
        """Takes an event; `ssid` is the network's after it."""
        self._events.append(event)
        if event.kind in ("deauthenticated", "disassociated"):
            self._counts[event.kind, event.by or "ap", event.reason or 0] += 1
        elif event.kind in ("connected", "roamed"):
            self._connect(event, ssid)
        elif event.kind == "disconnected":
            self._disconnect(event)

    def operate(self, at: float, *, up: bool) -> None:
        """Whether the link can carry data: after an association its keys are still to be agreed."""
        self._up = up
        self._note(at)

    def _connect(self, event: Event, ssid: bytes | None) -> None:
        same_network = ssid is None or self._ssid is None or ssid == self._ssid
        left = self._left
        if left is not None:
            moved = event.bssid != left.bssid and same_network and event.at - left.at <= ROAM_S
            self._settle(roamed=moved)
        elif self._linked and event.bssid != self._bssid and same_network:
            self._roams += 1
        self._bssid, self._ssid, self._linked = event.bssid, ssid or self._ssid, True
        self._note(event.at)

    def _disconnect(self, event: Event) -> None:
        self._settle(roamed=False)
        if self._linked:
            self._left = _Left(event.at, self._bssid, self._ssid)
            if event.by != "box" or event.reason == _INACTIVITY:
                self._settle(roamed=False)
        self._linked = False
        self._note(event.at)

    def _settle(self, *, roamed: bool) -> None:
        if self._left is not None:
            self._left = None
            self._roams += roamed
            self._disconnects += not roamed

    def _note(self, at: float) -> None:
        """An interruption begins with the first sign of it, and ends when data can pass again."""
        usable = self._linked and self._up
        if not usable and self._down_since is None and self._ever_usable:
            self._down_since = at
        elif usable and self._down_since is not None:
            self._longest = max(self._longest or 0.0, at - self._down_since)
            self._gone_s += at - max(self._down_since, self._since)
            self._down_since = None
        self._ever_usable = self._ever_usable or usable

    def take(self, at: float) -> Taken:
        """What was counted since the last time; a move that may still be under way is left to the next."""
        if self._left is not None and at - self._left.at > ROAM_S:
            self._settle(roamed=False)
        gone = at - max(self._down_since, self._since) if self._down_since is not None else 0.0
        taken = Taken(
            watched=at - self._since,
            complete=self._complete,
            roams=self._roams,
            disconnects=self._disconnects,
            deauthentications=self._by_ap("deauthenticated"),
            disassociations=self._by_ap("disassociated"),
            interruption_max=self._longest,
            interruption_time=self._gone_s + gone,
            events=tuple(_told(event, at) for event in self._events),
            reasons=tuple(self._reasons()),
        )
        self._reset(at)
        return taken

    def _by_ap(self, wanted: str) -> int:
        return sum(times for (kind, by, _), times in self._counts.items() if kind == wanted and by == "ap")

    def _reasons(self) -> Iterator[wifi_link.Reason]:
        for (kind, by, reason), times in self._counts.most_common(_MOST):
            text = _REASONS.get(reason, "")
            yield wifi_link.Reason(kind=kind, by=by, reason=reason, text=text, times=times)  # type: ignore[arg-type]


def _told(event: Event, now: float) -> wifi_link.Event:
    return wifi_link.Event(
        kind=event.kind, ago=max(0.0, now - event.at), bssid=event.bssid, by=event.by, reason=event.reason
    )
