"""A test that runs at once when another loses its target: how soon, how often, and what its result says."""

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fibrewatch.results import PROBES
from fibrewatch.results.ping import Result as Pings
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.config import Plan
from tests.unit.agent.bench import Bench, Params, Result, drop_in, plan
from tests.unit.agent.virtual import run

START = 1_800_000_000


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A test that wants to run on loss; once an hour otherwise."""

    async def look(params: Params, box: Box) -> Result:
        await asyncio.sleep(params.takes_s)
        return Result()

    def looking(test: str = "way", mode: Any = "burst", **changes: Any) -> Plan:
        return replace(plan(drop_in(monkeypatch, "look", mode, look), test, every_s=3600, **changes), on_loss=True)

    return looking


def ran(bench: Bench, test: str = "way") -> list[tuple[float, str | None]]:
    """When after the start the test ran, and by what trigger; slots left out."""
    runs = [m for m in bench.stored if m.test == test and m.outcome != "skipped"]
    return [(round(m.started_at.timestamp() - START, 3), m.trigger) for m in runs if m.trigger]


def at(seconds: float, bench: Bench, why: str, target: str = "gateway") -> None:
    asyncio.get_running_loop().call_later(seconds, bench.scheduler.look_into, target, why)


def test_lost_and_back_run_it_at_once_but_once_a_minute(tmp_path: Path, looking: Any) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        for seconds, why in ((10, "lost"), (30, "back"), (40, "lost"), (50, "back"), (300, "loss")):
            at(seconds, bench, why)
        await bench.schedule([looking()], 400)
        assert ran(bench) == [(10, "lost"), (70, "back"), (300, "loss")]

    run(scenario())


def test_trouble_with_another_target_is_not_its_own(tmp_path: Path, looking: Any) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        at(10, bench, "lost", "elsewhere")
        await bench.schedule([looking(), replace(looking("calm"), on_loss=False)], 100)
        at(10, bench, "lost")
        assert ran(bench) == ran(bench, "calm") == []

    run(scenario())


def test_it_waits_for_the_run_that_goes_on(tmp_path: Path, looking: Any) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        test = replace(looking(takes_s=20), every_s=3600.0)
        for seconds in (10, 71):  # the second comes in time, but a slot's run may go on
            at(seconds, bench, "lost")
        await bench.schedule([test], 7300)
        spans = [(m.started_at.timestamp(), m.duration_s) for m in bench.stored if m.outcome == "ok"]
        assert len(spans) == 4
        assert all(begin + length <= following[0] for (begin, length), following in itertools.pairwise(spans))

    run(scenario())


def test_exclusive_test_takes_its_turn(tmp_path: Path, looking: Any) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        tests = [looking(name, "exclusive", takes_s=30) for name in ("one", "two")]
        at(10, bench, "lost")
        await bench.schedule(tests, 100)
        begun = sorted(ran(bench, "one") + ran(bench, "two"))
        assert [begin for begin, _ in begun] == [10, 40]

    run(scenario())


def test_removed_test_runs_no_more(tmp_path: Path, looking: Any) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        at(10, bench, "lost")
        at(20, bench, "back")
        asyncio.get_running_loop().call_later(30, bench.scheduler.apply, [])
        await bench.schedule([looking()], 200)
        assert ran(bench) == [(10, "lost")]

    run(scenario())


@pytest.mark.parametrize(
    ("sent", "lost", "invalid", "trigger"),
    [(60, 3, False, None), (60, 4, False, "loss"), (20, 2, False, None), (60, 60, False, None), (60, 30, True, None)],
)
def test_window_that_lost_a_part_is_trouble(
    tmp_path: Path, looking: Any, monkeypatch: pytest.MonkeyPatch, sent: int, lost: int, invalid: bool, trigger: str
) -> None:
    async def ping(params: Params, box: Box) -> Pings:
        await box.stopping.wait() if box.window is None else await asyncio.sleep(box.window.end - START - 1)
        if invalid:
            box.mark("invalid", "receive_overflow")
        result = Pings(sent=sent, lost=lost, deadline=2.0)
        if sent == lost:
            raise ProbeError("timeout", "no reply", result)
        return result

    async def scenario() -> None:
        bench = Bench(tmp_path)
        drop_in(monkeypatch, "ping", "window", ping)
        await bench.schedule([looking(), plan(PROBES["ping"], "ping", every_s=60)], 59.9)
        assert ran(bench) == ([(59, trigger)] if trigger else [])

    run(scenario())


def test_probe_s_word_about_its_target_is_heard(tmp_path: Path, looking: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def losing(params: Params, box: Box) -> Result:
        await asyncio.sleep(5)
        for lost in (True, True, False):
            box.report_target(lost)
            await asyncio.sleep(35)
        return Result()

    async def scenario() -> None:
        bench = Bench(tmp_path)
        test = plan(drop_in(monkeypatch, "losing", "burst", losing), "losing", every_s=3600)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(bench.schedule([looking()], 300))
            tasks.create_task(bench.runner.run(test))
        assert ran(bench) == [(5, "lost"), (75, "back")]

    run(scenario())
