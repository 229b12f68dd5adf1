"""One slot's iperf3: started for it, ended with it, and begun anew when a stranger took its one turn."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import NamedTuple

from fibrewatch.errors import ToolError
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.child import Child, child
from fibrewatch_agent.responder.credentials import Credentials
from fibrewatch_agent.responder.far_load import LoadWatch
from fibrewatch_agent.responder.watch import listens, peers
from fibrewatch_agent.transfer.iperf3 import LARGEST_REPORT, TOOL, Report, parse

log = logging.getLogger(__name__)

_LOOK_FOR_LISTENER_S, _COMES_UP_S = 0.01, 5.0
_LOOK_S, _LOOK_WHILE_TESTING_S = 0.1, 0.5
_AGAIN_S = 0.1
_VANISHED_MS = 15_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a slot is served.

    Attributes:
        here: Our address, as the box reached it.
        peer: The box's address.
    """

    here: str
    peer: str
    user: str
    password: str


class Ended(NamedTuple):
    """How a test in a slot ended, as its server tells.

    Attributes:
        well: The box said how it ended: also when it had enough before the time was over.
        rate: Bytes per second that the server moved, warm-up included; None when it moved nothing.
        moved: Bytes.
    """

    well: bool
    rate: float | None
    moved: float | None


class SlotServer:
    """Serves one slot on one port.

    Attributes:
        load: What its test costs this machine.
    """

    def __init__(self, place: Place, port: int, credentials: Credentials) -> None:
        self._place, self._port, self._credentials = place, port, credentials
        self._claimed = False
        self.load = LoadWatch()
        self._strange = 0

    async def run(self, ready: Callable[[], None], claimed: Callable[[], None]) -> Ended | None:
        """Until its test has ended; what the server reports of it, None if nothing usable.

        Args:
            ready: Called when it listens, each time anew.
            claimed: Called once, when the box's test has begun.

        Raises:
            ToolError: It does not come up: the port is taken, say.
        """
        with self._credentials.user(self._place.user, self._place.password) as options:
            while True:
                async with self._started(options) as server:
                    ready()
                    await self._watch(server, claimed)
                    over = server.transport.get_returncode() is not None
                report = _report(server)
                if self._claimed or (over and report is not None and report.error is None):
                    return ended(report) if report is not None else None
                log.info("slot's server starts again port=%s: %s", self._port, report and report.error)
                await asyncio.sleep(_AGAIN_S)

    @contextlib.asynccontextmanager
    async def _started(self, options: list[str]) -> AsyncIterator[Child]:
        command = [TOOL, "-s", "-1", "-J", "-B", self._place.here, "-p", str(self._port), *options]
        command += ["--rcv-timeout", str(_VANISHED_MS), "--snd-timeout", str(_VANISHED_MS)]
        async with child(command, keep=LARGEST_REPORT) as server:
            for _ in range(round(_COMES_UP_S / _LOOK_FOR_LISTENER_S)):
                if listens(server.transport.get_pid(), self._port):
                    break
                if await server.ends_within(_LOOK_FOR_LISTENER_S):
                    raise ToolError(f"{TOOL} on port {self._port}: {_last_words(server)}")
            else:
                raise ToolError(f"{TOOL} on port {self._port} does not listen")
            yield server

    async def _watch(self, server: Child, claimed: Callable[[], None]) -> None:
        """Until it has ended, or a stranger has been in it for two looks: leaving kills it."""
        while not await server.ends_within(_LOOK_WHILE_TESTING_S if self._claimed else _LOOK_S):
            if self._claimed:
                self.load.note(server.transport.get_pid())
                continue
            connected = peers(self._port)
            ours = connected.pop(self._place.peer.partition("%")[0], 0)
            if ours > 1:  # its control connection and a stream: the server knows it
                self._claimed = True
                self.load.note(server.transport.get_pid())
                claimed()
            self._strange = self._strange + 1 if connected else 0
            if self._strange > 1 and not self._claimed:
                log.warning("stranger in a slot port=%s address=%s", self._port, ", ".join(connected))
                self._strange = 0
                return


def _report(server: Child) -> Report | None:
    """The last of what it printed: each client that was turned away has a report of its own before it."""
    output = bytes(server.output)
    with contextlib.suppress(ProbeError):
        return parse(output[output.rfind(b"\n{") + 1 :])
    return None


def _last_words(server: Child) -> str:
    report = _report(server)
    if report is not None and report.error:
        return report.error
    lines = server.errors.decode(errors="replace").strip().splitlines()
    return lines[0] if lines else f"exit status {server.transport.get_returncode()}"


def ended(report: Report) -> Ended:
    """What iperf3 tells."""
    seconds, moved = sum(one.seconds or 0 for one in report.sums), sum(one.bytes or 0 for one in report.sums)
    well = report.error is None or "client has terminated" in report.error
    return Ended(well, moved / seconds if seconds > 0 else None, moved if report.sums else None)
