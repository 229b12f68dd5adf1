"""Names of Wi-Fi networks, which are anybody's 32 bytes, as text that people write and read. Pure."""

import re

MOST_BYTES = 32
_ESCAPED = re.compile(rb"\\(\\|x[0-9a-fA-F]{2})")


def text(name: bytes) -> str:
    """A name for people: what is no printable UTF-8 as `\\xNN`, a backslash twice."""
    return "".join(_escaped(c) for c in name.decode("utf-8", "surrogateescape"))


def octets(name: str) -> bytes:
    """The name that somebody has written like that; a backslash before anything else stands for itself.

    Raises:
        ValueError: None, or more than 32 bytes.
    """
    found = _ESCAPED.sub(_byte, name.encode())
    if not 1 <= len(found) <= MOST_BYTES:
        raise ValueError(f"{name!r} is no network's name: {len(found)} bytes, not 1 to {MOST_BYTES}")
    return found


def _escaped(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _byte(found: re.Match[bytes]) -> bytes:
    told = found[1]
    return b"\\" if told == b"\\" else bytes.fromhex(told[1:].decode("ascii"))
