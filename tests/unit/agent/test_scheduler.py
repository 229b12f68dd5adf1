"""When tests run, in virtual time: hours pass in milliseconds."""

import asyncio
import itertools
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibrewatch import schedule
from fibrewatch_agent.box import Box, ProbeError
from tests.unit.agent.bench import AGENT, Bench, Params, Result, drop_in, plan
from tests.unit.agent.virtual import VirtualLoop, run

Spans = list[tuple[str, float, float]]


@pytest.fixture
def spans() -> Spans:
    """Which test ran from when to when, on the loop's clock."""
    return []


@pytest.fixture
def working(monkeypatch: pytest.MonkeyPatch, spans: Spans) -> Any:
    """A probe that takes as long as its plan says."""

    async def working(params: Params, box: Box) -> Result:
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(params.takes_s)
        spans.append((box.test, began, asyncio.get_running_loop().time()))
        return Result()

    return lambda mode: drop_in(monkeypatch, "working", mode, working)


@pytest.fixture
def windowed(monkeypatch: pytest.MonkeyPatch, spans: Spans) -> Any:
    """A probe that uses its window to the end and waits for stragglers, unless the agent stops."""

    async def windowed(params: Params, box: Box) -> Result:
        loop = asyncio.get_running_loop()
        began, window = loop.time(), box.window
        assert window is not None
        try:
            async with asyncio.timeout(window.end - window.start + params.takes_s):
                await box.stopping.wait()
        except TimeoutError:
            pass
        spans.append((box.test, began, loop.time()))
        return Result()

    return drop_in(monkeypatch, "windowed", "window", windowed)


def overlaps(spans: Spans) -> list[tuple[Any, Any]]:
    ordered = sorted(spans, key=lambda span: span[1])
    return [(a, b) for a, b in itertools.pairwise(ordered) if b[1] < a[2]]


@pytest.mark.parametrize("takes_s", [3.0, 9.0, 19.0, 25.0])
def test_exclusive_probes_never_overlap_and_every_slot_is_reported(
    tmp_path: Path, working: Any, spans: Spans, takes_s: float
) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        plans = [plan(working("exclusive"), f"t{i}", every_s=20, takes_s=takes_s) for i in range(4)]
        await bench.schedule(plans, 2000)
        assert not overlaps(spans)
        for each in plans:
            mine = [m for m in bench.stored if m.test == each.test]
            assert 99 <= len(mine) <= 101
            assert all(m.error == "busy" for m in mine if m.outcome == "skipped" and m.duration_s == 0)
        outcomes = Counter(m.outcome for m in bench.stored)
        assert (outcomes["skipped"] == 0) == (4 * takes_s < 20)

    run(scenario())


def test_exclusive_tests_that_wait_for_each_other_all_get_their_turn(
    tmp_path: Path, working: Any, spans: Spans
) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        await bench.schedule([plan(working("exclusive"), f"t{i}", every_s=20, takes_s=9) for i in range(4)], 4000)
        turns = Counter(test for test, _, _ in spans)
        assert len(turns) == 4
        assert min(turns.values()) >= 40  # 4000 s hold 444 runs of 9 s

    run(scenario())


def test_slow_probe_never_shifts_the_next_and_its_slots_are_reported(
    tmp_path: Path, working: Any, spans: Spans
) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        slow = plan(working("burst"), "slow", every_s=10, takes_s=25)
        quick = plan(working("burst"), "quick", every_s=10, takes_s=1)
        grid = schedule.phase(AGENT, slow.key, 10)
        await bench.schedule([slow, quick], 600)
        starts = [m.started_at.timestamp() for m in bench.stored if m.test == "slow"]
        assert all(abs((start - grid + 5) % 10 - 5) < 0.01 for start in starts)
        outcomes = Counter(m.outcome for m in bench.stored if m.test == "slow" and m.detail != "ended with the agent")
        assert outcomes["ok"] in (19, 20)
        assert outcomes["skipped"] in (39, 40)
        assert Counter(m.outcome for m in bench.stored if m.test == "quick") == {"ok": 60}

    run(scenario())


