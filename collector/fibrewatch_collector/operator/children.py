"""The demo's processes: started one by one, watched, and none left behind however the demo ends."""

import asyncio
import os
import signal
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fibrewatch.errors import ToolError
from fibrewatch_collector.operator import tether

STOP_TIMEOUT_S = 8.0
LAST_LINES = 12


@dataclass(frozen=True, slots=True)
class Child:
    """A process in a session of its own, so that Ctrl-C in the terminal reaches the demo alone."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    def last_lines(self) -> list[str]:
        """The end of what it logged."""
        with self.log.open(encoding="utf-8", errors="replace") as lines:
            return [line.rstrip() for line in deque(lines, LAST_LINES)]


class ChildEndedError(ToolError):
    """A process of the demo ended by itself.

    Attributes:
        last_lines: The end of what it logged.
    """

    def __init__(self, child: Child) -> None:
        self.last_lines = child.last_lines()
        super().__init__(f"{child.name} ended by itself, exit status {child.process.returncode}")


class Family:
    """All children, in the order of their start; the folder holds their logs and is where they run."""

    def __init__(self, folder: Path, stop_timeout_s: float = STOP_TIMEOUT_S) -> None:
        self.folder, self._stop_timeout_s = folder, stop_timeout_s
        self.children: list[Child] = []

    async def start(self, name: str, *arguments: str) -> Child:
        """Starts `python ARGUMENTS`; it gets SIGKILL when this process is gone."""
        log = self.folder / f"{name}.log"
        argv = (sys.executable, "-IS", tether.__file__, str(os.getpid()), sys.executable, *arguments)
        with log.open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                *argv,
                cwd=self.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        child = Child(name, process, log)
        self.children.append(child)
        return child

    def check(self) -> None:
        """Raises ChildEndedError if one has ended by itself."""
        for child in self.children:
            if child.process.returncode is not None:
                raise ChildEndedError(child)

    async def stop(self) -> None:
        """Ends them, the last one started first: what a box has measured still reaches the collector."""
        for child in reversed(self.children):
            await _end(child.process, self._stop_timeout_s)


async def _end(process: asyncio.subprocess.Process, timeout_s: float) -> None:
    """SIGTERM, then SIGKILL to it and whatever it started."""
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(timeout_s):
                await process.wait()
        except TimeoutError:
            process.kill()
    with suppress(ProcessLookupError):  # its group is gone with it
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
