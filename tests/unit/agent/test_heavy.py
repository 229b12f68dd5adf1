"""Heavy tests leave the line alone when they should, and say so: in virtual time, with real counters' files."""

import asyncio
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fibrewatch import wire
from fibrewatch.measurement import Conditions
from fibrewatch.results import PROBES, throughput
from fibrewatch.results import calibration as calibrated
from fibrewatch_agent.box import Box, flowing
from fibrewatch_agent.config import Plan, load_config
from fibrewatch_agent.line.config import LineConfig
from fibrewatch_agent.line.keeper import LineKeeper
from fibrewatch_agent.line.quiet_hours import Hours
from fibrewatch_agent.net.icmp import IcmpSockets
from fibrewatch_agent.transfer import ceilings
from fibrewatch_agent.transfer.heavy import Heavy
from tests.unit.agent.bench import Bench, Params, Result, drop_in, plan
from tests.unit.agent.virtual import run

HOUR_S = 3600.0
CONFIG = """
[agent]
territory = "paris"
site = "cargo"
name = "box-01"

[broker]
host = "127.0.0.1"
"""
EVERY_DAY = frozenset(range(7))
HEAVY = """
[targets.far]
address = "192.0.2.1"
role = "responder"

[uplinks.lte]
interface = "wwan0"

[tests.download]
probe = "throughput"
targets = ["far"]
every = "1 h"
params = { direction = "down" }
"""


class Interface:
    """An interface's counters, as /proc/net/dev shows them."""

    def __init__(self, proc: Path) -> None:
        self._file, self.moved = proc / "self/net/dev", 0
        self._file.parent.mkdir(parents=True)
        self.move(0)

    def move(self, size: int) -> None:
        self.moved += size
        columns = f"{self.moved} {self.moved // 1000} 0 0 0 0 0 0 0 0 0 0 0 0 0 0"
        self._file.write_text(f"Inter-|\n face |\n  wwan0: {columns}\n")


def heavy(bench: Bench, folder: Path, plans: list[Plan], **line: Any) -> Heavy:
    made = Heavy(
        {"lte": LineConfig(interface="wwan0", **line)}, folder=folder, proc=folder / "proc", utc=bench.wall.utc
    )
    made.plans, made.zone = tuple(plans), UTC
    return made


def test_no_heavy_test_starts_in_quiet_hours_and_each_slot_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def transfer(params: Params, box: Box) -> Result:
        return Result()

    async def scenario() -> None:
        bench = Bench(tmp_path)
        quiet = (Hours(EVERY_DAY, 10 * 60, 5 * 60),)
        heavies = [
            replace(plan(drop_in(monkeypatch, "transfer", "exclusive", transfer), f"t{i}", every_s=HOUR_S, target=None))
            for i in range(3)
        ]
        heavies = [replace(each, quiet_hours=quiet, uplink="lte") for each in heavies]
        bench = Bench(tmp_path, heavy=heavy(bench, tmp_path, heavies), wall=bench.wall)
        await bench.schedule(heavies, 86400)
        ran = [m.started_at.astimezone(UTC) for m in bench.stored if m.outcome == "ok"]
        left = [m for m in bench.stored if m.outcome == "skipped"]
        assert len(ran) >= 3 * (19 - 2)
        assert not [at for at in ran if 10 <= at.hour < 15]
        assert {m.reasons for m in left} == {("quiet_hours",)}
        assert all((m.detail or "").endswith("15:00") for m in left)
        afterwards = sorted(at.minute * 60 + at.second for at in ran if at.hour == 15)
        assert afterwards[-1] - afterwards[0] > 60, "spread, not all when the quiet ends"

    run(scenario())


def test_a_byte_budget_lasts_the_month_and_every_slot_left_out_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interface = Interface(tmp_path / "proc")
    budget, usual = 3_000_000_000, 20_000_000

    async def transfer(params: Params, box: Box) -> Result:
        interface.move(usual)
        return Result()

    async def scenario() -> None:
        bench = Bench(tmp_path)
        test = plan(drop_in(monkeypatch, "transfer", "exclusive", transfer), every_s=60, target=None)
        test = replace(test, uplink="lte")
        bench = Bench(tmp_path, heavy=heavy(bench, tmp_path, [test], monthly_bytes=budget), wall=bench.wall)
        begin = bench.wall.utc()
        first = datetime.fromtimestamp(begin, UTC)
        month_ends = datetime(first.year, first.month + 1, 1, tzinfo=UTC).timestamp()
        bench.wall.step(month_ends - 12 * HOUR_S - begin)
        await bench.schedule([test], 12 * HOUR_S - 61)
        ran = [m.started_at for m in bench.stored if m.outcome == "ok"]
        left = [m for m in bench.stored if m.outcome == "skipped"]
        assert 0.9 * budget <= interface.moved <= budget
        assert len(ran) + len(left) == pytest.approx(12 * 60 - 1, abs=2)
        assert {m.reasons for m in left} == {("byte_budget",)}
        told = [m for m in left if "min instead of 1" in (m.detail or "")]
        assert len(told) > 0.9 * len(left), [m.detail for m in left if m not in told]
        gaps = [(b - a).total_seconds() for a, b in pairwise(ran)]
        assert max(gaps) <= 30 * 60, "spread over what was left of the month"
        kept = Heavy(folder=tmp_path).state.accounts["lte"]
        assert kept.used == pytest.approx(interface.moved, abs=usual)

    run(scenario())


