"""Makes an archive of a collector's state, running or not."""

import fcntl
import os
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from fibrewatch import __version__
from fibrewatch_collector.backup import BackupError, archive, database
from fibrewatch_collector.backup.archive import FORMAT, File, Manifest
from fibrewatch_collector.backup.parts import STORE, Part

_MODE = 0o600


class _Copies(NamedTuple):
    """The databases' copies, by name, and the store's moment."""

    paths: dict[str, Path]
    through: float


def make(found: Sequence[Part], out: Path, *, with_keys: bool) -> Manifest:
    """Writes the archive, as a whole or not at all; it needs about twice the store's room for a time.

    Raises:
        BackupError: A part is missing or damaged, or there is not room enough.
        OSError: It can't be read or written.
    """
    if out.exists():
        raise BackupError(f"{out}: is there already; a backup is never overwritten")
    there = _there(found)
    left_out = tuple(each.name for each in there if each.secret and not with_keys)
    wanted = [each for each in there if each.name not in left_out]
    with _scratch(out) as folder:
        _check_room(wanted, folder)
        copies = _copied(wanted, folder)
        made = folder / "archive"
        manifest = _written(wanted, copies, made, left_out)
        made.rename(out)
    _settle(out.parent)
    return manifest


def _there(found: Sequence[Part]) -> list[Part]:
    for each in found:
        if each.needed and not each.path.exists():
            raise BackupError(f"{each.path}: is missing, so there is nothing to back up")
    return [each for each in found if each.path.exists()]


def _check_room(wanted: Sequence[Part], folder: Path) -> None:
    databases = [each for each in wanted if each.database]
    needed = 2 * sum(each.path.with_name(each.path.name + end).stat().st_size for each, end in _files(databases))
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise BackupError(f"{folder.parent}: no room: about {needed >> 20} MiB are needed, {free >> 20} MiB are free")


def _files(databases: Sequence[Part]) -> Iterator[tuple[Part, str]]:
    for each in databases:
        yield from ((each, end) for end in database.SIDES if each.path.with_name(each.path.name + end).exists())


def _copied(wanted: Sequence[Part], folder: Path) -> _Copies:
    """The store last: no renewed certificate is newer than what it tells."""
    paths, through = dict[str, Path](), 0.0
    for each in wanted:
        if each.database:
            paths[each.name] = folder / each.name.replace("/", "-")
            moment = database.snapshot(each.path, paths[each.name])
            through = moment if each.name == STORE else through
    return _Copies(paths, through)


def _written(wanted: Sequence[Part], copies: _Copies, to: Path, left_out: tuple[str, ...]) -> Manifest:
    schema, row = database.schema_and_row(copies.paths[STORE])
    files: list[File] = []
    with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "wb") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for each in wanted:
                files.append(archive.add(tar, each.name, copies.paths.get(each.name, each.path)))
                copies.paths.get(each.name, to.with_name("none")).unlink(missing_ok=True)
            manifest = Manifest(
                format=FORMAT,
                software=__version__,
                through=datetime.fromtimestamp(copies.through, UTC),
                row=row,
                schema=schema,
                left_out=left_out,
                files=tuple(files),
            )
            archive.finish(tar, manifest)
        file.flush()
        os.fsync(file.fileno())
    return manifest


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A folder beside the archive that is gone at the end; one that a killed run left is begun anew."""
    folder = out.with_name(f".{out.name}.making")
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            raise BackupError(f"{out}: another backup is being written there") from e
        try:
            for left in folder.iterdir():
                left.unlink()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _settle(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
