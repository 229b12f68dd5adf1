"""The HMAC key of authenticated STAMP, kept in a file of its own: never on a command line, never in a log."""

from pathlib import Path

SHORTEST = 16


def read_key(path: Path) -> bytes:
    """The HMAC key in a file: all of it but a newline at the end.

    Raises:
        ValueError: It is too short to be one.
        OSError: It can't be read.
    """
    key = path.read_bytes().rstrip(b"\r\n")
    if len(key) < SHORTEST:
        raise ValueError(f"{path}: a key has {SHORTEST} bytes at least")
    return key
