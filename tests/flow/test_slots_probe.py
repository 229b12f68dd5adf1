"""The throughput probe in a slot: let in, measured, given back; the second responder when the first can't serve."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fibrewatch.results.throughput import Params, Result
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.probes.throughput import throughput
from fibrewatch_agent.tables import Control
from tests.support.iperf3 import box
from tests.support.leftovers import nothing_left
from tests.support.mosquitto import free_port
from tests.support.slots import MBIT, Responder, transfer, wish
from tests.support.waiting import until

BOX = "paris/cargo/box-01"


def params(direction: Any = "down", **more: Any) -> Params:
    """Short, without what is beside the transfer."""
    short: dict[str, Any] = {"duration_s": 1.0, "omit_s": 0.0, "streams": 2, "latency": "off", "early_stop": False}
    return Params(direction=direction, **short | {"expected_rate": 10 * MBIT, "max_bytes": None} | more)


async def measure(control: Control, **more: Any) -> tuple[Result, Box]:
    here = box(address="::1" if "[" in control.urls[0] else "127.0.0.1")
    here.control = control
    return await throughput(params(**more), here), here


@pytest.mark.parametrize(("direction", "host"), [("down", "127.0.0.1"), ("up", "127.0.0.1"), ("down", "::1")])
async def test_transfer_in_a_slot_is_measured_and_the_slot_over(tmp_path: Path, direction: str, host: str) -> None:
    with Responder(tmp_path, listen=host) as responder:
        async with nothing_left():
            result, here = await measure(responder.control(), direction=direction)
        assert result.complete
        assert result.goodput
        assert result.cpu_remote is not None, "the server's own word came along"
        assert result.port in range(responder.first, responder.first + 200)
        assert here.resolved == host
        over = await responder.is_over("done")
        assert (over.need, over.bytes) == (10 * MBIT, pytest.approx(result.transferred, rel=0.1))


async def test_transfer_that_has_enough_gives_its_slot_back(tmp_path: Path) -> None:
    with Responder(tmp_path) as responder:
        async with nothing_left():
            result, _ = await measure(responder.control(), duration_s=60.0, max_bytes=100_000_000)
        assert result.goodput
        await until(lambda: bool(responder.over()) and not responder.servers())
        (over,) = responder.over()
    assert over.why in ("done", "broken", "released"), "iperf3's server may meet the reset before the word"
    assert over.ended - over.began < 30


async def test_second_responder_measures_when_the_first_is_gone_or_full(tmp_path: Path) -> None:
    boxes = (BOX, "paris/hold/box-01")
    with Responder(tmp_path / "a", boxes) as full, Responder(tmp_path / "b") as free:
        gone = f"http://127.0.0.1:{free_port()}"
        urls = (gone, *full.control().urls, *free.control().urls)
        token = free.control().token
        async with asyncio.TaskGroup() as group:
            holding = group.create_task(_hold(full, boxes[1]))
            await until(lambda: full.status()["running"] == 1)
            result, _ = await measure(Control(urls=urls, token=token), patience_s=1.0)
            holding.cancel()
        assert result.port in range(free.first, free.first + 200)
        await free.is_over("done")


async def test_second_box_of_a_site_does_not_measure_at_the_second_responder(tmp_path: Path) -> None:
    boxes = (BOX, "paris/cargo/box-02")
    with Responder(tmp_path / "a", boxes) as first, Responder(tmp_path / "b", boxes) as second:
        control = first.control(boxes[0])
        control = Control(urls=(*control.urls, *second.control(boxes[0]).urls), token=control.token)
        async with asyncio.TaskGroup() as group:
            holding = group.create_task(_hold(first, boxes[1]))
            await until(lambda: first.status()["running"] == 1)
            with pytest.raises(ProbeError) as caught:
                await measure(control, patience_s=1.0)
            holding.cancel()
        assert caught.value.error == "busy"
        assert not second.over()
        assert second.status()["running"] == 0


async def _hold(responder: Responder, name: str) -> None:
    from fibrewatch_agent.slots.reservation import reserve

    async with reserve(responder.control(name), wish(rate=None), box(), 5) as slot:
        await transfer(slot, seconds=60)


async def test_slot_that_is_not_to_be_had_is_the_probes_error() -> None:
    async with nothing_left():
        with pytest.raises(ProbeError) as caught:
            await measure(Control(urls=(f"http://127.0.0.1:{free_port()}",)))
    assert caught.value.error == "refused"


def test_box_measures_through_slots_by_its_config(tmp_path: Path) -> None:
    with Responder(tmp_path / "r", ["paris/cargo/box-01"]) as responder:
        control = responder.control()
        config = tmp_path / "agent.toml"
        config.write_text(
            f"""
[agent]
territory = "paris"
site = "cargo"
name = "box-01"
[broker]
host = "127.0.0.1"
[uplinks.fibre]
rate_down = "40 Mbit/s"
[targets.dc]
address = "127.0.0.1"
role = "responder"
control = "{control.urls[0]}"
token = "{control.token}"
[tests.down]
probe = "throughput"
targets = ["dc"]
every = "1 h"
params = {{ direction = "down" }}
"""
        )
        command = [sys.executable, "-m", "fibrewatch_agent", "once", "throughput", "--config", str(config)]
        options = ["direction=down", "duration=1 s", "omit=0 s", "latency=off", "expected=40 Mbit/s"]
        command += ["--target", "dc", "--json", *(part for option in options for part in ("--param", option))]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        measurement = json.loads(ended.stdout)
        assert measurement["outcome"] == "ok", measurement
        assert measurement["target"] == {"name": "dc", "role": "responder", "address": "127.0.0.1"}
        assert responder.over()[0].need == 40 * MBIT