def test_windows_follow_each_other_without_gap_while_the_last_waits_for_stragglers(
    tmp_path: Path, windowed: Any, spans: Spans
) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        bench.wall.step(7.5)
        await bench.schedule([plan(windowed, every_s=20, takes_s=3)], 200)
        windows = [(m.started_at.timestamp() % 1000, m.duration_s) for m in bench.stored]
        assert windows[0] == (7.5, 12.5)  # the first one is short: it ends where the minute is divided
        assert windows[1:-1] == [(20.0 * i, 20.0) for i in range(1, 10)]
        assert windows[-1][0] == 200
        assert len(overlaps(spans)) == 10

    run(scenario())


@pytest.mark.parametrize("every_s", [60.0, 10.0, 1.0, 60 / 7])
def test_windows_of_any_divisor_cover_every_moment_once(tmp_path: Path, windowed: Any, every_s: float) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        await bench.schedule([plan(windowed, every_s=every_s)], 300)
        covered = sorted((m.started_at.timestamp(), m.duration_s) for m in bench.stored)
        for (start, length), (following, _) in itertools.pairwise(covered):
            assert following == pytest.approx(start + length, abs=1e-5)
        assert sum(length for _, length in covered) == pytest.approx(300, abs=0.01)

    run(scenario())


def test_stop_closes_a_window_at_once_and_reports_it(tmp_path: Path, windowed: Any) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        await bench.schedule([plan(windowed, every_s=60)], 25)
        assert asyncio.get_running_loop().time() == pytest.approx(1025, abs=0.01)
        assert [(m.outcome, m.duration_s) for m in bench.stored] == [("ok", 25.0)]

    run(scenario())


def test_stop_gives_other_runs_a_little_time_and_reports_them(tmp_path: Path, working: Any) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        await bench.schedule([plan(working("burst"), every_s=5, takes_s=1000)], 100)
        assert asyncio.get_running_loop().time() < 1105
        last = bench.stored[-1]
        assert (last.outcome, last.error, last.detail) == ("skipped", "timeout", "ended with the agent")

    run(scenario())


@pytest.mark.parametrize("mode", ["burst", "exclusive", "window"])
@pytest.mark.parametrize("seconds", [50 * 365 * 86400.0, 3600.0, 33.0, -33.0, -3600.0, -50 * 365 * 86400.0])
def test_step_of_the_clock_neither_stalls_a_test_nor_fires_missed_slots(
    tmp_path: Path, working: Any, windowed: Any, mode: str, seconds: float
) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        probe = windowed if mode == "window" else working(mode)
        asyncio.get_running_loop().call_later(301.7, bench.wall.step, seconds)
        await bench.schedule([plan(probe, every_s=10)], 600)
        assert 55 <= len(bench.stored) <= 67
        assert all(m.outcome == "ok" for m in bench.stored)

    run(scenario())


@pytest.mark.parametrize("mode", ["burst", "exclusive"])
def test_box_that_was_held_up_says_so_and_goes_on_with_its_grid(tmp_path: Path, working: Any, mode: str) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.call_later(300.5, loop.hold_up, 35)
        await bench.schedule([plan(working(mode), every_s=10)], 600)
        skipped = [(m.error, m.detail) for m in bench.stored if m.outcome == "skipped"]
        assert len(skipped) == 1
        assert skipped[0][0] == "busy"
        late = re.fullmatch(r"the box was held up until (\d+) s after it", skipped[0][1] or "")
        assert late
        assert 25 <= int(late[1]) <= 35  # a slot every 10 s
        assert 56 <= len(bench.stored) <= 58  # of 60 slots those within 35 s make one report

    run(scenario())


def test_box_that_was_held_up_between_two_slots_misses_none(tmp_path: Path, working: Any) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        test = plan(working("burst"), every_s=60)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.call_later(schedule.phase(AGENT, test.key, 60) + 70, loop.hold_up, 35)
        await bench.schedule([test], 600)
        assert [m.outcome for m in bench.stored] == ["ok"] * 10

    run(scenario())


def test_apply_leaves_unchanged_tests_alone(tmp_path: Path, windowed: Any) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        kept, changed, gone = (plan(windowed, name, every_s=60) for name in ("kept", "changed", "gone"))
        new = plan(windowed, "new", every_s=60)
        fresh = [kept, plan(windowed, "changed", every_s=30), new]
        asyncio.get_running_loop().call_later(20, bench.scheduler.apply, fresh)
        await bench.schedule([kept, changed, gone], 60.5)
        ran = {
            name: [(m.started_at.timestamp() % 1000, m.duration_s) for m in bench.stored if m.test == name]
            for name in ("kept", "changed", "gone", "new")
        }
        assert ran["kept"] == [(0, 60), (60, 0.5)]
        assert ran["changed"] == [(0, 20), (20, 10), (30, 30), (60, 0.5)]
        assert ran["gone"] == [(0, 20)]
        assert ran["new"] == [(20, 40), (60, 0.5)]

    run(scenario())


