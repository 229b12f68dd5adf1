"""A report's figures equal what plain loops over the raw samples say: random data, clocks that change, cut periods."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fibrewatch_collector.report import figures, model
from fibrewatch_collector.report.known import NEVER, Known
from fibrewatch_collector.sla import periods
from fibrewatch_collector.sla.periods import Period
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.support.report_world import LIMIT, World, nearest_rank

ZONES = ["Europe/Paris", "America/Los_Angeles", "Asia/Kolkata", "Australia/Lord_Howe"]
PERIODS = {
    "spring": (date(2026, 3, 28), date(2026, 3, 30)),
    "pacific": (date(2026, 3, 7), date(2026, 3, 9)),
    "autumn": (date(2026, 10, 25), date(2026, 10, 26)),
    "plain": (date(2026, 6, 1), date(2026, 6, 1)),
}
SLOW = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
worlds = st.builds(
    lambda zone, name, seed: (zone, periods.between(*PERIODS[name], zone), seed),
    st.sampled_from(ZONES),
    st.sampled_from(sorted(PERIODS)),
    st.integers(0, 10**6),
)


@contextmanager
def filled(folder: Path, world: World, seed: int) -> Iterator[SqliteStore]:
    path = folder / f"{random.random()}.db"
    store = SqliteStore(path)
    try:
        world.fill(store, seed=seed)
        yield store
    finally:
        store.close()
        path.unlink()


def reported(
    store: SqliteStore, world: World, period: Period, folder: Path, knows: Known | None = None
) -> model.Report:
    inventory = world.inventory(folder)
    return figures.report(
        store, inventory, inventory.sites["paris", "cargo"], period, period.end + timedelta(days=30), knows=knows
    )


def by_id(report: model.Report) -> Mapping[str, model.Finding]:
    return {each.id: each for each in report.findings}


@SLOW
@given(worlds, st.integers(0, 10**6))
def test_every_figure_is_what_the_raw_samples_say(tmp_path: Path, chosen: tuple[str, Period, int], order: int) -> None:
    zone, period, seed = chosen
    world = World(zone, period.begin, period.end, seed)
    with filled(tmp_path, world, order) as store:
        report = reported(store, world, period, tmp_path)
    _check_delays(world, report)
    _check_tests(world, report)
    _check_minutes(world, report)
    _check_series(world, report)
    _check_hours(world, report)


def _check_delays(world: World, report: model.Report) -> None:
    found = by_id(report)
    for name, q, busy in (("rtt", 0.95, False), ("rtt-busy", 0.5, True)):
        delays, finding = world.delays(busy=busy), found[name]
        assert finding.n == len(delays)
        if not delays:
            assert (finding.answer, finding.value) == ("insufficient", None)
            continue
        exact = nearest_rank(delays, q)
        assert finding.value == pytest.approx(exact, rel=0.0101)
        assert finding.interval is not None
        assert finding.interval.low <= exact * (1 + 1e-9)
        assert exact <= finding.interval.high * (1 + 1e-9)
        assert finding.answer in _answers(delays, 0.020, q, error=1.0203)
    sent = sum(run.result.sent for run in world.of("ping") if run.verdict != "invalid")
    lost = sum(run.result.lost for run in world.of("ping") if run.verdict != "invalid")
    assert (found["loss"].n, found["loss"].met) == (sent, sent - lost)
    assert found["loss"].value == (lost / sent if sent else None)


def _answers(values: list[float], limit: float, q: float, *, error: float) -> set[str]:
    """What may be said: by Wilson's interval of the share within the limit, or one that a sketch takes for it."""
    found, z2, n = set(), 1.959963984540054**2, len(values)
    for edge in (limit / error, limit, limit * error):
        p = sum(value <= edge for value in values) / n
        half = (z2 * (p * (1 - p) / n + z2 / (4 * n * n))) ** 0.5
        low, high = ((p + z2 / (2 * n) + sign * half) / (1 + z2 / n) for sign in (-1, 1))
        found.add("pass" if low >= q else "fail" if high < q else "undecided")
    return found if len(found) == 1 else found | {"undecided"}


