"""The reflector's list of prefixes in a file: one a line, what follows # says whose; taken anew when it changes."""

import ipaddress
import logging
from pathlib import Path

from fibrewatch_agent.responder.sessions import Prefixes

log = logging.getLogger(__name__)

_Stamp = tuple[int, int, int]


def read_prefixes(path: Path) -> tuple[str, ...]:
    """The prefixes of a file; a file without any allows nobody.

    Raises:
        OSError: It can't be read.
        ValueError: It is not text, or a line is no prefix; the text says which.
    """
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return tuple(_checked(number, line) for number, line in enumerate(lines, 1) if line)


def _checked(number: int, line: str) -> str:
    try:
        ipaddress.ip_network(line, strict=False)
    except ValueError as e:
        raise ValueError(f"line {number}: {e}") from e
    return line


class AllowFile:
    """The list in force; a new file that can't be used leaves the old list in force."""

    def __init__(self, path: Path) -> None:
        """Reads it; see `read_prefixes` for what it raises."""
        self._path = path
        self._seen: _Stamp | None = _stamp(path)
        self._prefixes = Prefixes(read_prefixes(path))

    def __contains__(self, address: str) -> bool:
        return address in self._prefixes

    def look(self) -> None:
        """Reads the file if it is another than last time."""
        try:
            seen = _stamp(self._path)
            if seen == self._seen:
                return
            self._seen = seen
            self._prefixes = Prefixes(read_prefixes(self._path))
        except (OSError, ValueError) as e:
            self._refuse(e)
        else:
            log.info("allow-list taken anew file=%s", self._path)

    def _refuse(self, problem: Exception) -> None:
        if self._seen is not None:  # a file that is away is complained of once
            log.error("allow-list refused, the old one stays in force file=%s: %s", self._path, problem)
        if isinstance(problem, OSError):
            self._seen = None


def _stamp(path: Path) -> _Stamp:
    """What changes when a file is written or replaced."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size
