"""What the state consists of: names in the archive, and the files that the configuration says they are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from fibrewatch_collector.access import audit
from fibrewatch_collector.config import Config
from fibrewatch_collector.identity import authority, joining, settings

CONFIG, STORE = "collector.toml", "store.db"
Kind = Literal["settings", "file", "store", "register"]


class Part(NamedTuple):
    """One file of the state.

    Attributes:
        kind: "settings" are the administrator's, the others the collector's; the last two are SQLite's.
        secret: Whoever has it can pass for us: it is left out unless asked for.
        needed: There is no collector without it.
    """

    name: str
    path: Path
    kind: Kind = "file"
    secret: bool = False
    needed: bool = False

    @property
    def database(self) -> bool:
        """Copied by SQLite, not byte by byte."""
        return self.kind in ("store", "register")


def parts(file: Path, config: Config) -> list[Part]:
    """All that the configuration names, whether it is there or not; the written reports can be made anew."""
    return [
        Part(CONFIG, file, "settings", needed=True),
        Part("sites.toml", config.sites, "settings", needed=True),
        *_authority(config),
        *_credentials(config),
        *_access(config),
        Part(STORE, config.store.path, "store", needed=True),
    ]


def _authority(config: Config) -> Iterator[Part]:
    if config.authority is None:
        return
    folder = config.authority.folder
    yield Part("authority/ca.pem", folder / authority.CERTIFICATE)
    yield Part("authority/crl.pem", folder / authority.REVOKED)
    yield Part("authority/authority.toml", folder / settings.NAME)
    yield Part("authority/register.db", folder / authority.REGISTER, "register")
    yield Part("authority/audit.db", folder / audit.NAME, "register")
    yield Part("authority/ca.key", folder / authority.KEY, secret=True)
    yield Part("authority/join.pem", folder / joining.SERVER, secret=True)


def _credentials(config: Config) -> Iterator[Part]:
    if (tls := config.broker.tls) is not None:
        if tls.ca is not None:
            yield Part("broker/ca.pem", tls.ca)
        if tls.certificate is not None and tls.key is not None:
            if tls.certificate != tls.key:
                yield Part("broker/certificate.pem", tls.certificate)
            yield Part("broker/key.pem", tls.key, secret=True)
    if config.evidence.key is not None:
        yield Part("evidence/key.pem", config.evidence.key, secret=True)
    if (remote := config.remote_write) is not None:
        if remote.ca is not None:
            yield Part("remote_write/ca.pem", remote.ca)
        if remote.token_file is not None:
            yield Part("remote_write/token", remote.token_file, secret=True)


def _access(config: Config) -> Iterator[Part]:
    """Tokens are there as hashes alone."""
    yield Part("tokens.db", config.tokens, "register")
    yield Part("audit.db", config.audit, "register")
    if (tls := config.http.tls) is not None:
        yield Part("http/certificate.pem", tls.certificate, secret=tls.key is None)
        for name, path in (("client-ca", tls.client_ca), ("client-crl", tls.client_crl)):
            if path is not None:
                yield Part(f"http/{name}.pem", path)
        if tls.key is not None and tls.key != tls.certificate:
            yield Part("http/key.pem", tls.key, secret=True)
