"""The container: a tar file (POSIX ustar) of which every byte is determined by names, sizes and contents.

It is read strictly: each header must be the very bytes that `write` would have written, so that no name leads
elsewhere, nothing is a link, and no bit is free to be changed.
"""

import hashlib
import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from fibrewatch_collector.evidence import PackError

FOLDER = "evidence/"
NAME = re.compile(r"[a-z][a-z0-9_-]{0,40}(\.[a-z0-9]{1,8}){1,3}")
BLOCK = 512
END = bytes(2 * BLOCK)
MAX_FILES = 64
_CHUNK = 1 << 20
_MOST_BYTES = 8**11 - 1
"""What ustar's eleven octal digits hold."""
STEP = "container"


def write(out: BinaryIO, files: Iterable[Path]) -> None:
    """Puts files into one archive, under their own names, in this order."""
    for path in files:
        size = path.stat().st_size
        out.write(header(path.name, size))
        with path.open("rb") as content:
            while chunk := content.read(_CHUNK):
                out.write(chunk)
        out.write(bytes(-size % BLOCK))
    out.write(END)


def header(name: str, size: int) -> bytes:
    """The only header there is for a name and a size."""
    info = tarfile.TarInfo(FOLDER + name)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def unpack(pack: BinaryIO, folder: Path) -> dict[str, str]:
    """Writes the files of an archive to an empty folder; returns the SHA-256 of each, in hexadecimal.

    Raises:
        PackError: It has another byte than `write` would have written.
    """
    found: dict[str, str] = {}
    for name, size in _members(pack):
        if name in found:
            raise PackError(STEP, f"{name} is in it twice")
        if len(found) == MAX_FILES:
            raise PackError(STEP, f"it holds more than {MAX_FILES} files")
        found[name] = _copy(pack, size, folder / name)
    return found


def _members(pack: BinaryIO) -> Iterator[tuple[str, int]]:
    """Names and sizes; after each the reader stands at its content."""
    while True:
        block = pack.read(BLOCK)
        if block == bytes(BLOCK):
            break
        yield _member(block)
    if pack.read(BLOCK + 1) != bytes(BLOCK):
        raise PackError(STEP, "it goes on after its end")


def _member(block: bytes) -> tuple[str, int]:
    if len(block) != BLOCK:
        raise PackError(STEP, "it is cut short, or no evidence pack")
    text = block[:100].rstrip(b"\0").decode("ascii", "replace")
    name = text.removeprefix(FOLDER)
    if not text.startswith(FOLDER) or not NAME.fullmatch(name):
        raise PackError(STEP, f"{text[:60]!r} is no name of a file in an evidence pack")
    digits = block[124:135]
    if not re.fullmatch(rb"[0-7]{11}", digits) or block != header(name, int(digits, 8)):
        raise PackError(STEP, f"{name}: its header is not that of a plain file as packs hold them")
    return name, int(digits, 8)


def _copy(pack: BinaryIO, size: int, to: Path) -> str:
    digest, left = hashlib.sha256(), size
    with to.open("xb") as out:
        while left:
            chunk = pack.read(min(_CHUNK, left))
            if not chunk:
                raise PackError(STEP, f"it is cut short within {to.name}")
            digest.update(chunk)
            out.write(chunk)
            left -= len(chunk)
    padding = -size % BLOCK
    if pack.read(padding) != bytes(padding):
        raise PackError(STEP, f"{to.name}: what fills its last block is not empty")
    return digest.hexdigest()
