"""Which way a session's packets got lost, doubled or overtook each other, from both ends' numbers. Pure.

A stateful reflector numbers its replies by itself (RFC 8762 §4.2). Between two replies that came, the sender knows how
many of its packets are unanswered, and by the reflector's numbers how many of those had been answered: those were lost
on their way back, the rest on their way there.
"""

import itertools
from collections.abc import Iterator, Sequence, Set
from typing import NamedTuple

from fibrewatch import stats

_ANCHORS = 32
"""So many numbers before a window are remembered: its first losses lie behind one of them."""
_FAR = 16
"""Replies overtake each other by less; a number that falls back further is the count of a reflector started anew."""


class Heard(NamedTuple):
    """One reply: the number of the packet that it answers, and its own."""

    sender: int
    reflector: int


class Directions(NamedTuple):
    """What became of a window's packets on either way."""

    lost_forward: int
    lost_backward: int
    lost_undetermined: int
    duplicates_forward: int
    duplicates_backward: int
    reordered_forward: int
    reordered_backward: int


class _Piece(NamedTuple):
    """The sender's numbers between `low` and `high`, and how many replies to them never came."""

    low: int
    high: int
    missing: int


class Ledger:
    """The replies of one session in the order of their arrival, duplicates included.

    Attributes:
        stateful: Whether the reflector counts by itself; None while it did not show. Equal numbers prove nothing: where
            all that came was counted, a reflector that counts has the sender's numbers too.
    """

    def __init__(self) -> None:
        self.stateful: bool | None = None
        self._lives: list[list[Heard]] = [[]]
        self._whole = True  # no reply of the first life was forgotten yet
        self._numbers: dict[int, int] = {}
        self._newest = Heard(-1, -1)

    def note(self, sender: int, reflector: int) -> None:
        """One reply came."""
        life = self._lives[-1]
        if life and self._restarted(sender, reflector):
            life = []
            self._lives.append(life)
            self._numbers.clear()
            self._newest = Heard(sender, -1)
        life.append(Heard(sender, reflector))
        self._numbers[reflector] = sender
        self._newest = Heard(max(self._newest.sender, sender), max(self._newest.reflector, reflector))
        if sender != reflector:
            self.stateful = True

    def repeats(self) -> None:
        """A packet that reached the reflector twice got one number both times: nobody counts there."""
        if self.stateful is None:
            self.stateful = False

    def _restarted(self, sender: int, reflector: int) -> bool:
        fell = reflector <= self._newest.reflector - _FAR or self._numbers.get(reflector, sender) != sender
        return fell and sender > self._newest.sender

    def forget(self, before: int) -> None:
        """Packets numbered below `before` are of no more interest."""
        limit = before - _ANCHORS
        kept = [[heard for heard in life if heard.sender >= limit] for life in self._lives]
        self._whole &= kept[0] == self._lives[0]
        self._lives = [life for life in kept[:-1] if life] + kept[-1:]
        self._numbers = {heard.reflector: heard.sender for heard in kept[-1]}

    def directions(self, numbers: Sequence[int], unanswered: Set[int]) -> Directions | None:
        """What became of the packets with these numbers; None unless the reflector is known to count by itself.

        Args:
            unanswered: Those of them to which no reply came at all.
        """
        if not self.stateful:
            return None
        own = set(numbers)
        lost = self._lost(unanswered)
        replies = [heard for life in self._lives for heard in life if heard.sender in own]
        first = list(dict.fromkeys(replies))
        there = list(dict.fromkeys(heard.sender for life in self._lives for heard in _by_number(life)))
        back = list(dict.fromkeys(heard.reflector for heard in first))
        return Directions(
            *lost,
            duplicates_forward=len(first) - len({heard.sender for heard in first}),
            duplicates_backward=len(replies) - len(first),
            reordered_forward=stats.reordered([sender for sender in there if sender in own]),
            reordered_backward=stats.reordered(back),
        )

    def _lost(self, unanswered: Set[int]) -> tuple[int, int, int]:
        settled = {heard.sender for life in self._lives for heard in life}
        forward = backward = 0
        for piece in self._pieces():
            silent = [number for number in range(piece.low + 1, piece.high) if number not in settled]
            settled.update(silent)
            ours = sum(number in unanswered for number in silent)
            back = max(0, min(piece.missing, len(silent)))
            if ours < len(silent) and 0 < back < len(silent):
                continue  # some of each, and not all of them this window's
            of_ours = back if ours == len(silent) else ours if back else 0
            forward, backward = forward + ours - of_ours, backward + of_ours
        return forward, backward, len(unanswered) - forward - backward

    def _pieces(self) -> Iterator[_Piece]:
        for position, life in enumerate(self._lives):
            if life:
                yield from _pieces_of(_by_number(life), from_zero=position == 0 and self._whole)


def _by_number(life: Sequence[Heard]) -> list[Heard]:
    """The order in which the reflector received the packets, each reply once."""
    return sorted(dict.fromkeys(life), key=lambda heard: heard.reflector)


def _pieces_of(replies: Sequence[Heard], *, from_zero: bool) -> Iterator[_Piece]:
    """Cuts a reflector's life where all packets before are older than all behind; in between they are tangled."""
    if from_zero and replies[0].reflector <= replies[0].sender:
        replies = [Heard(-1, -1), *replies]
    senders = [heard.sender for heard in replies]
    youngest_yet = list(itertools.accumulate(senders, max))
    oldest_to_come = list(itertools.accumulate(reversed(senders), min))[::-1]
    start = 0
    for i in range(1, len(replies) + 1):
        if i < len(replies) and youngest_yet[i - 1] >= oldest_to_come[i]:
            continue
        inside = replies[start:i]
        yield _Piece(
            min(heard.sender for heard in inside),
            max(heard.sender for heard in inside),
            inside[-1].reflector - inside[0].reflector + 1 - len(inside),
        )
        if i < len(replies):
            yield _Piece(youngest_yet[i - 1], oldest_to_come[i], replies[i].reflector - replies[i - 1].reflector - 1)
        start = i
