"""A runner and a scheduler in virtual time, with probes that a test writes as functions."""

import asyncio
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest
from msgspec import Struct

from fibrewatch.measurement import AnyMeasurement, Target
from fibrewatch.results import Mode, ProbeType
from fibrewatch_agent.conditions import Observer
from fibrewatch_agent.config import Plan
from fibrewatch_agent.net.icmp import IcmpSockets
from fibrewatch_agent.probes import ProbeFunction
from fibrewatch_agent.runner import LostTargets, Runner
from fibrewatch_agent.scheduler import Scheduler
from tests.unit.agent.virtual import Wall, since_boot

AGENT = "paris/cargo/box-01"


class Params(Struct, frozen=True, kw_only=True):
    """A test's own settings."""

    takes_s: float = 0.0


class Result(Struct, frozen=True, kw_only=True):
    """What a test's probe returns."""

    value: float | None = None


def drop_in(monkeypatch: pytest.MonkeyPatch, name: str, mode: Mode, function: ProbeFunction) -> ProbeType:
    """Makes a function a probe, as a file in `probes` would."""
    module = ModuleType(f"fibrewatch_agent.probes.{name}")
    setattr(module, name, function)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return ProbeType(name, mode, Params, Result, ())


def plan(
    probe: ProbeType,
    test: str = "test",
    *,
    every_s: float = 10.0,
    takes_s: float = 0.0,
    target: str | None = "gateway",
    family: Literal[4, 6] | None = None,
) -> Plan:
    """One test, against one target unless told otherwise."""
    return Plan(
        test=test,
        probe=probe,
        params=Params(takes_s=takes_s),
        every_s=every_s,
        target=Target(name=target, role="gateway") if target else None,
        address="192.0.2.1" if target else None,
        family=family,
    )


class Bench:
    """The agent's middle: what it stores is in `stored`, each with whether it was dated."""

    def __init__(self, nowhere: Path, wall: Wall | None = None, **changes: Any) -> None:
        self.wall = wall or Wall()
        self.stored: list[AnyMeasurement] = []
        self.dated: list[bool] = []
        self.changed = asyncio.Event()
        self.lost = LostTargets(self.changed)
        arguments: dict[str, Any] = {
            "agent": AGENT,
            "boot": "0123abcd",
            "icmp": IcmpSockets(),
            "observer": Observer(nowhere, nowhere),
            "store": self._store,
            "lost": self.lost,
            "utc": self.wall.utc,
            "since_boot": since_boot,
        }
        self.runner = Runner(**(arguments | changes))
        self.scheduler = Scheduler(self.runner, AGENT, utc=self.wall.utc)

    async def _store(self, measurement: AnyMeasurement, *, dated: bool) -> None:
        self.stored.append(measurement)
        self.dated.append(dated)

    async def schedule(self, plans: list[Plan], for_s: float) -> None:
        """Runs the plans for so long, then stops as SIGTERM does."""
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.scheduler.run(plans, stopping))
            await asyncio.sleep(for_s)
            stopping.set()
            self.runner.hurry()
