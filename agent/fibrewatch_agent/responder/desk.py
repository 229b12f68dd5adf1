"""Who gets a slot, and when: the queue as arithmetic on a clock that is passed in. Pure.

Never more than the capacity is given out, and never more to a site than it may have. Order: class, then the site that
was served longest ago, then who asked first; a question that waited long counts one class higher for each `aging_s`.
The first that does not fit is promised the moment when what runs must have ended: later ones overtake it only if they
end before that (backfilling as in EASY, Lifka 1995), so that a test that needs the whole line is never starved by small
ones.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from msgspec import Struct

from fibrewatch_agent.slots.messages import Priority, Reason, Wish

State = Literal["queued", "running", "ended"]
Ending = Literal["done", "broken", "unused", "deadline", "released", "abandoned", "no_server", "shut_down"]
_CLASSES: tuple[Priority, ...] = get_args(Priority)


class Limits(Struct, frozen=True, kw_only=True):
    """How much a site may have at once, and how long things are kept.

    Attributes:
        running_per_site: Unless `sites` says otherwise for a territory/site.
        queued: Of all boxes; queued_per_agent: of one.
        lease_s: How long a place is kept for a box that is not connected.
        claim_s: How long a slot is kept for a test that does not begin.
        margin_s: What a test may take on top of its duration: connecting, and both ends' reports.
        aging_s: After so long in the queue a question counts one class higher.
        remember_s: How long the end of a slot is remembered, so that asking again gives no second one.
    """

    running_per_site: int = 1
    sites: Mapping[str, int] = {}
    queued: int = 1000
    queued_per_agent: int = 4
    lease_s: float = 15.0
    claim_s: float = 10.0
    margin_s: float = 5.0
    aging_s: float = 300.0
    remember_s: float = 600.0


class RefusedError(Exception):
    """There is no place in the queue.

    Attributes:
        retry_after_s: When there may be one.
    """

    def __init__(self, detail: str, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(detail)


@dataclass(eq=False, slots=True)
class Entry:
    """One question and what became of it; times are the clock's.

    Attributes:
        agent: territory/site/agent; site: territory/site.
        need: Bytes per second that it takes of the capacity.
        attached: How many connections wait for the answer now.
        seen_at: When the last of them ended.
        until: The moment at which it will be over at the latest.
        ending: Why it ended; for a running one: why it is being ended.
        share: Bytes per second of the capacity that no other slot had taken, the least since it was granted.
    """

    id: str
    agent: str
    site: str
    wish: Wish
    need: float
    asked_at: float
    number: int
    seen_at: float
    state: State = "queued"
    attached: int = 0
    granted_at: float = 0.0
    claimed_at: float | None = None
    until: float = 0.0
    ended_at: float = 0.0
    ending: Ending | None = None
    share: float = math.inf


@dataclass(slots=True)
class Desk:
    """The responder's slots. `ask`, then `grant` whenever something has changed; `overdue` now and then."""

    capacity: float
    limits: Limits = field(default_factory=Limits)
    _entries: dict[str, Entry] = field(default_factory=dict)
    _requests: dict[tuple[str, str], Entry] = field(default_factory=dict)
    _served: dict[str, int] = field(default_factory=dict)
    _seen: dict[tuple[str, str], float] = field(default_factory=dict)
    _number: int = 0

    def ask(self, name: str, agent: str, wish: Wish, now: float) -> Entry:
        """The entry of this question, made if it is new; `name` is what its id will be then.

        Raises:
            RefusedError: The queue is full, or the box has too many places in it.
        """
        known = self._requests.get((agent, wish.request))
        if known is not None:
            known.seen_at = max(known.seen_at, now)
            return known
        self._admit(agent)
        self._number += 1
        entry = Entry(
            id=name,
            agent=agent,
            site=agent.rpartition("/")[0],
            wish=wish,
            need=self._need(agent, wish),
            asked_at=now,
            number=self._number,
            seen_at=now,
        )
        self._entries[name] = self._requests[agent, wish.request] = entry
        return entry

    def _admit(self, agent: str) -> None:
        waiting = self.queued()
        if len(waiting) >= self.limits.queued:
            raise RefusedError("the queue is full", math.ceil(self.expected_in(waiting[-1])))
        if sum(entry.agent == agent for entry in waiting) >= self.limits.queued_per_agent:
            raise RefusedError(f"{agent} has {self.limits.queued_per_agent} places already", self.limits.lease_s)

    def _need(self, agent: str, wish: Wish) -> float:
        """What it expects, or what it had the last time if that was more; never more than there is."""
        if wish.rate is None:
            return self.capacity
        return min(self.capacity, max(wish.rate, self._seen.get((agent, wish.direction), 0.0)))

    def find(self, name: str, agent: str) -> Entry | None:
        """An entry by its id; other boxes' entries are not told from none."""
        entry = self._entries.get(name)
        return entry if entry is not None and entry.agent == agent else None

    def knows(self, name: str) -> bool:
        """Whether there is such an entry, ended ones that are remembered included."""
        return name in self._entries

    def running(self) -> list[Entry]:
        """What has a slot now."""
        return [entry for entry in self._entries.values() if entry.state == "running"]

    def queued(self) -> list[Entry]:
        """What waits, in the order in which it would be served if everything fitted."""
        waiting = [entry for entry in self._entries.values() if entry.state == "queued"]
        return sorted(waiting, key=lambda entry: (self._served.get(entry.site, 0), entry.number))

    @property
    def taken(self) -> float:
        """Bytes per second that are given out."""
        return sum(entry.need for entry in self.running())

    def grant(self, now: float) -> list[Entry]:
        """Gives slots to those whose turn it is and who are there to take them."""
        granted = []
        while (entry := self._next(now)) is not None:
            entry.state, entry.granted_at = "running", now
            entry.until = now + self._longest_s(entry)
            self._number += 1
            self._served[entry.site] = self._number
            granted.append(entry)
        if granted:
            self._note_shares()
        return granted

    def _note_shares(self) -> None:
        for entry in (running := self.running()):
            others = sum(each.need for each in running if each is not entry)
            entry.share = min(entry.share, max(entry.need, self.capacity - others))

    def _next(self, now: float) -> Entry | None:
        promised = math.inf
        free = self.capacity - self.taken
        for entry in self._eligible(now):
            fits = entry.need <= free * (1 + 1e-9)
            if fits and now + self._longest_s(entry) <= promised:
                return entry
            if not fits and math.isinf(promised):
                promised = self._free_at(entry.need)
        return None

    def _eligible(self, now: float) -> Iterator[Entry]:
        busy = Counter(entry.site for entry in self.running())
        for entry in sorted(self.queued(), key=lambda entry: self._class(entry, now)):
            if entry.attached and busy[entry.site] < self.limits.sites.get(entry.site, self.limits.running_per_site):
                yield entry

    def _class(self, entry: Entry, now: float) -> int:
        return max(0, _CLASSES.index(entry.wish.priority) - int((now - entry.asked_at) / self.limits.aging_s))

    def _longest_s(self, entry: Entry) -> float:
        return self.claim_s(entry) + entry.wish.duration + self.limits.margin_s

    def claim_s(self, entry: Entry) -> float:
        """How long after its beginning a slot is kept for a test that does not begin."""
        return self.limits.claim_s + entry.wish.prepare

    def _free_at(self, need: float) -> float:
        """When what runs must have freed so much."""
        free = self.capacity - self.taken
        for entry in sorted(self.running(), key=lambda entry: entry.until):
            free += entry.need
            if need <= free * (1 + 1e-9):
                return entry.until
        return math.inf

    def claim(self, entry: Entry, now: float) -> None:
        """Its test has begun."""
        if entry.state == "running" and entry.claimed_at is None:
            entry.claimed_at = now
            entry.until = now + entry.wish.duration + self.limits.margin_s

    def detach(self, entry: Entry, now: float) -> None:
        """One of its connections has ended."""
        entry.attached -= 1
        entry.seen_at = max(entry.seen_at, now)

    def overdue(self, now: float) -> list[tuple[Entry, Ending]]:
        """Running entries that must be ended now, and why; abandoned places are given up, old ends forgotten."""
        for entry in list(self._entries.values()):
            if entry.state == "queued" and not entry.attached and now - entry.seen_at > self.limits.lease_s:
                self.end(entry, "abandoned", now)
            elif entry.state == "ended" and now - entry.ended_at > self.limits.remember_s:
                del self._entries[entry.id], self._requests[entry.agent, entry.wish.request]
        return [(entry, why) for entry in self.running() if (why := self._overdue(entry, now)) is not None]

    def _overdue(self, entry: Entry, now: float) -> Ending | None:
        if entry.claimed_at is None and now >= entry.granted_at + self.claim_s(entry):
            return "unused"
        return "deadline" if now >= entry.until else None

    def end(self, entry: Entry, why: Ending, now: float, measured: float | None = None) -> None:
        """It is over, and nothing of it runs any more.

        Args:
            measured: Bytes per second that it had; kept for the next time.
        """
        if entry.state == "ended":
            return
        entry.state, entry.ending, entry.ended_at = "ended", why, now
        if measured is not None:
            self._seen[entry.agent, entry.wish.direction] = measured

    def reason(self, agent: str) -> Reason:
        """What a box that has no slot waits for: its site, if as many others of that as may run have a slot or wait.

        Its own that wait do not count: a box makes one test at a time.
        """
        site = agent.rpartition("/")[0]
        others = [entry for entry in self._entries.values() if entry.site == site and entry.state != "ended"]
        ahead = sum(entry.state == "running" or entry.agent != agent for entry in others)
        return "site" if ahead >= self.limits.sites.get(site, self.limits.running_per_site) else "capacity"

    def place(self, entry: Entry, now: float) -> int:
        """How many are served before it, and itself."""
        order = sorted(self.queued(), key=lambda entry: self._class(entry, now))
        return order.index(entry) + 1 if entry in order else 1

    def expected_in(self, entry: Entry, now: float | None = None) -> float:
        """Seconds of the whole capacity that those running and those before it want."""
        now = entry.asked_at if now is None else now
        order = sorted(self.queued(), key=lambda entry: self._class(entry, now))
        before = order[: order.index(entry)] if entry in order else []
        work = sum(each.need * each.wish.duration for each in before)
        work += sum(each.need * max(0.0, each.until - self.limits.margin_s - now) for each in self.running())
        return work / self.capacity
