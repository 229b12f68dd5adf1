"""What the boxes last said, kept so that every site's state can be told at any moment.

A box tells at once when a target is lost or back (`Status.lost_targets`); windows confirm it. What the collector can't
see accuses nobody: while its broker or its store is away, every site is unknown.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from fibrewatch.measurement import AnyMeasurement, Role
from fibrewatch.wire import AgentId, Status
from fibrewatch.wire import Inventory as Schedule
from fibrewatch.wire import agent_id as wire_id
from fibrewatch_collector.inventory import Inventory, Site, SiteKey
from fibrewatch_collector.sla import bins, live
from fibrewatch_collector.sla.bins import Flow, Vantage, Verdict
from fibrewatch_collector.sla.live import LOSSY, LOSSY_PACKETS, Seen, SiteState, SiteView, TargetState
from fibrewatch_collector.sla.verdicts import Judge

SILENT_WINDOWS = 2.5
STALE_WINDOWS = 3.0
"""A window older than this says nothing of now. Later than silence: a silent box is unreachable, not unknown."""
WINDOW_S = 60.0
MAX_WINDOWS = 1000
"""Of one box: twice what it may schedule; beyond it the oldest goes."""
RECONNECT_S = 45.0
"""So long after the collector began to listen an old last will is not believed: the box may be about to come back.
Boxes wait up to 30 s between tries to connect."""

ViewKey = tuple[str, str, str | None, int | None]
"""Target, test, interface, family."""
Told = tuple[str, str]
"""Test and target of a box's status; an older agent names targets alone: then the test is ""."""


@dataclass(slots=True)
class _Window:
    """The newest window of a box to a target over an interface."""

    role: Role
    start: float
    length_s: float
    sent: int
    lost: int
    lost_since: float | None = None
    peer: str | None = None
    enough: bool = True

    @property
    def end(self) -> float:
        return self.start + self.length_s


@dataclass(slots=True)
class _Box:
    """What is remembered of one agent; times in UTC seconds, `told_…` by the box's own clock."""

    heard_at: float | None = None
    online: bool = True
    scheduled_s: float | None = None
    told_at: float = float("-inf")
    told_lost: Mapping[Told, float] = field(default_factory=dict)
    told_back: dict[Told, float] = field(default_factory=dict)
    windows: dict[ViewKey, _Window] = field(default_factory=dict)
    intervals: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def hear(self, at: float) -> None:
        """It sent something."""
        if self.heard_at is None or at > self.heard_at:
            self.heard_at = at

    def period_s(self) -> float:
        """The length of its windows, as scheduled or as seen."""
        return self.scheduled_s or max((each.length_s for each in self.windows.values()), default=WINDOW_S)

    def silent(self, now: float, since: float) -> bool:
        """Whether it should have been heard by now; `since` is when the collector began to listen."""
        if not self.online:
            return not self.doubtful(now, since)
        if self.heard_at is None:
            return True
        return now - max(self.heard_at, since) > SILENT_WINDOWS * self.period_s()

    def doubtful(self, now: float, since: float) -> bool:
        """Whether its last will is from before the collector began to listen, and it may be about to come back."""
        heard_since = self.heard_at is not None and self.heard_at >= since
        return not self.online and not heard_since and now - since <= RECONNECT_S

    def seen(self, key: ViewKey, agent: AgentId, now: float) -> Seen | None:
        """What a window says at present; None when it is too old, or has too few samples."""
        window, (target, test, _, _) = self.windows[key], key
        lost_at = self.told_lost.get((test, target), self.told_lost.get(("", target)))
        if lost_at is not None and window.start < self.told_at:
            flow = Flow(agent, target, window.role, answers=False, peer=window.peer)
            return Seen(flow, lost_since=window.lost_since or lost_at)
        if not window.enough or now - window.end > STALE_WINDOWS * max(self.period_s(), window.length_s):
            return None
        answers = bins.answers(window.sent, window.lost)
        if window.sent == window.lost and self._back(test, target) >= window.end:
            answers = True
        lossy = answers and window.lost >= max(LOSSY_PACKETS, LOSSY * window.sent) and window.lost < window.sent
        flow = Flow(agent, target, window.role, answers, window.peer)
        return Seen(flow, lossy, None if answers else window.lost_since)

    def _back(self, test: str, target: str) -> float:
        """When it said last that a target is back."""
        return max(self.told_back.get(key, float("-inf")) for key in ((test, target), ("", target)))


