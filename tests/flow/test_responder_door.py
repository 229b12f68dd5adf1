"""Who is let in at the control API: revoked boxes, silent connections, an address with too many of them."""

import asyncio
import contextlib
import socket
import ssl
import time
import urllib.request
from pathlib import Path

import pytest

from fibrewatch.errors import ConfigError
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.responder.config import TlsFiles, load_responder
from fibrewatch_agent.responder.door import server_context
from fibrewatch_agent.slots.reservation import reserve
from fibrewatch_agent.tables import Control
from tests.support.certificates import Authority
from tests.support.iperf3 import box
from tests.support.slots import Responder, wish
from tests.support.waiting import until

BOX = "paris/cargo/box-01"


async def asks(responder: Responder, authority: Authority, pem: Path) -> str:
    """What a box with this certificate, and no token, comes to."""
    control = Control(urls=responder.control().urls, ca=authority.pem, certificate=pem, key=pem)
    try:
        async with reserve(control, wish(), box(), 5):
            return "served"
    except ProbeError as e:
        return e.error


def tls(authority: Authority, own: Path, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.pem)
    context.load_cert_chain(own)
    context.minimum_version = context.maximum_version = version
    return context


def shakes_hands(
    responder: Responder, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> ssl.SSLSession | None:
    """A question over TLS; the session, to be taken up again, or None when there is no answer."""
    try:
        plain = socket.create_connection(("127.0.0.1", responder.port), timeout=30)
        with context.wrap_socket(plain, server_hostname="localhost", session=session) as secure:
            secure.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            return secure.session if secure.recv(100) else None
    except OSError:
        return None


async def test_revoked_box_is_let_in_no_more_without_a_restart(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    lost, kept = (
        authority.certificate(name, subject=rf"/CN=paris\/cargo\/{name}", names="DNS:box")
        for name in ("box-01", "box-02")
    )
    crl = tmp_path / "crl.pem"
    crl.write_bytes(authority.revoke().read_bytes())
    with Responder(tmp_path / "r", tls=authority, crl=crl) as responder:
        assert await asks(responder, authority, lost) == "served"
        assert shakes_hands(responder, tls(authority, lost, ssl.TLSVersion.TLSv1_2)) is None, (
            "it would be taken up again"
        )
        own = tls(authority, lost, ssl.TLSVersion.TLSv1_3)
        session = shakes_hands(responder, own)
        assert session is not None
        await asyncio.sleep(1.1)  # lists are dated by the second
        crl.write_bytes(authority.revoke("box-01").read_bytes())
        await until(lambda: "revoked certificates read anew" in responder.log())
        assert await asks(responder, authority, lost) in ("tls", "reset", "protocol")
        assert shakes_hands(responder, own, session) is None
        assert await asks(responder, authority, kept) == "served"
        crl.write_text("nonsense")
        await until(lambda: "the list of revoked certificates that was read last stays in force" in responder.log())
        assert await asks(responder, authority, lost) in ("tls", "reset", "protocol")
        assert await asks(responder, authority, kept) == "served"


@pytest.mark.parametrize(("content", "problem"), [(None, "No such file"), ("nonsense", "crl.pem: "), ("CA", "no list")])
def test_list_of_revoked_certificates_that_is_none(tmp_path: Path, content: str | None, problem: str) -> None:
    authority, crl = Authority(tmp_path / "ca"), tmp_path / "crl.pem"
    pem = authority.certificate("responder")
    if content is not None:
        crl.write_text(authority.pem.read_text() if content == "CA" else content)
    with pytest.raises(ConfigError, match=r"control\.tls\.crl") as caught:
        server_context(TlsFiles(certificate=pem, key=pem, ca=authority.pem, crl=crl))
    assert problem in str(caught.value)


def test_list_of_revoked_certificates_needs_an_authority(tmp_path: Path) -> None:
    path = tmp_path / "responder.toml"
    path.write_text(
        '[control]\ncapacity = "1 Gbit/s"\ntokens = "t"\n[control.tls]\ncertificate = "c"\nkey = "k"\ncrl = "r"\n'
    )
    with pytest.raises(ConfigError) as caught:
        load_responder(path)
    assert str(caught.value) == f"{path}: control.tls.crl: without tls.ca there are no certificates of boxes to revoke"


SLOW = [b"", b"POST /v1/slots HTTP/1.1\r\nHost: a\r\nX-Slow: "]


@pytest.mark.parametrize("tls", [False, True])
def test_connection_that_never_finishes_its_request_is_closed(tmp_path: Path, tls: bool) -> None:
    """Not one byte, half a head, a head that drips a byte each fifth of a second; with TLS half a handshake."""
    authority = Authority(tmp_path / "ca") if tls else None
    with Responder(tmp_path / "r", tls=authority, limits='quiet = "1 s"') as responder:
        guests = [socket.create_connection(("127.0.0.1", responder.port), timeout=20) for _ in range(3)]
        for guest, first in zip(guests, [*SLOW, SLOW[1]], strict=True):
            guest.sendall(b"\x16\x03\x01" if tls and first else first)
        began = time.monotonic()
        while time.monotonic() - began < 20:
            try:
                guests[2].sendall(b"x")
                if guests[2].recv(1, socket.MSG_DONTWAIT) == b"":
                    break
            except BlockingIOError:
                time.sleep(0.2)
            except OSError:
                break
        else:
            raise AssertionError("a head that drips keeps its connection")
        for guest in guests[:2]:
            with contextlib.suppress(ConnectionResetError):
                assert guest.recv(1) == b""
        assert responder.process.poll() is None


async def test_address_with_too_many_connections_loses_the_newest_and_nobody_else(tmp_path: Path) -> None:
    with Responder(tmp_path / "r", limits='connections = 5\nquiet = "60 s"') as responder:
        guests = [socket.create_connection(("127.0.0.1", responder.port), timeout=20) for _ in range(12)]
        other = socket.create_connection(("127.0.0.1", responder.port), timeout=20, source_address=("127.0.0.9", 0))
        await until(lambda: "too many connections address=127.0.0.1 closed=7" in responder.log())
        assert [guest.recv(1) for guest in guests[5:]] == [b""] * 7
        for guest in (*guests[:5], other):
            guest.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert guest.recv(12) == b"HTTP/1.1 200"
        for guest in guests[:5]:
            guest.close()
        with urllib.request.urlopen(f"http://127.0.0.1:{responder.port}/healthz", timeout=20) as answer:
            assert answer.status == 200
