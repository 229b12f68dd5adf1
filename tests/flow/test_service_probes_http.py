"""http against servers that answer well, badly, slowly and not at all; redirects and captive portals."""

import asyncio
import re
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from fibrewatch.config import build
from fibrewatch.errors import ConfigError
from fibrewatch.results.http import Params, Result
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.probes.http import http
from tests.support.certificates import Authority
from tests.support.leftovers import cancel_at_each_wait, nothing_left
from tests.support.listeners import Handler, closed_port, hold, reset, tcp_server
from tests.support.probe_driver import box

OK = b"HTTP/1.1 200 OK\r\n"


def says(*pieces: bytes) -> Handler:
    """Reads a request, sends the pieces one by one and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return serve


def site(pages: dict[str, bytes], heard: list[bytes] | None = None) -> Handler:
    """One answer for each path."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        if heard is not None:
            heard.append(asked)
        writer.write(pages[asked.split(b" ")[1].decode()])

    return serve


def moved(to: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()


def page(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def get(port: int, address: str = "127.0.0.1", **more: Any) -> Result:
    return await http(Params(port=port, **more), box(address))


async def failure(port: int, **more: Any) -> ProbeError:
    async with nothing_left():
        with pytest.raises(ProbeError) as caught:
            await get(port, **more)
    return caught.value


# ---- what comes back


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_the_phases_are_told_apart_and_make_up_the_whole(host: str) -> None:
    async with tcp_server(says(OK + b"Content-Length: 5\r\n\r\nhello"), host=host) as port, nothing_left():
        result = await get(port, host, text="ell", status=(200,))
    assert (result.status, result.size, result.complete, result.version) == (200, 5, True, "1.1")
    assert (result.resolve, result.tls, result.redirects, result.portal_detected) == (None, None, None, None)
    phases = [result.connect, result.first_byte, result.body]
    assert None not in phases
    assert 0 < sum(each or 0 for each in phases) <= (result.total or 0)


async def test_a_slow_answer_counts_where_it_is_slow() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.2)
        writer.write(OK + b"Content-Length: 2\r\n\r\na")
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.write(b"b")

    async with tcp_server(serve) as port:
        result = await get(port)
    assert (result.first_byte or 0) >= 0.19
    assert 0.09 <= (result.body or 0) < (result.first_byte or 0)


async def test_the_request_asks_for_path_and_host() -> None:
    heard: list[bytes] = []
    async with tcp_server(site({"/a?b=1": page(b"")}, heard)) as port, nothing_left():
        await get(port, path="/a?b=1")
        await get(port, path="/a?b=1", host="www.example.fr")
        await get(port, path="/a?b=1", host="www.example.fr.")
    hosts = [re.search(rb"\r\nHost: (.*)\r\n", asked) for asked in heard]
    assert [each and each[1].decode() for each in hosts] == [f"127.0.0.1:{port}", *[f"www.example.fr:{port}"] * 2]


@pytest.mark.parametrize(
    ("pieces", "size"),
    [
        ((OK + b"\r\nuntil the end",), 13),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhel", b"lo\r\n", b"0\r\n", b"\r\n"), 5),
        ((b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: a\r\n\r\n", page(b"hello")), 5),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), 0),
        ((b"HTTP/1.0 200 OK\n\nhello",), 5),
        (tuple(bytes([byte]) for byte in page(b"hello")), 5),
        ((OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",), 5),
        ((page(b"hello") + b"\r\n",), 5),
        ((page(b"hello"), b"\r\n"), 5),
        ((page(b"hello") + page(b"smuggled"),), 5),
    ],
    ids=[
        *("until closed", "chunked", "interim answers", "no content", "old", "byte by byte", "two framings"),
        *("runs on", "runs on in pieces", "two answers"),
    ],
)
async def test_bodies_of_all_kinds_are_read_to_their_end(pieces: tuple[bytes, ...], size: int) -> None:
    async with tcp_server(says(*pieces)) as port, nothing_left():
        result = await get(port)
    assert (result.size, result.complete) == (size, True)


async def test_an_answer_is_over_when_it_says_so_though_the_server_holds_on() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(page(b"hello"))
        await hold(reader)

    async with tcp_server(serve) as port, nothing_left():
        assert (await get(port)).complete


async def test_reading_ends_at_the_limit() -> None:
    async with tcp_server(says(page(b"x" * 3_000_000))) as port, nothing_left():
        result = await get(port, max_body=1_000_000)
    assert result.complete is False
    assert 1_000_000 <= (result.size or 0) < 1_100_000


async def test_a_text_is_found_across_pieces() -> None:
    async with tcp_server(says(OK + b"\r\nx needle", b" in a hay", b"stack")) as port:
        assert (await get(port, text="needle in a haystack")).complete
        failed = await failure(port, text="needles")
    assert failed.error == "protocol"
    assert "'needles' is not in the first 22 bytes" in failed.detail
    assert failed.result.total > 0


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("403 No", "denied"),
        ("404 No", "protocol"),
        ("429 Slow", "busy"),
        ("500 Oops", "protocol"),
        ("503 Busy", "busy"),
    ],
)
async def test_a_status_that_is_not_expected_is_an_error_with_its_result(status: str, error: str) -> None:
    async with tcp_server(says(page(b"sorry", status))) as port:
        failed = await failure(port)
        assert (failed.error, failed.result.status, failed.result.size) == (error, int(status[:3]), 5)
        assert (await get(port, status=(int(status[:3]),))).complete


# ---- what goes wrong


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "begins with"),
        (b"", "closed without an answer"),
        (OK + b"A: b\r\n", "closed after 23 bytes of a head"),
        (OK + b"Bad Header: 1\r\n\r\n", "header line"),
        (OK + b"X: a\rSet-Cookie: b\r\n\r\n", "header line"),
        (OK + b"X: " + b"y" * 20000 + b"\r\n\r\n", "more than"),
        (OK + b"Content-Length: 9\r\n\r\nhello", "closed after 5 bytes of 9"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", "middle of a chunked"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "size is"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "switches"),
        (b"HTTP/1.1 100 Go on\r\n\r\n" * 20, "without end"),
    ],
)
async def test_what_is_not_http_is_a_fault_of_the_protocol(answer: bytes, detail: str) -> None:
    async with tcp_server(says(answer)) as port:
        failed = await failure(port)
    assert failed.error == "protocol"
    assert detail in failed.detail
    assert failed.result.connect > 0
    assert failed.result.total is None


async def test_what_came_before_an_early_end_is_kept() -> None:
    async with tcp_server(says(OK + b"Content-Length: 9\r\n\r\nhello")) as port:
        kept = (await failure(port)).result
    assert (kept.status, kept.size, kept.complete, kept.body) == (200, 5, False, None)
    assert kept.first_byte > 0


async def test_a_reset_midway_is_a_reset_and_keeps_what_came() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Content-Length: 9\r\n\r\nhello")
        await writer.drain()
        await asyncio.sleep(0.2)
        reset(writer)

    async with tcp_server(serve) as port:
        failed = await failure(port)
    assert failed.error == "reset"
    assert "reading the body" in failed.detail
    assert (failed.result.status, failed.result.size, failed.result.complete) == (200, 5, False)


async def test_a_reset_before_any_answer_is_a_reset() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        reset(writer)

    async with tcp_server(serve) as port:
        assert (await failure(port)).error == "reset"


async def test_a_server_that_drips_runs_into_the_deadline() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Content-Length: 1000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with tcp_server(serve) as port:
        failed = await failure(port, timeout_s=0.4)
    assert failed.error == "timeout"
    assert "reading the body" in failed.detail
    assert 0 < failed.result.size < 1_000_000


async def test_a_server_that_says_nothing_runs_into_the_deadline() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hold(reader)

    async with tcp_server(serve) as port:
        failed = await failure(port, timeout_s=0.2)
    assert failed.error == "timeout"
    assert "waiting for the first byte" in failed.detail
    assert failed.result.first_byte is None


async def test_a_closed_port_is_refused() -> None:
    with closed_port() as port:
        failed = await failure(port)
    assert (failed.error, failed.result) == ("refused", None)


# ---- https


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secure(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate("web"))
    return context


async def test_https_has_a_phase_for_tls(authority: Authority, secure: ssl.SSLContext) -> None:
    big = b"x" * 500_000
    async with tcp_server(says(page(big)), tls=secure) as port, nothing_left():
        result = await get(port, scheme="https", ca=str(authority.pem))
    assert result.tls is not None
    assert result.tls > 0
    assert (result.size, result.complete) == (len(big), True)


async def test_https_verifies_unless_told_otherwise(authority: Authority, secure: ssl.SSLContext) -> None:
    async with tcp_server(says(page(b"hello")), tls=secure) as port:
        failed = await failure(port, scheme="https")
        assert failed.error == "tls"
        assert "unknown ca" in failed.detail
        assert failed.result.connect > 0
        assert (await get(port, scheme="https", verify=False)).status == 200
        wrong = await failure(port, scheme="https", host="other.example", ca=str(authority.pem))
    assert wrong.error == "tls"
    assert "wrong host" in wrong.detail


async def test_a_dot_at_the_hosts_end_is_the_roots(authority: Authority, secure: ssl.SSLContext) -> None:
    async with tcp_server(says(page(b"hello")), tls=secure) as port, nothing_left():
        assert (await get(port, scheme="https", host="localhost.", ca=str(authority.pem))).status == 200


async def test_plain_http_where_https_is_expected_is_a_tls_error() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await hold(reader)

    async with tcp_server(serve) as port:
        failed = await failure(port, scheme="https")
    assert failed.error == "tls"
    assert "wrong version number" in failed.detail


async def test_an_end_without_goodbye_is_too_early_an_end(authority: Authority, secure: ssl.SSLContext) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Content-Length: 9\r\n\r\nhello")
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.get_extra_info("socket").shutdown(1)

    async with tcp_server(serve, tls=secure) as port:
        failed = await failure(port, scheme="https", ca=str(authority.pem))
    assert failed.error == "protocol"
    assert "5 bytes of 9" in failed.detail


# ---- redirects


async def test_a_redirect_is_a_result_unless_it_is_to_be_followed() -> None:
    async with tcp_server(site({"/": moved("/there?x=%20y"), "/there?x=%20y": page(b"hello")})) as port, nothing_left():
        stays = await get(port)
        assert (stays.status, stays.location, stays.redirects) == (302, "/there?x=%20y", None)
        goes = await get(port, follow=True, text="hello")
    assert (goes.status, goes.redirects, goes.location) == (200, 1, None)
    assert goes.redirect is not None
    assert 0 < goes.redirect < (goes.total or 0)


async def test_a_redirect_to_another_host_is_resolved_anew(authority: Authority, secure: ssl.SSLContext) -> None:
    async with (
        tcp_server(says(page(b"hello")), tls=secure) as there,
        tcp_server(says(moved(f"https://localhost:{there}/"))) as port,
        nothing_left(),
    ):
        this = box("127.0.0.1", family=4)
        result = await http(Params(port=port, follow=True, ca=str(authority.pem)), this)
    assert result.resolve is not None
    assert result.tls is not None
    assert this.resolved == "127.0.0.1"


async def test_redirects_without_end_are_given_up() -> None:
    heard: list[bytes] = []
    async with tcp_server(site({"/": moved("/")}, heard)) as port:
        failed = await failure(port, follow=True)
    assert failed.error == "protocol"
    assert "more than 5 redirects" in failed.detail
    assert len(heard) == 6


@pytest.mark.parametrize(
    "to", ["ftp://example.fr/", "http://user:pass@127.0.0.1/", "http://[::1/", "http://a b/", "http://h:99999/"]
)
async def test_a_redirect_to_nowhere_is_a_fault_of_the_protocol(to: str) -> None:
    async with tcp_server(site({"/": moved(to)})) as port:
        failed = await failure(port, follow=True)
    assert failed.error == "protocol"
    assert "redirects to" in failed.detail
    assert failed.result.status == 302


async def test_a_redirect_to_a_name_that_is_none_fails_and_says_how_far_it_came() -> None:
    async with tcp_server(site({"/": moved("http://nowhere.invalid/")})) as port:
        failed = await failure(port, follow=True)
    assert failed.error in {"name_not_found", "timeout"}
    assert failed.result.redirects == 1
    assert failed.result.status is None, "the figures of the first request are not the second's"


# ---- captive portals


@pytest.mark.parametrize(
    ("answer", "more", "detected"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", {}, False),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", {}, False),
        (page(b""), {}, True),
        (page(b"<html>Please log in</html>"), {}, True),
        (moved("http://login.portal.example/"), {}, True),
        (page(b"", "511 Network Authentication Required"), {}, True),
        (page(b"success\n"), {"text": "success"}, False),
        (page(b"success, but log in"), {"text": "success"}, True),
        (page(b"success\n", "201 Made"), {"text": "success"}, True),
        (page(b"success\n", "201 Made"), {"text": "success", "status": (201,)}, False),
        (moved("http://login.portal.example/"), {"text": "success"}, True),
    ],
)
async def test_a_portal_is_whatever_else_than_the_expected_answer(
    answer: bytes, more: dict[str, Any], detected: bool
) -> None:
    async with tcp_server(says(answer)) as port, nothing_left():
        result = await get(port, portal=True, **more)
    assert result.portal_detected is detected
    assert result.total is not None