def test_apply_lets_a_removed_run_go_on_to_its_end(tmp_path: Path, working: Any) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        asyncio.get_running_loop().call_later(25, bench.scheduler.apply, [])
        await bench.schedule([plan(working("exclusive"), every_s=20, takes_s=30)], 100)
        assert [(m.outcome, m.duration_s) for m in bench.stored if m.outcome == "ok"] == [("ok", 30)]

    run(scenario())


def test_removed_test_says_nothing_more_about_its_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def losing(params: Params, box: Box) -> Result:
        box.report_target(True)
        await box.stopping.wait()
        return Result()

    async def scenario() -> None:
        bench = Bench(tmp_path)
        probe = drop_in(monkeypatch, "losing", "window", losing)
        asyncio.get_running_loop().call_later(5, lambda: seen.append(bench.lost.names()))
        asyncio.get_running_loop().call_later(6, bench.scheduler.apply, [])
        seen: list[tuple[str, ...]] = []
        await bench.schedule([plan(probe, every_s=60)], 10)
        assert seen == [("gateway",)]
        assert bench.lost.names() == ()

    run(scenario())


names = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)


@settings(max_examples=200)
@given(names, names, st.sampled_from([60.0, 600.0, 3600.0]))
def test_fifty_boxes_never_start_together(territory: str, test: str, every_s: float) -> None:
    phases = sorted(schedule.phase(f"{territory}/site-{i:02}/box-01", test, every_s) for i in range(50))
    gaps = [b - a for a, b in itertools.pairwise(phases)]
    assert min(gaps) > 0
    tenths = Counter(int(phase / every_s * 10) for phase in phases)
    assert max(tenths.values()) <= 20  # more than 20 of 50 in a tenth: once in 10^8
    assert len(tenths) >= 5


def test_exclusive_test_that_stands_aside_lets_others_run_and_has_the_box_alone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spans: Spans
) -> None:
    async def waits(params: Params, box: Box) -> Result:
        loop = asyncio.get_running_loop()
        async with box.aside():
            await asyncio.sleep(params.takes_s)
        began = loop.time()
        await asyncio.sleep(5)
        spans.append((box.test, began, loop.time()))
        return Result(value=1)

    async def scenario() -> None:
        bench = Bench(tmp_path)
        probe = drop_in(monkeypatch, "waits", "exclusive", waits)
        patient = plan(probe, "patient", every_s=1000, takes_s=900)
        prompt = plan(probe, "prompt", every_s=20, takes_s=0)
        await bench.schedule([patient, prompt], 4000)
        outcomes = Counter((m.test, m.outcome, m.error) for m in bench.stored if m.detail != "ended with the agent")
        assert outcomes["prompt", "ok", None] >= 195
        assert outcomes["patient", "ok", None] in (3, 4), "its deadline of 300 s stood still"
        assert not outcomes["patient", "failed", "timeout"]

    run(scenario())
    ordered = sorted(spans, key=lambda span: span[1])
    assert all(before[2] <= after[1] for before, after in itertools.pairwise(ordered))


def test_test_that_stands_aside_ends_with_the_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def waits(_: Params, box: Box) -> Result:
        async with box.aside():
            await asyncio.sleep(10_000)
        return Result()

    async def scenario() -> None:
        bench = Bench(tmp_path)
        await bench.schedule([plan(drop_in(monkeypatch, "waits", "exclusive", waits), every_s=100)], 150)
        assert bench.stored[-1].detail == "ended with the agent"

    run(scenario())


def test_test_that_fails_while_it_stands_aside_leaves_the_box_to_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(params: Params, box: Box) -> Result:
        async with box.aside():
            await asyncio.sleep(params.takes_s)
            raise ProbeError("busy", "no slot")

    async def scenario() -> None:
        bench = Bench(tmp_path)
        probe = drop_in(monkeypatch, "fails", "exclusive", fails)
        await bench.schedule([plan(probe, f"t{i}", every_s=20, takes_s=15) for i in range(3)], 1000)
        outcomes = Counter((m.outcome, m.detail) for m in bench.stored)
        assert outcomes["failed", "no slot"] >= 145

    run(scenario())
