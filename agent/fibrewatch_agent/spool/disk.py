"""The spool's file as the backlog sees it: there, or refused for now and tried again."""

import errno
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fibrewatch_agent.spool.file import is_damage, move_aside, open_or_replace
from fibrewatch_agent.spool.table import Table

log = logging.getLogger(__name__)

RETRY_FIRST_S, RETRY_CAP_S = 0.5, 10.0


class DiskRefused(Exception):  # noqa: N818
    """The disk took or gave nothing; it is tried again later."""


class Disk:
    """Opens the file, watches over every use of it, and replaces it when it is damaged.

    Attributes:
        refusal: Why the disk takes nothing at present; None when it does.
        size_bytes: What the spool took on the disk when last looked at.
    """

    def __init__(self, path: Path, opened: Callable[[Table], None], lost: Callable[[], None]) -> None:
        """`opened` is called with each table freshly opened, `lost` when the file was moved aside while in use."""
        self.path, self.refusal = path, ""
        self.size_bytes = 0
        self._opened, self._lost = opened, lost
        self._table: Table | None = None
        self._retry_at, self._retry_s = 0.0, RETRY_FIRST_S
        self._closed = False

    @property
    def due(self) -> bool:
        """Whether the disk takes measurements or may be asked again; a full one always, since that costs little."""
        return not self.refusal or time.monotonic() >= self._retry_at

    def ask_now(self) -> None:
        """Something was freed: the next write is tried at once."""
        self._retry_at = 0.0

    def accepted(self) -> None:
        """Everything was written."""
        if self.refusal:
            log.info("the disk takes measurements again: %s", self.path)
        self.refusal, self._retry_s = "", RETRY_FIRST_S

    @contextmanager
    def use(self) -> Iterator[Table]:
        """The open file.

        Raises:
            DiskRefused: It can't be opened, or something went wrong with it inside.
            StoreError: A newer version wrote it.
        """
        if self._closed or (self._table is None and not self.due):
            raise DiskRefused(self.refusal)
        try:
            table = self._table or self._open()
            yield table
            self.size_bytes = table.file.size_bytes()
        except (sqlite3.Error, OSError, UnicodeDecodeError) as e:
            self._trouble(e)
            raise DiskRefused(str(e)) from e

    def _open(self) -> Table:
        table = Table(open_or_replace(self.path))
        try:
            self._opened(table)
        except BaseException:
            table.file.abandon()
            raise
        self._table = table
        return table

    def _trouble(self, error: Exception) -> None:
        if not self.refusal:
            log.error("the disk refuses, measurements wait in memory: %s: %s", self.path, error)
        self.refusal = str(error)
        if is_damage(error):
            self._abandon()
            move_aside(self.path, str(error))
            self._lost()
        elif not _is_full(error):
            self._abandon()  # what an I/O error leaves of a connection is not worth guessing
            self._retry_at = time.monotonic() + self._retry_s
            self._retry_s = min(2 * self._retry_s, RETRY_CAP_S)

    def _abandon(self) -> None:
        if self._table is not None:
            self._table.file.abandon()
            self._table = None

    def close(self) -> None:
        """Closes the file."""
        self._closed = True
        if self._table is not None:
            self._table.file.close()
            self._table = None


def _is_full(error: Exception) -> bool:
    return getattr(error, "sqlite_errorname", "") == "SQLITE_FULL" or getattr(error, "errno", 0) == errno.ENOSPC
