"""Until when the certificates are good on which everything hangs: the authority's, the broker's, the collector's."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from fibrewatch.identity import IdentityError
from fibrewatch_collector.config import Config
from fibrewatch_collector.identity import certificates
from fibrewatch_collector.identity.authority import CERTIFICATE
from fibrewatch_collector.identity.joining import SERVER

log = logging.getLogger(__name__)

WARN_S = 60 * 86400.0


def expiries(config: Config) -> dict[str, float]:
    """By what it is, of the files that there are; the broker's own shows at each connection."""
    found = {}
    for name, path in _files(config):
        try:
            found[name] = certificates.read_certificate(path.read_bytes()).not_valid_after_utc.timestamp()
        except (OSError, IdentityError) as e:
            log.debug("certificate=%s: when it expires is not known: %s", name, e)
    return found


def complain(found: Mapping[str, float], now: float) -> None:
    """Of those that end within two months: nobody makes them anew but the operator."""
    for name, until in found.items():
        if until - now < WARN_S:
            text = "certificate=%s: %.1f days are left; make a new one (docs/identity.md)"
            log.error(text, name, (until - now) / 86400)


def _files(config: Config) -> Iterator[tuple[str, Path]]:
    if config.authority is not None:
        yield "authority", config.authority.folder / CERTIFICATE
        yield "joining", config.authority.folder / SERVER
    if config.broker.tls is not None and config.broker.tls.certificate is not None:
        yield "collector", config.broker.tls.certificate
    if config.http.tls is not None:
        yield "http", config.http.tls.certificate
