"""Real transfers over loopback on boxes that are not fit for them: what is said of the figure.

A veth or loopback interface tells no link speed that could be set; so that part of /sys is a recorded tree, as in the
tests of conditions, and the transfer beside it is real.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fibrewatch.measurement import AnyMeasurement, Target
from fibrewatch.results import PROBES
from fibrewatch.results.throughput import Params
from fibrewatch_agent.conditions import Observer
from fibrewatch_agent.config import Plan
from fibrewatch_agent.line.config import LineConfig
from fibrewatch_agent.net.icmp import IcmpSockets
from fibrewatch_agent.runner import Runner
from fibrewatch_agent.transfer.heavy import Heavy
from tests.support.iperf3 import Server

GIGABIT = 125e6


def measure(port: int, sys_root: Path = Path("/sys"), **changes: Any) -> AnyMeasurement:
    """One transfer over loopback, as fast as it goes."""
    line = LineConfig(interface="lo", rate_down=GIGABIT)
    test = Plan(
        test="down",
        probe=PROBES["throughput"],
        params=Params(direction="down", duration_s=1.0, omit_s=0.0, ports=(port, port), idle_s=0.1, **changes),
        every_s=3600.0,
        target=Target(name="far", role="responder"),
        address="127.0.0.1",
        interface="lo",
        uplink="lo",
    )

    async def scenario() -> AnyMeasurement:
        async def store(measurement: AnyMeasurement, *, dated: bool) -> None:
            pass

        runner = Runner(
            agent="paris/cargo/box-01",
            boot="0123abcd",
            icmp=IcmpSockets(),
            observer=Observer(sys_root),
            store=store,
            heavy=Heavy({"lo": line}, sys=sys_root),
        )
        return await runner.run(test)

    made = asyncio.run(scenario())
    print(made.outcome, made.verdict, made.reasons, made.conditions, made.result)
    return made


@pytest.mark.parametrize(("megabits", "invalid"), [("100", True), ("1000", False), ("-1", False)])
def test_a_link_below_what_was_contracted_makes_it_invalid(tmp_path: Path, megabits: str, invalid: bool) -> None:
    (tmp_path / "class/net/lo").mkdir(parents=True)
    (tmp_path / "class/net/lo/speed").write_text(f"{megabits}\n")
    with Server() as server:
        made = measure(server.port, tmp_path, max_bytes=1_000_000)
    assert (made.verdict == "invalid") is invalid
    assert ("link_speed" in made.reasons) is invalid
    assert made.conditions.link_speed == (int(megabits) * GIGABIT / 1000 if int(megabits) > 0 else None)


def test_a_box_on_usb2_that_was_never_calibrated_shows_a_bound(tmp_path: Path) -> None:
    device = tmp_path / "devices/usb1/1-1"
    (device / "1-1:1.0").mkdir(parents=True)
    (device / "bDeviceClass").write_text("ff\n")
    (device / "speed").write_text("480\n")
    (tmp_path / "class/net/lo").mkdir(parents=True)
    (tmp_path / "class/net/lo/device").symlink_to(device / "1-1:1.0")
    with Server() as server:
        made = measure(server.port, tmp_path)
    assert made.verdict == "censored"
    assert "usb2_interface" in made.reasons
