"""tls against real TLS servers with certificates good and bad, and against what is no TLS at all."""

import asyncio
import contextlib
import re
import socket
import ssl
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from fibrewatch.results.tls import Params, Result
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.probes.tls import tls
from tests.support.certificates import Authority
from tests.support.leftovers import cancel_at_each_wait, nothing_left
from tests.support.listeners import closed_port, hold, reset, tcp_server
from tests.support.probe_driver import box

DAY_S = 86400


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def good(authority: Authority) -> Path:
    return authority.certificate("good")


def server(pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await hold(reader)


async def shake(port: int, host: str = "127.0.0.1", **more: Any) -> Result:
    return await tls(Params(port=port, **more), box(host))


async def failure(port: int, **more: Any) -> ProbeError:
    async with nothing_left():
        with pytest.raises(ProbeError) as caught:
            await shake(port, **more)
    return caught.value


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_handshake_is_timed_apart_and_its_certificate_read(authority: Authority, good: Path, host: str) -> None:
    context = server(good)
    context.set_alpn_protocols(["http/1.1"])
    async with tcp_server(silent, host=host, tls=context) as port, nothing_left():
        result = await shake(port, host, ca=str(authority.pem), alpn=("h2", "http/1.1"))
    assert result.connect is not None
    assert result.handshake is not None
    assert result.connect > 0
    assert result.handshake > 0
    assert (result.verified, result.problem, result.version, result.alpn) == (True, None, "TLSv1.3", "http/1.1")
    assert (result.subject, result.issuer) == ("localhost", "Test authority")
    assert result.certificate_until is not None
    assert result.certificate_until.year == 2045
    assert result.certificate_left == pytest.approx(result.certificate_until.timestamp() - time.time(), abs=60)


async def test_the_name_asked_for_is_what_the_certificate_must_be_for(authority: Authority, good: Path) -> None:
    async with tcp_server(silent, tls=server(good)) as port:
        assert (await shake(port, ca=str(authority.pem), server_name="localhost")).verified
        failed = await failure(port, ca=str(authority.pem), server_name="other.example")
    assert (failed.error, failed.result.problem, failed.result.verified) == ("tls", "wrong_host", False)
    assert "other.example" in failed.detail
    assert failed.result.subject == "localhost", "it is read all the same"


async def test_a_dot_at_the_names_end_is_the_roots_and_in_no_certificate(authority: Authority, good: Path) -> None:
    context, asked = server(good), []
    context.sni_callback = lambda _, name, __: asked.append(name)
    async with tcp_server(silent, tls=context) as port, nothing_left():
        assert (await shake(port, ca=str(authority.pem), server_name="localhost.")).verified
    assert asked == ["localhost"]
    async with tcp_server(silent, tls=server(good)) as port:
        assert (await failure(port, ca=str(authority.pem), server_name="other.example.")).result.problem == "wrong_host"


BAD = {
    "expired": {"start": "20200101000000Z", "end": "20210101000000Z"},
    "not_yet_valid": {"start": "20440101000000Z", "end": "20450101000000Z"},
    "wrong_host": {"names": "DNS:other.example"},
}


@pytest.mark.parametrize("problem", BAD)
async def test_a_certificate_that_is_refused_is_read_all_the_same(authority: Authority, problem: str) -> None:
    pem = authority.certificate(problem, **BAD[problem])
    async with tcp_server(silent, tls=server(pem)) as port:
        failed = await failure(port, ca=str(authority.pem))
        assert (failed.error, failed.result.problem, failed.result.verified) == ("tls", problem, False)
        assert problem.replace("_", " ") in failed.detail
        assert failed.result.handshake > 0
        assert (failed.result.certificate_left < 0) == (problem == "expired")
        async with nothing_left():
            allowed = await shake(port, ca=str(authority.pem), verify=False)
        assert (allowed.problem, allowed.verified) == (problem, False)


async def test_an_authority_that_is_not_trusted_is_unknown(good: Path) -> None:
    async with tcp_server(silent, tls=server(good)) as port:
        failed = await failure(port)
    assert (failed.error, failed.result.problem) == ("tls", "unknown_ca")


async def test_a_certificate_that_signed_itself_is_said(authority: Authority) -> None:
    pem = authority.folder / "self.pem"
    pem.write_text(authority.pem.read_text() + (authority.folder / "ca.key").read_text())
    async with tcp_server(silent, tls=server(pem)) as port:
        assert (await failure(port)).result.problem == "self_signed"


def refuses(listener: socket.socket, context: ssl.SSLContext) -> None:
    """One connection, in a thread: asyncio's servers close without telling why they refuse."""
    connection, _ = listener.accept()
    with connection, contextlib.suppress(ssl.SSLError):
        context.wrap_socket(connection, server_side=True)


async def test_a_server_of_an_old_version_is_refused(good: Path) -> None:
    context = server(good)
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(refuses, listener, context))
            failed = await failure(listener.getsockname()[1])
    assert failed.error == "tls"
    assert "protocol version" in failed.detail
    assert failed.result.connect > 0
    assert failed.result.handshake is None


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"220 mail.example ESMTP\r\n")
    await hold(reader)


