"""Every change, before it is made and after: a file of SQLite that only grows, each line bound to the one before it."""

import hashlib
import json
import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from fibrewatch.errors import FibrewatchError
from fibrewatch_collector.access import AccessError
from fibrewatch_collector.access.records import make_private, transaction

NAME = "audit.db"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    number INTEGER PRIMARY KEY, of INTEGER, at REAL NOT NULL, who TEXT NOT NULL, origin TEXT NOT NULL,
    what TEXT NOT NULL, detail TEXT NOT NULL, outcome TEXT NOT NULL, seal TEXT NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS entry_stays BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'an entry stays'); END;
CREATE TRIGGER IF NOT EXISTS entry_stays_there BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'an entry stays'); END;
"""
ASKED = "asked"
_DETAIL = 2000
_NO_LOGIN = 2**32 - 1
_LONGEST = (200, 200, 200, _DETAIL, 300)
_SECRETS = ("token", "secret", "password", "passphrase", "key", "psk", "credential", "authorization")


class Change(Struct, frozen=True, kw_only=True):
    """A change that somebody asked for; `outcome` is None where nobody recorded one: the process was killed, say."""

    number: int
    at: datetime
    who: str
    origin: str
    what: str
    detail: str
    outcome: str | None


class Audit:
    """One file; any thread and any process may append."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, who: str, origin: str, what: str, detail: str = "") -> int:
        """What is about to be done; without it, it must not be.

        Raises:
            AccessError: It can't be written.
        """
        make_private(self.path)
        return self._append(None, (who, origin, what, detail, ASKED))

    def end(self, number: int, outcome: str) -> None:
        """How it came out.

        Raises:
            AccessError: It can't be written.
        """
        self._append(number, ("", "", "", "", outcome))

    def changes(self) -> list[Change]:
        """All, oldest first; none where there is no file.

        Raises:
            AccessError: The file can't be read, or a line isn't what was written.
        """
        return list(_changes(self._entries()))

    def _append(self, of: int | None, words: tuple[str, ...]) -> int:
        with transaction(self.path) as db:
            db.executescript(_SCHEMA)
            db.execute("BEGIN IMMEDIATE")
            last = db.execute("SELECT number, seal FROM entry ORDER BY number DESC LIMIT 1").fetchone()
            number, seal = last or (0, "")
            cut = (each[:most] for each, most in zip(words, _LONGEST, strict=True))
            row = (number + 1, of, datetime.now(UTC).timestamp(), *cut)
            db.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, _seal(seal, row)))
            return int(number) + 1

    def _entries(self) -> list[tuple[Any, ...]]:
        if not self.path.exists():
            return []
        with transaction(self.path) as db:
            rows = db.execute("SELECT * FROM entry ORDER BY number").fetchall()
        seal = ""
        for number, row in enumerate(rows, 1):
            seal = _seal(seal, row[:-1])
            if row[0] != number or row[-1] != seal:
                raise AccessError(f"{self.path}: entry {number} is not as it was written: the file was tampered with")
        return rows


def _seal(before: str, row: tuple[Any, ...]) -> str:
    """Binds an entry to all before it."""
    return hashlib.sha256(json.dumps([before, *row]).encode()).hexdigest()


def _changes(rows: list[tuple[Any, ...]]) -> Iterator[Change]:
    outcomes = {row[1]: row[7] for row in rows if row[1] is not None}
    for number, of, at, who, origin, what, detail, _, _ in rows:
        if of is None:
            when = datetime.fromtimestamp(at, UTC)
            yield Change(
                number=number, at=when, who=who, origin=origin, what=what, detail=detail, outcome=outcomes.get(number)
            )


def described(body: bytes) -> str:
    """A request's JSON on one line, with what is secret by its name left out."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    return json.dumps(_without_secrets(found), ensure_ascii=False)[:_DETAIL]


def _without_secrets(found: Any) -> Any:
    if isinstance(found, Mapping):
        return {
            name: "…" if any(word in name.lower() for word in _SECRETS) else _without_secrets(each)
            for name, each in found.items()
            if each is not None
        }
    return [_without_secrets(each) for each in found] if isinstance(found, list) else found


@contextmanager
def by_command(path: Path, what: str, detail: str = "") -> Iterator[None]:
    """A change that a command makes on this machine: recorded before, and how it ended.

    Raises:
        AccessError: It can't be recorded: then it isn't done.
    """
    log = Audit(path)
    number = log.begin(user(), "this machine", what, detail)
    try:
        yield
    except (FibrewatchError, OSError) as e:
        log.end(number, f"failed: {e}")
        raise
    log.end(number, "done")


def user() -> str:
    """Who runs this process, and as whom he logged in by the kernel's word (proc_pid_loginuid(5)), if that differs."""
    now = _name(os.geteuid())
    try:
        login = int(Path("/proc/self/loginuid").read_text("ascii"))
    except (OSError, ValueError):
        return now
    behind = _name(login) if login != _NO_LOGIN else now
    return now if behind == now else f"{behind} as {now}"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
