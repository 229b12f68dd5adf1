"""throughput against real iperf3 servers: what it measures, and every way in which it fails."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from fibrewatch.results.throughput import Params, Result
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.probes.throughput import deadline_s, ports_of, throughput
from fibrewatch_agent.responder.watch import activity, listens
from tests.support.iperf3 import Server, alive, box, free_range, nothing_left
from tests.support.mosquitto import free_port
from tests.support.netns import Link, Namespace
from tests.support.waiting import until, wait_until

KILLING_S = 4.0
"""What ending a tool that does not want to end may take on top of the deadline."""


@pytest.fixture(autouse=True)
async def leaves_nothing() -> AsyncIterator[None]:
    """No process, descriptor or task stays after any of these tests."""
    with nothing_left():
        yield


def params(port: int, last: int | None = None, *, direction: Any = "down", **settings: Any) -> Params:
    """Short tests on a port of this test's own, which run their time and nothing beside them."""
    alone = {"early_stop": False, "max_bytes": None, "latency": "off"}
    chosen = {"duration_s": 1.0, "omit_s": 0.0, "streams": 1} | alone | settings
    return Params(direction=direction, ports=(port, last or port), **chosen)


async def fails(wanted: Params, *, address: str = "127.0.0.1", interface: str | None = None) -> ProbeError:
    """Runs a test that must fail, within the deadline."""
    began = time.monotonic()
    with pytest.raises(ProbeError) as caught:
        await throughput(wanted, box(address, interface))
    assert time.monotonic() - began < deadline_s(wanted) + KILLING_S
    return caught.value


@pytest.mark.parametrize(
    ("host", "direction", "streams", "interface"),
    [("127.0.0.1", "down", 4, None), ("127.0.0.1", "up", 4, "lo"), ("::1", "down", 1, "lo"), ("::1", "up", 1, None)],
)
async def test_measures_both_ways_and_both_families(
    host: str, direction: str, streams: int, interface: str | None
) -> None:
    here = box(host, interface)
    with Server(host) as server:
        result = await throughput(params(server.port, direction=direction, streams=streams, omit_s=1.0), here)
    assert here.used_family == (6 if ":" in host else 4)
    _complete(result, direction, streams, server.port)


def _complete(result: Result, direction: str, streams: int, port: int) -> None:
    assert (result.direction, result.streams, result.port, result.complete) == (direction, streams, port, True)
    assert result.goodput is not None
    assert result.goodput > 1e6
    assert result.transferred is not None
    assert result.transfer_duration == pytest.approx(1, abs=0.5)
    assert result.transferred > result.goodput, "the warm-up's second is counted too"
    assert result.retransmits is not None
    assert result.rtt_min is not None
    assert result.rtt_mean is not None
    assert result.rtt_max is not None
    assert 0 < result.rtt_min <= result.rtt_mean <= result.rtt_max < 1
    assert result.cpu_local is not None
    assert result.cpu_remote is not None
    assert result.congestion
    assert result.intervals


async def test_report_of_64_streams_does_not_block_the_tool() -> None:
    with Server() as server:
        result = await throughput(params(server.port, streams=64, duration_s=3.0), box())
    assert result.streams == 64
    assert result.goodput


async def test_congestion_control_is_the_one_asked_for() -> None:
    with Server() as server:
        result = await throughput(params(server.port, direction="up", congestion="reno"), box())
    assert result.congestion == "reno"


async def test_unknown_congestion_control_says_so() -> None:
    with Server() as server:
        error = await fails(params(server.port, congestion="nosuch"))
    assert error.error == "tool_failed"
    assert "congestion" in error.detail


async def test_nobody_listening_is_refused() -> None:
    port = free_port()
    assert (await fails(params(port))).error == "refused"


async def test_busy_or_missing_server_leads_to_the_next_port() -> None:
    base = free_range(3)
    wanted = params(base, base + 2)
    busy_port, _, free = ports_of(wanted, box().agent)  # nobody listens on the middle one
    with Server(port=busy_port) as busy, Server(port=free), _Client(busy, "20"):
        result = await throughput(wanted, box())
    assert result.port == free


async def test_every_listening_port_in_use_is_busy() -> None:
    base = free_range(3)
    with ExitStack() as stack:
        for port in (base, base + 2):
            stack.enter_context(_Client(stack.enter_context(Server(port=port)), "20"))
        error = await fails(params(base, base + 2))
    assert error.error == "busy"


