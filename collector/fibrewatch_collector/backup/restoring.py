"""Puts an archive's files back where its configuration says: all of them, or none."""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from fibrewatch_collector import config
from fibrewatch_collector.backup import BackupError, archive, database
from fibrewatch_collector.backup.archive import Manifest
from fibrewatch_collector.backup.parts import CONFIG, Part, parts

_SETTINGS_MODE, _STATE_MODE, _SECRET_MODE = 0o640, 0o644, 0o600


class Restored(NamedTuple):
    """What was done.

    Attributes:
        aside: Where files that were there before are now.
    """

    manifest: Manifest
    files: tuple[Path, ...]
    aside: tuple[Path, ...]


def check(pack: Path, file: Path) -> Manifest:
    """Reads and checks an archive, and unpacks its databases beside it for that.

    Raises:
        BackupError: It is damaged, or of a newer program.
    """
    manifest, wanted = _wanted(pack, file)
    with TemporaryDirectory(prefix=".fibrewatch-", dir=pack.parent) as folder:
        fresh = {each.name: (each, Path(folder) / each.name.replace("/", "-")) for each in wanted if each.database}
        with archive.members(pack) as read:
            for name, content in read:
                with (fresh[name][1] if name in fresh else Path(os.devnull)).open("wb") as to:
                    archive.drain(content, to.write)
        _check_databases(pack, fresh)
    return manifest


def restore(pack: Path, file: Path, *, force: bool) -> Restored:
    """Unpacks beside the places, checks what is there, and then changes the names; `file` is where collector.toml goes.

    What was there is kept under another name.

    Raises:
        BackupError: Nothing was changed: the archive is bad, or a place is taken.
        OSError: Nothing was changed: a file can't be written.
    """
    manifest, wanted = _wanted(pack, file)
    if not force:
        _refuse_to_replace(wanted)
    with ExitStack() as held:
        for each in wanted:
            if each.database:
                held.enter_context(database.nobody_has_it_open(each.path))
        _check_room(wanted, manifest)
        with _staged(wanted) as fresh:
            _unpack(pack, fresh, manifest)
            _check_databases(pack, fresh)
            aside = _put_in_place(fresh)
    return Restored(manifest, tuple(each.path for each in wanted), aside)


def _wanted(pack: Path, file: Path) -> tuple[Manifest, list[Part]]:
    manifest, text = archive.check(pack, CONFIG)
    known = {each.name: each for each in parts(file, config.read_config(text, f"{pack}: {CONFIG}", file.parent))}
    if unknown := [each.name for each in manifest.files if each.name not in known]:
        raise BackupError(f"{pack}: {unknown[0]}: its configuration knows no such file")
    held = {each.name for each in manifest.files}
    if missing := [each.name for each in known.values() if each.needed and each.name not in held]:
        raise BackupError(f"{pack}: {missing[0]} is not in it")
    wanted = [each for each in known.values() if each.name in held]
    if len({each.path for each in wanted}) < len(wanted):
        raise BackupError(f"{pack}: its configuration names one file for two things")
    return manifest, wanted


def _refuse_to_replace(wanted: Sequence[Part]) -> None:
    """Settings are replaced: a new package brings examples, and what was there is kept."""
    taken = [each.path for each in wanted if each.kind != "settings" and each.path.exists()]
    taken = [path for path in taken if not database.is_empty(path)]
    if taken:
        raise BackupError(f"{', '.join(map(str, taken))}: holds a state already; --force puts it aside")


def _check_room(wanted: Sequence[Part], manifest: Manifest) -> None:
    sizes = {each.name: each.bytes for each in manifest.files}
    needed: dict[int, tuple[Path, int]] = {}
    for each in wanted:
        folder = _nearest(each.path.parent)
        device = folder.stat().st_dev
        needed[device] = folder, needed.get(device, (folder, 0))[1] + sizes[each.name]
    for folder, size in needed.values():
        if size > (free := shutil.disk_usage(folder).free):
            raise BackupError(f"{folder}: no room: {size >> 20} MiB are needed, {free >> 20} MiB are free")


