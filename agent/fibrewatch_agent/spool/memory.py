"""What the spool keeps in memory: rows while the disk refuses, and what was dropped and not yet told."""

import logging
import time
from collections import deque
from collections.abc import Sequence

from fibrewatch_agent.spool.rows import Drop, Kind, Row, first_of

log = logging.getLogger(__name__)

MEMORY_ROWS = 2000
MEMORY_BYTES = 4 * 2**20


class Waiting:
    """Rows of the current stream that are not on disk, in order; they are the end of it.

    Attributes:
        since: When the first of those came that wait now, by the monotonic clock; None while none does.

    The bound does not count what tells of drops: it would push out what it then has to tell of, and so on.
    """

    def __init__(self) -> None:
        self.rows: deque[Row] = deque()
        self._plain = self._bytes = 0
        self.since: float | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def push(self, row: Row) -> None:
        """Adds one at the end."""
        if self.since is None:
            self.since = time.monotonic()
        self.rows.append(row)
        self._count(row, 1)

    def first(self, size: int) -> list[Row]:
        """Those at the front that hold `size` bytes at most together, but at least one."""
        return first_of(self.rows, size)

    def pop(self, count: int) -> None:
        """Takes off the first ones."""
        for _ in range(count):
            self._count(self.rows.popleft(), -1)

    def settle(self, through: int) -> None:
        """Takes off those up to and with a number."""
        while self.rows and self.rows[0].number <= through:
            self.pop(1)

    def remove(self, row: Row) -> None:
        """Takes one off, wherever it is."""
        self.rows.remove(row)
        self._count(row, -1)

    def rewrite(self, rewritten: dict[int, Row]) -> None:
        """Puts rows in the place of those with their numbers."""
        rows = [rewritten.get(row.number, row) for row in self.rows]
        self.pop(len(rows))
        for row in rows:
            self.push(row)

    def excess(self) -> Row | None:
        """The oldest that may be dropped, when there is more than the memory's bound."""
        if self._plain <= MEMORY_ROWS and self._bytes <= MEMORY_BYTES:
            return None
        return next(row for row in self.rows if row.kind is not Kind.EVENT)

    @property
    def many(self) -> bool:
        """Half of what the memory is for."""
        return self._plain > MEMORY_ROWS // 2 or self._bytes > MEMORY_BYTES // 2

    def _count(self, row: Row, sign: int) -> None:
        if not self.rows:
            self.since = None
        if row.kind is not Kind.EVENT:
            self._plain += sign
            self._bytes += sign * len(row.raw)


class Drops:
    """What was dropped, until measurements tell of it.

    Attributes:
        count: Measurements dropped since the agent's start.
        written: Whether the file knows the same.
    """

    def __init__(self) -> None:
        self.untold: list[Drop] = []
        self.count = 0
        self.written = True

    def with_more(self, fresh: Sequence[Drop]) -> list[Drop]:
        """All untold and these; one that follows another of its kind without a gap lengthens it."""
        drops = list(self.untold)
        for drop in fresh:
            _join(drops, drop)
        return drops

    def note(self, fresh: Sequence[Drop], *, written: bool) -> None:
        """Adds drops; the first of a kind is worth a warning."""
        before, self.untold = len(self.untold), self.with_more(fresh)
        count = sum(drop.dropped for drop in fresh)
        self.count += count
        self.written = written
        level = logging.WARNING if len(self.untold) > before else logging.DEBUG
        log.log(level, "dropped measurements: count=%d cause=%s stream=%s", count, fresh[-1].cause, fresh[-1].stream)

    def take(self) -> list[Drop]:
        """All untold, which are about to be told."""
        taken, self.untold = self.untold, []
        self.written = self.written and not taken
        return taken


def _join(drops: list[Drop], fresh: Drop) -> None:
    for i, old in enumerate(drops):
        if (old.stream, old.cause, old.last + 1) == (fresh.stream, fresh.cause, fresh.first):
            drops[i] = old._replace(dropped=old.dropped + fresh.dropped, last=fresh.last, newest_at=fresh.newest_at)
            return
    drops.append(fresh)
