"""The router's counters as they come, from a child process: the library stays out of the agent's memory."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import msgspec

from fibrewatch import python_child
from fibrewatch_agent.child import Child, child
from fibrewatch_agent.line import snmp_order, wan
from fibrewatch_agent.line.config import RouterConfig
from fibrewatch_agent.line.wan import Complaint, Edge, Sample

EVERY_S = 0.2
"""The moment at which a router refreshed its counters is known that well."""
_LOOK_S = 0.05
_KEEP = 4 * 2**20
_decoder: "msgspec.json.Decoder[Sample | Complaint]" = msgspec.json.Decoder(Sample | Complaint)


class Poll:
    """What has been heard from the router so far.

    Attributes:
        complaint: The newest reason why there was no answer; None after an answer.
    """

    def __init__(self, process: Child) -> None:
        self._process, self._read = process, 0
        self.samples: list[Sample] = []
        self.complaint: Complaint | None = None

    @property
    def ended(self) -> bool:
        """The child gave up."""
        return self._process.ended

    @property
    def heard(self) -> bool:
        """Anything was said, or never will be."""
        return self.take() or bool(self.samples) or self.complaint is not None or self.ended

    def take(self) -> bool:
        """Reads what came; whether there was anything new."""
        lines = bytes(self._process.output[self._read :]).split(b"\n")[:-1]
        for line in lines:
            self._read += len(line) + 1
            heard = _decoded(line)
            if isinstance(heard, Sample):
                self.samples.append(heard)
            self.complaint = heard if isinstance(heard, Complaint) else None
        return bool(lines)

    def edges(self) -> list[Edge]:
        """Every moment at which the counters moved."""
        self.take()
        return wan.edges(self.samples)

    async def news(self) -> None:
        """Returns when something new was heard or the child has ended."""
        while not self.take() and not self.ended:  # noqa: ASYNC110 - a child's output sets no event
            await asyncio.sleep(_LOOK_S)


@asynccontextmanager
async def polling(router: RouterConfig, interface: str, every_s: float = EVERY_S) -> AsyncIterator[Poll]:
    """Asks from now on until the block is left.

    Args:
        interface: Our own, whose counters are told together with the router's.

    Raises:
        ToolError: setpriv is not installed.
    """
    order = snmp_order.Order(router=router, interface=interface, every_s=every_s)
    with _handed(msgspec.json.encode(order)) as fd:
        argv = python_child.command("fibrewatch_agent.line.snmp_child", str(fd))
        async with child(argv, keep=_KEEP, pass_fds=(fd,)) as process:
            yield Poll(process)


@contextmanager
def _handed(text: bytes) -> Iterator[int]:
    """A descriptor to read it from: there are passwords in it, and command lines and environments can be seen."""
    fd = os.memfd_create("order")
    try:
        os.write(fd, text)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)


def _decoded(line: bytes) -> Sample | Complaint:
    """What the child says is held to its form: it may be of another version while a package is replaced."""
    try:
        return _decoder.decode(line)
    except msgspec.DecodeError as e:
        return Complaint(error="parse", detail=f"SNMP: {e}")
