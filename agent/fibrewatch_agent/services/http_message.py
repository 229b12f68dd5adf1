"""HTTP/1.1 as a client reads it: the head of an answer, and the three ways that a body ends (RFC 9112). Pure.

Strict where leniency would believe a forged answer: no bare carriage return, no space before a colon, no two lengths.
A line feed alone ends a line, as §2.2 allows; folded lines are unfolded, as §5.2 asks.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

MAX_HEAD = 16 * 1024
_MAX_LINE = 1024  # of a chunk's size with its extensions
_MAX_TRAILERS = 8 * 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-5][0-9]{2})(?: [^\x00-\x08\x0a-\x1f\x7f]*)?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_LENGTH = re.compile(r"[0-9]{1,15}")


class HttpError(ValueError):
    """What came is not HTTP/1.1.

    Attributes:
        status: Of the status line, where that much of an answer came.
    """

    status: int | None = None


class NoAnswerError(HttpError):
    """The connection was closed before anything came: a server that ended, say."""


class Head(NamedTuple):
    """The head of an answer; names of fields in lower case, repeated ones joined by a comma."""

    version: str
    status: int
    fields: dict[str, str]


def request(
    path: str,
    host: str,
    agent: str,
    *,
    method: str = "GET",
    fields: Mapping[str, str] | None = None,
    body: bytes = b"",
    last: bool = True,
) -> bytes:
    """One that is answered at once; no coding of the body is accepted, so that its size is the wire's.

    Args:
        last: The connection is closed behind the answer.
    """
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {host}",
        f"User-Agent: {agent}",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Cache-Control: no-cache",
        "Connection: close" if last else "Connection: keep-alive",
        *(f"{name}: {value}" for name, value in (fields or {}).items()),
    ]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii") + body


def split_head(data: bytes) -> tuple[bytes, bytes] | None:
    """The head and what follows it; None while it is not complete.

    Raises:
        HttpError: It will be none: too long, or not even beginning like one.
    """
    if not b"HTTP/1.".startswith(data[:7]):
        raise HttpError(f"the answer begins with {data[:20]!r}")
    found = _HEAD_END.search(data)
    if found is None and len(data) <= MAX_HEAD:
        return None
    if found is None or found.start() > MAX_HEAD:
        raise HttpError(f"a head of more than {MAX_HEAD} bytes")
    return data[: found.start()], data[found.end() :]


def status_of(data: bytes) -> int | None:
    """The status of what begins like an answer, whatever follows; None while its first line is not complete."""
    line, end, _ = data.partition(b"\n")
    found = _STATUS_LINE.fullmatch(line.removesuffix(b"\r")) if end else None
    return int(found[2]) if found else None


def parse_head(head: bytes) -> Head:
    """Reads a head without its empty line.

    Raises:
        HttpError: It breaks the grammar of RFC 9112 §4 and §5.
    """
    first, *lines = _lines(head)
    status = _STATUS_LINE.fullmatch(first)
    if status is None:
        raise HttpError(f"the status line is {first[:60]!r}")
    fields: dict[str, str] = {}
    for line in _unfolded(lines):
        header = _HEADER.fullmatch(line)
        if header is None:
            raise HttpError(f"a header line is {line[:60]!r}")
        name, value = header[1].decode("ascii").lower(), header[2].decode("latin-1").strip(" \t")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return Head(f"1.{int(status[1])}", int(status[2]), fields)


def _lines(head: bytes) -> list[bytes]:
    return [line.removesuffix(b"\r") for line in head.split(b"\n")]


def _unfolded(lines: list[bytes]) -> list[bytes]:
    unfolded: list[bytes] = []
    for line in lines:
        if line[:1] in {b" ", b"\t"} and unfolded:
            unfolded[-1] += b" " + line.lstrip(b" \t")
        else:
            unfolded.append(line)
    return unfolded


class Body(Protocol):
    """Takes the bytes behind a head and knows when the body is over.

    Attributes:
        done: The body has ended.
        rest: What came behind its end.
    """

    done: bool
    rest: bytes

    def feed(self, data: bytes) -> bytes:
        """The part of the body in these bytes, without framing; raises HttpError."""

    def end(self) -> None:
        """The other end has closed; raises HttpError when that was too early."""


def body_of(head: Head) -> Body:
    """How the body of an answer to a GET ends (RFC 9112 §6.3): Transfer-Encoding overrides Content-Length.

    Raises:
        HttpError: The head says two lengths, or none that can be read.
    """
    length, coding = head.fields.get("content-length"), head.fields.get("transfer-encoding")
    if head.status in {204, 304}:
        return LengthBody(0)
    if coding is not None:
        if coding.lower().split(",")[-1].strip() != "chunked":
            raise HttpError(f"Transfer-Encoding is {coding[:60]!r}")
        return ChunkedBody()
    return UntilClosed() if length is None else LengthBody(_content_length(length))


def _content_length(text: str) -> int:
    values = {value.strip() for value in text.split(",")}
    if len(values) != 1 or not _LENGTH.fullmatch(value := values.pop()):
        raise HttpError(f"Content-Length is {text[:60]!r}")
    return int(value)


class LengthBody:
    """So many bytes."""

    def __init__(self, length: int) -> None:
        self._left = self._length = length
        self.done = length == 0
        self.rest = b""

    @property
    def left(self) -> int:
        """Bytes that are still to come."""
        return self._left

    def skip(self, size: int) -> None:
        """So many of them came, and need not be looked at."""
        self._left -= size
        self.done = self._left == 0

    def feed(self, data: bytes) -> bytes:
        """As `Body`."""
        part, self.rest = data[: self._left], self.rest + data[self._left :]
        self._left -= len(part)
        self.done = self._left == 0
        return part

    def end(self) -> None:
        """As `Body`."""
        if not self.done:
            raise HttpError(f"closed after {self._length - self._left} bytes of {self._length}")


class UntilClosed:
    """Everything until the other end closes."""

    def __init__(self) -> None:
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """As `Body`."""
        return data

    def end(self) -> None:
        """As `Body`."""
        self.done = True


class ChunkedBody:
    """Chunks, each behind its size, and trailers (RFC 9112 §7.1)."""

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self._buffer = bytearray()  # taking from its front costs nothing
        self._left = 0  # of the chunk that has begun
        self._expects: Callable[[bytearray], bool] = self._size
        self._trailers = 0

    def feed(self, data: bytes) -> bytes:
        """As `Body`."""
        self._buffer += data
        body = bytearray()
        while not self.done and self._expects(body):
            pass
        if self.done:
            self.rest += self._taken(len(self._buffer))
        return bytes(body)

    def end(self) -> None:
        """As `Body`."""
        if not self.done:
            raise HttpError("closed in the middle of a chunked body")

    def _taken(self, size: int) -> bytes:
        part = bytes(self._buffer[:size])
        del self._buffer[:size]
        return part

    def _line(self) -> bytes | None:
        """The next line without its end; None while it is not complete."""
        end = self._buffer.find(b"\r\n", 0, _MAX_LINE + 2)
        if end >= 0:
            return self._taken(end + 2)[:-2]
        if len(self._buffer) > _MAX_LINE:
            raise HttpError(f"a line of more than {_MAX_LINE} bytes among the chunks")
        return None

    def _size(self, _: bytearray) -> bool:
        line = self._line()
        if line is None:
            return False
        size = _CHUNK_SIZE.fullmatch(line)
        if size is None:
            raise HttpError(f"a chunk's size is {line[:40]!r}")
        self._left = int(size[1], 16)
        self._expects = self._data if self._left else self._trailer
        return True

    def _data(self, body: bytearray) -> bool:
        part = self._taken(self._left)
        body += part
        self._left -= len(part)
        if self._left:
            return False
        self._expects = self._data_end
        return True

    def _data_end(self, _: bytearray) -> bool:
        end = self._buffer[:2]
        if not b"\r\n".startswith(end):
            raise HttpError("a chunk is longer than its size says")
        if len(end) < 2:
            return False
        self._taken(2)
        self._expects = self._size
        return True

    def _trailer(self, _: bytearray) -> bool:
        line = self._line()
        if line is None:
            return False
        self._trailers += len(line) + 2
        if self._trailers > _MAX_TRAILERS:
            raise HttpError("trailers without end")
        self.done = not line
        return True
