"""When the certificate that the box shows to the broker expires: told in its status, so that somebody renews it."""

import ssl
from datetime import datetime

from fibrewatch_agent.config import TlsConfig
from fibrewatch_agent.services import certificate


def expiry(tls: TlsConfig | None) -> datetime | None:
    """As the file says now: it may have been renewed. None without one, or where it can't be read."""
    if tls is None or tls.certificate is None:
        return None
    try:
        text = tls.certificate.read_text("ascii")
        begin, end = text.index(ssl.PEM_HEADER), text.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)
        return certificate.read(ssl.PEM_cert_to_DER_cert(text[begin:end])).not_after
    except (OSError, ValueError):
        return None
