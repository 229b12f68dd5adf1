"""The collector's own settings, `collector.toml`."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from fibrewatch.config import Duration, build, read_toml
from fibrewatch.errors import ConfigError

DEFAULT_PATH = Path("/etc/fibrewatch/collector.toml")
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


class Http(Struct, frozen=True, kw_only=True):
    """Where metrics, API and page are served; loopback, because nothing of it asks who you are."""

    address: Annotated[str, Meta(pattern=r"\A(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):\d{1,5}\Z")] = "127.0.0.1:8480"

    @property
    def host(self) -> str:
        """Without brackets."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """0 lets the system choose."""
        return int(self.address.rpartition(":")[2])


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


class Config(Struct, frozen=True, kw_only=True):
    """collector.toml; relative paths are relative to its folder."""

    sites: Path = Path("sites.toml")
    broker: Broker = Broker()
    store: StoreConfig = StoreConfig()
    http: Http = Http()
    reports: Reports = Reports()
    evidence: Evidence = Evidence()
    authority: AuthorityConfig | None = None


def load_config(path: Path) -> Config:
    """Reads and checks collector.toml.

    Raises:
        ConfigError: The first thing that is wrong.
    """
    written = read_toml(path)
    config = build(written, Config, str(path))
    if config.broker.tls is not None and "port" not in written["broker"]:
        config = replace(config, broker=replace(config.broker, port=8883))
    if config.http.port > 65535:
        raise ConfigError(str(path), "http.address", f"{config.http.port} is not a port")
    tls = config.broker.tls
    if tls is not None and (tls.certificate is None) != (tls.key is None):
        raise ConfigError(str(path), "broker.tls", "certificate and key go together")
    return _anchored(config, path.parent)


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
        authority=config.authority and AuthorityConfig(folder=folder / config.authority.folder),
        reports=replace(config.reports, folder=config.reports.folder and folder / config.reports.folder),
        evidence=replace(config.evidence, key=config.evidence.key and folder / config.evidence.key),
    )
