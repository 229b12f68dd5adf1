"""What is done for the lines beside the tests: budgets told, calibrations, round trips learnt between heavy tests."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from fibrewatch.measurement import AnyMeasurement, Target
from fibrewatch.results import PROBES
from fibrewatch_agent.conditions import route_interface
from fibrewatch_agent.config import AgentConfig, Plan
from fibrewatch_agent.transfer import ceilings
from fibrewatch_agent.transfer.heavy import Heavy

log = logging.getLogger(__name__)

FIRST_S = 60.0
"""After the start: the box has settled, and its first tests have had their turn."""
LEARN_S, TELL_S = 600.0, 3600.0
TEST = "calibration"


class Runs(Protocol):
    """What the keeper needs of the runner."""

    async def run(self, plan: Plan) -> AnyMeasurement:
        """Measures once and keeps what came of it."""

    async def note(self, probe: str, test: str, interface: str | None, result: msgspec.Struct) -> None:
        """Keeps what the agent says itself."""

    async def learn(self, plan: Plan) -> None:
        """Looks at a test's line while nothing heavy runs."""


class LineKeeper:
    """Works until stopped; whatever loads box or line holds the lock that heavy tests take."""

    def __init__(self, heavy: Heavy, runner: Runs, alone: asyncio.Lock, config: Callable[[], AgentConfig]) -> None:
        self._heavy, self._runner, self._alone, self._config = heavy, runner, alone, config
        self._told_at = -math.inf

    async def run(self, stopping: asyncio.Event, news: asyncio.Event, first_s: float = FIRST_S) -> None:
        """Looks after everything every ten minutes, and tells budgets on news."""
        loop = asyncio.get_running_loop()
        due = loop.time() + first_s
        while True:
            await _either(stopping, news, max(0.0, due - loop.time()))
            if stopping.is_set():
                return
            if news.is_set() or loop.time() - self._told_at >= TELL_S:
                news.clear()
                await self._tell()
            if loop.time() >= due:
                due = loop.time() + LEARN_S
                await self._calibrate()
                await self._learn()

    async def _tell(self) -> None:
        self._told_at = asyncio.get_running_loop().time()
        for line, result in self._heavy.reports():
            await self._runner.note("budget", f"budget-{result.uplink}", line.interface, result)
        self._heavy.save()

    async def _calibrate(self) -> None:
        known, folder = ceilings.load(self._heavy.folder), self._config().state_dir
        for uplink, plan in calibrations(self._config()):
            if plan.interface is None or not ceilings.due(known, plan.interface, time.time()):
                continue
            async with self._alone:
                before = self._heavy.account(uplink)
                measurement = await self._runner.run(plan)
                self._heavy.uncharged(uplink, before)
            if measurement.outcome == "ok" and measurement.result is not None:
                ceilings.keep(folder, plan.interface, time.time(), measurement.result)

    async def _learn(self) -> None:
        """Round trips of the lines whose routers tell nothing: a day of them is what inflated ones are held against."""
        seen: set[str | None] = set()
        for plan in self._config().plans:
            line = self._heavy.line(plan)
            if plan.probe.mode != "exclusive" or plan.uplink in seen or (line is not None and line.router is not None):
                continue
            seen.add(plan.uplink)
            async with self._alone:
                await self._runner.learn(plan)
        self._heavy.save()


def calibrations(config: AgentConfig, proc: Path = Path("/proc")) -> Iterator[tuple[str | None, Plan]]:
    """One for each interface that heavy tests use, by uplink; against the uplink's responder, else the box itself."""
    if not any(plan.probe.mode == "exclusive" for plan in config.plans):
        return
    probe = PROBES[TEST]
    lines: list[tuple[str | None, str | None, str | None]] = [
        (name, line.interface, line.calibrate_against) for name, line in config.uplinks.items()
    ]
    for name, interface, against in lines or [(None, None, None)]:
        target = config.targets[against] if against is not None else None
        yield (
            name,
            Plan(
                test=TEST,
                probe=probe,
                params=probe.params(),
                every_s=ceilings.MONTH_S,
                target=Target(name=against, role=target.role) if target and against else None,
                address=target.address if target else None,
                interface=interface or route_interface(proc, None),
            ),
        )


async def _either(stopping: asyncio.Event, news: asyncio.Event, seconds: float) -> None:
    """Waits for one of the events, or so long."""
    async with asyncio.TaskGroup() as tasks:
        waits = {tasks.create_task(event.wait(), name="lines") for event in (stopping, news)}
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