class Tracker:
    """Not thread-safe: all calls come from the event loop.

    Attributes:
        targets: Those that many sites share, as of the last `evaluate`.
        cut_since: The uplinks that are cut.
    """

    def __init__(self, inventory: Inventory) -> None:
        self._boxes: dict[AgentId, _Box] = {}
        self._known: dict[SiteKey, SiteState] = {}
        self.targets: Mapping[str, TargetState] = {}
        self.cut_since: Mapping[Vantage, float] = {}
        self.set_inventory(inventory)

    def set_inventory(self, inventory: Inventory) -> None:
        """Forgets what is no longer in it."""
        self._inventory, self._judge = inventory, Judge(inventory)
        self._boxes = {agent: self._boxes.get(agent) or _Box() for agent in inventory.agents}
        self._known = {key: state for key, state in self._known.items() if key in inventory.sites}

    # ---- what the boxes say

    def set_schedule(self, agent: AgentId, schedule: Schedule) -> None:
        """Notes how long a box's windows are, and forgets what it no longer measures."""
        box = self._boxes.get(agent)
        if box is None:
            return
        tests = [test for test in schedule.schedule if test.mode == "window"]
        box.scheduled_s = max((test.every_s for test in tests), default=None)
        box.intervals = {(test.test, test.target or ""): test.interval_s for test in tests if test.interval_s}
        current = {(test.target or "", test.test) for test in tests}
        box.windows = {key: window for key, window in box.windows.items() if not tests or key[:2] in current}

    def set_status(self, agent: AgentId, status: Status, now: float) -> None:
        """A box's status, or its last will."""
        box = self._boxes.get(agent)
        if box is None:
            return
        box.online = status.state == "online"
        if not box.online:
            return
        box.hear(now)
        at = status.at.timestamp() if status.at is not None else now
        lost = {(each.test, each.target) for each in status.lost_tests} or {("", name) for name in status.lost_targets}
        measured = {key[0] for key in box.windows}
        box.told_back |= {told: at for told in box.told_lost.keys() - lost if told[1] in measured}
        box.told_lost = {told: box.told_lost.get(told, at) for told in lost}
        box.told_at = at

    def add(self, agent: AgentId, run: AnyMeasurement, received_at: float) -> None:
        """A run that the store took; only windows that count samples tell of a site's state."""
        box = self._boxes.get(agent)
        if box is None:
            return
        box.hear(received_at)
        samples = bins.samples(run)
        if run.target is None or samples is None:
            return
        key = (run.target.name, run.test, run.interface, run.family)
        start, old = run.started_at.timestamp(), box.windows.get(key)
        if old is None or start > old.start:
            since = None
            if not bins.answers(*samples):
                first = start + (getattr(run.result, "first_lost_at_s", None) or 0.0)
                since = old.lost_since if old and old.lost_since is not None else first
            if len(box.windows) >= MAX_WINDOWS and old is None:
                del box.windows[min(box.windows, key=lambda each: box.windows[each].start)]
            interval_s = box.intervals.get((run.test, run.target.name), bins.INTERVAL_S)
            enough = bins.enough(samples[0], interval_s, run.duration_s)
            peer = run.target.peer
            box.windows[key] = _Window(run.target.role, start, run.duration_s, *samples, since, peer, enough)

    # ---- what follows

    def up(self, agent: AgentId, now: float, listening_since: float) -> bool:
        """Whether a box is online and was heard when it should have been."""
        box = self._boxes.get(agent)
        return box is not None and box.online and not box.silent(now, listening_since)

    def heard_at(self, agent: AgentId) -> float | None:
        """When a box was last heard, UTC seconds by the collector's clock."""
        box = self._boxes.get(agent)
        return box.heard_at if box is not None else None

    def evaluate(
        self, now: float, listening_since: float | None, begun: Collection[Vantage] = ()
    ) -> dict[SiteKey, SiteState]:
        """All sites' states.

        Args:
            now: UTC seconds.
            listening_since: Since when broker and store are there, None while one is not.
            begun: Lines that were measured at some time: the others can't be cut.
        """
        if listening_since is None:
            return {key: SiteState("unknown", "collector", None) for key in self._inventory.sites}
        views = {key: self._view(site, now, listening_since) for key, site in self._inventory.sites.items()}
        flows = dict(_flows(views))
        judged = self._judge.together(flows, begun, fresh=self._fresh(flows, now, listening_since))
        verdicts = {at: each for at, each in judged.verdicts.items() if at in flows or each.state == "U"}
        dead = judged.dead
        self.targets = _targets(flows, dead, self.targets, now)
        self.cut_since = _cut_since(views, verdicts, self.cut_since, now)
        for key, view in views.items():
            mine = {uplink: verdicts[*key, uplink] for uplink in _uplinks(self._inventory, key, verdicts)}
            reached = any(each.heard for at, each in judged.outside.items() if at[:2] == key)
            self._known[key] = _since(self._known.get(key), live.judge(view, mine, dead, reached=reached), now)
        return dict(self._known)

    def silent(self, now: float, listening_since: float) -> Iterator[AgentId]:
        """Boxes that were heard once and should have been heard by now."""
        return (
            agent
            for agent, box in self._boxes.items()
            if (box.heard_at is not None or not box.online) and box.silent(now, listening_since)
        )

    def _fresh(self, flows: Mapping[Vantage, list[Flow]], now: float, since: float) -> Mapping[Vantage, list[Flow]]:
        """Without what was heard of a box before it fell silent: that proves nothing of now."""
        silent = {str(agent) for agent in self.silent(now, since)}
        return {
            vantage: [flow for flow in seen if not (flow.answers and flow.peer in silent and not self._later(flow))]
            for vantage, seen in flows.items()
        }

    def _later(self, flow: Flow) -> bool:
        """Whether a box heard its peer in a window that began after the peer's last word."""
        box, peer = self._boxes[flow.agent], self._boxes[wire_id(flow.peer or "")]
        newest = max((each.start for key, each in box.windows.items() if key[0] == flow.target), default=0.0)
        return newest > (peer.heard_at or 0.0)

    def _view(self, site: Site, now: float, listening_since: float) -> SiteView:
        agents = [(agent, self._boxes[agent]) for agent in self._inventory.agents_of(site)]
        heard = [(agent, box) for agent, box in agents if box.heard_at is not None or not box.online]
        present = [(agent, box) for agent, box in heard if not box.silent(now, listening_since)]
        doubt = any(box.doubtful(now, listening_since) for _, box in present)
        uplinks: dict[str, list[Seen]] = {}
        for agent, box in present:
            for key in box.windows:
                if (seen := box.seen(key, agent, now)) is not None:
                    uplink = self._inventory.uplink_of(agent, key[2]) or site.main_uplink
                    uplinks.setdefault(uplink, []).append(seen)
        last = max((box.heard_at for _, box in heard if box.heard_at is not None), default=None)
        silent = len(heard) - len(present)
        return SiteView(heard=len(heard), silent=silent, last_heard=last, uplinks=uplinks, doubtful=doubt)