class _Client:
    """Someone else's long test."""

    def __init__(self, server: Server, duration_s: str) -> None:
        command = ["iperf3", "-c", "127.0.0.1", "-p", str(server.port), "-t", duration_s, "-b", "1M"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(lambda: server.connected)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


@pytest.mark.parametrize("direction", ["down", "up"])
async def test_server_killed_midway_is_reset_with_what_was_measured(direction: str) -> None:
    async with asyncio.TaskGroup() as group:
        with Server() as server:
            task = group.create_task(fails(params(server.port, direction=direction, duration_s=20.0)))
            await _well_under_way(server, seconds=2.2)
            server.process.kill()
            error = await task
    assert error.error == "reset"
    assert error.result is not None
    assert not error.result.complete
    assert len(error.result.intervals) >= 1


async def _well_under_way(server: Server, seconds: float) -> None:
    await until(lambda: server.moved() > 1_000_000)
    await asyncio.sleep(seconds)  # time itself is what the test needs: reports come once a second


@pytest.mark.parametrize("direction", ["down", "up"])
async def test_server_that_stops_midway_times_out_with_what_was_measured(direction: str) -> None:
    wanted = params(free_port(), direction=direction, duration_s=3.0)
    async with asyncio.TaskGroup() as group:
        with Server(port=wanted.ports[0]) as server:
            task = group.create_task(fails(wanted))
            await _well_under_way(server, seconds=1.2)
            server.process.send_signal(signal.SIGSTOP)
            error = await task
    assert error.error == "timeout"
    assert error.result is not None
    assert not error.result.complete
    assert error.result.intervals[0] > 0


async def test_server_stopped_before_times_out_with_nothing() -> None:
    with Server() as server:
        server.process.send_signal(signal.SIGSTOP)
        error = await fails(params(server.port))
    assert error.error == "timeout"
    assert error.result is None


async def test_something_else_on_the_port_is_an_error_of_the_list() -> None:
    async def hello(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(hello, "127.0.0.1", 0) as listener:
        error = await fails(params(listener.sockets[0].getsockname()[1]))
    assert error.error in {"protocol", "reset"}
    await until(lambda: len(asyncio.all_tasks()) <= 2)


async def test_interface_that_is_not_there_is_named_so() -> None:
    with Server() as server:
        error = await fails(params(server.port), interface="nosuch0")
    assert error.error == "no_interface"


def _stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Puts a program called iperf3 in front of the real one."""
    program = folder / "iperf3"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


@pytest.mark.parametrize(
    ("script", "error", "detail"),
    [
        ("echo not json", "parse", "malformed"),
        ("echo '{}'", "parse", "without figures"),
        ("echo '[1]'", "parse", "object"),
        ("exit 3", "tool_failed", "exit status 3"),
        ("echo 'iperf3: parameter error - bad' >&2; exit 1", "tool_failed", "parameter error"),
        ("kill -SEGV $$", "tool_failed", "exit status -11"),
        ("head -c 40000000 /dev/zero", "parse", "16777216"),
    ],
)
async def test_tool_that_misbehaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, error: str, detail: str
) -> None:
    _stand_in(tmp_path, monkeypatch, script)
    failure = await fails(params(1))
    assert failure.error == error
    assert detail in failure.detail


async def test_tool_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _stand_in(tmp_path, monkeypatch, "trap '' TERM\nwhile :; do sleep 1; done")
    failure = await fails(params(1))
    assert failure.error == "timeout"


async def test_missing_tool_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "setpriv").symlink_to("/usr/bin/setpriv")
    monkeypatch.setenv("PATH", str(tmp_path))
    failure = await fails(params(1))
    assert (failure.error, failure.detail) == ("tool_missing", "iperf3 is not installed: apt install iperf3")


@pytest.mark.parametrize("after_s", [0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0])
async def test_cancellation_at_any_moment_leaves_nothing(after_s: float) -> None:
    with Server() as server:
        with nothing_left():
            task = asyncio.ensure_future(throughput(params(server.port, duration_s=20.0), box()))
            await asyncio.sleep(after_s)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await until(lambda: not server.connected)


def test_killed_agent_leaves_no_tool_behind() -> None:
    with Server() as server:
        options = [
            "--param",
            f"ports=[{server.port},{server.port}]",
            "--param",
            "direction=down",
            "--param",
            "duration=60 s",
            "--param",
            "early_stop=false",
            "--param",
            "max_bytes=9999 GB",
        ]
        command = [sys.executable, "-m", "fibrewatch_agent", "once", "throughput", "--target", "127.0.0.1", *options]
        agent = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(lambda: server.connected)
        tools = [child.pid for child in psutil.Process(agent.pid).children(recursive=True)]
        agent.kill()
        agent.wait()
        assert tools
        wait_until(lambda: not any(alive(pid) for pid in tools))


@pytest.fixture
def link() -> Iterator[tuple[Namespace, Namespace, Link]]:
    """A box and a far end."""
    near, far = Namespace("near"), Namespace("far")
    try:
        yield near, far, Link(near, far)
    finally:
        near.close()
        far.close()


def _once(near: Namespace, target: str, *pairs: str, interface: str | None = None) -> "subprocess.Popen[bytes]":
    options = [
        option
        for pair in (
            "direction=down",
            "omit=0 s",
            "streams=1",
            "early_stop=false",
            "max_bytes=9999 GB",
            "latency=off",
            *pairs,
        )
        for option in ("--param", pair)
    ]
    bound = ["--interface", interface] if interface else []
    command = ["-m", "fibrewatch_agent", "once", "throughput", "--json", "--target", target, *bound, *options]
    return near.popen([sys.executable, *command], stdout=subprocess.PIPE)


def _measurement(process: "subprocess.Popen[bytes]") -> dict[str, Any]:
    output, _ = process.communicate(timeout=60)
    measurement: dict[str, Any] = json.loads(output)
    return measurement


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("192.0.2.1", {"unreachable"}),
        ("2001:db8::1", {"unreachable"}),
        (
            "10.99.0.77",
            {"timeout", "unreachable"},
        ),  # nobody there: ARP gives up after 3 s, as we do
        ("10.99.0.2", {"refused"}),
    ],
)
def test_line_that_leads_nowhere(link: tuple[Namespace, Namespace, Link], target: str, error: set[str]) -> None:
    measurement = _measurement(_once(link[0], target, "duration=1 s"))
    assert measurement["outcome"] == "failed"
    assert measurement["error"] in error
    assert "result" not in measurement


def test_line_cut_midway_keeps_what_came_through(link: tuple[Namespace, Namespace, Link]) -> None:
    near, far, addresses = link
    server = far.popen(["iperf3", "-s", "-J"], stdout=subprocess.DEVNULL)
    wait_until(lambda: listens(server.pid, 5201))
    process = _once(near, addresses.b4, "duration=4 s", "ports=[5201,5201]")
    wait_until(lambda: (activity(server.pid).moved or 0) > 1_000_000)
    time.sleep(1.3)  # a full interval
    far.run("ip", "link", "set", "eth0", "down")
    measurement = _measurement(process)
    server.kill()
    server.wait()
    assert measurement["error"] == "timeout"
    assert measurement["result"]["complete"] is False
    assert measurement["result"]["intervals"][0] > 1e6
    assert measurement["result"]["intervals"][-1] == 0


@pytest.mark.parametrize(
    ("direction", "what"),
    [
        ("up", ("del", "eth0")),
        pytest.param("up", ("set", "eth0", "down"), marks=pytest.mark.soak),
        pytest.param("down", ("del", "eth0"), marks=pytest.mark.soak),
        pytest.param("down", ("set", "eth0", "down"), marks=pytest.mark.soak),
    ],
)
def test_uplink_that_goes_away_midway_ends_the_test(
    link: tuple[Namespace, Namespace, Link], direction: str, what: tuple[str, ...]
) -> None:
    """The box's own interface, a modem that is pulled out, say; the test is bound to it."""
    near, far, addresses = link
    server = far.popen(["iperf3", "-s", "-J"], stdout=subprocess.DEVNULL)
    wait_until(lambda: listens(server.pid, 5201))
    process = _once(near, addresses.b4, f"direction={direction}", "duration=3 s", "ports=[5201,5201]", interface="eth0")
    wait_until(lambda: (activity(server.pid).moved or 0) > 100_000_000)
    near.run("ip", "link", *what)
    measurement = _measurement(process)
    server.kill()
    server.wait()
    assert measurement["outcome"] == "failed"
    assert measurement["error"] in {"timeout", "unreachable", "no_interface", "reset"}
    assert measurement["duration_s"] < 30
    assert measurement["result"]["complete"] is False
    assert measurement["result"]["intervals"][0] > 1e6
    assert ("transferred" in measurement["result"]) is (direction == "down"), "what was sent, nobody counted"
