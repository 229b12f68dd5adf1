"""HTTP/1.1 as read by a client: heads, bodies in any pieces, and what is refused."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibrewatch_agent.services.http_message import (
    MAX_HEAD,
    Body,
    ChunkedBody,
    Head,
    HttpError,
    LengthBody,
    UntilClosed,
    body_of,
    parse_head,
    request,
    split_head,
)


def head(*lines: str, status: str = "HTTP/1.1 200 OK") -> Head:
    return parse_head("\r\n".join((status, *lines)).encode("latin-1"))


def fed(body: Body, data: bytes, size: int) -> bytes:
    """The body of data that come in pieces of one size, and then an end."""
    found = b"".join(body.feed(data[at : at + size]) for at in range(0, len(data), size) if not body.done)
    if not body.done:
        body.end()
    return found


def test_a_request_names_host_and_closes() -> None:
    lines = request("/a?b=c", "example.fr:8080", "fibrewatch/1").split(b"\r\n")
    assert lines[:2] == [b"GET /a?b=c HTTP/1.1", b"Host: example.fr:8080"]
    assert b"Connection: close" in lines
    assert lines[-2:] == [b"", b""]


def test_a_head_is_complete_at_its_empty_line() -> None:
    data = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody"
    for end in range(len(data) - 5):
        assert split_head(data[:end]) is None
    assert split_head(data) == (b"HTTP/1.1 200 OK\r\nA: b", b"body")
    assert split_head(b"HTTP/1.0 404 No\n\nx") == (b"HTTP/1.0 404 No", b"x")


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/2 200", b"h", b"<html>", b"\r\n"]
)
def test_what_does_not_begin_like_http_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(HttpError, match="begins with"):
        split_head(data)


def test_a_head_without_end_is_refused() -> None:
    with pytest.raises(HttpError, match="more than"):
        split_head(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * (MAX_HEAD // 6))


def test_a_head_is_read() -> None:
    assert head("Content-Length:  5 ", "X-A: 1", "x-a:2", "Empty:", status="HTTP/1.0 404 Pas trouv\xe9") == Head(
        "1.0", 404, {"content-length": "5", "x-a": "1, 2", "empty": ""}
    )
    assert parse_head(b"HTTP/1.1 204").status == 204


def test_folded_lines_are_unfolded() -> None:
    assert head("A: one", "\t two").fields == {"a": "one two"}


@pytest.mark.parametrize(
    "status",
    ["HTTP/1.1 20 OK", "HTTP/1.1 2000", "HTTP/1.1  200 OK", "HTTP/1.1 600 No", "HTTP/1.1 200 O\rK", "HTTP/1.10 200"],
)
def test_a_broken_status_line_is_refused(status: str) -> None:
    with pytest.raises(HttpError, match="status line"):
        head(status=status)


@pytest.mark.parametrize(
    "line", ["no colon", "A : space", ": nameless", "A: b\rSet-Cookie: c", "A: \x00", "é: x", " folded first"]
)
def test_a_broken_header_line_is_refused(line: str) -> None:
    with pytest.raises(HttpError, match="header line"):
        head(line)


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 5", "Content-Length: 6"),
        ("Content-Length: -5",),
        ("Content-Length: five",),
        ("Transfer-Encoding: gzip",),
        ("Transfer-Encoding: chunked, gzip",),
    ],
)
def test_a_body_of_no_or_two_lengths_is_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(HttpError):
        body_of(head(*lines))


def test_the_head_says_how_the_body_ends() -> None:
    assert isinstance(body_of(head()), UntilClosed)
    assert isinstance(body_of(head("Content-Length: 5, 5")), LengthBody)
    assert isinstance(body_of(head("Transfer-Encoding: gzip, Chunked")), ChunkedBody)
    assert isinstance(body_of(head("Content-Length: 5", "Transfer-Encoding: chunked")), ChunkedBody)
    for status in ("204 No", "304 Same"):
        assert body_of(head("Content-Length: 5", status=f"HTTP/1.1 {status}")).done


def test_a_chunked_body_is_the_same_in_all_pieces() -> None:
    data = b'3;ext="a"\r\nabc\r\n0a \r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nrest'
    for size in range(1, len(data) + 1):
        body = ChunkedBody()
        assert fed(body, data, size) == b"abc0123456789"
        assert b"rest".startswith(body.rest)
    assert body.rest == b"rest"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"xyz\r\n", "size is"),
        (b"-1\r\n", "size is"),
        (b"\r\n", "size is"),
        (b"1" * 16 + b"\r\n", "size is"),
        (b"3\nabc\r\n0\r\n\r\n", "size is|middle"),
        (b"3\r\nabcd\r\n", "longer than"),
        (b"3;" + b"e" * 2000, "more than"),
        (b"0\r\n" + b"A: b\r\n" * 2000, "trailers without end"),
        (b"3\r\nab", "middle of"),
        (b"3\r\nabc\r\n0\r\n", "middle of"),
    ],
)
def test_broken_chunks_are_refused_in_all_pieces(data: bytes, problem: str) -> None:
    for size in (1, 7, len(data)):
        with pytest.raises(HttpError, match=problem):
            fed(ChunkedBody(), data, size)


def test_a_body_of_a_length_knows_too_little_and_too_much() -> None:
    short, long = LengthBody(5), LengthBody(3)
    assert short.feed(b"abc") == b"abc"
    with pytest.raises(HttpError, match="3 bytes of 5"):
        short.end()
    assert long.feed(b"abcde") == b"abc"
    assert (long.done, long.rest) == (True, b"de")


@settings(max_examples=1500, deadline=None)
@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_a_head_or_refused(data: bytes) -> None:
    for prefix in (b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n"):
        with contextlib.suppress(HttpError):
            parts = split_head(prefix + data + b"\r\n\r\n")
            assert parts is not None
            parse_head(parts[0])


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.sampled_from([b"\r\n", b"0", b"3", b"a", b"\r", b"\n", b";", b"x", b"ff", b"\0"]), max_size=40))
def test_arbitrary_chunks_are_a_body_or_refused_the_same_in_all_pieces(tokens: list[bytes]) -> None:
    data, ends = b"".join(tokens), []
    for size in (1, 3, max(1, len(data))):
        try:
            ends.append(fed(ChunkedBody(), data, size))
        except HttpError:
            ends.append(None)
    assert len(set(ends)) == 1


@settings(max_examples=500, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=50), max_size=10), st.integers(1, 64))
def test_a_well_formed_chunked_body_comes_out_whole(chunks: list[bytes], size: int) -> None:
    data = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    assert fed(ChunkedBody(), data, size) == b"".join(chunks)


def test_a_megabyte_of_the_smallest_chunks_costs_no_more_for_coming_at_once() -> None:
    body, data = ChunkedBody(), b"1\r\nx\r\n" * 170_000
    assert len(body.feed(data)) == 170_000
