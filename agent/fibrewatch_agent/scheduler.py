"""When tests run: one task for each test and target, on grids of UTC that a slow run never shifts."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from fibrewatch import schedule
from fibrewatch.measurement import AnyMeasurement
from fibrewatch_agent.box import Window
from fibrewatch_agent.config import Plan
from fibrewatch_agent.transfer.heavy import Hold
from fibrewatch_agent.transfer.turn import Turn

log = logging.getLogger(__name__)

NAP_S = 1.0
"""The wall clock is looked at this often, for all tests, so that a step of it (the first NTP synchronisation) neither
stalls a test for years nor makes up for slots that never were."""
STEP_S = 0.01
"""The wall clock went so much farther, or less far, than the loop's."""
LATE_S = 2 * NAP_S
"""Later than this for a slot means that the clock was stepped, not that the box was busy."""
TROUBLE_S = 60.0
"""Between two runs of a test for the sake of trouble with its target; what comes sooner waits."""
_EDGE_S = 1e-3  # so near before a boundary a window of its own would be empty


class Runs(Protocol):
    """What the scheduler needs of the runner."""

    @property
    def stopping(self) -> asyncio.Event:
        """Set when the agent ends."""

    def listen(self, trouble: Callable[[str, str], None]) -> None:
        """Has a target's name, and what its trouble is, told to a function."""

    async def run(
        self,
        plan: Plan,
        window: Window | None,
        stopping: asyncio.Event,
        trigger: str | None = None,
        turn: Turn | None = None,
    ) -> AnyMeasurement:
        """Measures once and keeps what came of it; a heavy test has its turn."""

    async def hold(self, plan: Plan) -> Hold | None:
        """Why a heavy test should not start now; None when it may."""

    async def skip(self, plan: Plan, at: float, detail: str, reason: str | None = None) -> AnyMeasurement:
        """Reports a slot that could not be used, or was not on purpose."""

    def forget(self, plan: Plan) -> None:
        """The plan is no longer run."""


