"""Files that are written as a whole or not at all, several together."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

Owner = tuple[int, int]


class Content(Struct, frozen=True):
    """What a file is to hold, who may read it (0600: a secret), and whose it is if not ours."""

    data: bytes
    mode: int = 0o644
    owner: Owner | None = None


def write_together(contents: Mapping[Path, Content]) -> None:
    """All of them, each at once and on the disk, or none: what can fail is done beside them first.

    Raises:
        OSError: Nothing was changed; its file name is the one that could not be written.
    """
    fresh = {path: path.with_name(f".{path.name}.new") for path in contents}
    try:
        for path, content in contents.items():
            try:
                _write(fresh[path], content)
            except OSError as e:
                raise OSError(e.errno, e.strerror, str(path)) from e
        for path, made in fresh.items():
            made.replace(path)
    finally:
        for made in fresh.values():
            with contextlib.suppress(OSError):
                made.unlink(missing_ok=True)
    for folder in {path.parent for path in contents}:
        _settle(folder)


def readable_by_others(path: Path) -> bool:
    """By any but its owner and its group."""
    return bool(path.stat().st_mode & 0o007)


def _write(path: Path, content: Content) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, content.mode), "wb") as file:
        os.fchmod(file.fileno(), content.mode)
        if content.owner is not None:
            os.fchown(file.fileno(), *content.owner)
        file.write(content.data)
        file.flush()
        os.fsync(file.fileno())


def _settle(folder: Path) -> None:
    """The names too are on the disk (fsync(2))."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
