"""What a run has found so far: kept when it fails, and what it was waiting for said when its time is over."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

from msgspec import Struct

from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.net.sockets import Endpoint, probe_error

R = TypeVar("R", bound=Struct)


class Findings(Generic[R]):
    """Gathers the fields of one Result.

    Attributes:
        step: What the run is doing, for the detail of a failure: "TLS handshake".
    """

    def __init__(self, kind: type[R]) -> None:
        self._kind = kind
        self._figures: dict[str, Any] = {}
        self.step = ""
        self._strays = 0

    def note(self, **figures: Any) -> None:
        """Adds fields of the Result; a later value replaces an earlier one."""
        self._figures |= figures

    def stray(self) -> None:
        """Notes a reply that answers nothing we asked: when the time is over it, and not silence, is the error."""
        self._strays += 1

    async def resolve(self, box: Box, port: int) -> Endpoint:
        """Where the target is at this run; notes how long its name took, nothing for a numeric address.

        Raises:
            ProbeError: As `Box.resolve`.
        """
        self.step, began = f"resolving {box.address}", time.monotonic()
        address = await box.resolve()
        if address != box.address:
            self.note(resolve=time.monotonic() - began)
        return Endpoint(address, port, box.interface)

    def result(self) -> R:
        """The Result of what was noted."""
        return self._kind(**self._figures)

    @asynccontextmanager
    async def within(self, timeout_s: float) -> AsyncIterator[None]:
        """The run's deadline.

        Raises:
            ProbeError: For whatever ended it, with what was found until then.
        """
        try:
            async with asyncio.timeout(timeout_s) as deadline:
                yield
        except ProbeError as e:
            raise ProbeError(e.error, e.detail, self._partial()) from e
        except TimeoutError as e:
            why = f"no end within {timeout_s:g} s" if deadline.expired() else "the kernel gave up"
            if self._strays:
                raise ProbeError(
                    "protocol", f"{self.step}: {self._strays} unfit replies, {why}", self._partial()
                ) from e
            raise ProbeError("timeout", f"{self.step}: {why}", self._partial()) from e
        except OSError as e:
            raise ProbeError(
                probe_error(e), f"{self.step}: {os.strerror(e.errno) if e.errno else e}", self._partial()
            ) from e

    def _partial(self) -> R | None:
        measured = any(value is not None for value in self._figures.values())
        return self.result() if measured else None
