"""A folder for one run, gone afterwards; locked meanwhile, so that what a killed run left is known and removed."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fibrewatch.errors import ToolError

_TRIES = 20


@contextmanager
def own_folder(prefix: str) -> Iterator[Path]:
    """Makes it, and removes what earlier runs of this user left behind under that prefix.

    Raises:
        ToolError: There is no place for it.
    """
    try:
        _sweep(prefix)
        path, lock = _made(prefix)
    except OSError as e:
        raise ToolError(f"no folder for temporary files: {e.filename or tempfile.gettempdir()}: {e.strerror}") from e
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _made(prefix: str) -> tuple[Path, int]:
    """A new folder and its lock, which ends with this process; another's sweep may come in between."""
    for _ in range(_TRIES):
        path = Path(tempfile.mkdtemp(prefix=prefix))
        lock = _locked(path)
        if lock is not None and path.exists():
            return path, lock
    raise ToolError(f"no folder stays in {tempfile.gettempdir()}")


def _sweep(prefix: str) -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        lock = _locked(path)
        if lock is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


def _locked(path: Path) -> int | None:
    """The lock of a folder of ours; None where somebody has it, or it is none of ours."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_uid == os.geteuid():
            return fd
    except OSError:
        pass
    os.close(fd)
    return None
