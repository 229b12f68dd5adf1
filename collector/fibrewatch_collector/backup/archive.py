"""The container: a tar file of plain files, and last of all a manifest with the size and SHA-256 of each."""

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from fibrewatch_collector.backup import BackupError

FORMAT = 1
MANIFEST = "manifest.json"
MAX_TEXT_BYTES = 16 * 2**20
"""Of what is read into memory: manifest and settings."""
_CHUNK = 2**20


class File(Struct, frozen=True, kw_only=True):
    """A file of the archive."""

    name: str
    bytes: int
    sha256: str


class Manifest(Struct, frozen=True, kw_only=True):
    """What the archive says of itself.

    Attributes:
        through: Whatever the collector acknowledged before this moment is in it.
        row: The last row of the store, 0 of an empty one.
        schema: The store's.
        left_out: Secrets that are part of the state and not of this archive.
    """

    format: int
    software: str
    through: datetime
    row: int
    schema: int
    left_out: tuple[str, ...]
    files: tuple[File, ...]


class Reading:
    """Passes a stream on, counts it and hashes it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._digest, self.size = file, hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        """As a file's."""
        data = self._file.read(size)
        self._digest.update(data)
        self.size += len(data)
        return data

    def told(self, name: str) -> File:
        """Of all that was read."""
        return File(name=name, bytes=self.size, sha256=self._digest.hexdigest())


def add(tar: tarfile.TarFile, name: str, source: Path) -> File:
    """Puts a file into the archive."""
    with source.open("rb") as file:
        info = tarfile.TarInfo(name)
        info.size, info.mode = source.stat().st_size, 0o600
        reading = Reading(file)
        tar.addfile(info, reading)
        return reading.told(name)


def finish(tar: tarfile.TarFile, manifest: Manifest) -> None:
    """Adds the manifest."""
    data = msgspec.json.format(msgspec.json.encode(manifest))
    info = tarfile.TarInfo(MANIFEST)
    info.size, info.mode = len(data), 0o600
    tar.addfile(info, BytesIO(data))


@contextmanager
def members(path: Path) -> Iterator[Iterator[tuple[str, Reading]]]:
    """Names and contents, in order; each content is to be read before the next is asked for.

    Raises:
        BackupError: It is no archive, is cut short, or holds anything but plain files.
    """
    try:
        with tarfile.open(path, "r|") as tar:
            yield _members(tar, path)
    except (tarfile.TarError, EOFError) as e:
        raise BackupError(f"{path}: is damaged, or no backup: {e}") from e


def _members(tar: tarfile.TarFile, path: Path) -> Iterator[tuple[str, Reading]]:
    for info in tar:
        content = tar.extractfile(info) if info.isreg() else None
        if content is None:
            raise BackupError(f"{path}: {info.name!r} is not a plain file")
        yield info.name, Reading(content)


def check(path: Path, keep: str) -> tuple[Manifest, bytes]:
    """Reads all of the archive; its manifest and the content of the file `keep`.

    Raises:
        BackupError: Any of it is not what the manifest says.
    """
    texts: dict[str, bytes] = {}
    found: list[File] = []
    with members(path) as read:
        for name, content in read:
            if name in (MANIFEST, keep):
                texts[name] = content.read(MAX_TEXT_BYTES)
            drain(content, lambda data: None)
            if name != MANIFEST:
                found.append(content.told(name))
    manifest = _manifest(path, texts.get(MANIFEST))
    _compare(path, found, manifest)
    if keep not in texts:
        raise BackupError(f"{path}: {keep} is not in it")
    return manifest, texts[keep]


def drain(content: Reading, sink: Callable[[bytes], object]) -> None:
    """All of a content, by and by."""
    while data := content.read(_CHUNK):
        sink(data)


def _manifest(path: Path, text: bytes | None) -> Manifest:
    if text is None:
        raise BackupError(f"{path}: is cut short, or no backup: it ends without a manifest")
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.MsgspecError as e:
        raise BackupError(f"{path}: {MANIFEST}: {e}") from e
    if manifest.format != FORMAT:
        raise BackupError(f"{path}: is of format {manifest.format}, this program reads {FORMAT}: use a newer one")
    return manifest


def _compare(path: Path, found: list[File], manifest: Manifest) -> None:
    """Every file of the manifest once, and no other."""
    told = {each.name: each for each in manifest.files}
    for each in found:
        if each.name not in told:
            raise BackupError(f"{path}: {each.name} is not in its manifest, or is there twice")
        if told.pop(each.name) != each:
            raise BackupError(f"{path}: {each.name} is damaged: it is not what the manifest says")
    if told:
        raise BackupError(f"{path}: {', '.join(told)}: in the manifest, but not there")
