"""Which numbers of a stream are settled: pure, so that it can be held to a naive model.

A stream's numbers are settled up to `through` without a gap; what came ahead of its turn is in `ahead`.
"""

from dataclasses import dataclass, field

from fibrewatch_collector.store import ranges
from fibrewatch_collector.store.ranges import Range

REACH = 100_000
"""How far above `through` a number may lie: a box has at most a few batches in flight."""
MAX_AHEAD = 200
"""How many ranges `ahead` may hold."""


@dataclass(slots=True)
class StreamState:
    """One stream of one agent as the store knows it; `row` is its row in the database."""

    row: int
    agent_row: int
    through: int = 0
    ahead: list[Range] = field(default_factory=list)

    def settled(self, number: int) -> bool:
        """Whether a number came before, was refused, or was given up."""
        return number <= self.through or ranges.contains(self.ahead, number)

    def takeable(self, number: int) -> bool:
        """Whether a number may be settled now; otherwise it must come again, later."""
        if number <= self.through + 1 or ranges.contains(self.ahead, number):
            return True
        return number <= self.through + REACH and (len(self.ahead) < MAX_AHEAD or self._touches(number))

    def settle(self, number: int) -> None:
        """Notes that a number needs never come again."""
        if number == self.through + 1:
            self.through = number
            self._absorb()
        elif number > self.through:
            ranges.add(self.ahead, number, number)

    def missing_below(self, oldest: int) -> list[Range]:
        """The numbers below `oldest` that never came."""
        return ranges.without([(self.through + 1, oldest - 1)], self.ahead) if oldest - 1 > self.through else []

    def close_below(self, oldest: int) -> None:
        """Gives up whatever lies below `oldest`: the box has it no more."""
        self.through = max(self.through, oldest - 1)
        self._absorb()

    def _absorb(self) -> None:
        while self.ahead and self.ahead[0][0] <= self.through + 1:
            self.through = max(self.through, self.ahead.pop(0)[1])

    def _touches(self, number: int) -> bool:
        return ranges.contains(self.ahead, number - 1) or ranges.contains(self.ahead, number + 1)
