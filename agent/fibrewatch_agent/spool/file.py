"""The spool's SQLite file: opening, schema, space, rows. Every method blocks, and one thread at a time calls them.

Durability: WAL with synchronous=FULL, so that an append survives a power cut too: the last minute before a site
loses power is evidence. It costs one fsync for each group of appends (0.4 ms here against 0.02 ms with NORMAL, which
would lose what the kernel had not yet written back, up to half a minute; 5 to 30 ms on an SD card, once or a few times
a minute; about 20 KiB written each, far below a card's wear). Deletions are not synced: one that is lost is a resend.

Locking: exclusive, so that SQLite needs no shared-memory file, which on a full disk could not be made.

A full disk: SQLite can commit into the WAL what then does not fit into the file itself, and from there on the WAL can't
be begun anew and not even a deletion is possible (tried on a tmpfs). So the WAL's blocks are allocated beforehand, a
reserve file of RESERVE_BYTES stands beside it, and what makes the file grow is brought into it at once; if that fails,
the reserve is given up for it, and no growth is tried again before the reserve stands again. So there is always
room to delete, and what was deleted makes room to append; a new file gets SPARE_BYTES of such room.

Size: pages that deletions leave are used again, so the file never grows beyond its fullest state; once it is empty
and large it is vacuumed, which then costs nothing.
"""

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from fibrewatch.errors import StoreError

log = logging.getLogger(__name__)

KIB = 1024
PAGE_BYTES = 4096
COMMIT_BYTES = 64 * KIB
"""Measurements in one transaction, at most (a single one may be half of it)."""
WAL_BYTES = 320 * KIB
"""The WAL never holds more: CHECKPOINT_FRAMES and one transaction, each page of which may be half empty."""
CHECKPOINT_FRAMES = 32
SLACK_BYTES = 16 * KIB
RESERVE_BYTES = 192 * KIB
"""What one transaction may make the file grow by."""
OVERHEAD_BYTES = WAL_BYTES + 2 * RESERVE_BYTES
SPARE_BYTES = 256 * KIB
"""Of an empty file."""
VACUUM_BYTES = 4 * KIB * KIB
_MIGRATIONS = (
    """
    CREATE TABLE stream (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, boot TEXT NOT NULL) STRICT;
    CREATE TABLE measurement (
        key INTEGER PRIMARY KEY, kind INTEGER NOT NULL, started_at REAL, raw BLOB NOT NULL) STRICT;
    CREATE INDEX undated ON measurement (key) WHERE kind = 1;
    CREATE TABLE dropped (stream TEXT NOT NULL, cause TEXT NOT NULL, dropped INTEGER NOT NULL, first INTEGER NOT NULL,
        last INTEGER NOT NULL, oldest_at REAL, newest_at REAL) STRICT;
    """,
)


class Damaged(sqlite3.DatabaseError):
    """A row that SQLite gives without complaint and that we never wrote."""


