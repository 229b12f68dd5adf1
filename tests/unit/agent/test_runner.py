"""What becomes of a run: every way a probe can end is a measurement that the collector can decode."""

import asyncio
import logging
import math
from pathlib import Path
from typing import Any

import pytest

from fibrewatch import wire
from fibrewatch.measurement import AnyMeasurement
from fibrewatch.results import PROBES, Mode
from fibrewatch_agent.box import Box, ProbeError, Window
from fibrewatch_agent.clock import ClockState
from fibrewatch_agent.conditions import Observer
from fibrewatch_agent.probes import ProbeFunction
from fibrewatch_agent.runner import LIMITS_S, STRAGGLERS_S
from tests.unit.agent.bench import Bench, Params, Result, drop_in, plan
from tests.unit.agent.virtual import run


@pytest.fixture
def measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a function as a probe, once, and gives its measurement."""

    def measure(function: ProbeFunction, mode: Mode = "burst", **changes: Any) -> AnyMeasurement:
        bench_changes = {key: changes.pop(key) for key in ("observer", "clock_good") if key in changes}
        kept: list[AnyMeasurement] = []

        async def scenario() -> None:
            bench = Bench(tmp_path, **bench_changes)
            now = bench.wall.utc()
            window = Window(now, now + 10) if mode == "window" else None
            made = await bench.runner.run(plan(drop_in(monkeypatch, "under_test", mode, function), **changes), window)
            assert bench.stored == [made]
            assert wire.decode_measurement(wire.encode(made)) == made
            kept.append(made)

        monkeypatch.setattr(function, "__name__", "under_test")
        run(scenario())
        return kept[0]

    return measure


def test_run_that_ends_well_is_ok_with_its_result(measure: Any) -> None:
    async def probe(params: Params, box: Box) -> Result:
        await asyncio.sleep(2.5)
        await box.resolve()
        return Result(value=0.1234567891234)

    made = measure(probe)
    assert (made.outcome, made.error, made.verdict, made.duration_s) == ("ok", None, "valid", 2.5)
    assert made.result == {"value": 0.123456789}
    assert (made.target.name, made.target.address, made.family) == ("gateway", "192.0.2.1", 4)
    assert made.started_at.timestamp() == 1_800_000_000
    assert made.boottime_s == 1000


def test_probe_error_fails_with_its_word_and_keeps_what_was_measured(measure: Any) -> None:
    async def probe(params: Params, box: Box) -> Result:
        raise ProbeError("refused", "the responder\nrefused", Result(value=1.0))

    made = measure(probe)
    assert (made.outcome, made.error, made.detail) == ("failed", "refused", "the responder refused")
    assert made.result == {"value": 1.0}


def test_fault_in_a_probe_fails_and_is_logged_once_with_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def probe(params: Params, box: Box) -> Result:
        return Result(value={}["no such key"])

    async def scenario() -> None:
        bench = Bench(tmp_path)
        test = plan(drop_in(monkeypatch, "probe", "burst", probe))
        for _ in range(3):
            await bench.runner.run(test)
        assert [(m.outcome, m.error, m.detail) for m in bench.stored] == [
            ("failed", "tool_failed", "KeyError: 'no such key'")
        ] * 3

    run(scenario())
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert errors[0].exc_info is not None


@pytest.mark.parametrize("mode", ["burst", "exclusive", "window"])
def test_probe_that_hangs_is_ended_by_its_caller(measure: Any, mode: Mode) -> None:
    async def probe(params: Params, box: Box) -> Result:
        await asyncio.get_running_loop().create_future()
        return Result()

    made = measure(probe, mode)
    limit_s = 10 + STRAGGLERS_S if mode == "window" else LIMITS_S[mode]
    assert (made.outcome, made.error, made.detail) == ("failed", "timeout", f"no end within {limit_s:g} s")
    assert made.duration_s == (10 if mode == "window" else limit_s)


def test_result_too_large_to_send_becomes_a_failed_measurement(measure: Any) -> None:
    async def probe(params: Params, box: Box) -> Any:
        box.mark("censored", "link_limit")
        return {"text": "x" * wire.MAX_MEASUREMENT_BYTES}

    made = measure(probe)
    assert (made.outcome, made.error, made.result) == ("failed", "tool_failed", None)
    assert (made.verdict, made.reasons) == ("valid", ())
    assert made.detail.startswith("the result can't be sent: oversized")


@pytest.mark.parametrize("result", [object(), {1: object()}, "recursive"])
def test_result_that_json_can_not_hold_becomes_a_failed_measurement(measure: Any, result: Any) -> None:
    if result == "recursive":
        result = []
        result.append(result)

    async def probe(params: Params, box: Box) -> Any:
        return result

    assert measure(probe).error == "tool_failed"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_value_that_is_no_number_was_not_measured(measure: Any, value: float) -> None:
    async def probe(params: Params, box: Box) -> Result:
        return Result(value=value)

    made = measure(probe)
    assert made.outcome == "ok"
    assert (made.result or {}).get("value") is None


def test_result_of_another_shape_than_the_contract_says_is_refused_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ping(params: Params, box: Box) -> Any:
        return {"sent": -1, "lost": "none"}

    async def scenario() -> None:
        bench = Bench(tmp_path)
        drop_in(monkeypatch, "ping", "burst", ping)
        made = await bench.runner.run(plan(PROBES["ping"]), Window(bench.wall.utc(), bench.wall.utc() + 10))
        assert (made.outcome, made.error) == ("failed", "tool_failed")

    run(scenario())


def test_detail_is_one_printable_line_of_500_characters(measure: Any) -> None:
    async def probe(params: Params, box: Box) -> Result:
        raise ProbeError("protocol", "a\r\n\tb\x00\x1b[31m\ud800 " + "é" * 1000)

    made = measure(probe)
    assert made.detail.startswith("a b [31m é")
    assert len(made.detail) == 500


def test_marks_of_the_probe_are_the_verdict(measure: Any) -> None:
    async def probe(params: Params, box: Box) -> Result:
        box.mark("invalid", "cpu_saturated")
        box.mark("censored", "link_limit")
        return Result()

    made = measure(probe)
    assert (made.verdict, made.reasons) == ("invalid", ("cpu_saturated", "link_limit"))


def test_under_voltage_makes_a_run_invalid(measure: Any, tmp_path: Path) -> None:
    firmware = tmp_path / "sys/devices/platform/soc/soc:firmware"
    firmware.mkdir(parents=True)
    (firmware / "get_throttled").write_text("50005\n")

    async def probe(params: Params, box: Box) -> Result:
        return Result()

    observer = Observer(tmp_path / "sys", tmp_path / "proc", clock=lambda: ClockState(synchronised=True))
    made = measure(probe, observer=observer)
    assert (made.outcome, made.verdict, made.reasons) == ("ok", "invalid", ("under_voltage",))
    assert made.conditions.throttled == ("throttled", "under_voltage")


def test_window_is_dated_by_its_first_moment_and_lasts_what_it_covered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def probe(params: Params, box: Box) -> Result:
        await asyncio.sleep(12)  # two seconds of stragglers
        return Result()

    async def scenario() -> None:
        bench = Bench(tmp_path)
        now = bench.wall.utc()
        made = await bench.runner.run(
            plan(drop_in(monkeypatch, "probe", "window", probe)), Window(now - 0.5, now + 9.5)
        )
        assert (made.started_at.timestamp(), made.boottime_s, made.duration_s) == (now - 0.5, 999.5, 10)

    run(scenario())


def test_run_that_began_before_the_clock_was_good_is_handed_on_as_undated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good: list[bool] = []

    async def probe(params: Params, box: Box) -> Result:
        good.append(True)  # the clock becomes good meanwhile
        return Result()

    async def scenario() -> None:
        bench = Bench(tmp_path, clock_good=lambda: bool(good))
        test = plan(drop_in(monkeypatch, "probe", "burst", probe))
        await bench.runner.run(test)
        await bench.runner.run(test)
        assert bench.dated == [False, True]

    run(scenario())


def test_target_lost_by_one_test_and_back_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def probe(params: Params, box: Box) -> Result:
        box.report_target(params.takes_s > 0)
        return Result()

    async def scenario() -> None:
        bench = Bench(tmp_path)
        kind = drop_in(monkeypatch, "probe", "burst", probe)
        for test, lost, names, news in [
            ("v4", 1, ("gateway",), True),
            ("v4", 1, ("gateway",), False),
            ("v6", 1, ("gateway",), True),
            ("v4", 0, ("gateway",), True),
            ("v6", 0, (), True),
        ]:
            bench.changed.clear()
            await bench.runner.run(plan(kind, test, takes_s=lost))
            assert (bench.lost.names(), bench.changed.is_set()) == (names, news)

    run(scenario())


def test_skip_names_the_slot_and_took_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def probe(params: Params, box: Box) -> Result:
        return Result()

    async def scenario() -> None:
        bench = Bench(tmp_path)
        slot = bench.wall.utc() - 2
        made = await bench.runner.skip(plan(drop_in(monkeypatch, "probe", "burst", probe)), slot, "because")
        assert (made.outcome, made.error, made.detail, made.duration_s) == ("skipped", "busy", "because", 0)
        assert (made.started_at.timestamp(), made.boottime_s) == (slot, 998)

    run(scenario())


async def test_target_that_is_a_number_needs_no_resolver() -> None:
    box = Box(agent="a", test="t", icmp=None, address="fe80::1%lo")  # type: ignore[arg-type]
    assert await box.resolve() == "fe80::1%lo"
    assert (box.resolved, box.used_family) == ("fe80::1%lo", 6)


@pytest.mark.parametrize(
    ("address", "family", "error"),
    [(None, None, "name_not_found"), ("192.0.2.1", 6, "name_not_found"), ("x" * 80 + ".example", 4, "name_not_found")],
)
async def test_target_that_can_not_be_resolved_fails_with_its_word(
    address: str | None, family: Any, error: str
) -> None:
    box = Box(agent="a", test="t", icmp=None, address=address, family=family)  # type: ignore[arg-type]
    with pytest.raises(ProbeError) as caught:
        await box.resolve()
    assert caught.value.error == error
