"""What was refused is kept raw with its reason; bounded per agent and overall, oldest out."""

import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

from fibrewatch_collector.store import codec


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept."""

    agent_rows: int = 1_000
    agent_bytes: int = 2 * 2**20
    rows: int = 20_000
    size_bytes: int = 64 * 2**20


class _Use(NamedTuple):
    rows: int
    size_bytes: int


class Quarantine:
    """Of the one connection that writes; `forget` after a rollback."""

    def __init__(self, db: sqlite3.Connection, limits: Limits) -> None:
        self._db, self._limits = db, limits
        self._agents: dict[int, _Use] = {}
        self._all: _Use | None = None

    def forget(self) -> None:
        """Drops the remembered sums: they are asked for again."""
        self._agents.clear()
        self._all = None

    def keep(self, agent: int, stream: str, seq: int, raw: bytes, *, reason: str, received_us: int) -> bool:
        """Keeps one; False when this very thing is kept already."""
        cursor = self._db.execute(
            "INSERT INTO quarantine(agent, stream, seq, digest, reason, received_us, raw) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT(agent, stream, seq, digest) DO NOTHING",
            (agent, stream, seq, codec.digest(raw), reason, received_us, raw),
        )
        if cursor.rowcount == 0:
            return False
        self._bound(agent, len(raw))
        return True

    def _bound(self, agent: int, added: int) -> None:
        """Counts what was just inserted and lets the oldest out."""
        use = _grown(self._agents.get(agent), added) or self._sum("WHERE agent = ?", (agent,))
        total = _grown(self._all, added) or self._sum("", ())
        while use.rows > self._limits.agent_rows or use.size_bytes > self._limits.agent_bytes:
            size = self._drop_oldest("WHERE agent = ?", (agent,))
            use, total = _less(use, size), _less(total, size)
        self._agents[agent], self._all = use, total
        if total.rows > self._limits.rows or total.size_bytes > self._limits.size_bytes:
            self._shrink(total)

    def _shrink(self, total: _Use) -> None:
        """Lets out a tenth at once, because summing up anew costs."""
        while total.rows > 0.9 * self._limits.rows or total.size_bytes > 0.9 * self._limits.size_bytes:
            total = _less(total, self._drop_oldest("", ()))
        self.forget()

    def _sum(self, where: str, key: tuple[int, ...]) -> _Use:
        query = f"SELECT count(*), coalesce(sum(length(raw)), 0) FROM quarantine {where}"  # noqa: S608 ours
        return _Use(*self._db.execute(query, key).fetchone())

    def _drop_oldest(self, where: str, key: tuple[int, ...]) -> int:
        query = f"SELECT id, length(raw) FROM quarantine {where} ORDER BY id LIMIT 1"  # noqa: S608 ours
        row, size = self._db.execute(query, key).fetchone()
        self._db.execute("DELETE FROM quarantine WHERE id = ?", (row,))
        freed: int = size
        return freed


def _grown(use: _Use | None, added: int) -> _Use | None:
    return _Use(use.rows + 1, use.size_bytes + added) if use else None


def _less(use: _Use, size: int) -> _Use:
    return _Use(use.rows - 1, use.size_bytes - size)