class Scheduler:
    """Runs plans until told to stop; `apply` changes them while the unchanged ones go on undisturbed.

    Attributes:
        alone: Held by whatever must have the box to itself.
    """

    def __init__(self, runner: Runs, agent: str, *, utc: Callable[[], float] = time.time) -> None:
        self._runner, self._agent, self._utc = runner, agent, utc
        self.alone = asyncio.Lock()
        self._instances: dict[str, _Instance] = {}
        self._tasks: asyncio.TaskGroup | None = None
        runner.listen(self.look_into)

    async def run(self, plans: Iterable[Plan], stopping: asyncio.Event) -> None:
        """Returns when `stopping` is set and every run has been reported."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self.apply(plans)
            clock = tasks.create_task(self._watch_clock(), name="wall clock")
            await stopping.wait()
            self.apply(())
            self._tasks = None
            clock.cancel()

    async def _watch_clock(self) -> None:
        """Has all tests look at the clock again when it was stepped."""
        loop = asyncio.get_running_loop()
        ahead = self._utc() - loop.time()
        while True:
            await asyncio.sleep(NAP_S)
            before, ahead = ahead, self._utc() - loop.time()
            if abs(ahead - before) > STEP_S:
                for instance in self._instances.values():
                    instance.look_at_clock()

    def apply(self, plans: Iterable[Plan]) -> None:
        """Stops what is no longer planned so, starts what is new."""
        wanted = {plan.key: plan for plan in plans}
        for key, instance in list(self._instances.items()):
            if wanted.get(key) != instance.plan:
                instance.stop()
                if key not in wanted:
                    self._runner.forget(instance.plan)
                del self._instances[key]
        for key, plan in wanted.items():
            if key not in self._instances and self._tasks is not None:
                instance = _Instance(plan, self._runner, self._agent, self.alone, self._utc)
                self._instances[key] = instance
                self._tasks.create_task(instance.run(), name=f"test {key}")

    def look_into(self, target: str, why: str) -> None:
        """Has the tests run that want to when there is trouble with their target, or the end of it."""
        for instance in self._instances.values():
            plan = instance.plan
            if plan.on_loss and plan.target is not None and plan.target.name == target:
                instance.look_into(why)


class _Instance:
    """One test against one target."""

    def __init__(self, plan: Plan, runner: Runs, agent: str, exclusive: asyncio.Lock, utc: Callable[[], float]) -> None:
        self.plan = plan
        self._runner, self._exclusive, self._utc = runner, exclusive, utc
        self._phase_s = schedule.phase(agent, plan.key, plan.every_s)
        self._stopped, self._awake = asyncio.Event(), asyncio.Event()
        self._waiting: asyncio.Timeout | None = None
        self._current: asyncio.Task[None] | None = None
        self._trouble, self._told = "", asyncio.Event()

    def stop(self) -> None:
        """Closes a window at once; another run goes on to its end."""
        self._stopped.set()
        self._awake.set()
        self._stop_waiting()

    def look_at_clock(self) -> None:
        """It was stepped: the next moment is nearer or farther than it was."""
        self._awake.set()

    def look_into(self, why: str) -> None:
        """Has it run soon, out of its slots; the newest reason counts."""
        self._trouble = why
        self._told.set()

    async def run(self) -> None:
        """Starts runs until stopped, then waits for those that go on."""
        async with asyncio.TaskGroup() as runs:
            if self.plan.probe.mode == "window":
                await self._windows(runs)
            else:
                beside = runs.create_task(self._when_told(runs), name=f"trouble {self.plan.key}")
                await self._slots(runs)
                beside.cancel()

    async def _when_told(self, runs: asyncio.TaskGroup) -> None:
        """One run for each trouble, not while another goes on."""
        while True:
            await self._told.wait()
            if self._current is not None:
                await asyncio.wait([self._current])
            self._told.clear()
            trigger, now = self._trouble, self._utc()
            self._current = runs.create_task(self._use(now, trigger), name=f"run {self.plan.key} {trigger}")
            await asyncio.sleep(TROUBLE_S)

    async def _windows(self, runs: asyncio.TaskGroup) -> None:
        """One window after the other without a gap: the next begins while the last one waits for stragglers."""
        every_s, end = self.plan.every_s, None
        while not self._stopped.is_set():
            now = self._utc()
            boundary = schedule.window_start(now + _EDGE_S, every_s)
            on_time = end is not None and abs(boundary - end) < _EDGE_S and now - boundary < LATE_S
            window = Window(boundary if on_time else max(now, boundary), boundary + every_s)
            runs.create_task(
                self._runner.run(self.plan, window, self._stopped), name=f"window {self.plan.key} {window.start:.0f}"
            )
            end = window.end
            await self._sleep_until(end)

    async def _slots(self, runs: asyncio.TaskGroup) -> None:
        """Runs on the grid; a slot that comes while the last run goes on is reported, not queued."""
        slot = self._next_slot(self._utc())
        while not self._stopped.is_set():
            held_up_s = await self._sleep_until(slot)
            late_s = self._utc() - slot
            if self._stopped.is_set():
                break
            if late_s >= LATE_S and held_up_s >= LATE_S:
                self._skip(runs, slot, f"the box was held up until {held_up_s:.0f} s after it")
                slot = self._next_slot(self._utc())
            elif not 0 <= late_s < LATE_S:
                log.debug("clock stepped test=%s slot=%.3f late_s=%.3f", self.plan.key, slot, late_s)
                slot = self._next_slot(self._utc())
            else:
                self._start(runs, slot)
                slot = self._next_slot(slot)

    def _start(self, runs: asyncio.TaskGroup, slot: float) -> None:
        """Gives the slot to a run, unless one still goes on and makes this slot a skipped one."""
        waits = self._waiting is not None
        self._stop_waiting()
        if self._current is not None and not self._current.done() and not waits:
            self._skip(runs, slot, "the run before it was still going")
        else:
            self._current = runs.create_task(self._use(slot), name=f"run {self.plan.key} {slot:.0f}")

    def _skip(self, runs: asyncio.TaskGroup, slot: float, why: str) -> None:
        runs.create_task(self._runner.skip(self.plan, slot, why), name=f"skip {self.plan.key} {slot:.0f}")

    def _next_slot(self, after: float) -> float:
        return schedule.next_run(after, self.plan.every_s, self._phase_s)

    async def _use(self, slot: float, trigger: str | None = None) -> None:
        if self.plan.probe.mode != "exclusive":
            await self._runner.run(self.plan, None, self._runner.stopping, trigger)
            return
        turn = Turn(self._exclusive)
        held = await self._have_box_alone(turn)
        if held is not None:
            await self._runner.skip(self.plan, slot, held.detail, held.reason)
            return
        try:
            await self._runner.run(self.plan, None, self._runner.stopping, trigger, turn)
        finally:
            turn.leave()

    async def _have_box_alone(self, turn: Turn) -> Hold | None:
        """Waits for the turn, and until nothing speaks against a start; None: the box is ours.

        Returns:
            What it waited for when this test's next slot (or the end) came first.
        """
        held = Hold(0.0, None, "other exclusive tests ran until its next slot")
        try:
            async with asyncio.timeout(None) as waiting:
                self._waiting = waiting
                while (found := await self._ask(turn)) is not None:
                    held = found
                    await asyncio.sleep(held.seconds)
        except TimeoutError:
            return held
        finally:
            if self._waiting is waiting:
                self._waiting = None
        return None

    async def _ask(self, turn: Turn) -> Hold | None:
        """Takes the turn; why it was given back, or None when it was not."""
        await turn.take()
        held: Hold | None = Hold(0.0, None, "")
        try:
            held = await self._runner.hold(self.plan)
        finally:
            if held is not None:
                turn.leave()
        return held

    def _stop_waiting(self) -> None:
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())

    async def _sleep_until(self, moment: float) -> float:
        """Returns at `moment` (UTC seconds), when stopped, or when the clock was stepped back by more than a period.

        Returns:
            Seconds that the process was held up beyond `moment`, however the wall clock was set meanwhile.
        """
        loop, held_up_s = asyncio.get_running_loop(), 0.0
        while not self._stopped.is_set():
            left = moment - self._utc()
            if left <= 0 or left > self.plan.every_s + LATE_S:
                break
            due = loop.time() + left
            await self._nap(left)
            held_up_s = max(held_up_s, loop.time() - due)
        return held_up_s

    async def _nap(self, seconds: float) -> None:
        """Returns after `seconds`, or as soon as there is something to look at."""
        try:
            async with asyncio.timeout(seconds):
                await self._awake.wait()
        except TimeoutError:
            return
        if not self._stopped.is_set():
            self._awake.clear()