def _check_tests(world: World, report: model.Report) -> None:
    found = by_id(report)
    for name, direction, limit, busy in (
        ("down", "down", LIMIT, False),
        ("down-busy", "down", LIMIT, True),
        ("up", "up", 900e6 / 8, False),
    ):
        met = missed = undecided = 0
        for run in world.of("throughput", busy=busy):
            if run.result.direction != direction or run.verdict == "invalid":
                continue
            proved = run.result.goodput
            if run.verdict == "censored" and run.result.bound is not None:
                proved = run.result.bound
            if proved >= limit:
                met += 1
            elif run.verdict == "censored":
                undecided += 1
            else:
                missed += 1
        finding = found[name]
        assert (finding.met, finding.n, finding.open) == (met, met + missed, undecided)
    lookups = [run for run in world.of("dns") if run.error != "tool_missing"]
    assert (found["dns"].met, found["dns"].n) == (sum(run.outcome == "ok" for run in lookups), len(lookups))
    times = [run.result.lookup_time for run in lookups if run.outcome == "ok"]
    assert found["dns-time"].n == len(times)
    if times:
        assert found["dns-time"].value == pytest.approx(nearest_rank(times, 0.9), rel=0.0101)
        assert found["dns-time"].answer in _answers(times, found["dns-time"].asked, 0.9, error=1.0203)
    calls = world.of("voice")
    fit = sum(1 for run in calls if run.outcome == "ok" and run.result.ready)
    assert (found["call"].met, found["call"].n, found["call"].subject) == (fit, len(calls), "paris/soma")
    shown = sorted((each.at, each.goodput) for each in report.transfers)
    assert len(shown) == len([run for run in world.of("throughput") if run.verdict != "invalid"])


def _check_minutes(world: World, report: model.Report) -> None:
    counts, days = Counter[str](), dict[date, Counter[str]]()
    at = world.begin
    while at < world.end:
        state, cause = world.bins.get(at, ("N", None))
        state = "N" if state == "U" and cause == "unknown" else state
        counts[state] += 1
        days.setdefault(at.astimezone(ZoneInfo(world.zone)).date(), Counter())[state] += 1
        at += timedelta(minutes=1)
    (uplink,) = report.uplinks
    net = uplink.net
    assert (net.available, net.unavailable, net.not_measured) == (counts["A"], counts["U"], counts["N"])
    assert net.total == (world.end - world.begin).total_seconds() / 60
    assert net.ratio == counts["A"] / (counts["A"] + counts["U"])
    assert net.bounds.low <= net.ratio <= net.bounds.high
    assert {each.date: (each.available, each.unavailable, each.not_measured) for each in uplink.days} == {
        day: (found["A"], found["U"], found["N"]) for day, found in days.items()
    }


def _check_series(world: World, report: model.Report) -> None:
    for probe, test in (("ping", "ping"), ("dns", "dns"), ("throughput", "down"), ("throughput", "up")):
        runs = [run for run in world.of(probe) if run.test == test]
        shown = [each.counts for each in report.series if (each.probe, each.test) == (probe, test)]
        counts = shown[0] if shown else model.Counts()
        for verdict in ("valid", "censored", "invalid"):
            assert getattr(counts, verdict) == sum(run.verdict == verdict for run in runs)
        assert counts.invalid_by.get("cpu_saturated", 0) == sum(run.verdict == "invalid" for run in runs)
        assert dict(counts.failed_by) == dict(Counter(run.error for run in runs if run.outcome == "failed"))
        assert counts.failed == sum(run.outcome == "failed" for run in runs)


def _check_hours(world: World, report: model.Report) -> None:
    """Hours that the period cuts are not in: only where a zone is off by half an hour."""
    if world.zone != "Europe/Paris":
        return
    by_hour: dict[int, list[float]] = {}
    for number, delays in world.samples.items():
        run = world.runs[number]
        if world.inside(run) and run.verdict == "valid":
            by_hour.setdefault(run.started_at.astimezone(ZoneInfo(world.zone)).hour, []).extend(delays)
    assert {each.hour: each.delay.n for each in report.hours} == {hour: len(each) for hour, each in by_hour.items()}
    for each in report.hours:
        assert each.delay.p95 == pytest.approx(nearest_rank(by_hour[each.hour], 0.95), rel=0.0101)


@SLOW
@given(worlds, st.data())
def test_declared_work_leaves_net_and_stays_in_gross(
    tmp_path: Path, chosen: tuple[str, Period, int], data: st.DataObject
) -> None:
    zone, period, seed = chosen
    world = World(zone, period.begin, period.end, seed)
    offsets = st.integers(-90, period.minutes + 60)
    works = []
    for number in range(data.draw(st.integers(1, 4))):
        begin = period.begin + timedelta(minutes=data.draw(offsets), seconds=data.draw(st.integers(0, 59)))
        end = begin + timedelta(minutes=data.draw(st.integers(1, 300)))
        in_time, uplink = data.draw(st.booleans()), data.draw(st.sampled_from([None, "fibre", "4g"]))
        works.append(
            model.Maintenance(
                id=str(number),
                uplink=uplink,
                begin=begin,
                end=end,
                who="w",
                why="y",
                declared_at=begin,
                in_time=in_time,
            )
        )
    with filled(tmp_path, world, seed) as store:
        report = reported(store, world, period, tmp_path, Known(live=period.begin, maintenance=tuple(works)))
    out = {
        at
        for at in _minutes(world)
        for work in works
        if work.in_time and work.uplink in (None, "fibre") and work.begin <= at < work.end
    }
    states = Counter(
        "N" if world.bins.get(at, ("N", ""))[1] == "unknown" else world.bins.get(at, ("N", ""))[0]
        for at in _minutes(world)
        if at not in out
    )
    net, gross = report.uplinks[0].net, report.uplinks[0].gross
    assert (net.available, net.unavailable, net.not_measured) == (states["A"], states["U"], states["N"])
    assert net.maintenance == gross.maintenance == len(out)
    assert net.total + net.maintenance == gross.total == period.minutes
    kept = [run for run in world.of("throughput") if run.started_at.replace(second=0, microsecond=0) not in out]
    down = [run for run in kept if run.result.direction == "down" and run.verdict != "invalid"]
    finding = by_id(report)["down"]
    assert finding.n + finding.open == len(down)