NONE = b"HTTP/1.1 204 No Content\r\n"
LOGIN = b"HTTP/1.1 302 Found\r\nLocation: http://login.portal.example/\r\n"
BOTH = b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nlogin\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        (NONE + b"\r\nlogin",),
        (NONE + b"\r\n", b"login"),
        (NONE + b"Content-Length: 5\r\n\r\n", b"login"),
        (NONE + b"Content-Length: 5\r\n\r\n",),
        (LOGIN + b"Content-Length: 9\r\n\r\nlogin",),
        (OK + b"Content-Length: 5\r\n\r\nlogin\r\n",),
        (OK + BOTH,),
        (LOGIN + BOTH,),
        (LOGIN + b"Bad Header: 1\r\n\r\n",),
        (LOGIN,),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",),
        (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",),
    ],
)
async def test_a_sloppy_answer_is_a_portals_as_well(answer: tuple[bytes, ...]) -> None:
    async with tcp_server(says(*answer)) as port, nothing_left():
        assert (await get(port, portal=True)).portal_detected is True


async def test_a_portal_shows_though_its_answer_has_no_end() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Content-Length: 1000\r\n\r\nlogin")
        await hold(reader)

    async with tcp_server(serve) as port, nothing_left():
        result = await get(port, portal=True, text="success", timeout_s=0.5)
    assert (result.portal_detected, result.complete, result.total) == (True, False, None)


