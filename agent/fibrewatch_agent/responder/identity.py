"""Which box asks: by the common name of its certificate, or by a token of its own that is kept hashed."""

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fibrewatch.errors import ConfigError, WireError
from fibrewatch.wire import agent_id

_LINE = re.compile(r"(\S+)\s+sha256:([0-9a-f]{64})")
_TOKEN_BYTES = 32
_LONGEST_TOKEN = 200


def is_box(name: str) -> bool:
    """Whether it is territory/site/agent."""
    try:
        agent_id(name)
    except WireError:
        return False
    return True


def digest(token: str) -> str:
    """What is kept of a token. It is 32 random bytes, which nobody guesses: a slow hash would protect nothing more."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


class Tokens:
    """The file of tokens: `territory/site/agent sha256:HEX` a line; read anew when it has changed."""

    def __init__(self, path: Path) -> None:
        """Reads it.

        Raises:
            ConfigError: It can't be read, or a line is of another form.
        """
        self._path = path
        self._boxes: dict[str, bytes] = {}
        self._version: tuple[int, ...] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Reads the file if it is another one than the last time.

        One that can't be read lets nobody in, and is tried again each time: who was taken off it can't be known.

        Raises:
            ConfigError: As said.
        """
        try:
            found = self._path.stat()
            version = found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size
            if version == self._version:
                return
            self._boxes, self._version = {}, None
            self._boxes = read_tokens(self._path.read_text("utf-8"), str(self._path))
        except (OSError, UnicodeDecodeError) as e:
            self._boxes, self._version = {}, None
            raise ConfigError(str(self._path), "", getattr(e, "strerror", None) or "not text") from e
        self._version = version

    def box(self, token: str) -> str | None:
        """Whose token it is; every line is looked at, in a time that tells nothing."""
        if len(token) > _LONGEST_TOKEN:
            return None
        presented, found = digest(token).encode(), None
        for name, kept in self._boxes.items():
            if hmac.compare_digest(presented, kept):
                found = name
        return found

    def __len__(self) -> int:
        return len(self._boxes)


def read_tokens(text: str, file: str) -> dict[str, bytes]:
    """The boxes of a file of tokens, and the digest of each.

    Raises:
        ConfigError: A line is of another form, a box is there twice.
    """
    boxes: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None or not is_box(found[1]):
            raise ConfigError(file, f"line {number}", "not of the form: territory/site/agent sha256:HEX")
        if found[1] in boxes:
            raise ConfigError(file, f"line {number}", f"{found[1]} is there twice")
        boxes[found[1]] = found[2].encode()
    return boxes


def issue(path: Path, name: str) -> str:
    """Makes a token for a box, keeps its digest in the file in place of an earlier one, and returns it.

    Raises:
        ConfigError: The name is none, the file can't be read or written.
    """
    if not is_box(name):
        raise ConfigError("", "--new-token", f"{name!r} is not territory/site/agent of 1 to 20 of a-z, 0-9, - each")
    try:
        text = path.read_text("utf-8") if path.exists() else ""
        read_tokens(text, str(path))
        kept = [line for line in text.splitlines() if line.split(maxsplit=1)[:1] != [name]]
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        _replace(path, "\n".join([*kept, f"{name} sha256:{digest(token)}", ""]))
    except OSError as e:
        raise ConfigError(str(path), "", e.strerror or str(e)) from e
    return token


def withdraw(path: Path, name: str) -> bool:
    """Takes a box's token off the file, which is read anew at the next question; False where it had none.

    Raises:
        ConfigError: The file can't be read or written.
    """
    try:
        text = path.read_text("utf-8")
        had = name in read_tokens(text, str(path))
        if had:
            kept = [line for line in text.splitlines() if line.split(maxsplit=1)[:1] != [name]]
            _replace(path, "\n".join([*kept, ""]))
    except OSError as e:
        raise ConfigError(str(path), "", e.strerror or str(e)) from e
    return had


def _replace(path: Path, text: str) -> None:
    """Whole or not at all; owner and mode of the file that was there stay."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        before = path.stat()
        fresh.chmod(before.st_mode & 0o777)
        if os.geteuid() == 0:
            os.chown(fresh, before.st_uid, before.st_gid)
    fresh.replace(path)


def common_name(certificate: Mapping[str, Any] | None) -> str | None:
    """The box that a verified certificate (as `ssl.getpeercert` gives it) was made for; None for any other name."""
    parts = [part for group in (certificate or {}).get("subject", ()) for part in group]
    names = [value for key, value in parts if key == "commonName"]
    return names[0] if len(names) == 1 and is_box(names[0]) else None