def _minutes(world: World) -> Iterator[datetime]:
    at = world.begin
    while at < world.end:
        yield at
        at += timedelta(minutes=1)


def test_order_duplicates_and_pruned_measurements_change_no_figure(tmp_path: Path) -> None:
    period = periods.between(date(2026, 10, 24), date(2026, 10, 26), "Europe/Paris")
    world = World("Europe/Paris", period.begin, period.end, 5, busy=(9 * 60, 18 * 60))
    with filled(tmp_path, world, 1) as one, filled(tmp_path, world, 2) as other:
        expected = reported(one, world, period, tmp_path)
        assert reported(other, world, period, tmp_path) == expected
        while other.roll_up(1000, (period.end + timedelta(days=3)).timestamp()):
            pass
        assert reported(other, world, period, tmp_path) == expected
        other.prune((period.end + timedelta(days=2)).timestamp())
        assert without_raw(reported(other, world, period, tmp_path)) == without_raw(expected)


def without_raw(report: model.Report) -> model.Report:
    """Less what only the measurements tell: an outage's evidence, and its begin and end within their minutes."""
    bare = (replace(each, evidence=(), begin=report.period.begin, end=report.period.end) for each in report.outages)
    return replace(report, outages=tuple(sorted(bare, key=lambda each: (each.uplink, each.minutes, each.cause))))


def test_floor_is_taken_off_each_delay(tmp_path: Path) -> None:
    period = periods.between(date(2026, 6, 1), date(2026, 6, 1), "Europe/Paris")
    world = World("Europe/Paris", period.begin, period.end, 3)
    with filled(tmp_path, world, 3) as store:
        finding = by_id(reported(store, world, period, tmp_path))["rtt-far"]
    light = 2 * (8 / 360 * 2 * 3.141592653589793 * 6_371_008.8) / (299_792_458 / 1.468)
    assert (finding.floor, finding.target) == (pytest.approx(light), "operator-1")
    assert finding.value == pytest.approx(nearest_rank(world.delays(), 0.5) - light, abs=0.0002)


def test_clock_starts_at_live_and_the_future_is_left_out(tmp_path: Path) -> None:
    period = periods.between(date(2026, 6, 1), date(2026, 6, 3), "Europe/Paris")
    world = World("Europe/Paris", period.begin, period.end, 4)
    live = periods.midnight(date(2026, 6, 2), "Europe/Paris")
    with filled(tmp_path, world, 4) as store:
        inventory = world.inventory(tmp_path)
        site = inventory.sites["paris", "cargo"]
        now = datetime(2026, 6, 3, 10, 0, 30, tzinfo=UTC)
        late = figures.report(store, inventory, site, period, now, knows=Known(live=live))
        never = figures.report(store, inventory, site, period, now, knows=Known(live=NEVER))
    assert late.uplinks[0].net.total == 1440 + 12 * 60
    assert never.uplinks[0].net.total == 0
    assert {each.answer for each in never.findings} == {"insufficient"}


def test_all_sites_read_in_one_go_are_the_sites_read_alone(tmp_path: Path) -> None:
    period = periods.between(date(2026, 6, 1), date(2026, 6, 1), "Europe/Paris")
    world = World("Europe/Paris", period.begin, period.end, 8)
    with filled(tmp_path, world, 8) as store:
        inventory, now = world.inventory(tmp_path), period.end + timedelta(days=9)
        sites = list(inventory.sites.values())
        fleet = figures.fleet(
            store, inventory, sites, lambda zone: periods.between(date(2026, 6, 1), date(2026, 6, 1), zone), now
        )
        alone = [figures.report(store, inventory, site, period, now) for site in sites]
    assert [each.findings for each in fleet.sites] == [each.findings for each in alone]
    assert [each.uplinks for each in fleet.sites] == [each.uplinks for each in alone]
    assert [each.series for each in fleet.sites] == [each.series for each in alone]
