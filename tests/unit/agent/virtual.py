"""Virtual time: an event loop whose clock jumps to the next timer, and a wall clock that can be stepped."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _Jumping(selectors.SelectSelector):
    """Waits for nothing: moves the loop's clock on instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("nothing will ever happen: every task waits for another")
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio with a clock of its own; the same code, no waiting."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def hold_up(self, seconds: float) -> None:
        """Time passes while the loop does nothing, as when a card stalls or a probe blocks."""
        self._jumping.now += seconds


class Wall:
    """UTC on the loop's clock; `step` sets it as NTP would."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._offset = start - 1000.0

    def utc(self) -> float:
        return asyncio.get_running_loop().time() + self._offset

    def step(self, seconds: float) -> None:
        self._offset += seconds


def since_boot() -> float:
    """The boot clock: the loop's."""
    return asyncio.get_running_loop().time()


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs a test in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main)
