"""What a probe must not leave behind, and the cancelling of it at each of its waits."""

import asyncio
import contextlib
import gc
import math
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

from fibrewatch_agent.box import ProbeError

SETTLES_S = 10.0


def descriptors() -> set[tuple[str, str]]:
    """Open descriptors, each with what it is: a number that is used again counts as another."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add((entry.name, str(entry.readlink())))
    return {each for each in found if not each[1].startswith("/proc/")}


@contextlib.asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """Fails when a descriptor or a task outlives what runs inside, or a socket was left to the garbage collector.

    The servers' ends of connections close when they hear of it: they get a moment.
    """
    gc.collect()  # what a test before left
    gc.freeze()  # the second look is at what is new: all that pytest has collected takes it a second and more
    descriptors_before, tasks_before = descriptors(), asyncio.all_tasks()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    left = [str(each.message) for each in caught if issubclass(each.category, ResourceWarning)]
    assert not left
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SETTLES_S):
            while descriptors() - descriptors_before or asyncio.all_tasks() - tasks_before:
                await asyncio.sleep(0.001)
    assert not descriptors() - descriptors_before
    assert not asyncio.all_tasks() - tasks_before


class _Stepped(Coroutine[Any, Any, Any]):
    """A coroutine whose task is cancelled while it waits for the n-th time."""

    def __init__(self, inner: Coroutine[Any, Any, Any], step: int) -> None:
        self.inner, self.step, self.waits = inner, step, 0

    def _counted(self, waiting: Any) -> Any:
        self.waits += 1
        task = asyncio.current_task()
        if self.waits == self.step and task is not None:
            task.get_loop().call_soon(task.cancel)
        return waiting

    def send(self, value: Any) -> Any:
        return self._counted(self.inner.send(value))

    def throw(self, *args: Any) -> Any:
        return self._counted(self.inner.throw(*args))

    def close(self) -> None:
        self.inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        raise TypeError("a task drives it")


async def cancel_at_each_wait(make: Callable[[], Coroutine[Any, Any, Any]], most: int = 200) -> int:
    """Runs it again and again, cancelled at its first wait, its second …, until a run ends by itself; how often it was.

    Each time the cancellation must come out as such, and nothing may be left.
    """
    for step in range(1, most):
        async with nothing_left():
            task = asyncio.get_running_loop().create_task(_Stepped(make(), step))
            await asyncio.wait({task}, timeout=SETTLES_S)
            assert task.done(), f"cancelled at wait {step}, and it goes on"
            if not task.cancelled():
                with contextlib.suppress(ProbeError):
                    task.result()
                return step - 1
    raise AssertionError(f"it waits more than {most} times")


async def cancel_after_turns(make: Callable[[], Coroutine[Any, Any, Any]], dense: int = 25, growth: float = 2.0) -> int:
    """Runs it again and again, cancelled after 0, 1, 2 … turns of the loop, then after ever more, until a run ends.

    A cancellation may meet it between two of its waits, or while tasks of its own wait. Each time it must end as
    cancelled, unless it was about to end anyway, and in the end nothing may be left. How often it was cancelled.
    """
    turns, cancelled = 0, 0
    async with nothing_left():
        while True:
            task = asyncio.get_running_loop().create_task(make())
            for _ in range(turns):
                if not task.done():
                    await asyncio.sleep(0)
            ended = not task.cancel()
            await asyncio.wait({task}, timeout=SETTLES_S)
            assert task.done(), f"cancelled after {turns} turns, and it goes on"
            if not task.cancelled():
                with contextlib.suppress(ProbeError):
                    task.result()
            if ended:
                return cancelled
            cancelled += task.cancelled()
            turns = turns + 1 if turns < dense else math.ceil(turns * growth)
