"""TLS over a connected socket, without a transport: its handshake is timed alone and a cancelled run leaves nothing."""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from fibrewatch.results.tls import Problem
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.net.streams import CHUNK

T = TypeVar("T")

_HASHED = re.compile(r"[0-9a-f]{8}\.0")
_PROBLEMS: dict[int, Problem] = {  # openssl/x509_vfy.h
    9: "not_yet_valid",
    10: "expired",
    18: "self_signed",
    19: "unknown_ca",
    20: "unknown_ca",
    21: "unknown_ca",
    23: "revoked",
    62: "wrong_host",
    64: "wrong_host",
}


class CertificateRefusedError(Exception):
    """The handshake ended because the certificate is not to be trusted; `problem` says why, and its text in words."""

    def __init__(self, problem: Problem, text: str) -> None:
        self.problem = problem
        super().__init__(text)


def certified_name(host: str) -> str:
    """A host as SNI and certificates have it: no zone, and no dot at the end of a name (RFC 6066 §3)."""
    return host.partition("%")[0].removesuffix(".")


def context(ca: str | None, *, verify: bool, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    """A client's settings: TLS 1.2 and later, and the authorities to trust.

    Raises:
        ProbeError: permission or tls, the file of authorities can't be used.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if alpn:
        made.set_alpn_protocols(list(alpn))
    if not verify:
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    elif ca is None:
        _trust_system(made)
    else:
        _trust(made, ca)
    return made


def _trust(made: ssl.SSLContext, ca: str) -> None:
    try:
        made.load_verify_locations(cafile=ca)
    except PermissionError as e:
        raise ProbeError("permission", f"{ca}: {e.strerror}") from e
    except (OSError, ssl.SSLError) as e:
        raise ProbeError("tls", f"{ca}: no usable file of authorities: {e}") from e


def _trust_system(made: ssl.SSLContext) -> None:
    """From the folder of hashed names where there is one: reading the whole bundle held the loop for 23 ms."""
    folder = ssl.get_default_verify_paths().capath
    if folder and any(_HASHED.fullmatch(path.name) for path in Path(folder).iterdir()):
        made.load_verify_locations(capath=folder)
    else:
        made.load_default_certs()


class TlsStream:
    """As `streams.Stream`; `handshake` comes first."""

    def __init__(self, sock: socket.socket, settings: ssl.SSLContext, server_name: str) -> None:
        self._sock, self._loop = sock, asyncio.get_running_loop()
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self.tls = settings.wrap_bio(self._in, self._out, server_hostname=certified_name(server_name))
        except ValueError as e:
            raise ProbeError("tls", f"{server_name!r} is no host name") from e

    async def handshake(self) -> None:
        """Returns when both ends are done with it.

        Raises:
            CertificateRefusedError: The certificate was refused.
            ProbeError: tls, any other reason.
        """
        try:
            await self._run(self.tls.do_handshake)
        except ssl.SSLCertVerificationError as e:
            self._say_why()
            raise CertificateRefusedError(_PROBLEMS.get(e.verify_code, "other"), e.verify_message) from e
        except ssl.SSLError as e:
            self._say_why()
            raise _tls_error("handshake", e) from e

    async def receive(self) -> bytes:
        """As `Stream`; an end without TLS's own goodbye is an end as well, the protocol above knows its length.

        Raises:
            ProbeError: tls.
        """
        try:
            return await self._run(lambda: self.tls.read(CHUNK))
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""
        except ssl.SSLError as e:
            raise _tls_error("reading", e) from e

    async def send(self, data: bytes) -> None:
        """As `Stream`.

        Raises:
            ProbeError: tls.
        """
        try:
            await self._run(lambda: self.tls.write(data))
        except ssl.SSLError as e:
            raise _tls_error("writing", e) from e

    def goodbye(self) -> None:
        """Says that nothing more will come, and takes what is there, so that closing resets nothing. Never waits."""
        with contextlib.suppress(ssl.SSLError, OSError):
            self.tls.unwrap()
        with contextlib.suppress(OSError):
            self._sock.send(self._out.read())
            self._sock.recv(CHUNK)

    async def _run(self, action: Callable[[], T]) -> T:
        """Repeats the action, passing bytes to and fro, until it has what it needs."""
        while True:
            try:
                done = action()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
                continue
            await self._flush()
            return done

    async def _flush(self) -> None:
        if self._out.pending:
            await self._loop.sock_sendall(self._sock, self._out.read())

    async def _fill(self) -> None:
        data = await self._loop.sock_recv(self._sock, CHUNK)
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    def _say_why(self) -> None:
        """The alert for the other end, if there is room for it: it is a courtesy."""
        with contextlib.suppress(OSError):
            self._sock.send(self._out.read())


def _tls_error(doing: str, e: ssl.SSLError) -> ProbeError:
    if isinstance(e, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return ProbeError("tls", f"{doing}: the other end closed")
    reason = (e.reason or str(e)).lower().replace("_", " ")
    return ProbeError("tls", f"{doing}: {reason}")