def _flows(views: Mapping[SiteKey, SiteView]) -> Iterator[tuple[Vantage, list[Flow]]]:
    for key, view in views.items():
        for uplink, seen in view.uplinks.items():
            yield (*key, uplink), [each.flow for each in seen]


def _uplinks(inventory: Inventory, key: SiteKey, verdicts: Mapping[Vantage, Verdict]) -> Iterator[str]:
    """Those of a site of which there is a verdict."""
    return (uplink.id for uplink in inventory.sites[key].uplinks if (*key, uplink.id) in verdicts)


def _cut_since(
    views: Mapping[SiteKey, SiteView],
    verdicts: Mapping[Vantage, Verdict],
    before: Mapping[Vantage, float],
    now: float,
) -> dict[Vantage, float]:
    """Since when each uplink is cut that is: when the last of its targets was lost."""
    found: dict[Vantage, float] = {}
    for at, verdict in verdicts.items():
        if verdict.state == "U":
            seen = views[at[:2]].uplinks.get(at[2], ()) if at[:2] in views else ()
            lost = [each.lost_since for each in seen if each.lost_since is not None]
            found[at] = before.get(at, max(lost, default=now))
    return found


def _targets(
    flows: Mapping[Vantage, list[Flow]], dead: frozenset[str], before: Mapping[str, TargetState], now: float
) -> dict[str, TargetState]:
    """How the targets stand that enough sites share to be known by their name."""
    sites: dict[str, set[SiteKey]] = {}
    missed: dict[str, set[SiteKey]] = {}
    for (territory, site, _), seen in flows.items():
        for flow in seen:
            if flow.role not in ("gateway", "access"):
                sites.setdefault(flow.target, set()).add((territory, site))
                if not flow.answers:
                    missed.setdefault(flow.target, set()).add((territory, site))
    found: dict[str, TargetState] = {}
    for target, among in sites.items():
        if len(among) >= bins.ACCUSERS:
            known, down = before.get(target), target in dead
            since = known.since if known is not None and known.down and down else now
            found[target] = TargetState(down, since if down else None, len(missed.get(target, ())))
    return found


def _since(before: SiteState | None, found: SiteState, now: float) -> SiteState:
    """The same state goes on since when it began; a new one begins with its evidence, or now."""
    if before is not None and before.state == found.state:
        return found._replace(since=before.since)
    return found._replace(since=found.since if found.since is not None else now)
