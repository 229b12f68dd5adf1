"""Whether a flow goes another way than before. Pure.

A hop that is silent says nothing: what it last said is kept. A hop that spreads a flow's packets over several routers
is compared by the set of them, which grows as they show.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fibrewatch.results.path import Way

_MOST_ROUTERS, _MOST_TARGETS = 8, 8
Routers = Sequence[str]
"""Who answered at one hop, the most frequent first; empty when nobody did."""


@dataclass(frozen=True, slots=True)
class Known:
    """A flow's way as last known."""

    hops: tuple[Routers, ...]
    reached: bool

    @property
    def way(self) -> Way:
        """One router a hop."""
        return tuple(hop[0] if hop else None for hop in self.hops)


class Change(NamedTuple):
    """A flow that goes another way."""

    source_port: int
    before: Way
    after: Way


def differs(before: Known, now: Known) -> bool:
    """Whether a hop that answered both times has nobody in common, or the target stands at another distance."""
    for old, new in zip(before.hops, now.hops, strict=False):
        if old and new and not set(old) & set(new):
            return True
    longer = any(now.hops[len(before.hops) :])
    moved = before.reached and now.reached and len(before.hops) != len(now.hops)
    return moved or (before.reached and longer)


def merged(before: Known, now: Known) -> Known:
    """What is known after a run that went the same way."""
    length = len(now.hops) if now.reached else max(len(before.hops), len(now.hops))
    hops = []
    for i in range(length):
        old, new = _at(before, i), _at(now, i)
        hops.append(tuple(dict.fromkeys((*new, *old)))[:_MOST_ROUTERS])
    return Known(tuple(hops), before.reached or now.reached)


def _at(known: Known, i: int) -> Routers:
    return known.hops[i] if i < len(known.hops) else ()


@dataclass(slots=True)
class History:
    """The ways of all flows of one test, for each address that its target had of late."""

    _targets: dict[str, dict[int, Known]] = field(default_factory=dict)

    def compare(self, address: str, ways: Mapping[int, Known]) -> list[Change] | None:
        """The flows, by their source ports, that go another way than before; None when none of them was known.

        What is known now is remembered.
        """
        known = self._targets.pop(address, {})
        compared = known.keys() & ways.keys()
        gone = [port for port in ways if port in known and differs(known[port], ways[port])]
        changes = [Change(port, known[port].way, ways[port].way) for port in gone]
        for port, now in ways.items():
            known[port] = now if port in gone or port not in known else merged(known[port], now)
        self._remember(address, known)
        return changes if compared else None

    def _remember(self, address: str, known: dict[int, Known]) -> None:
        """A name with ever new addresses must not fill the memory."""
        self._targets[address] = known
        while len(self._targets) > _MOST_TARGETS:
            del self._targets[next(iter(self._targets))]
