"""The authority's memory, in SQLite: what it issued, which boxes are shut out, which join tokens are still good."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from fibrewatch.identity import IdentityError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS issued (
    serial TEXT PRIMARY KEY, subject TEXT NOT NULL, kind TEXT NOT NULL,
    issued_at REAL NOT NULL, not_after REAL NOT NULL, revoked_at REAL, reason TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS issued_subject ON issued (subject);
CREATE TABLE IF NOT EXISTS shut_out (agent TEXT PRIMARY KEY, at REAL NOT NULL, reason TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS token (
    hash BLOB PRIMARY KEY, agent TEXT NOT NULL, made_at REAL NOT NULL, expires_at REAL NOT NULL, used_at REAL
) STRICT;
"""
_WAIT_S = 10.0


class Issued(Struct, frozen=True, kw_only=True):
    """A certificate that was given out."""

    serial: int
    subject: str
    kind: str
    issued_at: datetime
    not_after: datetime
    revoked_at: datetime | None = None
    reason: str | None = None


class Register:
    """One file; each call is a transaction of its own. Any thread may call."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def make(self) -> None:
        """The tables, where there are none."""
        self._path.touch(mode=0o600, exist_ok=True)
        with self._transaction() as db:
            db.executescript(_SCHEMA)

    def record(self, issued: Issued) -> None:
        """A certificate that is about to be given out."""
        times = issued.issued_at.timestamp(), issued.not_after.timestamp()
        with self._transaction() as db:
            db.execute(
                "INSERT INTO issued (serial, subject, kind, issued_at, not_after) VALUES (?, ?, ?, ?, ?)",
                (str(issued.serial), issued.subject, issued.kind, *times),
            )

    def issued(self, subject: str | None = None) -> list[Issued]:
        """All, oldest first; of one subject."""
        where, values = ("", ()) if subject is None else ("WHERE subject = ?", (subject,))
        with self._transaction() as db:
            rows = db.execute(f"SELECT * FROM issued {where} ORDER BY issued_at, rowid", values).fetchall()  # noqa: S608
        return [_issued(row) for row in rows]

    def revoke(self, agent: str, now: datetime, reason: str) -> int:
        """Shuts a box out: all its certificates and tokens; how many certificates that were still good."""
        at = now.timestamp()
        with self._transaction() as db:
            done = db.execute(
                "UPDATE issued SET revoked_at = ?, reason = ? WHERE subject = ? AND revoked_at IS NULL",
                (at, reason, agent),
            )
            db.execute("DELETE FROM token WHERE agent = ? AND used_at IS NULL", (agent,))
            db.execute("INSERT OR REPLACE INTO shut_out VALUES (?, ?, ?)", (agent, at, reason))
            return done.rowcount

    def let_in(self, agent: str) -> None:
        """It is enrolled again: what was revoked stays revoked, new certificates are good."""
        with self._transaction() as db:
            db.execute("DELETE FROM shut_out WHERE agent = ?", (agent,))

    def shut_out(self) -> frozenset[str]:
        """The boxes that are."""
        with self._transaction() as db:
            return frozenset(row[0] for row in db.execute("SELECT agent FROM shut_out"))

    def is_good(self, serial: int, subject: str) -> bool:
        """Whether we issued it to this box and didn't take it back."""
        with self._transaction() as db:
            found = db.execute(
                "SELECT 1 FROM issued WHERE serial = ? AND subject = ? AND kind = 'box' AND revoked_at IS NULL",
                (str(serial), subject),
            )
            return found.fetchone() is not None

    # ---- join tokens

    def add_token(self, secret: str, agent: str, now: datetime, expires: datetime) -> None:
        """Only its hash is kept; earlier ones of the box that nobody used are void."""
        with self._transaction() as db:
            db.execute("DELETE FROM token WHERE agent = ? AND used_at IS NULL", (agent,))
            row = (_hash(secret), agent, now.timestamp(), expires.timestamp())
            db.execute("INSERT INTO token (hash, agent, made_at, expires_at) VALUES (?, ?, ?, ?)", row)

    def use_token(self, secret: str, agent: str, now: datetime) -> None:
        """Once, and never again.

        Raises:
            IdentityError: It is unknown, another box's, used or too old.
        """
        with self._transaction() as db:
            done = db.execute(
                "UPDATE token SET used_at = ? WHERE hash = ? AND agent = ? AND used_at IS NULL AND expires_at > ?",
                (now.timestamp(), _hash(secret), agent, now.timestamp()),
            )
            if done.rowcount != 1:
                raise IdentityError("the token is unknown, used or too old: ask for another (fibrewatch enrol)")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            db = sqlite3.connect(f"file:{self._path}?mode=rw", uri=True, timeout=_WAIT_S)
            try:
                db.execute("PRAGMA synchronous = FULL")
                with db:
                    yield db
            finally:
                db.close()
        except sqlite3.Error as e:
            raise IdentityError(f"{self._path}: {e}") from e


def _hash(secret: str) -> bytes:
    """Of 256 random bits: no salt or slow hash makes those harder to guess."""
    return hashlib.sha256(secret.encode()).digest()


def _issued(row: tuple[str, str, str, float, float, float | None, str | None]) -> Issued:
    serial, subject, kind, issued_at, not_after, revoked_at, reason = row
    return Issued(
        serial=int(serial),
        subject=subject,
        kind=kind,
        issued_at=datetime.fromtimestamp(issued_at, UTC),
        not_after=datetime.fromtimestamp(not_after, UTC),
        revoked_at=None if revoked_at is None else datetime.fromtimestamp(revoked_at, UTC),
        reason=reason,
    )
