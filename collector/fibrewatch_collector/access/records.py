"""Tokens in a file of SQLite beside the store: read by the collector, changed by `fibrewatch token` while it runs."""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fibrewatch_collector.access import AccessError, tokens
from fibrewatch_collector.access.scopes import Scope
from fibrewatch_collector.access.tokens import Token

WAIT_S = 10.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS token (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, scope TEXT NOT NULL, hash BLOB NOT NULL, made_at REAL NOT NULL,
    expires_at REAL, revoked_at REAL, used_at REAL, used_from TEXT
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS token_name ON token (name) WHERE revoked_at IS NULL;
"""


class TokenFile:
    """One file; each call is a transaction of its own. Any thread may call."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, name: str, scope: Scope, now: datetime, expires_at: datetime | None) -> str:
        """A new token, which nobody can read again; one of that name that has expired gives it up.

        Raises:
            AccessError: There is one of that name that is good, or the file can't be written.
        """
        make_private(self.path)
        at, until = now.timestamp(), expires_at.timestamp() if expires_at else None
        made = tokens.make()
        with transaction(self.path) as db:
            db.executescript(_SCHEMA)
            db.execute("UPDATE token SET revoked_at = ? WHERE name = ? AND expires_at <= ?", (at, name, at))
            if db.execute("SELECT 1 FROM token WHERE name = ? AND revoked_at IS NULL", (name,)).fetchone():
                raise AccessError(f"there is a token {name!r}: revoke it first, or take another name")
            db.execute(
                "INSERT INTO token (id, name, scope, hash, made_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
                (made.id, name, scope, made.hash, at, until),
            )
        return made.text

    def revoke(self, name: str, now: datetime) -> bool:
        """From now on it is worth nothing; False: there is none of that name.

        Raises:
            AccessError: The file can't be written.
        """
        if not self.path.exists():
            return False
        with transaction(self.path) as db:
            said = "UPDATE token SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL"
            return db.execute(said, (now.timestamp(), name)).rowcount > 0

    def all(self) -> list[tuple[Token, bytes]]:
        """Each with its hash, oldest first; none where there is no file.

        Raises:
            AccessError: It can't be read.
        """
        if not self.path.exists():
            return []
        with transaction(self.path) as db:
            return [_token(row) for row in db.execute("SELECT * FROM token ORDER BY made_at, id")]

    def used(self, uses: Mapping[str, tuple[float, str]]) -> None:
        """When each was used last, and from where."""
        with transaction(self.path) as db:
            db.executemany(
                "UPDATE token SET used_at = ?, used_from = ? WHERE id = ?",
                [(at, where, number) for number, (at, where) in uses.items()],
            )


def make_private(path: Path) -> None:
    """The file, where there is none: for its owner alone, who is the folder's even if root makes it.

    Raises:
        AccessError: It can't be made.
    """
    try:
        if path.exists():
            return
        path.touch(mode=0o600)
        if os.geteuid() == 0:
            folder = path.parent.stat()
            os.chown(path, folder.st_uid, folder.st_gid)
    except OSError as e:
        raise AccessError(f"{path}: {e.strerror}") from e


@contextmanager
def transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """On the disk when it is over.

    Raises:
        AccessError: The file can't be read or written.
    """
    try:
        db = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=WAIT_S)
        try:
            db.execute("PRAGMA synchronous = FULL")
            with db:
                yield db
        finally:
            db.close()
    except sqlite3.Error as e:
        raise AccessError(f"{path}: {e}") from e


def _token(row: tuple[Any, ...]) -> tuple[Token, bytes]:
    number, name, scope, kept, made_at, *times, used_from = row
    expires_at, revoked_at, used_at = (None if each is None else datetime.fromtimestamp(each, UTC) for each in times)
    token = Token(
        id=number,
        name=name,
        scope=scope,
        made_at=datetime.fromtimestamp(made_at, UTC),
        expires_at=expires_at,
        revoked_at=revoked_at,
        used_at=used_at,
        used_from=used_from,
    )
    return token, bytes(kept)
