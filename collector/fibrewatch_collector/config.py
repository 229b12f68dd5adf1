"""The collector's own settings, `collector.toml`."""

import re
import ssl
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from fibrewatch.config import Duration, build, parse_toml, read_toml
from fibrewatch.errors import ConfigError
from fibrewatch_collector.access import audit
from fibrewatch_collector.access import settings as http_settings
from fibrewatch_collector.access.settings import Http

DEFAULT_PATH = Path("/etc/fibrewatch/collector.toml")
HeaderName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9-]{1,100}\Z")]
HeaderValue = Annotated[str, Meta(pattern=r"\A[ -~]{0,4000}\Z")]
Port = Annotated[int, Meta(ge=1, le=65535)]


class Tls(Struct, frozen=True, kw_only=True):
    """The broker is spoken to over TLS; with certificate and key the collector shows its own.

    Attributes:
        ca: Whose signature on the broker's certificate is believed; None: the system's authorities.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class Broker(Struct, frozen=True, kw_only=True):
    """Where results come from; the port is 8883 with [broker.tls] unless set."""

    host: Annotated[str, Meta(min_length=1, max_length=255)] = "127.0.0.1"
    port: Port = 1883
    keepalive_s: Annotated[Duration, Meta(ge=5, le=600)] = field(default=10.0, name="keepalive")
    tls: Tls | None = None


class StoreConfig(Struct, frozen=True, kw_only=True):
    """Where results are kept.

    Attributes:
        retention_s: Age at which raw measurements go; roll-ups and bins stay.
    """

    path: Path = Path("/var/lib/fibrewatch/collector.db")
    retention_s: Annotated[Duration, Meta(ge=86400)] = field(default=400 * 86400.0, name="retention")


class Reports(Struct, frozen=True, kw_only=True):
    """Monthly reports, written for each site and each territory; none without a folder.

    Attributes:
        day: Of the next month, from `time` on by each site's own clock.
    """

    folder: Path | None = None
    languages: Annotated[tuple[Literal["en", "fr"], ...], Meta(min_length=1, max_length=2)] = ("en", "fr")
    formats: Annotated[tuple[Literal["html", "pdf"], ...], Meta(min_length=1, max_length=2)] = ("html", "pdf")
    day: Annotated[int, Meta(ge=1, le=28)] = 1
    time: Annotated[str, Meta(pattern=r"\A([01]\d|2[0-3]):[0-5]\d\Z")] = "06:00"

    @property
    def path(self) -> Path:
        """The folder, where there is one."""
        return self.folder or Path()


class Evidence(Struct, frozen=True, kw_only=True):
    """Packs for a dispute; none over the API without a key.

    Attributes:
        key: A private key of Ed25519, as `fibrewatch evidence-key` makes it; nobody else may read it.
    """

    key: Path | None = None


class AuthorityConfig(Struct, frozen=True, kw_only=True):
    """[authority]: where `fibrewatch ca init` made it; boxes are then renewed, shut out and let in by it."""

    folder: Path = Path("/var/lib/fibrewatch/authority")


class RemoteWrite(Struct, frozen=True, kw_only=True):
    """[remote_write]: where the probes' values go, each at its own time; `/metrics` then leaves them out.

    Attributes:
        max_age_s: What ended longer ago is not sent; below the server's out-of-order window.
        token_file: Its one line is the bearer token; read anew for each request.
        ca: Whose signature on the server's certificate is believed; None: the system's authorities.
    """

    url: str
    max_age_s: Annotated[Duration, Meta(ge=60, le=366 * 86400)] = field(default=12 * 3600.0, name="max_age")
    headers: dict[HeaderName, HeaderValue] = {}
    token_file: Path | None = None
    ca: Path | None = None
    samples_per_request: Annotated[int, Meta(ge=1, le=100_000)] = 2_000

    def __post_init__(self) -> None:
        if not re.fullmatch(r"https?://[^\s/@?]+(/[^\s@]*)?", self.url):
            raise ValueError(
                "url: write http:// or https://, host and path; a password goes into headers or token_file"
            )

    @property
    def shown_url(self) -> str:
        """For logs: a query may hold a key."""
        return self.url.partition("?")[0]

    def token(self) -> str | None:
        """The bearer token, where there is one.

        Raises:
            OSError, ValueError: The file can't be read, or holds none.
        """
        if self.token_file is None:
            return None
        token = self.token_file.read_text("ascii").strip()
        if not token or not token.isprintable():
            raise ValueError(f"{self.token_file} holds no token")
        return token


class Config(Struct, frozen=True, kw_only=True):
    """collector.toml; relative paths are relative to its folder."""

    sites: Path = Path("sites.toml")
    broker: Broker = Broker()
    store: StoreConfig = StoreConfig()
    http: Http = Http()
    reports: Reports = Reports()
    evidence: Evidence = Evidence()
    authority: AuthorityConfig | None = None
    remote_write: RemoteWrite | None = None

    @property
    def tokens(self) -> Path:
        """Where the API's tokens are kept, beside the store."""
        return self.store.path.with_name("access.db")

    @property
    def audit(self) -> Path:
        """Where every change is recorded, beside the store."""
        return self.store.path.with_name(audit.NAME)


