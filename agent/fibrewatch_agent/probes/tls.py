"""tls: connects, shakes hands, and reads the certificate, also of a server whose certificate is refused."""

import contextlib
import time
from datetime import UTC, datetime

from fibrewatch.results.tls import Params, Result
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.findings import Findings
from fibrewatch_agent.net.connect import connected
from fibrewatch_agent.net.sockets import Endpoint
from fibrewatch_agent.net.tls_stream import CertificateRefusedError, TlsStream, context
from fibrewatch_agent.services import certificate
from fibrewatch_agent.services.certificate import CertificateError
from fibrewatch_agent.traffic.amounts import HANDSHAKE_BYTES, Amount, Way, tcp

NEEDS_TARGET = True
_SECOND_LOOK_FAULTS = (ProbeError, OSError)
"""What goes wrong in the second handshake does not hide why there was one."""


async def tls(params: Params, box: Box) -> Result:
    """One verified handshake; when that refuses the certificate, an unverified one to read it.

    Raises:
        ProbeError: As `Findings.within`; tls for a refused certificate, unless the settings allow it.
    """
    findings = Findings(Result)
    async with findings.within(params.timeout_s):
        to = await findings.resolve(box, params.port)
        name = params.server_name or box.address or ""
        try:
            await _shake_hands(to, name, params, findings, verify=True)
        except CertificateRefusedError as e:
            findings.note(verified=False, problem=e.problem)
            with contextlib.suppress(*_SECOND_LOOK_FAULTS if params.verify else ()):
                await _shake_hands(to, name, params, findings, verify=False)
            if params.verify:
                raise ProbeError("tls", f"{to}: {e.problem.replace('_', ' ')}: {e}") from e
    return findings.result()


async def _shake_hands(to: Endpoint, name: str, params: Params, findings: Findings[Result], *, verify: bool) -> None:
    settings = context(params.ca, verify=verify, alpn=params.alpn)
    findings.step = f"connecting to {to}"
    async with connected(to) as connection:
        findings.note(connect=connection.connect_s, rtt=connection.rtt_s)
        findings.step = f"TLS handshake with {to}"
        stream, began = TlsStream(connection.sock, settings, name), time.monotonic()
        await stream.handshake()
        findings.note(handshake=time.monotonic() - began, **_session(stream))
        if verify:
            findings.note(verified=True)
        stream.goodbye()


def _session(stream: TlsStream) -> dict[str, object]:
    cipher = stream.tls.cipher()
    return {
        "version": stream.tls.version(),
        "cipher": cipher[0] if cipher else None,
        "alpn": stream.tls.selected_alpn_protocol(),
        **_certificate(stream.tls.getpeercert(binary_form=True)),
    }


def _certificate(der: bytes | None) -> dict[str, object]:
    if der is None:
        return {}
    try:
        found = certificate.read(der)
    except CertificateError as e:
        raise ProbeError("tls", str(e)) from e
    return {
        "certificate_until": found.not_after,
        "certificate_left": (found.not_after - datetime.now(UTC)).total_seconds(),
        "subject": found.subject,
        "issuer": found.issuer,
    }


def traffic(params: Params, way: Way) -> Amount:
    """A handshake with a server whose certificates have 3 kB."""
    return tcp(way, *HANDSHAKE_BYTES)