async def test_no_portal_where_the_expected_answer_runs_on_or_its_server_holds_on() -> None:
    for pieces in ((page(b"ok") + b"\r\n",), (page(b"ok"), b"\r\n")):
        async with tcp_server(says(*pieces)) as port, nothing_left():
            assert (await get(port, portal=True, text="ok")).portal_detected is False

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(NONE + b"\r\n")
        await hold(reader)

    async with tcp_server(serve) as port, nothing_left():
        result = await get(port, portal=True, timeout_s=0.6)
    assert result.portal_detected is False
    assert result.total is not None


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2\r\n", b"", OK + b"Content-Length: 7\r\n\r\nsucc"])
async def test_what_is_no_answer_or_the_expected_one_broken_off_is_no_portal(answer: bytes) -> None:
    async with tcp_server(says(answer)) as port:
        failed = await failure(port, portal=True, text="success")
    assert (failed.error, failed.result.portal_detected) == ("protocol", None)


async def test_no_answer_says_nothing_of_a_portal() -> None:
    with closed_port() as port:
        assert (await failure(port, portal=True)).error == "refused"


# ---- settings, cancellation


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"portal": True, "follow": True}, "x.toml: p: portal and follow exclude each other"),
        ({"path": "no-slash"}, "x.toml: p.path: "),
        ({"path": "/a b"}, "x.toml: p.path: "),
        ({"path": "/a\r\nEvil: 1"}, "x.toml: p.path: "),
        ({"host": "a\r\nEvil: 1"}, "x.toml: p.host: "),
    ],
)
def test_settings_that_can_not_be_are_refused_by_the_config(params: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(problem)):
        build(params, Params, "x.toml", "p")


def haltingly(pages: dict[str, bytes]) -> Handler:
    """As `site`, in pieces with pauses, so that every wait is one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        answer = pages[asked.split(b" ")[1].decode()]
        for at in range(0, len(answer), 20):
            await asyncio.sleep(0.005)
            writer.write(answer[at : at + 20])

    return serve


@pytest.mark.parametrize(("way", "waits"), [("plain", 3), ("secure", 4), ("redirected", 4)])
async def test_cancelled_at_any_wait_it_leaves_nothing(
    authority: Authority, secure: ssl.SSLContext, way: str, waits: int
) -> None:
    pages = {"/": page(b"hello there"), "/away": moved("/")}
    make: Callable[[int], Any] = {
        "plain": lambda port: lambda: get(port),
        "secure": lambda port: lambda: get(port, scheme="https", ca=str(authority.pem)),
        "redirected": lambda port: lambda: get(port, path="/away", follow=True),
    }[way]
    async with tcp_server(haltingly(pages), tls=secure if way == "secure" else None) as port:
        assert await cancel_at_each_wait(make(port)) >= waits
