"""Clients that come with a certificate: by its common name they have a scope, unless it was revoked or is over."""

import ssl
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from fibrewatch_collector.access import AccessError
from fibrewatch_collector.access.scopes import Scope
from fibrewatch_collector.access.settings import HttpTls


class Peer(NamedTuple):
    """Whose certificate it is, and what that may do."""

    name: str
    scope: Scope


class Peers:
    """By [http.tls]; the handshake has checked signature and time of what comes here."""

    def __init__(self, tls: HttpTls) -> None:
        self._tls = tls
        self._read: tuple[int, frozenset[int]] = (-1, frozenset())

    def find(self, shown: Mapping[str, Any], now: datetime) -> Peer | None:
        """By `SSLSocket.getpeercert()`; a connection may outlive the certificate that it began with.

        Raises:
            AccessError: The list of revoked ones can't be read.
        """
        names = [value for each in shown.get("subject", ()) for name, value in each if name == "commonName"]
        scope = self._tls.clients.get(names[0]) if len(names) == 1 else None
        if scope is None or ssl.cert_time_to_seconds(shown["notAfter"]) <= now.timestamp():
            return None
        if self._tls.client_crl is not None and int(shown["serialNumber"], 16) in self._revoked(self._tls.client_crl):
            return None
        return Peer(names[0], scope)

    def _revoked(self, path: Path) -> frozenset[int]:
        from cryptography import x509

        try:
            changed = path.stat().st_mtime_ns
            if changed != self._read[0]:
                found = x509.load_pem_x509_crl(path.read_bytes())
                self._read = changed, frozenset(each.serial_number for each in found)
        except (OSError, ValueError) as e:
            raise AccessError(f"{path}: {e}: nobody is let in by certificate") from e
        return self._read[1]
