"""[http] of collector.toml: where it is served, who may come without a token, and that nobody else can."""

import ssl
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from fibrewatch.config import Duration
from fibrewatch.errors import ConfigError
from fibrewatch.files import readable_by_others
from fibrewatch_collector.access import origin
from fibrewatch_collector.access.scopes import Scope

Address = Annotated[str, Meta(pattern=r"\A(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):\d{1,5}\Z")]
Name = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9.-]{1,253}\Z")]
Subject = Annotated[str, Meta(min_length=1, max_length=64)]
_WIDEST = {4: 8, 6: 16}


class HttpTls(Struct, frozen=True, kw_only=True):
    """[http.tls]: HTTPS instead of HTTP, and who may come by a certificate of their own.

    Attributes:
        certificate: PEM, with what leads to its authority; the key may be in the same file.
        client_ca: Whose signatures on clients' certificates are believed.
        client_crl: What that authority revoked; read again when it changes.
        clients: Scope by the certificate's common name.
    """

    certificate: Path
    key: Path | None = None
    client_ca: Path | None = None
    client_crl: Path | None = None
    clients: dict[Subject, Scope] = {}

    @property
    def key_file(self) -> Path:
        """Where the key is."""
        return self.key or self.certificate


class MetricsAddress(Struct, frozen=True, kw_only=True):
    """[http.metrics]: another address that serves /metrics and nothing else."""

    address: Address

    @property
    def at(self) -> tuple[str, int]:
        """Host without brackets, port."""
        return _split(self.address)


class Http(Struct, frozen=True, kw_only=True):
    """Where metrics, API and page are served.

    Attributes:
        names: By which a browser on this machine may ask besides localhost and addresses.
        free: Networks whose requests need no token, for all but what `admin` is for; [] is nobody.
        proxies: Reverse proxies: whom they forward for is told by X-Forwarded-For, and always needs a token.
    """

    address: Address = "127.0.0.1:8480"
    names: tuple[Name, ...] = ()
    free: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    proxies: tuple[str, ...] = ()
    requests_per_minute: Annotated[int, Meta(ge=10, le=100_000)] = 600
    session_lasts_s: Annotated[Duration, Meta(ge=60, le=30 * 86400)] = field(default=12 * 3600.0, name="session_lasts")
    tls: HttpTls | None = None
    metrics: MetricsAddress | None = None

    @property
    def host(self) -> str:
        """Without brackets."""
        return _split(self.address)[0]

    @property
    def port(self) -> int:
        """0 lets the system choose."""
        return _split(self.address)[1]

    @property
    def open_addresses(self) -> dict[str, str]:
        """Those that other machines can reach, by the place in the file."""
        said = {"http.address": self.address} | ({"http.metrics.address": self.metrics.address} if self.metrics else {})
        return {place: each for place, each in said.items() if not origin.is_loopback_name(_split(each)[0])}

    @property
    def anybody_by_certificate(self) -> bool:
        """Whether certificates let somebody in."""
        return self.tls is not None and bool(self.tls.clients)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def anchored(http: Http, folder: Path) -> Http:
    """Its files relative to that folder."""
    if http.tls is None:
        return http
    names = ("certificate", "key", "client_ca", "client_crl")
    return replace(http, tls=replace(http.tls, **{n: folder / p for n in names if (p := getattr(http.tls, n))}))


def check(http: Http, file: str) -> None:
    """What can't be served, or not safely.

    Raises:
        ConfigError: The first thing that is wrong.
    """
    ports = {"http.address": http.port} | ({"http.metrics.address": http.metrics.at[1]} if http.metrics else {})
    for place, port in ports.items():
        if port > 65535:
            raise ConfigError(file, place, f"{port} is not a port")
    free, proxies = (_networks(getattr(http, name), file, f"http.{name}") for name in ("free", "proxies"))
    if http.tls is not None:
        _check_tls(http.tls, file)
    elif http.open_addresses and not proxies and all(each.is_loopback for each in free):
        place, address = next(iter(http.open_addresses.items()))
        raise ConfigError(
            file,
            place,
            f"{address} can be reached from elsewhere, and tokens would travel readable: name certificate and key in "
            "[http.tls], or the addresses of a proxy that has them in http.proxies",
        )


def _networks(texts: tuple[str, ...], file: str, place: str) -> tuple[origin.Network, ...]:
    try:
        found = origin.networks(texts)
    except ValueError as e:
        raise ConfigError(file, place, str(e)) from e
    for each in found:
        if each.prefixlen < _WIDEST[each.version]:
            raise ConfigError(file, place, f"{each} is far more than a network of yours")
    return found


def _check_tls(tls: HttpTls, file: str) -> None:
    if tls.client_ca is None and (tls.clients or tls.client_crl):
        raise ConfigError(file, "http.tls", "clients and client_crl need client_ca: whose certificates they have")
    if tls.client_ca is not None and not tls.clients:
        raise ConfigError(file, "http.tls.client_ca", "[http.tls.clients] must say which common name has which scope")
    try:
        context(tls)
    except ConfigError as e:
        raise ConfigError(file, e.place, e.problem) from e


def context(tls: HttpTls) -> ssl.SSLContext:
    """TLS 1.2 or later; a client may show a certificate, and one that is no good ends the connection.

    Raises:
        ConfigError: A file can't be used.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    load_own(made, tls)
    if tls.client_ca is not None:
        made.verify_mode = ssl.CERT_OPTIONAL
        try:
            made.load_verify_locations(tls.client_ca)
        except OSError as e:
            raise ConfigError("", "http.tls.client_ca", f"{tls.client_ca}: {e.strerror or e}") from e
    return made


def load_own(into: ssl.SSLContext, tls: HttpTls) -> None:
    """Certificate and key, also into a context that is in use: the next connection sees them.

    Raises:
        ConfigError: They can't be used, or others may read the key.
    """
    try:
        if readable_by_others(tls.key_file):
            raise ConfigError("", "http.tls.key", f"{tls.key_file}: others may read it: chmod 600")
        into.load_cert_chain(tls.certificate, tls.key_file, password=_no_password)
    except OSError as e:
        raise ConfigError("", "http.tls", f"{tls.certificate}: {e.strerror or e}") from e
    except ValueError as e:
        raise ConfigError("", "http.tls.key", f"{tls.key_file}: {e}") from e


def _no_password() -> str:
    """OpenSSL would ask a terminal for it."""
    raise ValueError("the key is locked by a password; the collector has nobody to ask")