class SpoolFile:
    """An open spool file. Methods raise sqlite3.Error or OSError; then nothing of the call was done."""

    def __init__(self, path: Path) -> None:
        """Opens or makes it, mode 0600.

        Raises:
            StoreError: A newer version wrote it.
        """
        self.path = path
        self._wal = path.with_name(path.name + "-wal")
        self._reserve = path.with_name(path.name + "-reserve")
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
        try:
            self._prepare()
        except BaseException:
            self.abandon()
            raise

    def _prepare(self) -> None:
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", f"wal_autocheckpoint={CHECKPOINT_FRAMES}"):
            self.db.execute(f"PRAGMA {pragma}").fetchall()
        for pragma in ("secure_delete=OFF", "temp_store=MEMORY"):
            self.db.execute(f"PRAGMA {pragma}").fetchall()
        self._migrate()
        for table in ("stream", "measurement", "dropped"):
            self.db.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()  # noqa: S608
        # A disk that is full already still lets what the file holds be read and sent.
        with contextlib.suppress(OSError):
            self.keep_reserve()
        with contextlib.suppress(sqlite3.OperationalError):
            self.keep_spare()

    def _migrate(self) -> None:
        version = self._pragma("user_version")
        if version > len(_MIGRATIONS):
            raise StoreError(
                f"{self.path}: a newer fibrewatch-agent wrote this spool (schema {version}, here {len(_MIGRATIONS)}): "
                "upgrade, or move the file away"
            )
        for number, script in enumerate(_MIGRATIONS[version:], version + 1):
            with self.transaction():
                for statement in script.split(";"):
                    self.db.execute(statement)
                self.db.execute(f"PRAGMA user_version={number}")

    @staticmethod
    def _allocate(path: Path, size: int) -> None:
        """Makes the file hold blocks for `size` bytes at least; what is in it stays."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)
        finally:
            os.close(fd)

    def _pragma(self, name: str) -> int:
        return int(self.db.execute(f"PRAGMA {name}").fetchone()[0])

    @contextlib.contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[None]:
        """All that is done within, or nothing; `durable`: it is synced before this ends."""
        self.db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.db.execute("COMMIT")
        except BaseException:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise

    # ---- space

    def used_bytes(self) -> int:
        """Of the file, pages in use."""
        return (self._pragma("page_count") - self._pragma("freelist_count")) * PAGE_BYTES

    def size_bytes(self) -> int:
        """What the spool takes on the disk, all its files."""
        files = (self.path, self._wal, self._reserve)
        return sum(file.stat().st_size for file in files if file.exists())

    def checkpoint(self) -> None:
        """Brings the WAL into the file; if the disk is full, in the place of the reserve."""
        try:
            self.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.OperationalError:
            self._reserve.unlink(missing_ok=True)
            self.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    @contextlib.contextmanager
    def growing(self, size: int) -> Iterator[None]:
        """A transaction that adds `size` bytes of rows.

        Raises:
            OSError: ENOSPC; the file would have to grow and there is no reserve.
        """
        if self._pragma("freelist_count") * PAGE_BYTES < 2 * size + SLACK_BYTES:
            self.keep_reserve()
        before = self._pragma("page_count")
        with self.transaction():
            yield
        if self._pragma("page_count") > before:
            self.checkpoint()

    def keep_reserve(self) -> None:
        """Makes the WAL's blocks and the reserve stand.

        Raises:
            OSError: ENOSPC; there is no room.
        """
        self._allocate(self._wal, WAL_BYTES)
        self._allocate(self._reserve, RESERVE_BYTES)

    def keep_spare(self) -> None:
        """Gives a small file pages to spare: what is measured while others have filled the disk goes there."""
        with self.transaction():
            self.db.execute("DELETE FROM measurement WHERE key = 0")  # left by a kill
        if self._pragma("page_count") * PAGE_BYTES < SPARE_BYTES:
            with self.transaction():
                self.db.execute("INSERT INTO measurement VALUES (0, 0, NULL, zeroblob(?))", (SPARE_BYTES,))
            self.checkpoint()
            with self.transaction():
                self.db.execute("DELETE FROM measurement WHERE key = 0")

    def shrink(self) -> None:
        """Gives the disk back what an empty file holds."""
        if self._pragma("freelist_count") * PAGE_BYTES > VACUUM_BYTES:
            self.db.execute("VACUUM")
            self.checkpoint()
            self.keep_spare()

    def close(self) -> None:
        """Closes it; the reserve is given back."""
        self.db.close()
        self._reserve.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Closes it whatever state it is in."""
        with contextlib.suppress(sqlite3.Error):
            self.db.close()


def is_damage(error: Exception) -> bool:
    """Whether the file itself is broken, rather than the disk unwilling.

    Text that is not UTF-8 is in what it holds, or in SQLite's own message about it.
    """
    if isinstance(error, Damaged | UnicodeDecodeError) or str(error).startswith("Could not decode to UTF-8"):
        return True
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def open_or_replace(path: Path) -> SpoolFile:
    """Opens the file; a damaged one is moved aside and a fresh one begun.

    Raises:
        sqlite3.Error: The disk refuses.
        StoreError: A newer version wrote it.
    """
    try:
        return SpoolFile(path)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as e:
        # SQLITE_ERROR: it is a database, but without our tables.
        if not is_damage(e) and getattr(e, "sqlite_errorcode", 0) != sqlite3.SQLITE_ERROR:
            raise
        move_aside(path, str(e))
        return SpoolFile(path)


def move_aside(path: Path, why: str) -> None:
    """Keeps a damaged file for a person to look at; one at most, so that a dying card is not filled with them."""
    for older in path.parent.glob(f"{path.name}.damaged-*"):
        older.unlink()
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}")
    for suffix in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    log.error("the spool is damaged and was moved aside, a fresh one is begun: file=%s kept=%s %s", path, aside, why)
