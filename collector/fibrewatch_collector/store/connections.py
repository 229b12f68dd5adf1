"""SQLite connections: one that writes, and one that only reads for each thread that asks."""

import sqlite3
import threading
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from fibrewatch.errors import StoreError

_BUSY_S = 10.0
_CACHE_KIB = 32 * 1024  # keeps the growing edges of the two indices in memory
_WAL_KEEP_BYTES = 64 * 2**20
_FULL = "database or disk is full"


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turns SQLite's errors, values that it can't hold, and what a damaged file holds, into StoreError."""
    try:
        yield
    except (sqlite3.Error, OverflowError, UnicodeError, zlib.error, msgspec.MsgspecError) as e:
        raise StoreError(f"{path}: {e}", full=str(e) == _FULL) from e


def must_be_a_store(path: Path) -> None:
    """Asked before opening by who only reads: opening makes a store of an empty file.

    Raises:
        StoreError: There is none.
    """
    if not path.is_file():
        raise StoreError(f"{path}: there is no store")
    with store_errors(path), closing(_reader(path)) as db:
        if db.execute("SELECT 1 FROM sqlite_master WHERE name='measurement'").fetchone() is None:
            raise StoreError(f"{path}: it is no store")


def writer(path: Path) -> sqlite3.Connection:
    """The connection that writes; a commit on it survives a power cut."""
    db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    db.execute(f"PRAGMA journal_size_limit={_WAL_KEEP_BYTES}")
    return db


def _reader(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"  # Path.as_uri quotes what a URI can't hold
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)


class Readers:
    """Read-only connections, one per thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._all: list[sqlite3.Connection] = []

    def get(self) -> sqlite3.Connection:
        """This thread's connection."""
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = _reader(self._path)
            self._local.db = db
            self._all.append(db)
        return db

    def close(self) -> None:
        """Closes those of all threads."""
        for db in self._all:
            db.close()
        self._all.clear()
        self._local = threading.local()