def load_config(path: Path) -> Config:
    """Reads and checks collector.toml.

    Raises:
        ConfigError: The first thing that is wrong.
    """
    config = _read(read_toml(path), str(path), path.parent)
    http_settings.check(config.http, str(path))
    if config.remote_write is not None:
        _check_files(config.remote_write, str(path))
    return config


def read_config(text: bytes, name: str, folder: Path) -> Config:
    """The same from a text that is to lie in a folder; whether the files that it names are there is not asked.

    Raises:
        ConfigError: The first thing that is wrong.
    """
    return _read(parse_toml(text, name), name, folder)


def _read(written: dict[str, Any], file: str, folder: Path) -> Config:
    config = build(written, Config, file)
    if config.broker.tls is not None and "port" not in written["broker"]:
        config = replace(config, broker=replace(config.broker, port=8883))
    if config.http.port > 65535:
        raise ConfigError(file, "http.address", f"{config.http.port} is not a port")
    tls = config.broker.tls
    if tls is not None and (tls.certificate is None) != (tls.key is None):
        raise ConfigError(file, "broker.tls", "certificate and key go together")
    return _anchored(config, folder)


def _check_files(remote: RemoteWrite, file: str) -> None:
    """What is wrong with a token or an authority is said at once."""
    try:
        remote.token()
    except (OSError, ValueError) as e:
        raise ConfigError(file, "remote_write.token_file", str(e)) from e
    try:
        ssl.create_default_context(cafile=remote.ca)
    except OSError as e:
        raise ConfigError(file, "remote_write.ca", f"{remote.ca}: {e}") from e


def _anchored(config: Config, folder: Path) -> Config:
    tls = config.broker.tls
    if tls is not None:
        tls = replace(
            tls, **{name: folder / each for name in ("ca", "certificate", "key") if (each := getattr(tls, name))}
        )
    return replace(
        config,
        sites=folder / config.sites,
        store=replace(config.store, path=folder / config.store.path),
        broker=replace(config.broker, tls=tls),
        http=http_settings.anchored(config.http, folder),
        remote_write=config.remote_write and _anchored_remote(config.remote_write, folder),
        authority=config.authority and AuthorityConfig(folder=folder / config.authority.folder),
        reports=replace(config.reports, folder=config.reports.folder and folder / config.reports.folder),
        evidence=replace(config.evidence, key=config.evidence.key and folder / config.evidence.key),
    )


def _anchored_remote(remote: RemoteWrite, folder: Path) -> RemoteWrite:
    return replace(
        remote,
        token_file=remote.token_file and folder / remote.token_file,
        ca=remote.ca and folder / remote.ca,
    )
