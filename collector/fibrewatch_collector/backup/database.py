"""SQLite files: copied while others write, looked through, and asked whether somebody has them open."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from fibrewatch_collector.backup import BackupError
from fibrewatch_collector.store.schema import STEPS

SIDES = ("", "-wal", "-shm")
"""A database's own file, and those beside it."""
_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510
"""The bytes of which every open connection holds a lock (SQLite's os_unix.c, "SHARED_FIRST")."""
_BUSY_S = 60.0


def snapshot(source: Path, to: Path) -> float:
    """Copies one state of the database; UTC seconds before which everything committed is in it.

    One read transaction over all pages: in WAL mode it keeps nobody from writing, and what others write doesn't make it
    begin anew, as it would page by page. Meanwhile the WAL is not begun anew, so it grows by what comes in.

    Raises:
        BackupError: It can't be read, the copy can't be written, or what was copied is damaged.
    """
    try:
        with closing(_reader(source)) as db, closing(sqlite3.connect(to, isolation_level=None)) as copy:
            copy.execute("PRAGMA journal_mode=OFF")
            copy.execute("PRAGMA synchronous=OFF")
            db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            through = time.time()
            db.backup(copy, pages=-1)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, until somebody writes to it
    except sqlite3.Error as e:
        raise BackupError(f"{source}: can't be copied: {e}") from e
    try:
        check(to)
    except BackupError as e:
        raise BackupError(f"{source}: the store itself is damaged: {e}") from e
    return through


def check(path: Path) -> None:
    """Looks through all of it.

    Raises:
        BackupError: It is damaged.
    """
    try:
        with closing(_reader(path)) as db:
            (found,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as e:
        raise BackupError(f"integrity_check: {e}") from e
    if found != "ok":
        raise BackupError(f"integrity_check: {' '.join(str(found).split())[:200]}")


def schema_and_row(path: Path) -> tuple[int, int]:
    """The store's schema and its last row.

    Raises:
        BackupError: It is no store, or of a newer program.
    """
    try:
        with closing(_reader(path)) as db:
            (schema,) = db.execute("SELECT coalesce(max(version), 0) FROM schema").fetchone()
            (row,) = db.execute("SELECT coalesce(max(id), 0) FROM measurement").fetchone()
    except sqlite3.Error as e:
        raise BackupError(f"is no collector's store: {e}") from e
    if schema > len(STEPS):
        raise BackupError(f"schema {schema} is newer than this program's {len(STEPS)}: install the newer fibrewatch")
    return schema, row


def is_empty(path: Path) -> bool:
    """Whether a store is there that holds nothing yet; a damaged one holds something."""
    try:
        with closing(_reader(path)) as db:
            tables = ("measurement", "record", "quarantine", "bin", "rollup")
            return not any(db.execute(f"SELECT 1 FROM {each} LIMIT 1").fetchone() for each in tables)  # noqa: S608
    except sqlite3.Error:
        return path.stat().st_size == 0


@contextmanager
def nobody_has_it_open(path: Path) -> Iterator[None]:
    """Holds a database's lock, so that nobody opens it meanwhile; nothing is held where there is none.

    Nothing within may open and close that file in this process: closing lets the lock go (POSIX).

    Raises:
        BackupError: Somebody has it open.
    """
    fd = os.open(path, os.O_RDWR) if path.exists() else None
    try:
        if fd is not None:
            _lock(fd, path)
        yield
    finally:
        if fd is not None:
            os.close(fd)


def _lock(fd: int, path: Path) -> None:
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
    except OSError as e:
        raise BackupError(f"{path}: is in use: stop the collector first, which --force does not replace") from e


def _reader(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S, isolation_level=None)
