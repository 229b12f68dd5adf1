"""How a command reaches a collector's API: its URL, and a token or certificate that is never on the command line."""

import argparse
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from fibrewatch.errors import ConfigError
from fibrewatch_collector.access import origin

if TYPE_CHECKING:
    from fibrewatch_collector.operator.api import Api

DEFAULT_API = "http://127.0.0.1:8480"
TOKEN_FILE = "FIBREWATCH_TOKEN_FILE"  # noqa: S105 the name of a variable that names a file


class Door(Struct, frozen=True, kw_only=True):
    """Where a collector is, and the files that open it.

    Attributes:
        ca: Whose signature on the collector's certificate is believed; None: the system's authorities.
        certificate: Certificate and key of our own, in one file.
    """

    url: str
    token_file: Path | None = None
    ca: Path | None = None
    certificate: Path | None = None


def add_options(parser: argparse.ArgumentParser) -> None:
    """--api and what opens it."""
    parser.add_argument("--api", default=DEFAULT_API, metavar="URL", help=f"the collector ({DEFAULT_API})")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help=f"holds the API's token (${TOKEN_FILE})")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="whose signature on the collector's certificate counts")
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="your own, with its key, instead of a token")


def fill_in(arguments: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """What the options leave out, from the environment: the name of a file, since a token there could be seen."""
    if getattr(arguments, "token_file", "") is None and environ.get(TOKEN_FILE):
        arguments.token_file = Path(environ[TOKEN_FILE])


def door(arguments: argparse.Namespace) -> Door:
    """By the options."""
    return Door(url=arguments.api, token_file=arguments.token_file, ca=arguments.ca, certificate=arguments.certificate)


@asynccontextmanager
async def opened(door: Door) -> "AsyncIterator[Api]":
    """The API, for some requests.

    Raises:
        ConfigError: A file can't be used, or a token would travel readable.
    """
    import aiohttp

    from fibrewatch_collector.operator.api import Api

    headers = {"Authorization": f"Bearer {_token(door)}"} if door.token_file is not None else {}
    connector = aiohttp.TCPConnector(ssl=_context(door))
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        yield Api(door.url, session)


def _token(door: Door) -> str:
    url = urlsplit(door.url)
    if url.scheme != "https" and not origin.is_loopback_name(url.hostname or ""):
        raise ConfigError("", "--api", f"{door.url}: the token would travel readable: use https://")
    assert door.token_file is not None
    try:
        text = door.token_file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError("", "--token-file", f"{door.token_file}: {getattr(e, 'strerror', None) or 'no token'}") from e
    if not text or len(text.split()) != 1:
        raise ConfigError("", "--token-file", f"{door.token_file}: holds no token")
    return text


def _context(door: Door) -> ssl.SSLContext | bool:
    if door.ca is None and door.certificate is None:
        return True
    try:
        made = ssl.create_default_context(cafile=door.ca)
        if door.certificate is not None:
            made.load_cert_chain(door.certificate)
    except OSError as e:
        raise ConfigError("", "--ca, --certificate", f"{door.ca or door.certificate}: {e.strerror or e}") from e
    return made