def _nearest(folder: Path) -> Path:
    """The folder, or the first above it that is there."""
    return next(each for each in (folder, *folder.parents) if each.exists())


# ---- beside the places


@contextmanager
def _staged(wanted: Sequence[Part]) -> Iterator[dict[str, tuple[Part, Path]]]:
    """Name → part and the file to fill; those that were not taken, and folders made for them, are gone at the end."""
    made: list[Path] = []
    fresh = {each.name: (each, each.path.with_name(f".{each.path.name}.restoring")) for each in wanted}
    try:
        for each in wanted:
            made += _make_folder(each.path.parent)
        yield fresh
    finally:
        for _, path in fresh.values():
            for end in database.SIDES:
                path.with_name(path.name + end).unlink(missing_ok=True)
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()


def _make_folder(folder: Path) -> list[Path]:
    """Which folders had to be made; they belong to whom the one above belongs to."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()][::-1]
    for each in missing:
        each.mkdir(mode=0o750)
        if os.geteuid() == 0:
            above = each.parent.stat()
            os.chown(each, above.st_uid, above.st_gid)
    return missing


def _unpack(pack: Path, fresh: dict[str, tuple[Part, Path]], manifest: Manifest) -> None:
    told = {each.name: each for each in manifest.files}
    group = next(part.path.parent.stat().st_gid for part, _ in fresh.values() if part.kind == "store")
    with archive.members(pack) as read:
        for name, content in read:
            if name == archive.MANIFEST:
                continue
            part, path = fresh[name]
            path.unlink(missing_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _SECRET_MODE), "wb") as file:
                archive.drain(content, file.write)
                _give(file.fileno(), part, group)
                file.flush()
                os.fsync(file.fileno())
            if content.told(name) != told[name]:
                raise BackupError(f"{pack}: {name} changed while it was read")


def _give(fd: int, part: Part, group: int) -> None:
    """As the file that is there, or as its folder; settings can be read by the collector's group."""
    as_before = part.path.stat() if part.path.exists() else None
    mode = {"settings": _SETTINGS_MODE, "register": _SECRET_MODE, "store": _SETTINGS_MODE}.get(part.kind, _STATE_MODE)
    os.fchmod(fd, _SECRET_MODE if part.secret else mode if as_before is None else as_before.st_mode & 0o777)
    if os.geteuid() == 0:
        folder = part.path.parent.stat()
        owner = folder.st_uid, group if part.kind == "settings" else folder.st_gid
        os.fchown(fd, *(owner if as_before is None else (as_before.st_uid, as_before.st_gid)))


def _check_databases(pack: Path, fresh: dict[str, tuple[Part, Path]]) -> None:
    for name, (part, path) in fresh.items():
        if part.database:
            try:
                database.check(path)
                if part.kind == "store":
                    database.schema_and_row(path)
            except BackupError as e:
                raise BackupError(f"{pack}: {name}: {e}") from e


# ---- the names


def _put_in_place(fresh: dict[str, tuple[Part, Path]]) -> tuple[Path, ...]:
    """Changes the names; at an error those that were changed already are changed back."""
    mark = time.strftime(".before-%Y%m%dT%H%M%SZ", time.gmtime())
    undo = ExitStack()
    with undo:
        aside = [path for part, _ in fresh.values() for path in _aside(part, mark, undo)]
        for part, path in fresh.values():
            if not part.path.exists():
                undo.callback(part.path.unlink, missing_ok=True)
            path.replace(part.path)
        undo.pop_all()
    for folder in {part.path.parent for part, _ in fresh.values()}:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(fd)
        os.close(fd)
    return tuple(aside)


def _aside(part: Part, mark: str, undo: ExitStack) -> Iterator[Path]:
    """Gives what is there a second name, which stays when the new file takes the first; a database's sides go along."""
    before = part.path.with_name(part.path.name + mark)
    if not part.path.exists():
        return
    os.link(part.path, before)
    undo.callback(os.replace, before, part.path)
    yield before
    for end in database.SIDES[1:] if part.database else ():
        side = part.path.with_name(part.path.name + end)
        if side.exists():
            to = before.with_name(before.name + end)
            side.rename(to)
            undo.callback(to.rename, side)
