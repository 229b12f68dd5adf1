"""What ends a transfer besides its convergence, and the round trips beside it, on loopback."""

import asyncio
from typing import Any

import pytest

from fibrewatch.results.throughput import Params, Result
from fibrewatch_agent.probes.throughput import throughput
from tests.support.iperf3 import Server, box, nothing_left
from tests.support.stamp_here import reflecting
from tests.support.waiting import until


def params(server: Server, **settings: Any) -> Params:
    """A transfer of ten seconds that nothing but the test ends."""
    chosen: dict[str, Any] = {"direction": "down", "early_stop": False, "max_bytes": None, "latency": "off"}
    return Params(ports=(server.port, server.port), **chosen | settings)


@pytest.mark.parametrize(("direction", "host"), [("down", "127.0.0.1"), ("up", "::1")])
async def test_transfer_ends_when_it_has_moved_enough(direction: str, host: str) -> None:
    with Server(host) as server, nothing_left():
        result = await throughput(params(server, direction=direction, max_bytes=1_000_000), box(host))
    assert result.stopped == "bytes"
    assert result.complete
    assert result.goodput
    assert result.transferred
    assert result.transferred < 3.0 * result.goodput, "three looks are measured in any case, half a second apart"


@pytest.mark.parametrize("direction", ["down", "up"])
async def test_transfer_ends_as_soon_as_others_want_the_line(direction: Any) -> None:
    here = box()
    with Server() as server:

        async def others() -> None:
            await until(lambda: server.moved() > 1_000_000)
            await asyncio.sleep(1.5)
            here.enough.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(others())
            result = await throughput(params(server, direction=direction), here)
    assert result.stopped == "tenants"
    assert result.goodput
    assert result.congestion == "cubic"
    assert result.transfer_duration is not None
    assert result.transfer_duration < 5


def told(result: Result) -> None:
    """Round trips before and under load are there and in order."""
    assert result.rtt_idle_p50 is not None
    assert result.rtt_idle_p50 > 0
    assert result.rtt_idle_p99 is not None
    assert result.rtt_loaded_p50 is not None
    assert result.rtt_loaded_p95 is not None
    assert result.rtt_loaded_max is not None
    assert result.rtt_loaded_p50 <= result.rtt_loaded_p95 <= result.rtt_loaded_max < 1
    assert result.rtt_inflation == pytest.approx(result.rtt_loaded_p50 - result.rtt_idle_p50)
    assert result.latency_sent
    assert result.latency_error is None


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_round_trips_by_echo_beside_the_transfer(host: str) -> None:
    with Server(host) as server, nothing_left():
        here = box(host, "lo")
        told(await throughput(params(server, latency="icmp", idle_s=0.3, duration_s=2.0), here))
        here.icmp.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_round_trips_by_stamp_beside_the_transfer(host: str) -> None:
    here = box(host)
    with Server(host) as server:
        async with reflecting(host=host) as port:
            wanted = params(server, latency="stamp", latency_port=port, idle_s=0.3, duration_s=2.0)
            told(await throughput(wanted, here))
    here.icmp.close()


async def test_round_trips_to_another_address_than_the_transfers() -> None:
    here = box()
    with Server() as server:
        told(await throughput(params(server, latency="icmp", latency_address="::1", duration_s=1.0, idle_s=0.2), here))
    assert here.resolved == "127.0.0.1", "the measurement's target stays the transfer's"
    here.icmp.close()


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"latency": "stamp", "latency_port": 9}, "timeout"),
        ({"latency": "icmp", "latency_address": "nosuch.invalid"}, "name_not_found"),
    ],
)
async def test_round_trips_that_can_not_be_had_leave_the_transfer_its_figures(
    settings: dict[str, Any], error: str
) -> None:
    here = box()
    with Server() as server:
        result = await throughput(params(server, duration_s=1.0, idle_s=0.2, **settings), here)
    assert result.goodput
    assert result.latency_error == error
    assert result.rtt_loaded_p50 is None
    here.icmp.close()
