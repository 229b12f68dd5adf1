"""What iperf3's own authentication needs at the responder: a key pair for as long as it runs, a user for each slot.

The key exists to carry a password that is good for one slot, so PKCS #1 v1.5 padding, which 3.17 left for OAEP,
protects enough; it is the one that 3.12 (Debian 12) and 3.18 (Debian 13) share, each at either end (tried). The clocks
of boxes are not trusted here: the slot's own end is what limits a password's life.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from fibrewatch.errors import ToolError
from fibrewatch_agent.child import child
from fibrewatch_agent.transfer.iperf3 import TOOL

_BITS = "2048"
_ANY_CLOCK = "2000000000"
_LIMIT_S = 60.0
_OUTPUT = 64 * 1024
_FIRST_WITH_OAEP = (3, 17)
_FIRST_THREADED = (3, 16)


class Credentials:
    """The key's files, and the options that make a server ask for a user."""

    def __init__(self, folder: Path, public_key: str, version: tuple[int, int]) -> None:
        self._folder, self.public_key, self._version = folder, public_key, version
        self._padding = ["--use-pkcs1-padding"] if version >= _FIRST_WITH_OAEP else []

    def cores(self, streams: int) -> int:
        """How many cores a server can use: one before 3.16, which brought a thread for each stream."""
        return 1 if self._version < _FIRST_THREADED else max(1, min(streams, os.cpu_count() or 1))

    @contextmanager
    def user(self, name: str, password: str) -> Iterator[list[str]]:
        """The options of a server that lets in this user only; its file is gone at the end."""
        path = self._folder / f"users-{name}"
        hashed = hashlib.sha256(f"{{{name}}}{password}".encode()).hexdigest()
        path.write_text(f"{name},{hashed}\n", "ascii")
        options = ["--rsa-private-key-path", str(self._folder / "key.pem"), "--authorized-users-path", str(path)]
        try:
            yield [*options, "--time-skew-threshold", _ANY_CLOCK, *self._padding]
        finally:
            path.unlink()


@asynccontextmanager
async def credentials() -> AsyncIterator[Credentials]:
    """A key pair in a folder that nobody else reads; gone at the end.

    Raises:
        ToolError: iperf3 or openssl is missing, or iperf3 was built without authentication.
    """
    version, features = await iperf3_version()
    if "authentication" not in features:
        raise ToolError(f"{TOOL} was built without authentication: slots need it")
    with tempfile.TemporaryDirectory(prefix="fibrewatch-slots-") as name:
        folder = Path(name)
        key = folder / "key.pem"
        await _output("openssl", "genrsa", "-out", str(key), _BITS)
        public = await _output("openssl", "rsa", "-in", str(key), "-pubout")
        yield Credentials(folder, public, version)


async def iperf3_version() -> tuple[tuple[int, int], str]:
    """Major and minor, and the words for what it was built with.

    Raises:
        ToolError: It is missing or says neither.
    """
    text = await _output(TOOL, "-v")
    found = re.match(r"iperf (\d+)\.(\d+)", text)
    if found is None:
        raise ToolError(f"{TOOL}: unknown version: {text[:60]!r}")
    return (int(found[1]), int(found[2])), text.partition("features available:")[2]


async def _output(*argv: str) -> str:
    """What a program prints.

    Raises:
        ToolError: It is missing, fails or hangs.
    """
    try:
        async with child(argv, keep=_OUTPUT) as process:
            if not await process.ends_within(_LIMIT_S):
                raise ToolError(f"{argv[0]}: no end within {_LIMIT_S:g} s")
            status = await process.wait()
    except OSError as e:
        raise ToolError(f"{argv[0]}: {e.strerror}") from e
    if status:
        raise ToolError(f"{argv[0]}: {process.errors.decode(errors='replace').strip()[:200] or f'status {status}'}")
    return process.output.decode(errors="replace")