def test_what_a_budget_leaves_shortens_a_test(tmp_path: Path) -> None:
    Interface(tmp_path / "proc")
    lines = Heavy({"lte": LineConfig(interface="wwan0", monthly_bytes=10**9)}, folder=tmp_path, proc=tmp_path / "proc")
    test = Plan(
        test="down",
        probe=PROBES["throughput"],
        params=throughput.Params(direction="down"),
        every_s=HOUR_S,
        uplink="lte",
    )
    lines.plans = (test,)
    assert lines.shortened(test).params.max_bytes < 600_000_000
    lines.uplinks = {"lte": LineConfig(interface="wwan0", monthly_bytes=10**13)}
    assert lines.shortened(test) is test


def test_an_accounts_state_is_told_at_once_and_each_hour(tmp_path: Path) -> None:
    interface = Interface(tmp_path / "proc")

    async def scenario() -> None:
        bench = Bench(tmp_path)
        lines = heavy(bench, tmp_path, [], monthly_bytes=10**9)
        bench = Bench(tmp_path, heavy=lines, wall=bench.wall)
        path = tmp_path / "agent.toml"
        path.write_text(CONFIG)
        config = load_config(path)
        stopping, news = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            keeper = LineKeeper(lines, bench.runner, asyncio.Lock(), lambda: config)
            tasks.create_task(keeper.run(stopping, news))
            await asyncio.sleep(90)
            interface.move(5_000_000)
            news.set()
            await asyncio.sleep(3 * HOUR_S)
            stopping.set()
        used = [m.result.used for m in bench.stored if m.probe == "budget" and m.result]
        assert used[:2] == [0, 5_000_000]
        assert 4 <= len(used) <= 6
        told = bench.stored[1]
        assert (told.test, told.interface, told.outcome) == ("budget-lte", "wwan0", "ok")
        assert wire.decode_measurement(wire.encode(told)) == told

    run(scenario())


def test_news_at_every_minute_keep_no_box_from_being_calibrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def calibration(params: Any, box: Box) -> calibrated.Result:
        return calibrated.Result(reference="loopback", ceiling_down=1e8, ceiling_up=2e8)

    async def scenario() -> None:
        bench = Bench(tmp_path)
        drop_in(monkeypatch, "calibration", "exclusive", calibration)
        lines = heavy(bench, tmp_path, [], monthly_bytes=10**9)
        bench = Bench(tmp_path, heavy=lines, wall=bench.wall)
        path = tmp_path / "agent.toml"
        path.write_text(CONFIG.replace('name = "box-01"', f'name = "box-01"\nstate_dir = "{tmp_path}"') + HEAVY)
        config = load_config(path)
        stopping, news = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            keeper = LineKeeper(lines, bench.runner, asyncio.Lock(), lambda: config)
            tasks.create_task(keeper.run(stopping, news))
            for _ in range(20):
                await asyncio.sleep(30)
                news.set()
            stopping.set()
        made = [m for m in bench.stored if m.probe == "calibration"]
        assert [(m.test, m.interface, m.outcome, m.verdict) for m in made] == [
            ("calibration", "wwan0", "ok", "valid"),
        ]
        assert ceilings.load(tmp_path)["wwan0"].down == 1e8

    run(scenario())


class Processors:
    """Two cores' ticks, as /proc/stat shows them."""

    def __init__(self, proc: Path) -> None:
        self._file, self._softirq, self._idle = proc / "stat", 0, [0, 0]
        proc.mkdir(exist_ok=True)
        self.spend(0, 0)

    def spend(self, softirq: int, idle: int) -> None:
        """The first core on packets, then both on nothing."""
        self._softirq, self._idle = self._softirq + softirq, [self._idle[0] + idle, self._idle[1] + softirq + idle]
        lines = [f"cpu 0 0 0 {sum(self._idle)} 0 0 {self._softirq} 0 0 0"]
        lines += [f"cpu{i} 0 0 0 {self._idle[i]} 0 0 {self._softirq * (i == 0)} 0 0 0" for i in (0, 1)]
        self._file.write_text("\n".join(lines) + "\n")


def test_a_core_that_only_packets_kept_busy_shows_however_long_the_test_waited(tmp_path: Path) -> None:
    processors = Processors(tmp_path / "proc")
    test = Plan(test="down", probe=PROBES["throughput"], params=throughput.Params(direction="down"), every_s=HOUR_S)
    box = Box(agent="paris/cargo/box-01", test="down", icmp=IcmpSockets())

    async def scenario() -> Conditions:
        async with Heavy(proc=tmp_path / "proc", sys=tmp_path).around(test, box) as watch:
            processors.spend(0, 2000)  # the responder's queue
            box.near.set()
            await asyncio.sleep(0.3)
            processors.spend(0, 200)
            with flowing(box):
                for _ in range(20):
                    processors.spend(10, 0)
                    await asyncio.sleep(0.05)
            processors.spend(0, 500)
        result = throughput.Result(direction="down", streams=1, goodput=1e7)
        return watch.conclude(result, Conditions(cpu_busy=0.04))[1]

    conditions = asyncio.run(scenario())
    assert (box.verdict, box.reasons) == ("censored", ["cpu_saturated"])
    assert conditions.cpu_busy == pytest.approx(0.5)