async def finished(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(65536)


async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    reset(writer)


@pytest.mark.parametrize(
    ("handler", "error", "detail"),
    [
        (garbage, "tls", "wrong version number"),
        (finished, "tls", "the other end closed"),
        (broken, "reset", "TLS handshake"),
        (silent, "timeout", "TLS handshake with .*no end within 0.3 s"),
    ],
)
async def test_what_is_no_tls_is_told_apart(handler: Any, error: str, detail: str) -> None:
    async with tcp_server(handler) as port:
        failed = await failure(port, timeout_s=0.3 if error == "timeout" else 10)
    assert failed.error == error
    assert failed.result.connect > 0, "what was measured before it failed is kept"
    assert re.search(detail, failed.detail)


async def test_a_closed_port_is_refused() -> None:
    with closed_port() as port:
        failed = await failure(port)
    assert (failed.error, failed.result) == ("refused", None)


async def test_a_second_handshake_that_fails_does_not_hide_why_there_was_one(authority: Authority, good: Path) -> None:
    """The first connection gets TLS with a certificate that we don't trust, the second one garbage."""
    connections = 0
    async with tcp_server(silent, tls=server(good)) as secured:

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            if connections > 1:
                await garbage(reader, writer)
                return
            theirs, ours = await asyncio.open_connection("127.0.0.1", secured)
            ours.write(await reader.read(65536))
            writer.write(await theirs.read(65536))
            await hold(reader)
            ours.close()

        async with tcp_server(relay) as port:
            failed = await failure(port)
    assert connections == 2
    assert (failed.error, failed.result.problem) == ("tls", "unknown_ca")


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_file_of_authorities_that_can_not_be_used_is_said(
    tmp_path: Path, good: Path, content: str | None
) -> None:
    ca = tmp_path / "ca.pem"
    if content is not None:
        ca.write_text(content)
    async with tcp_server(silent, tls=server(good)) as port:
        failed = await failure(port, ca=str(ca))
    assert failed.error == "tls"
    assert str(ca) in failed.detail


@pytest.mark.parametrize("name", [".example", "a" * 300, "a..b"])
async def test_a_server_name_that_is_none_is_said(good: Path, name: str) -> None:
    async with tcp_server(silent, tls=server(good)) as port:
        assert (await failure(port, server_name=name[:255])).error == "tls"


async def test_cancelled_at_any_wait_it_leaves_nothing(authority: Authority, good: Path) -> None:
    async with tcp_server(silent, tls=server(good)) as port:
        assert await cancel_at_each_wait(lambda: shake(port, ca=str(authority.pem))) >= 1
        assert await cancel_at_each_wait(lambda: shake(port, verify=False)) >= 2, "both handshakes"
