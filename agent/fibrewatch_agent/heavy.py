"""What surrounds a heavy test: the box's own limits, the tenants' traffic, and what the test cost."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fibrewatch.measurement import Conditions
from fibrewatch_agent import hardware
from fibrewatch_agent.box import Box
from fibrewatch_agent.conditions import route_interface
from fibrewatch_agent.config import Plan
from fibrewatch_agent.line_config import LineConfig
from fibrewatch_agent.verdict import Evidence, judge


class Heavy:
    """The box's lines, and where what is known of them is kept."""

    def __init__(
        self, uplinks: Mapping[str, LineConfig] | None = None, *, sys: Path = Path("/sys"), proc: Path = Path("/proc")
    ) -> None:
        self.uplinks = uplinks or {}
        self.sys, self.proc = sys, proc

    @asynccontextmanager
    async def around(self, plan: Plan, box: Box) -> AsyncIterator["Watch"]:
        """Watches from before a test until after it."""
        watch = Watch(self, plan, box)
        watch.begin = hardware.moment(self.proc, self.sys)
        try:
            yield watch
        finally:
            watch.end = hardware.moment(self.proc, self.sys)

    def line(self, plan: Plan) -> LineConfig | None:
        """The configured uplink of a test."""
        return None if plan.uplink is None else self.uplinks.get(plan.uplink)


class Watch:
    """What was seen around one test."""

    begin: hardware.Moment
    end: hardware.Moment

    def __init__(self, heavy: Heavy, plan: Plan, box: Box) -> None:
        self._heavy, self._plan, self._box = heavy, plan, box

    def conclude(self, result: Any, conditions: Conditions) -> tuple[Any, Conditions]:
        """Marks the box with all that speaks against the result, which may have been told of its bound."""
        goodput = getattr(result, "goodput", None)
        if goodput is None:
            return result, conditions
        for verdict, reason in judge(self._evidence(goodput, conditions)):
            self._box.mark(verdict, reason)
        return result, conditions

    def _evidence(self, goodput: float, conditions: Conditions) -> Evidence:
        line, interface = self._heavy.line(self._plan), self._interface()
        return Evidence(
            goodput=goodput,
            link_speed=conditions.link_speed,
            expected_link=line.expected_link if line else None,
            usb_speed=hardware.usb_speed(interface, self._heavy.sys) if interface else None,
            cpu_busy=conditions.cpu_busy,
            softirq=hardware.softirq_share(self.begin, self.end),
            held_back=hardware.held_share(self.begin, self.end),
            throttled=conditions.throttled,
        )

    def _interface(self) -> str | None:
        """Where the test's traffic goes."""
        return self._box.interface or route_interface(self._heavy.proc, self._box.resolved or self._box.address)
