"""Who of two starts, where either could: spread so that it is even for every box. Pure."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from itertools import pairwise

from fibrewatch.wire import AgentId

Pairing = tuple[AgentId, AgentId]
"""Two boxes; the lesser id first until it is known who starts."""


def orient(pairs: Iterable[Pairing]) -> list[Pairing]:
    """Each pair once, its starter first: no box starts more than one more or less often than it is started at.

    Begins with a coin that the pair's names toss and turns round as few as it takes: so most pairs stay as they are
    when a site comes or goes.
    """
    graph = _Graph(pair if _heads(pair) else pair[::-1] for pair in sorted(pairs))
    for box in graph.boxes:
        while graph.excess[box] >= 2:
            graph.turn(graph.way(box, graph.out, lambda other: graph.excess[other] < 0))
    for box in graph.boxes:
        while graph.excess[box] <= -2:
            graph.turn(graph.way(box, graph.into, lambda other: graph.excess[other] > 0)[::-1])
    return [(a, b) for a in graph.boxes for b in graph.out[a]]


def _heads(pair: Pairing) -> bool:
    return blake2b(f"{pair[0]} {pair[1]}".encode(), digest_size=1).digest()[0] & 1 == 0


class _Graph:
    """Boxes, whom they start at, who starts at them, and by how many the first are more."""

    def __init__(self, pairs: Iterable[Pairing]) -> None:
        found = list(pairs)
        self.boxes = sorted({box for pair in found for box in pair})
        # dicts for sets: their order, and so the outcome, is the same in every run
        self.out: dict[AgentId, dict[AgentId, None]] = {box: {} for box in self.boxes}
        self.into: dict[AgentId, dict[AgentId, None]] = {box: {} for box in self.boxes}
        self.excess: Counter[AgentId] = Counter()
        for a, b in found:
            self._add(a, b)

    def _add(self, a: AgentId, b: AgentId) -> None:
        self.out[a][b] = self.into[b][a] = None
        self.excess[a] += 1
        self.excess[b] -= 1

    def way(
        self, start: AgentId, steps: Mapping[AgentId, Iterable[AgentId]], wanted: Callable[[AgentId], bool]
    ) -> list[AgentId]:
        """The shortest way along `steps` to a wanted box.

        There always is one: of the boxes that a start of excess ≥ 2 leads to, no pair leads out, so their excess is
        at most 0 together, and one of them makes up for the start.
        """
        came: dict[AgentId, AgentId | None] = {start: None}
        queue = deque([start])
        while queue:
            at = queue.popleft()
            if wanted(at):
                return _back(came, at)
            for following in steps[at]:
                if following not in came:
                    came[following] = at
                    queue.append(following)
        raise AssertionError(f"no way from {start}")

    def turn(self, way: list[AgentId]) -> None:
        """Turns the pairs along a way round."""
        for a, b in pairwise(way):
            del self.out[a][b], self.into[b][a]
            self.excess[a] -= 1
            self.excess[b] += 1
            self._add(b, a)


def _back(came: Mapping[AgentId, AgentId | None], end: AgentId) -> list[AgentId]:
    way = [end]
    while (before := came[way[-1]]) is not None:
        way.append(before)
    return way[::-1]
