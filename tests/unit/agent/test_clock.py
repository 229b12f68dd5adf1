"""When measurements are dated, and re-dated: the kernel's word and the boot clock are given, time is virtual."""

import asyncio
import logging
import time
from pathlib import Path

import pytest

from fibrewatch_agent.clock import ClockState, ClockWatch, boot_id, boottime, kernel_clock
from fibrewatch_agent.config import ClockConfig
from tests.unit.agent.virtual import Wall, run, since_boot

BOOT = "0123abcd"
IN_THE_PAST = 1000.0 + 3.0  # a box without a clock chip: 1970, 16 minutes


class Recorder:
    """Writes down what the clock decides about the spool, and when (seconds since the boot)."""

    def __init__(self) -> None:
        self.redated: list[tuple[float, float]] = []
        self.released: list[float] = []

    async def redate(self, boot_epoch: float) -> None:
        self.redated.append((since_boot(), boot_epoch))

    async def release_undated(self) -> None:
        self.released.append(since_boot())


class Scene:
    """A box whose kernel synchronises its clock when told to."""

    def __init__(self, folder: Path, start: float = IN_THE_PAST, **config: object) -> None:
        self.wall, self.spool, self.stopping = Wall(start), Recorder(), asyncio.Event()
        self.synchronised = False
        self._folder, self._config = folder, ClockConfig(**config)  # type: ignore[arg-type]

    def watch(self) -> ClockWatch:
        return ClockWatch(
            self._config,
            self._folder / "clock-good",
            BOOT,
            read=lambda: ClockState(synchronised=self.synchronised),
            utc=self.wall.utc,
            since_boot=since_boot,
        )

    def synchronise(self, to: float) -> None:
        self.wall.step(to - self.wall.utc())
        self.synchronised = True

    async def run(self, watch: ClockWatch, for_s: float) -> None:
        self.stopping.clear()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watch.run(self.spool, self.stopping))
            await asyncio.sleep(for_s)
            self.stopping.set()


def test_measurements_are_redated_within_seconds_of_a_good_clock(tmp_path: Path) -> None:
    async def scenario() -> None:
        scene = Scene(tmp_path)
        watch = scene.watch()
        assert not watch.good
        asyncio.get_running_loop().call_later(30, scene.synchronise, 1_800_000_000.0)
        await scene.run(watch, 60)
        assert watch.good
        ((at, epoch),) = scene.spool.redated
        assert 1030 <= at <= 1032
        assert epoch == 1_800_000_000 - 1030  # UTC at boottime 0
        assert watch.date(1010.0).timestamp() == 1_800_000_000 - 20
        assert scene.spool.released == []

    run(scenario())


def test_undated_measurements_are_released_after_hold_and_later_ones_still_dated(tmp_path: Path) -> None:
    async def scenario() -> None:
        scene = Scene(tmp_path, hold_s=60.0)
        asyncio.get_running_loop().call_later(95, scene.synchronise, 1_800_000_000.0)
        watch = scene.watch()
        await scene.run(watch, 200)
        assert 1060 <= scene.spool.released[0] <= 1062
        assert 3 <= len(scene.spool.released) <= 4  # again and again while the clock is bad, then no more
        assert len(scene.spool.redated) == 1

    run(scenario())


@pytest.mark.parametrize("why", ["trusted", "synchronised"])
def test_good_clock_dates_from_the_start(tmp_path: Path, why: str) -> None:
    async def scenario() -> None:
        scene = Scene(tmp_path, start=1_800_000_000.0, trusted=why == "trusted")
        scene.synchronised = why == "synchronised"
        watch = scene.watch()
        assert watch.good
        await scene.run(watch, 5)
        assert scene.spool.redated == [(1000, 1_800_000_000 - 1000)]  # what an earlier run of this boot left undated

    run(scenario())


def test_clock_that_was_good_in_this_boot_stays_good_through_an_outage_and_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        scene = Scene(tmp_path, start=1_800_000_000.0)
        scene.synchronised = True
        watch = scene.watch()
        await scene.run(watch, 5)
        scene.synchronised = False  # no server for hours: the kernel gives up
        await scene.run(watch, 5)
        assert watch.good
        assert scene.watch().good
        (tmp_path / "clock-good").write_text("fedcba98")  # another boot
        assert not scene.watch().good

    run(scenario())


def test_step_of_a_good_clock_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        scene = Scene(tmp_path, start=1_800_000_000.0, trusted=True)
        loop = asyncio.get_running_loop()
        loop.call_later(10, scene.wall.step, 0.3)  # slewing is no step
        loop.call_later(20, scene.wall.step, -7.0)
        await scene.run(scene.watch(), 60)

    run(scenario())
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["the wall clock was stepped seconds=-7.000"]


def test_kernel_answers_for_this_machine() -> None:
    state = kernel_clock()
    assert (state.offset_bound_s is not None) == state.synchronised
    assert state.offset_bound_s is None or 0 <= state.offset_bound_s < 16.1  # the kernel's NTP_PHASE_LIMIT


def test_boot_clock_and_boot_id_are_of_this_boot() -> None:
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert boottime() >= uptime - 0.02
    assert boottime() >= time.monotonic() - 1
    assert boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
