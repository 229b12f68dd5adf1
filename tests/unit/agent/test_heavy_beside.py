"""A run of several transfers: each is watched by itself, and what goes over another interface counts, too."""

from pathlib import Path

import pytest

from fibrewatch.results import PROBES, throughput, wifi_paired
from fibrewatch_agent.box import Box, flowing
from fibrewatch_agent.config import Plan
from fibrewatch_agent.line.config import LineConfig
from fibrewatch_agent.net.icmp import IcmpSockets
from fibrewatch_agent.transfer.heavy import Heavy
from tests.unit.agent.virtual import run

TRANSFER = throughput.Params(direction="down", latency="off")
GOODPUT = 118_000_000.0
"""What 1 GbE carries."""


class Counters:
    """Two interfaces' counters, as /proc/net/dev shows them, and the wire's speed in sysfs."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.sys, self._moved = folder / "proc", folder / "sys", {"eth0": 0, "wlan0": 0}
        (self.proc / "self/net").mkdir(parents=True)
        (self.sys / "class/net/eth0").mkdir(parents=True)
        (self.sys / "class/net/eth0/speed").write_text("1000\n")
        self.move("eth0", 0)

    def move(self, name: str, size: int) -> None:
        self._moved[name] += size
        rows = (f"{each}: {moved} 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n" for each, moved in self._moved.items())
        (self.proc / "self/net/dev").write_text("Inter-|\n face |\n" + "".join(rows))


def box(interface: str) -> Box:
    return Box(agent="paris/cargo/box-01", test="paired", icmp=IcmpSockets(), interface=interface)


def test_both_transfers_count_once_and_only_the_wire_meets_the_wires_ceiling(tmp_path: Path) -> None:
    counters = Counters(tmp_path)
    line = LineConfig(interface="eth0", monthly_bytes=10**9)
    heavy = Heavy({"fibre": line}, folder=tmp_path, proc=counters.proc, sys=counters.sys)
    params = wifi_paired.Params(wifi="wlan0")
    plan = Plan(test="paired", probe=PROBES["wifi_paired"], params=params, every_s=3600.0, uplink="fibre")
    told: dict[str, tuple[str, list[str]]] = {}

    async def transfer(whole: Box, interface: str, size: int) -> None:
        part = box(interface)
        async with whole.watched(part, TRANSFER) as conclude:
            with flowing(part):
                counters.move(interface, size)
        conclude(throughput.Result(direction="down", streams=4, goodput=GOODPUT))
        told[interface] = part.verdict, part.reasons

    async def scenario() -> None:
        heavy.account("fibre")
        whole = box("eth0")
        async with heavy.around(plan, whole):
            await transfer(whole, "eth0", 3_000_000)
            await transfer(whole, "wlan0", 2_000_000)

    run(scenario())
    account = heavy.account("fibre")
    assert account is not None
    assert account.used == 5_000_000
    assert account.costs[plan.key] == (5_000_000,)
    assert "interface_ceiling" in told["eth0"][1]
    assert "interface_ceiling" not in told["wlan0"][1]
    assert told["eth0"][0] == "censored"


@pytest.mark.parametrize("interface", ["eth0", "wlan0"])
def test_without_a_budget_nothing_is_counted(tmp_path: Path, interface: str) -> None:
    counters = Counters(tmp_path)
    heavy = Heavy({"fibre": LineConfig(interface="eth0")}, proc=counters.proc, sys=counters.sys)
    plan = Plan(test="p", probe=PROBES["wifi_paired"], params=None, every_s=1.0, uplink="fibre")

    async def scenario() -> None:
        async with heavy.beside(plan, box(interface), TRANSFER):
            counters.move(interface, 10)

    run(scenario())
    assert heavy.account("fibre") is None
