"""authority.toml: what enrolled boxes are told, and how revocations reach the broker."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration, load
from fibrewatch.identity import Endpoint

NAME = "authority.toml"
_DAY = 86400.0


class Join(Struct, frozen=True, kw_only=True):
    """[join]: where boxes with a token ask for their certificate, over TLS by the authority's own signature.

    Attributes:
        listen: `address:port`; the collector serves it.
        names: Host names and addresses that boxes reach it by; the first is in the tokens.
    """

    listen: Annotated[str, Meta(pattern=r"\A(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):\d{1,5}\Z")] = "0.0.0.0:8481"
    names: Annotated[tuple[Annotated[str, Meta(pattern=r"\A[A-Za-z0-9.:-]{1,253}\Z")], ...], Meta(min_length=1)]

    @property
    def address(self) -> tuple[str, int]:
        """Host without brackets, port."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def url(self) -> str:
        """As tokens tell it."""
        name = f"[{self.names[0]}]" if ":" in self.names[0] else self.names[0]
        return f"https://{name}:{self.address[1]}"


class Settings(Struct, frozen=True, kw_only=True):
    """The whole file.

    Attributes:
        broker: As boxes reach it.
        box_lasts_s: A box's certificate; it asks for the next when a third of that is left.
        token_lasts_s: A join token that nobody uses.
        reload: A command that has the broker read its list of revoked certificates again; none where systemd
            watches the file.
        responders: Commands that take a box's token back at a responder, and bring it the list of revoked
            certificates; the box's name is appended to each.
    """

    broker: Endpoint
    join: Join | None = None
    box_lasts_s: Annotated[Duration, Meta(ge=30, le=3650 * _DAY)] = field(default=365 * _DAY, name="box_lasts")
    token_lasts_s: Annotated[Duration, Meta(ge=60, le=365 * _DAY)] = field(default=14 * _DAY, name="token_lasts")
    reload: tuple[str, ...] = ()
    responders: tuple[Annotated[tuple[str, ...], Meta(min_length=1)], ...] = ()


def load_settings(folder: Path) -> Settings:
    """Of the authority in that folder.

    Raises:
        ConfigError: The file is missing or bad.
    """
    return load(folder / NAME, Settings)
