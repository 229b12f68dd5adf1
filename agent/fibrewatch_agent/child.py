"""Child processes that never outlive us: reaped on every way out, killed by the kernel when we are killed."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

from fibrewatch.errors import ToolError

_PACKAGES = {
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "nft": "nftables",
    "wpa_supplicant": "wpasupplicant",
}
_ERRORS_KEPT = 4096
_GRACE_S = 2.0


class Child(asyncio.SubprocessProtocol):
    """A running program: its output is collected as it comes, so a full pipe never blocks it.

    Attributes:
        output: Standard output, at most `keep` bytes.
        errors: The first bytes of standard error.
        overflowed: It wrote more than `keep`: without `tail` it is killed for that, with `tail` the oldest bytes go.
    """

    def __init__(self, keep: int, *, tail: bool) -> None:
        self.output, self.errors, self.overflowed = bytearray(), bytearray(), False
        self._keep, self._tail = keep, tail
        self._transport: asyncio.SubprocessTransport | None = None
        loop = asyncio.get_running_loop()
        self._exited, self._gone = loop.create_future(), loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self.errors += data[: _ERRORS_KEPT - len(self.errors)]
            return
        self.output += data
        if len(self.output) > self._keep:
            self.overflowed = True
            del self.output[slice(None, -self._keep) if self._tail else slice(self._keep, None)]
            if not self._tail:
                self.send(signal.SIGKILL)

    def process_exited(self) -> None:
        self._exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone.set_result(None)

    @property
    def transport(self) -> asyncio.SubprocessTransport:
        """Pid and return code."""
        if self._transport is None:
            raise RuntimeError("the child was not started")
        return self._transport

    @property
    def ended(self) -> bool:
        """It has ended, and all its output is here."""
        return self._gone.done()

    def send(self, number: signal.Signals) -> None:
        """Sends a signal unless it has ended.

        Not by the transport: its send_signal polls, which takes the exit status away from asyncio's watcher.
        """
        if not self._exited.done():
            with suppress(ProcessLookupError):
                os.kill(self.transport.get_pid(), number)

    async def wait(self) -> int:
        """Until it has ended and all its output is here; the exit status, negative for a signal."""
        await asyncio.shield(self._gone)
        return self.transport.get_returncode() or 0

    async def ends_within(self, limit_s: float) -> bool:
        """Whether it has ended by itself in this time."""
        try:
            async with asyncio.timeout(limit_s):
                await self.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self, grace_s: float = _GRACE_S) -> None:
        """SIGTERM, and SIGKILL when that did not help."""
        self.send(signal.SIGTERM)
        if not await self.ends_within(grace_s):
            await self.kill()

    async def kill(self) -> None:
        """SIGKILL, reap, close the pipes even where someone else holds their other end."""
        self.send(signal.SIGKILL)
        await asyncio.shield(self._exited)
        self.transport.close()
        await asyncio.shield(self._gone)


@asynccontextmanager
async def child(
    argv: Sequence[str],
    *,
    keep: int,
    tail: bool = False,
    own_errors: bool = False,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> AsyncIterator[Child]:
    """Starts a program; when the block is left, however, it has ended and is reaped.

    It stands in a session of its own, so that Ctrl-C at a terminal reaches us alone, and gets SIGKILL from the kernel
    when we die without a word. setpriv(1) sets that up (PR_SET_PDEATHSIG, prctl(2)) after the fork: a preexec_fn would
    run Python between fork and exec, which can deadlock when the process has threads.

    Args:
        own_errors: What it writes to standard error goes where ours goes, as it comes.
        env: Beside LANG, all that it sees of an environment: a secret is not for the command line, which all can read.

    Raises:
        ToolError: It is not installed.
    """
    command = [find("setpriv"), "--pdeathsig", "KILL", find(argv[0]), *argv[1:]]
    _, protocol = await asyncio.get_running_loop().subprocess_exec(
        lambda: Child(keep, tail=tail),
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=None if own_errors else asyncio.subprocess.PIPE,
        env={"LANG": "C", **(env or {})},
        start_new_session=True,
        pass_fds=pass_fds,
    )
    try:
        yield protocol
    finally:
        await protocol.kill()


def find(program: str) -> str:
    """Where a program is on the PATH.

    Raises:
        ToolError: It is not installed; says how to install it.
    """
    found = _which(program)
    if found is None:
        package = _PACKAGES.get(program, program)
        raise ToolError(f"{program} is not installed: apt install {package}")
    return found


def _which(program: str) -> str | None:
    """As shutil.which, which costs a box 0.5 MiB."""
    if "/" in program:
        return program if os.access(program, os.X_OK) else None
    candidates = (Path(folder) / program for folder in os.get_exec_path())
    return next((str(each) for each in candidates if os.access(each, os.X_OK) and each.is_file()), None)
