"""Waiting for something to become true: often looked at, and generously long, since a loaded machine is slow."""

import asyncio
import time
from collections.abc import Callable


def wait_until(true: Callable[[], bool], what: str | Callable[[], str] = "", timeout_s: float = 60) -> None:
    """Returns once it is; raises TimeoutError, saying what was waited for."""
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited for {what() if callable(what) else what or 'something'}")
        time.sleep(0.02)


async def until(true: Callable[[], bool], timeout_s: float = 60) -> None:
    """The same, letting others run."""
    async with asyncio.timeout(timeout_s):
        while not true():
            await asyncio.sleep(0.01)
