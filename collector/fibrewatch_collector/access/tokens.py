"""Tokens: made once, kept as a hash, compared in constant time. Pure but for chance."""

import hashlib
import hmac
import re
import secrets
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from fibrewatch_collector.access.scopes import Scope

PREFIX = "fw"
NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._@-]{0,39}"
_ID_BYTES, _SECRET_BYTES = 6, 32
_TOKEN = re.compile(rf"{PREFIX}_([0-9a-f]{{{2 * _ID_BYTES}}})_([A-Za-z0-9_-]{{43}})", re.ASCII)


class Token(Struct, frozen=True, kw_only=True):
    """What is known of a token: all but the token.

    Attributes:
        id: The part of the token that is no secret, by which it is found.
        expires_at: None: never.
        used_at: To about a minute.
    """

    id: str
    name: str
    scope: Scope
    made_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None
    used_from: str | None

    def problem(self, now: datetime) -> str | None:
        """Why it is no longer good."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return None


class Made(NamedTuple):
    """A new token: `text` is shown once; the rest is kept."""

    text: str
    id: str
    hash: bytes


class Presented(NamedTuple):
    """A token as somebody shows it."""

    id: str
    secret: str


_NOBODY = hashlib.sha256(b"").digest()


def make() -> Made:
    """256 random bits: no salt or slow hash makes those harder to guess."""
    number, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    return Made(f"{PREFIX}_{number}_{secret}", number, digest(secret))


def presented(text: str) -> Presented | None:
    """None when it has not the form of a token."""
    found = _TOKEN.fullmatch(text)
    return Presented(found[1], found[2]) if found else None


def digest(secret: str) -> bytes:
    """What is kept of it."""
    return hashlib.sha256(secret.encode()).digest()


def is_right(secret: str, kept: bytes | None) -> bool:
    """Takes as long for a token that is not known as for one that is wrong."""
    same = hmac.compare_digest(digest(secret), _NOBODY if kept is None else kept)
    return same and kept is not None
