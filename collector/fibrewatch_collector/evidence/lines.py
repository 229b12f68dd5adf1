"""NDJSON in gzip: written with the same bytes for the same lines, read with bounds on all of it."""

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from fibrewatch_collector.evidence import PackError

T = TypeVar("T")
MAX_LINE = 8 << 20
"""An edition of a report is one line."""
MOST_BYTES = 16 << 30
"""Of one file, unpacked."""
MOST_RATIO, SMALL = 300, 64 << 20
"""What is packed better than this, and is not small, is no list of measurements."""
_LEVEL = 6


def write(path: Path, lines: Iterable[bytes]) -> int:
    """Each line with its end; returns how many bytes were packed."""
    size = 0
    with path.open("wb") as raw, gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as packed:
        buffered = io.BufferedWriter(packed, 1 << 16)
        for line in lines:
            buffered.write(line)
            size += len(line)
        buffered.flush()
    return size


def encode(item: msgspec.Struct) -> bytes:
    """One line."""
    return msgspec.json.encode(item, order="deterministic") + b"\n"


def read(path: Path, kind: type[T], unpacked: int) -> Iterator[T]:
    """The lines of a file that holds so many bytes.

    Raises:
        PackError: It holds more or fewer, a line is too long, or is not of that kind.
    """
    decoder = msgspec.json.Decoder(kind)
    for number, line in enumerate(_lines(path, unpacked), 1):
        try:
            yield decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
            raise PackError("contents", f"{path.name}, line {number}: {e}") from e


def _lines(path: Path, unpacked: int) -> Iterator[bytes]:
    if unpacked > min(MOST_BYTES, max(SMALL, MOST_RATIO * path.stat().st_size)):
        raise PackError("contents", f"{path.name}: would unpack to {unpacked} bytes, which is out of proportion")
    size = 0
    try:
        with gzip.open(path, "rb") as file:
            while line := file.readline(MAX_LINE + 1):
                size += len(line)
                if size > unpacked or len(line) > MAX_LINE:
                    raise PackError("contents", f"{path.name}: more unpacks from it than the manifest says")
                yield line
    except (OSError, EOFError, zlib.error) as e:
        raise PackError("contents", f"{path.name}: can't be unpacked: {e}") from e
    if size != unpacked:
        raise PackError("contents", f"{path.name}: unpacks to {size} bytes, not {unpacked}")
