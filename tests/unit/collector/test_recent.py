"""Objectives at risk: 3 of the last 5 valid tests, to two targets at least."""

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from fibrewatch import sketch
from fibrewatch.measurement import Target
from fibrewatch.results import ping, throughput, voice
from fibrewatch.wire import AgentId
from fibrewatch_collector.inventory import Agent, Inventory, Site, Territory, Uplink
from fibrewatch_collector.sla.objectives import Objective, Promise
from fibrewatch_collector.sla.periods import BusyHours
from fibrewatch_collector.sla.recent import Recent
from tests.unit.collector.runs import T0, window

BOX = AgentId("paris", "cargo", "box-01")
AT = ("paris", "cargo", "fibre")


def recent(*objectives: Objective, busy: BusyHours | None = None) -> Recent:
    site = Site(
        territory="paris",
        id="cargo",
        name="Cargo",
        city="Paris",
        latitude=48.9,
        longitude=2.4,
        time_zone="Europe/Paris",
        uplinks=(Uplink(id="fibre", kind="fibre", download=100e6),),
        agents=(Agent(id="box-01"),),
    )
    promise = Promise(sla="gold", contract="", busy=busy, coverage_floor=0.9, grace_s=0.0, objectives=tuple(objectives))
    return Recent(Inventory([Territory(id="paris", name="Paris")], [site], promises={AT: promise}))


RATE = Objective(id="rate", kind="compliance", direction="download", asked=0.95, of_contract=0.9)


def transfer(at: float, goodput: float, target: str = "r1", **changes: object) -> object:
    result = throughput.Result(direction="down", streams=4, goodput=goodput)
    made = window(target, at, probe="throughput", test="t", result=result, outcome="ok", duration_s=10.0)
    return replace(made, **changes)  # type: ignore[arg-type]


def told(watch: Recent, runs: Iterable[object], now: float = T0 + 3600, name: str = "rate") -> tuple[int, int, bool]:
    for run in runs:
        watch.add(BOX, run, now)  # type: ignore[arg-type]
    found = watch.tests(now).get((*AT, name))
    return (found.met, found.missed, found.at_risk) if found else (0, 0, False)


def test_one_bad_test_is_no_risk() -> None:
    assert told(recent(RATE), [transfer(T0 + n, 95e6 if n else 10e6) for n in range(5)]) == (4, 1, False)


def test_three_of_five_to_two_targets_are() -> None:
    runs = [transfer(T0, 95e6), transfer(T0 + 1, 95e6)]
    runs += [transfer(T0 + n, 10e6, target) for n, target in ((2, "r1"), (3, "r2"), (4, "r1"))]
    assert told(recent(RATE), runs) == (2, 3, True)


def test_three_of_five_to_one_of_two_targets_accuse_that_target() -> None:
    runs = [transfer(T0 + n, 95e6, "r2") for n in range(2)] + [transfer(T0 + n, 10e6, "r1") for n in range(2, 5)]
    assert told(recent(RATE), runs) == (2, 3, False)


@pytest.mark.parametrize(("bad", "expected"), [(4, (1, 4, False)), (5, (0, 5, True))])
def test_where_there_is_one_target_all_five_must_miss(bad: int, expected: tuple[int, int, bool]) -> None:
    assert told(recent(RATE), [transfer(T0 + n, 10e6 if n < bad else 95e6) for n in range(5)]) == expected


def test_censored_and_invalid_tests_accuse_nobody() -> None:
    runs = [transfer(T0 + n, 10e6, f"r{n}", verdict="censored", reasons=("cpu",)) for n in range(5)]
    runs += [transfer(T0 + n, 10e6, f"r{n}", verdict="invalid", reasons=("cpu",)) for n in range(5)]
    assert told(recent(RATE), runs) == (0, 0, False)


def test_work_asked_for_runs_and_old_ones_count_nowhere() -> None:
    watch = recent(RATE)
    watch.add(BOX, transfer(T0, 1e6), T0 + 60, frozenset({"fibre"}))  # type: ignore[arg-type]
    assert told(watch, [transfer(T0, 1e6, request="r"), transfer(T0, 1e6, trigger="lost")]) == (0, 0, False)
    assert told(recent(RATE), [transfer(T0, 1e6)], now=T0 + 3 * 86400) == (0, 0, False)


def test_a_late_batch_does_not_push_newer_tests_out() -> None:
    runs = [transfer(T0 + 100 + n, 95e6) for n in range(5)] + [transfer(T0 + n, 10e6, f"r{n}") for n in range(5)]
    assert told(recent(RATE), runs) == (5, 0, False)


def test_delays_by_a_windows_own_quantile() -> None:
    latency = Objective(id="rate", kind="percentile", metric="ping.rtt", quantile=0.95, limit_s=0.015)
    slow = ping.Result(sent=60, lost=0, deadline=2.0, rtt=sketch.of([0.010] * 50 + [0.040] * 10))
    fine = ping.Result(sent=60, lost=0, deadline=2.0, rtt=sketch.of([0.010] * 58 + [0.040] * 2))
    runs = [window(target, T0 + 60 * n, result=slow) for n, target in enumerate(("dns", "far", "dns"))]
    assert told(recent(latency), runs, T0 + 300) == (0, 3, True)
    assert told(recent(latency), [window("gw", T0, result=slow)], T0 + 300) == (0, 0, False)
    assert told(recent(latency), [window("dns", T0, result=fine)], T0 + 300) == (1, 0, False)
    assert told(recent(latency), [], T0 + 3600) == (0, 0, False)


def test_success_leaves_out_the_boxs_own_faults_and_busy_hours_hold() -> None:
    names = Objective(id="rate", kind="success", metric="dns", asked=0.999, hours="busy")
    bad = [window(f"d{n}", T0 + n, probe="dns", result=None, outcome="failed", error="timeout") for n in range(3)]
    own = [replace(each, error="tool_failed") for each in bad]
    open_all_day = BusyHours(begin=0, end=1440, days=("mon", "tue", "wed", "thu", "fri", "sat", "sun"))
    assert told(recent(names, busy=open_all_day), bad + own) == (0, 3, True)
    assert told(recent(names, busy=BusyHours(begin=0, end=1440, days=())), bad) == (0, 0, False)


def test_readiness_is_of_the_named_pair() -> None:
    pair = Objective(id="rate", kind="readiness", asked=0.9, peer="us/sf")
    unfit = voice.Result(sent=500, lost=50, ready=False)

    def call(number: int, peer: str) -> object:
        target = Target(name=f"sf{number}", role="responder", peer=peer)
        return window("far", T0 + number, probe="voice", result=unfit, outcome="ok", target=target)

    assert told(recent(pair), [call(n, "us/sf/box-1") for n in range(3)]) == (0, 3, True)
    assert told(recent(pair), [call(n, "us/la/box-1") for n in range(3)]) == (0, 0, False)


def test_packets_of_loss_objectives_are_counted_once_they_are_fresh() -> None:
    watch = recent(Objective(id="loss", kind="loss", metric="ping", asked=0.001))
    assert dict(watch.events) == {(*AT, "loss"): 0}
    watch.add(BOX, window("far", T0, lost=6), T0 + 62)
    watch.add(BOX, window("gw", T0, lost=6), T0 + 62)
    watch.add(BOX, window("-far", T0 - 7200), T0 + 62)
    assert (watch.events[*AT, "loss"], watch.bad[*AT, "loss"]) == (60, 6)
