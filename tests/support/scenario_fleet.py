"""A fleet of which the dashboards' every panel has something to show: the example's sites beside the simulator's.

One site of the example has delivered every probe's result, is measured from its floors over wire and air, and measures
to a far site; the simulator's fifty sites deliver pings and transfers.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from msgspec.structs import replace

from fibrewatch import wire
from fibrewatch.measurement import AnyMeasurement, Role
from fibrewatch.results import PROBES
from fibrewatch.wire import AgentId
from fibrewatch_collector.mesh import target_name
from fibrewatch_collector.operator import generate
from fibrewatch_collector.operator.files import sites_toml
from tests.support.collector import CollectorProcess, deliver, publish
from tests.support.every_probe import run_of

ROOT = Path(__file__).parents[2]
BOX, ABOVE, FAR = (
    AgentId("paris", "cargo", "box-01"),
    AgentId("paris", "cargo", "box-02"),
    AgentId("san-francisco", "soma", "box-01"),
)
CHOSEN = {"territory": BOX.territory, "site": BOX.site, "agent": BOX.agent}
MINUTES = 15
_TARGETS: tuple[tuple[str, Role], ...] = (
    ("gateway", "gateway"),
    ("access", "access"),
    ("operator", "operator"),
    ("neutral", "neutral"),
)


def sites(simulated: int, agents: int) -> str:
    """The inventory of both."""
    example = (ROOT / "deploy/sites.example.toml").read_text("utf-8")
    return f"{example}\n{sites_toml(generate.fleet(simulated, agents))}"


def runs_of(agent: AgentId, interface: str, now: float) -> Iterator[AnyMeasurement]:
    """Windows of the last minutes against all targets, then one run of every probe."""
    rng = Random(str(agent))
    newest = now // 60 * 60 - 60
    for minute in range(MINUTES):
        for target, role in _TARGETS:
            yield run_of(PROBES["ping"], newest - 60 * (MINUTES - 1 - minute), rng, target=target, role=role,
                         interface=interface, test="ping")  # fmt: skip
    for probe in PROBES.values():
        yield run_of(probe, newest, rng, interface=interface)
    for test in ("download", "upload"):
        yield run_of(PROBES["throughput"], newest, rng, interface=interface, test=test)
    for name in ("stamp", "voice", "path"):
        yield run_of(PROBES[name], newest, rng, target=target_name(FAR), peer=str(FAR), test=f"mesh-{name}")


def fill(collector: CollectorProcess, broker: int) -> None:
    """Delivers what the example's site measured, and waits until its minutes are judged."""
    now = time.time()
    golden = wire.decode((ROOT / "tests/wire/v1/status-online.json").read_bytes(), wire.Status)
    status = replace(
        golden, at=datetime.fromtimestamp(now, UTC), certificate_until=datetime.fromtimestamp(now + 9e6, UTC)
    )

    async def box(agent: AgentId, interface: str) -> None:
        await publish(broker, agent, status)
        runs = list(runs_of(agent, interface, now))
        for first in range(0, len(runs), 100):
            await deliver(broker, agent, runs[first : first + 100], "00000000000000aa", first + 1)

    async def both() -> None:
        await asyncio.gather(box(BOX, "eth0"), box(ABOVE, "wlan0"))

    asyncio.run(both())
    wanted = b'fibrewatch_site_bins{territory="paris",site="cargo",uplink="fibre",state="A"}'
    collector.wait(lambda: _above_zero(collector.get("/metrics")[1], wanted), "judged minutes", 120)


def share_a_target(broker: int, simulated: int, agents: int) -> None:
    """Three of the simulator's sites are back and hear one target: so many make it a shared one, as long as they do."""
    now, rng = time.time(), Random(0)
    status = wire.Status(state="online", version="1", boot="00000000", at=datetime.fromtimestamp(now, UTC))
    run = run_of(PROBES["ping"], now - 61, rng, target="neutral-1", role="neutral", interface="eth0", test="ping")

    async def back(agent: AgentId) -> None:
        await publish(broker, agent, status)
        await deliver(broker, agent, [run], "00000000000000bb")

    async def all_three() -> None:
        await asyncio.gather(*(back(agent) for agent in generate.fleet(simulated, agents)[::agents][:3]))

    asyncio.run(all_three())


def _above_zero(page: bytes, series: bytes) -> bool:
    return any(line.startswith(series) and line.split()[-1] != b"0" for line in page.splitlines())


def simulate(broker: int, simulated: int, agents: int, *, each: int = 40) -> None:
    """The simulator's fleet, until all of `each` measurements of each box are acknowledged."""
    rate = 1500.0
    seconds = simulated * agents * each / rate
    argv = ["simulate", "--sites", str(simulated), "--agents", str(agents), "--rate", str(rate), "--probe", "mix"]
    argv += ["--duration", f"{seconds:.1f}s", "--batch", "20", "--broker", f"127.0.0.1:{broker}"]
    command = [sys.executable, "-m", "fibrewatch_collector.operator.cli", *argv]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
