"""The few fields of an X.509 certificate that an operator asks for (RFC 5280 §4.1; DER: ITU-T X.690). Pure.

Python's ssl module tells them only of a certificate that it has verified; the ones that fail are the ones to look at.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

_COMMON_NAME, _ORGANISATION = bytes.fromhex("0603550403"), bytes.fromhex("060355040a")
_VERSION_TAG = 0xA0
_UTC_TIME, _GENERALIZED_TIME, _BMP_STRING = 23, 24, 30
_LONGEST = 100


class CertificateError(ValueError):
    """Not a certificate."""


class Certificate(NamedTuple):
    """Subject and issuer by common name, else by organisation; None where they have neither."""

    subject: str | None
    issuer: str | None
    not_before: datetime
    not_after: datetime


class _Node(NamedTuple):
    """One element: its tag, its content, and all of it with tag and length."""

    tag: int
    content: bytes
    whole: bytes


def read(der: bytes) -> Certificate:
    """Reads a certificate.

    Raises:
        CertificateError: It breaks off, or is something else.
    """
    try:
        to_be_signed = next(_nodes(next(_nodes(der)).content))
        fields = [node for node in _nodes(to_be_signed.content) if node.tag != _VERSION_TAG]
        _, _, issuer, validity, subject, *_ = fields
        not_before, not_after = (_time(node) for node in _nodes(validity.content))
        return Certificate(_name(subject), _name(issuer), not_before, not_after)
    except (ValueError, StopIteration, IndexError) as e:
        raise CertificateError("the certificate can't be read") from e


def _nodes(data: bytes) -> Iterator[_Node]:
    """The elements that stand side by side."""
    at = 0
    while at < len(data):
        start, (at, length) = at, _length(data, at + 1)
        if at + length > len(data):
            raise CertificateError("an element breaks off")
        yield _Node(data[start], data[at : at + length], data[start : at + length])
        at += length


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Where the content begins, and its length."""
    first = data[at]
    if first < 0x80:
        return at + 1, first
    size = first & 0x7F
    if not 1 <= size <= 4:
        raise CertificateError("an element of no known length")
    return at + 1 + size, int.from_bytes(data[at + 1 : at + 1 + size], "big")


def _time(node: _Node) -> datetime:
    text = node.content.decode("ascii")
    if node.tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif node.tag != _GENERALIZED_TIME:
        raise CertificateError("a time of an unknown kind")
    if len(text) != 15 or text[-1] != "Z":
        raise CertificateError("a time that is not of UTC to the second")  # RFC 5280 §4.1.2.5 allows no other
    month, day, hour, minute, second = (int(text[at : at + 2]) for at in range(4, 14, 2))
    return datetime(int(text[:4]), month, day, hour, minute, second, tzinfo=UTC)


def _name(node: _Node) -> str | None:
    """The common name, else the organisation, of a distinguished name."""
    found: dict[bytes, str] = {}
    for attributes in _nodes(node.content):
        for attribute in _nodes(attributes.content):
            kind, value, *_ = _nodes(attribute.content)
            coding = "utf-16-be" if value.tag == _BMP_STRING else "utf-8"
            found[kind.whole] = value.content.decode(coding, "replace")
    text = found.get(_COMMON_NAME) or found.get(_ORGANISATION)
    return "".join(c for c in text if c.isprintable())[:_LONGEST] if text else None
