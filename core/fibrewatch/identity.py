"""What enrols a box and keeps its certificate fresh: bundles, join tokens, and the messages of the `renew` channel."""

import base64
import hashlib
import ssl
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from fibrewatch.errors import FibrewatchError
from fibrewatch.wire import ID_PATTERN, agent_id

MAX_BYTES = 64 * 1024
Pem = Annotated[str, Meta(min_length=1, max_length=16 * 1024)]
Box = Annotated[str, Meta(pattern=rf"\A{ID_PATTERN}/{ID_PATTERN}/{ID_PATTERN}\Z")]
_TOKEN = "fibrewatch1."  # noqa: S105 what tokens begin with


class IdentityError(FibrewatchError):
    """A bundle, token, key or certificate that can't be used; nothing was changed."""


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where the broker is."""

    host: Annotated[str, Meta(min_length=1, max_length=255)]
    port: Annotated[int, Meta(ge=1, le=65535)] = 8883


class Bundle(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that a box needs to begin, as one file of JSON.

    Attributes:
        ca: Whose signature on the broker's certificate the box believes.
        config: The agent.toml to begin with.
        key: Only for set-up without a line to the authority; then the file is a secret.
        signature: The authority's over `signed_part`, base64.
    """

    bundle: Annotated[int, Meta(ge=1, le=1)] = 1
    agent: Box
    broker: Endpoint
    ca: Pem
    certificate: Pem
    config: Annotated[str, Meta(max_length=32 * 1024)]
    made_at: Annotated[datetime, Meta(tz=True)]
    key: Pem | None = None
    signature: Annotated[str, Meta(max_length=400)] = ""


class JoinToken(Struct, frozen=True, kw_only=True):
    """One box's leave to ask for a certificate once.

    Attributes:
        url: Of the authority's joining service, `https://host:port`.
        ca: SHA-256 of its certificate (DER), hexadecimal: the box knows nothing else to recognise it by.
        secret: What the authority keeps a hash of.
    """

    agent: Box
    url: Annotated[str, Meta(pattern=r"\Ahttps://[^\s/]{1,260}\Z")]
    ca: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    secret: Annotated[str, Meta(min_length=32, max_length=100)]


class JoinRequest(Struct, frozen=True, kw_only=True):
    """From the box to the joining service: the key stays on the box."""

    agent: Box
    secret: Annotated[str, Meta(max_length=100)]
    request: Pem


class RenewRequest(Struct, frozen=True, kw_only=True):
    """Channel renew, up: a request for the next certificate, signed by the key of the one in force.

    Attributes:
        request: PKCS #10, PEM.
        certificate: The one in force.
        signature: By its key over `request`, ECDSA with SHA-256, base64.
    """

    request: Pem
    certificate: Pem
    signature: Annotated[str, Meta(max_length=400)]


class RenewReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Channel renew, down: the certificate, or why there is none."""

    certificate: Pem | None = None
    refused: Annotated[str, Meta(max_length=300)] | None = None


def signed_part(bundle: Bundle) -> bytes:
    """What the authority signs: all but the signature."""
    return msgspec.json.encode(msgspec.structs.replace(bundle, signature=""), order="deterministic")


def encode_token(token: JoinToken) -> str:
    """As one word that is handed to whoever sets the box up."""
    return _TOKEN + base64.urlsafe_b64encode(msgspec.json.encode(token)).decode().rstrip("=")


def decode_token(word: str) -> JoinToken:
    """Reads it again.

    Raises:
        IdentityError: It is none, or was cut off.
    """
    body = word.strip().removeprefix(_TOKEN)
    try:
        token = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=JoinToken)
    except (msgspec.MsgspecError, ValueError, RecursionError) as e:  # ValueError: what is not base64
        raise IdentityError("this is no join token, or not the whole of it") from e
    agent_id(token.agent)
    return token


def fingerprint(pem: str) -> str:
    """SHA-256 of the first certificate in it, hexadecimal.

    Raises:
        IdentityError: There is none.
    """
    try:
        begin, end = pem.index(ssl.PEM_HEADER), pem.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem[begin:end])).hexdigest()
    except ValueError as e:
        raise IdentityError("there is no certificate in it") from e
