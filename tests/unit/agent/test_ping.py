"""ping's windows on loopback, and its figures from known echoes."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fibrewatch import schedule, sketch
from fibrewatch.measurement import Target
from fibrewatch.results.ping import Params, Result
from fibrewatch_agent.box import Box, ProbeError, Window
from fibrewatch_agent.echo_summary import summarise
from fibrewatch_agent.net.icmp import Echo
from fibrewatch_agent.net.packet_window import cause
from fibrewatch_agent.probes.ping import ping
from tests.support.ping_driver import Recorded

AGENT = "paris/cargo/box-01"


@pytest.fixture
def sockets() -> Iterator[Recorded]:
    sockets = Recorded()
    yield sockets
    sockets.close()


def box(sockets: Recorded, start: float, end: float, **changes: Any) -> Box:
    given: dict[str, Any] = {
        "agent": AGENT,
        "test": "site",
        "icmp": sockets,
        "address": "127.0.0.1",
        "window": Window(start, end),
    }
    return Box(**(given | changes))


def echo(number: int, rtt_s: float | None, **changes: Any) -> Echo:
    made = Echo(number, "10.0.0.1", sent_wall_ns=0, sent_mono_ns=number * 1_000_000_000)
    made.rtt_s, made.replies, made.stamps = rtt_s, int(rtt_s is not None), "kernel" if rtt_s else None
    for name, value in changes.items():
        setattr(made, name, value)
    return made


async def test_a_window_lasts_to_its_end_and_counts_every_echo(sockets: Recorded) -> None:
    now = time.time()
    result = await ping(Params(interval_s=0.02), box(sockets, now, now + 0.5))
    assert time.time() >= now + 0.49
    assert result.sent == len(sockets.echoes) > 0
    assert (result.lost, result.late, result.duplicates, result.reordered) == (0, 0, 0, 0)
    assert (result.stamps, result.loss_ratio, result.first_lost_at_s) == ("kernel", 0.0, None)
    assert result.rtt is not None
    assert sum(result.rtt.values()) == result.sent


async def test_adjacent_windows_share_one_grid_without_hole_or_double(sockets: Recorded) -> None:
    now, interval_s = time.time() + 0.05, 0.05
    phase_s = schedule.phase(AGENT, "site\0gateway", interval_s)
    target = Target(name="gateway", role="gateway")
    edges = [now, now + 0.31, now + 0.66]
    runs = (
        ping(Params(interval_s=interval_s), box(sockets, a, b, target=target)) for a, b in itertools.pairwise(edges)
    )
    results = await asyncio.gather(*runs)
    points = [(e.sent_wall_ns / 1e9 - phase_s) // interval_s for e in sockets.echoes]
    assert len(set(points)) == len(points) == sum(result.sent for result in results)
    assert all(edges[0] - 0.001 <= point * interval_s + phase_s < edges[-1] for point in points)


async def test_targets_do_not_go_out_together(sockets: Recorded) -> None:
    now = time.time()
    addresses = [f"127.0.0.{n}" for n in range(1, 7)]
    await asyncio.gather(*(ping(Params(interval_s=0.5), box(sockets, now, now + 0.5, address=a)) for a in addresses))
    first = sorted(echo.sent_mono_ns for echo in sockets.echoes)
    assert len(first) == 6
    assert first[-1] - first[0] > 100e6


async def test_two_tests_of_one_target_do_not_mix(sockets: Recorded) -> None:
    now = time.time()
    fast, slow = await asyncio.gather(
        ping(Params(interval_s=0.01), box(sockets, now, now + 0.4, test="fast")),
        ping(Params(interval_s=0.1), box(sockets, now, now + 0.4, test="slow")),
    )
    assert fast.sent + slow.sent == len(sockets.echoes)
    assert (fast.lost, fast.duplicates, slow.lost, slow.duplicates) == (0, 0, 0, 0)


async def test_stopping_closes_the_window_and_keeps_what_it_has(sockets: Recorded) -> None:
    now = time.time()
    place = box(sockets, now, now + 3600)
    asyncio.get_running_loop().call_later(0.2, place.stopping.set)
    async with asyncio.timeout(60):
        result = await ping(Params(interval_s=0.02), place)
    assert result.sent == len(sockets.echoes) > 0
    assert result.lost == 0


async def test_a_cancelled_window_leaves_nothing_behind(sockets: Recorded) -> None:
    now = time.time()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await ping(Params(interval_s=0.02), box(sockets, now, now + 3600))
    count = len(sockets.echoes)
    assert count > 0
    await asyncio.sleep(0.1)  # five more requests, were the timers still there
    assert len(sockets.echoes) == count


async def test_a_window_without_a_point_of_the_grid_is_empty_and_ok(sockets: Recorded) -> None:
    interval_s = 60.0
    phase_s = schedule.phase(AGENT, "site\x00127.0.0.1", interval_s)
    now = time.time()
    point = schedule.next_run(now, interval_s, phase_s)
    end = min(now + 0.1, point - 0.01)
    if end <= now:
        now, end = now - 0.2, now - 0.1
    result = await ping(Params(interval_s=interval_s), box(sockets, now, end))
    assert (result.sent, result.lost, result.loss_ratio) == (0, 0, None)


async def test_a_name_gone_from_the_resolver_is_asked_anew_after_a_last_window(sockets: Recorded) -> None:
    now, name = time.time(), "bad host!"
    kept = sockets.kept("site", None, name, None, None)
    kept.address = "127.0.0.1"
    place = box(sockets, now, now + 0.3, address=name)
    result = await ping(Params(interval_s=0.02), place)
    assert (result.lost, place.resolved, place.used_family) == (0, "127.0.0.1", 4)
    with pytest.raises(ProbeError, match="name_not_found"):
        await ping(Params(interval_s=0.02), box(sockets, now, now + 0.3, address=name))


async def test_a_missing_interface_fails_the_window(sockets: Recorded) -> None:
    now = time.time()
    with pytest.raises(ProbeError) as caught:
        await ping(Params(), box(sockets, now, now + 1, interface="nosuch0"))
    assert (caught.value.error, caught.value.result) == ("no_interface", None)


def test_figures_of_a_window_with_loss_late_and_doubled_replies() -> None:
    echoes = [
        echo(0, 0.010),
        echo(1, 0.030, replies=3),
        echo(2, None),
        echo(3, 2.5),
        echo(4, 0.020, stamps="kernel_receive"),
        echo(5, 0.025),
    ]
    result = summarise(echoes, [0, 4, 1, 5], timeout_s=2.0, start_mono=-0.25)
    assert result == Result(
        sent=6,
        lost=2,
        deadline=2.0,
        loss_ratio=0.333333333,
        late=1,
        duplicates=2,
        reordered=1,
        rtt_min=0.010,
        rtt_p50=0.020,
        rtt_p95=0.030,
        rtt_p99=0.030,
        rtt_max=0.030,
        ipdv_p50=0.005,
        ipdv_p95=0.020,
        rtt=sketch.of([0.010, 0.030, 0.020, 0.025]),
        stamps="kernel_receive",
        first_lost_at_s=2.25,
    )


def test_nothing_measured_is_none_not_zero() -> None:
    lost = summarise([echo(0, None), echo(1, None)], [], timeout_s=1.0, start_mono=0.0)
    assert lost == Result(sent=2, lost=2, deadline=1.0, loss_ratio=1.0, first_lost_at_s=0.0)
    assert summarise([], [], timeout_s=1.0, start_mono=0.0) == Result(sent=0, lost=0, deadline=1.0)


def test_one_word_from_a_router_outweighs_silence() -> None:
    silent = [echo(n, None) for n in range(9)]
    assert cause(silent, "") == ("timeout", "no reply to 9 requests")
    told = echo(9, None, error="denied", offender="10.0.0.254")
    assert cause([*silent, told], "") == ("denied", "1 of 10 requests: denied, says 10.0.0.254")
    cut = echo(-1, None, error="unreachable")
    problem = "Network is unreachable"
    assert cause([cut], problem) == ("unreachable", "1 of 1 requests: unreachable, Network is unreachable")
