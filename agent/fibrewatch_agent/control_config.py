"""The control APIs that targets name, with what the box shows there."""

import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from fibrewatch_agent.tables import Control, TargetConfig


class Tls(Protocol):
    """The parts of [broker.tls] that count here."""

    @property
    def ca(self) -> Path | None:
        """Authorities."""

    @property
    def certificate(self) -> Path | None:
        """The box's own."""

    @property
    def key(self) -> Path | None:
        """Of that certificate."""


def control_of(target: TargetConfig, tls: Tls | None) -> Control | None:
    """None for a target without slots."""
    urls = (target.control,) if isinstance(target.control, str) else target.control
    if not urls:
        return None
    shown = None if target.token is not None else tls
    return Control(
        urls=urls,
        ca=target.control_ca or (tls.ca if tls else None),
        certificate=shown.certificate if shown else None,
        key=shown.key if shown else None,
        token=target.token,
    )


def faults(targets: Mapping[str, TargetConfig], tls: Tls | None) -> Iterator[tuple[str, str]]:
    """Place and fault of what can't work."""
    for name, target in targets.items():
        place = f"targets.{name}"
        control = control_of(target, tls)
        if control is None:
            for key in ("token", "control_ca"):
                if getattr(target, key) is not None:
                    yield f"{place}.{key}", "of no use without control"
            continue
        for url in control.urls:
            if fault := _fault(url):
                yield f"{place}.control", fault
        if control.token is None and control.certificate is None:
            yield f"{place}.token", "missing: without it, or a certificate in [broker.tls], the box is not known there"


def _fault(url: str) -> str:
    """What is wrong with it, empty if nothing."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as e:
        return f"{url!r}: {e}"
    plain = parts.path in {"", "/"} and not parts.query and not parts.username
    if parts.scheme not in {"http", "https"} or not host or not plain:
        return f"{url!r} is not https://host:port"
    if parts.scheme == "http" and not _loopback(host):
        return f"{url!r} would show the token to everyone on the way: https://"
    return ""


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
