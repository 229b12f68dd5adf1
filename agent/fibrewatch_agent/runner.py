"""Runs one test against one target once, and makes the measurement of whatever came of it."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from fibrewatch import wire
from fibrewatch.errors import WireError
from fibrewatch.measurement import AnyMeasurement, Conditions, Error, Measurement, Outcome
from fibrewatch.results import PROBES
from fibrewatch.wire import LostTest
from fibrewatch_agent.box import Box, ProbeError, Window
from fibrewatch_agent.clock import boottime
from fibrewatch_agent.conditions import UNDER_VOLTAGE, Observer, Snapshot, between
from fibrewatch_agent.config import Plan
from fibrewatch_agent.probes import probe_function
from fibrewatch_agent.transfer.heavy import Heavy, Hold
from fibrewatch_agent.transfer.turn import Turn

if TYPE_CHECKING:
    from fibrewatch_agent.net.icmp import IcmpSockets

log = logging.getLogger(__name__)

STRAGGLERS_S = 40.0
"""How long after its window a probe may wait for late replies (ping's timeout is 30 s at most) and resolve names."""
LIMITS_S = {"burst": 120.0, "exclusive": 300.0}
"""A probe that takes longer hangs: its own deadlines are far below."""
LONGEST_ASIDE_S = 2 * 3600.0
"""What a run may wait for others, a queue say, with its deadline held: its own patience ends that sooner."""
GRACE_S = 2.0
"""What a run gets to end by itself when the agent stops; ping waits up to 1 s for what is on its way."""
LOSS_RATIO, LOSSES = 0.05, 3
"""A window that lost more of its packets, and at least so many, but not all, is trouble worth looking into."""
_DETAIL_CHARACTERS = 500
_DECIMALS = 9  # nanoseconds; more digits only cost bytes


class Store(Protocol):
    """Where measurements go; `dated`: the clock was good when the run began."""

    def __call__(self, measurement: AnyMeasurement, *, dated: bool) -> Awaitable[None]:
        """Returns when it is safe."""


class _Ending(NamedTuple):
    """What became of a run."""

    outcome: Outcome
    error: Error | None = None
    detail: str | None = None
    result: Any = None


class _Start(NamedTuple):
    """When a run began: UTC seconds since 1970 and seconds since the boot, of the same moment.

    Attributes:
        dated: The UTC can be trusted.
    """

    utc: float
    boottime_s: float
    dated: bool


class LostTargets:
    """Which targets do not answer at present, each as told by the tests that measure against it."""

    def __init__(self, changed: asyncio.Event) -> None:
        self._changed = changed
        self._lost: set[tuple[str, str]] = set()

    def report(self, test: str, target: str, *, lost: bool) -> bool:
        """Notes it, and sets `changed` when that is news; whether it is."""
        before = len(self._lost)
        (self._lost.add if lost else self._lost.discard)((test, target))
        if len(self._lost) != before:
            log.info("target %s test=%s target=%s", "lost" if lost else "back", test, target)
            self._changed.set()
        return len(self._lost) != before

    def names(self) -> tuple[str, ...]:
        """The targets that at least one test has lost."""
        return tuple(sorted({target for _, target in self._lost}))

    def tests(self) -> tuple[LostTest, ...]:
        """The tests that have lost their target."""
        return tuple(LostTest(test=test, target=target) for test, target in sorted(self._lost))


class Runner:
    """Gives a probe its box, its deadline and its place in a measurement.

    Attributes:
        stopping: Set by `hurry`: what runs ends within GRACE_S.
    """

    def __init__(
        self,
        *,
        agent: str,
        boot: str,
        icmp: "IcmpSockets",
        observer: Observer,
        store: Store,
        lost: LostTargets | None = None,
        clock_good: Callable[[], bool] = lambda: True,
        heavy: Heavy | None = None,
        utc: Callable[[], float] = time.time,
        since_boot: Callable[[], float] = boottime,
    ) -> None:
        self.stopping = asyncio.Event()
        self._agent, self._boot, self._icmp, self._observer, self._store = agent, boot, icmp, observer, store
        self._clock_good, self._heavy = clock_good, heavy or Heavy()
        self._lost = lost or LostTargets(asyncio.Event())
        self._utc, self._since_boot = utc, since_boot
        self._deadlines: set[asyncio.Timeout] = set()
        self._faults: set[tuple[str, type[Exception]]] = set()
        self._memories: dict[str, dict[str, Any]] = {}
        self._trouble: Callable[[str, str], None] = lambda target, why: None

    def listen(self, trouble: Callable[[str, str], None]) -> None:
        """Has a target's name told to a function when tests lose it ("lost"), a part ("loss"), or hear it ("back")."""
        self._trouble = trouble

    async def run(
        self,
        plan: Plan,
        window: Window | None = None,
        stopping: asyncio.Event | None = None,
        trigger: str | None = None,
        turn: Turn | None = None,
    ) -> AnyMeasurement:
        """Runs the probe, stores the measurement and returns it; a failure is a measurement too."""
        box = self._box(plan, window, stopping or self.stopping)
        box.turn = turn
        start = self._start(window.start if window else None)
        before = self._observe(box)
        ending, conditions = await self._measure(plan, box, before, self._limit(plan, window))
        if conditions.throttled and UNDER_VOLTAGE in conditions.throttled:
            box.mark("invalid", UNDER_VOLTAGE)
        log.debug("run test=%s outcome=%s error=%s detail=%s", plan.key, ending.outcome, ending.error, ending.detail)
        if plan.target is not None and window is not None and box.verdict != "invalid" and _lossy(ending.result):
            self._trouble(plan.target.name, "loss")
        measurement = self._measurement(plan, box, start, ending, conditions)
        return await self._keep(msgspec.structs.replace(measurement, trigger=trigger), start)

    async def _measure(self, plan: Plan, box: Box, before: Snapshot, limit_s: float) -> tuple[_Ending, Conditions]:
        """What came of it and what was true meanwhile; a heavy test is watched more closely."""
        if plan.probe.mode != "exclusive":
            return await self._attempt(plan, box, limit_s), between(before, self._observe(box))
        async with self._heavy.around(plan, box) as watch:
            ending = await self._attempt(self._heavy.shortened(plan), box, limit_s)
        result, conditions = watch.conclude(ending.result, between(before, self._observe(box)))
        return ending._replace(result=result), conditions

    async def hold(self, plan: Plan) -> Hold | None:
        """Why a heavy test should not start now; None when it may."""
        return await self._heavy.hold(plan, self._box(plan, None, self.stopping), self._agent)

    async def learn(self, plan: Plan) -> None:
        """Looks at a heavy test's line while nothing heavy runs."""
        await self._heavy.look(plan, self._box(plan, None, self.stopping))

    async def note(self, probe: str, test: str, interface: str | None, result: msgspec.Struct) -> None:
        """Keeps what the agent says itself, of this moment."""
        plan = Plan(test=test, probe=PROBES[probe], params=None, every_s=0.0, interface=interface)
        box, start = self._box(plan, None, self.stopping), self._start(None)
        await self._keep(self._measurement(plan, box, start, _Ending("ok", result=result), Conditions()), start)

    async def skip(self, plan: Plan, at: float, detail: str, reason: str | None = None) -> AnyMeasurement:
        """Reports a slot (UTC seconds) that no run could use, or should."""
        box = self._box(plan, None, self.stopping)
        box.reasons += [reason] if reason else []
        start, ending = self._start(at), _Ending("skipped", "busy", detail)
        return await self._keep(self._measurement(plan, box, start, ending, Conditions()), start)

    def hurry(self) -> None:
        """The agent stops: windows close at once, other runs get GRACE_S."""
        self.stopping.set()
        soon = asyncio.get_running_loop().time() + GRACE_S
        for deadline in self._deadlines:
            deadline.reschedule(min(soon, deadline.when() or soon))

    def forget(self, plan: Plan) -> None:
        """The plan is no longer run: it says nothing more about its target, and what it remembers is gone."""
        self._memories.pop(plan.key, None)
        if plan.target is not None:
            self._lost.report(plan.test, plan.target.name, lost=False)

    async def _keep(self, measurement: AnyMeasurement, start: _Start) -> AnyMeasurement:
        await self._store(measurement, dated=start.dated)
        return measurement

    def _box(self, plan: Plan, window: Window | None, stopping: asyncio.Event) -> Box:
        def report(lost: bool) -> None:
            if plan.target is not None and self._lost.report(plan.test, plan.target.name, lost=lost):
                self._trouble(plan.target.name, "lost" if lost else "back")

        return Box(
            agent=self._agent,
            test=plan.test,
            icmp=self._icmp,
            target=plan.target,
            address=plan.address,
            toward=plan.toward,
            interface=plan.interface,
            family=plan.family,
            window=window,
            stopping=stopping,
            report_target=report,
            memory=self._memories.setdefault(plan.key, {}),
            control=plan.control,
        )

    def _start(self, at: float | None) -> _Start:
        now, since_boot = self._utc(), self._since_boot()
        began = now if at is None else at
        return _Start(began, since_boot - (now - began), self._clock_good())

    def _observe(self, box: Box) -> Snapshot:
        return self._observer.snapshot(box.interface, box.resolved or box.address)

    def _limit(self, plan: Plan, window: Window | None) -> float:
        if window is None:
            return LIMITS_S.get(plan.probe.mode, LIMITS_S["burst"])
        return max(0.0, window.end - self._utc()) + STRAGGLERS_S

    async def _attempt(self, plan: Plan, box: Box, limit_s: float) -> _Ending:
        try:
            async with self._deadline(limit_s) as deadline:
                box.aside = lambda: self._aside(deadline, box.turn)
                result = await probe_function(plan.probe.name)(plan.params, box)
        except TimeoutError as e:
            if self.stopping.is_set():
                return _Ending("skipped", "timeout", "ended with the agent")
            return _Ending("failed", "timeout", str(e) or f"no end within {limit_s:g} s")
        except ProbeError as e:
            return _Ending("failed", e.error, e.detail, e.result)
        except Exception as e:
            self._note_fault(plan, e)
            return _Ending("failed", "tool_failed", f"{type(e).__name__}: {e}")
        return _Ending("ok", result=result)

    @contextlib.asynccontextmanager
    async def _deadline(self, limit_s: float) -> AsyncIterator[asyncio.Timeout]:
        """A time limit that `hurry` can shorten."""
        async with asyncio.timeout(GRACE_S if self.stopping.is_set() else limit_s) as deadline:
            self._deadlines.add(deadline)
            try:
                yield deadline
            finally:
                self._deadlines.discard(deadline)

    @contextlib.asynccontextmanager
    async def _aside(self, deadline: asyncio.Timeout, turn: Turn | None) -> AsyncIterator[None]:
        """Others may have the box meanwhile, and the deadline waits too, unless the agent stops."""
        now = asyncio.get_running_loop().time
        left_s = max(0.0, (deadline.when() or now()) - now())
        if not self.stopping.is_set():
            deadline.reschedule(now() + LONGEST_ASIDE_S)
        async with turn.aside() if turn is not None else contextlib.nullcontext():
            yield
        if not self.stopping.is_set():
            deadline.reschedule(now() + left_s)

    def _note_fault(self, plan: Plan, fault: Exception) -> None:
        """A fault in a probe is for a person to mend; said once, since it comes with every run."""
        kind = (plan.key, type(fault))
        level = logging.DEBUG if kind in self._faults else logging.ERROR
        self._faults.add(kind)
        log.log(level, "probe failed test=%s probe=%s", plan.key, plan.probe.name, exc_info=fault)

    def _measurement(
        self, plan: Plan, box: Box, start: _Start, ending: _Ending, conditions: Conditions
    ) -> AnyMeasurement:
        target = plan.target
        if target is not None and box.resolved is not None:
            target = msgspec.structs.replace(target, address=box.resolved)
        measurement: AnyMeasurement = Measurement(
            probe=plan.probe.name,
            test=plan.test,
            target=target,
            interface=plan.interface,
            family=box.used_family or plan.family,
            started_at=datetime.fromtimestamp(start.utc, UTC),
            boottime_s=start.boottime_s,
            boot=self._boot,
            duration_s=self._duration(box, start, ending),
            outcome=ending.outcome,
            error=ending.error,
            detail=_one_line(ending.detail),
            verdict=box.verdict,
            reasons=tuple(box.reasons),
            conditions=conditions,
            result=ending.result,
        )
        try:
            return sendable(measurement)
        except WireError as e:
            self._note_fault(plan, e)
            return _without_result(measurement, e)

    def _duration(self, box: Box, start: _Start, ending: _Ending) -> float:
        """How long the run took; for a window what it covered of it, without the wait for stragglers."""
        if ending.outcome == "skipped" and ending.error == "busy":
            return 0.0
        took = max(0.0, self._since_boot() - start.boottime_s)
        return took if box.window is None else min(took, box.window.end - box.window.start)


def sendable(measurement: AnyMeasurement) -> AnyMeasurement:
    """The measurement as the collector will decode it, floats rounded.

    Raises:
        WireError: It is too large or its result is not of the contract: no collector would take it.
    """
    try:
        plain = msgspec.json.encode(_rounded(msgspec.to_builtins(measurement)))
    except (TypeError, ValueError, RecursionError, OverflowError) as e:
        raise WireError("malformed", str(e)) from e
    return wire.decode_measurement(plain)


def _lossy(result: Any) -> bool:
    """Whether a window lost some of its packets; one that lost all was told of before its end."""
    sent, lost = getattr(result, "sent", 0), getattr(result, "lost", 0)
    return bool(LOSSES <= lost < sent and lost > LOSS_RATIO * sent)


def _without_result(measurement: AnyMeasurement, why: WireError) -> AnyMeasurement:
    return msgspec.structs.replace(
        measurement,
        outcome="failed",
        error="tool_failed",
        detail=_one_line(f"the result can't be sent: {why}"),
        verdict="valid",
        reasons=(),
        result=None,
    )


def _rounded(value: Any) -> Any:
    """Floats to nanoseconds (or as small a part of another unit), through all lists and tables."""
    if isinstance(value, float):
        return round(value, _DECIMALS)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


def _one_line(text: str | None) -> str | None:
    """Printable, of one line and short; None stays None."""
    if text is None:
        return None
    clean = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(clean.split())[:_DETAIL_CHARACTERS]
