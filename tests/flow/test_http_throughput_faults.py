"""http_throughput against real servers of every kind: what works, and the right error with nothing left running."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fibrewatch.results.http_throughput import Params, Result
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.probes.http_throughput import http_throughput
from tests.support.certificates import Authority
from tests.support.iperf3 import alive, box, nothing_left
from tests.support.listeners import closed_port
from tests.support.waiting import until, wait_until


def params(port: int, path: str = "/bytes/5000000", direction: Any = "down", **more: Any) -> Params:
    """Short."""
    short: dict[str, Any] = {"duration_s": 0.5, "omit_s": 0.0, "streams": 2, "timeout_s": 1.0, "upload_size": 2_000_000}
    return Params(direction=direction, port=port, path=path, **short | more)


class Served:
    """A server in a process of its own."""

    def __init__(self, *argv: str) -> None:
        command = [sys.executable, "-m", "tests.support.load_server", *argv]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        with self.process.stdout as said:
            self.port = int(said.readline())

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """In clear, on loopback."""
    with Served("127.0.0.1") as server:
        yield server


async def measure(wanted: Params, at: Box | None = None) -> Result:
    """One run that leaves nothing behind."""
    with nothing_left():
        return await http_throughput(wanted, at or box())


async def fails(wanted: Params, at: Box | None = None) -> ProbeError:
    """The error of one that must fail."""
    with pytest.raises(ProbeError) as caught:
        await measure(wanted, at)
    return caught.value


@pytest.mark.parametrize("path", ["/bytes/5000000", "/chunked/5000000", "/until-close/5000000", "/http10/5000000"])
async def test_bodies_of_every_framing_are_asked_for_again_and_again(server: Served, path: str) -> None:
    result = await measure(params(server.port, path))
    assert result.goodput
    assert result.transferred
    assert (result.status, result.complete, result.stopped) == (200, True, "duration")
    assert result.requests
    assert result.requests > 2
    assert result.transferred >= (result.requests - 2) * 5_000_000


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_bodies_are_sent_again_and_again(server: Served, method: str) -> None:
    result = await measure(params(server.port, "/", "up", method=method))
    assert result.goodput
    assert result.transferred
    assert result.requests
    assert result.requests > 2
    assert result.transferred >= (result.requests - 2) * 2_000_000
    assert result.congestion == "cubic"


@pytest.mark.parametrize("direction", ["down", "up"])
async def test_over_tls_with_an_authority_of_ones_own(tmp_path: Path, direction: str) -> None:
    authority = Authority(tmp_path)
    with Served("127.0.0.1", str(authority.certificate("server"))) as server:
        result = await measure(params(server.port, direction=direction, scheme="https", ca=str(authority.pem)))
        assert result.goodput
        assert result.tls
        unknown = await fails(params(server.port, direction=direction, scheme="https"))
        other = await fails(
            params(server.port, direction=direction, scheme="https", ca=str(authority.pem), host="other.example")
        )
    assert unknown.error == "tls"
    assert other.error == "tls"
    assert "other.example" in other.detail


async def test_over_ipv6() -> None:
    with Served("::1") as server:
        here = box("::1")
        result = await measure(params(server.port), here)
    assert result.goodput
    assert (here.resolved, here.used_family) == ("::1", 6)


@pytest.mark.parametrize(("direction", "path"), [("down", "/to/bytes/5000000"), ("up", "/to-other/x")])
async def test_redirects_are_followed_when_allowed(server: Served, direction: str, path: str) -> None:
    result = await measure(params(server.port, path, direction))
    assert result.goodput
    assert result.redirects == 1
    assert result.location == f"http://127.0.0.1:{server.port}/{path.partition('/to')[2].split('/', 1)[1]}"
    refused = await fails(params(server.port, path, direction, follow=False))
    assert (refused.error, "status 30" in refused.detail) == ("protocol", True)


async def test_what_the_server_limits_is_a_bound(server: Served) -> None:
    here = box()
    result = await measure(params(server.port, "/pause/200000", duration_s=1.0), here)
    assert result.waiting
    assert result.waiting > 0.5
    assert (here.verdict, "server_pauses" in here.reasons) == ("censored", True)


async def test_bytes_are_limited(server: Served) -> None:
    result = await measure(params(server.port, duration_s=60.0, max_bytes=1_000_000))
    assert result.stopped == "bytes"
    assert result.goodput


async def test_tenants_who_want_the_line_get_it(server: Served) -> None:
    here = box()
    async with asyncio.TaskGroup() as group:
        with nothing_left():
            task = group.create_task(http_throughput(params(server.port, duration_s=60.0, max_bytes=None), here))
            await asyncio.sleep(2.0)
            here.enough.set()
            result = await task
    assert result.stopped == "tenants"
    assert result.goodput


@pytest.mark.parametrize(
    ("path", "direction", "error", "detail"),
    [
        ("/to/to/to/to/to/to/to/bytes/1", "down", "protocol", "more than 5 redirects"),
        ("/to/bytes/1", "down", "protocol", "too small"),
        ("/empty", "down", "protocol", "too small"),
        ("/garbage", "down", "protocol", "SSH-2.0"),
        ("/garbage", "up", "protocol", "SSH-2.0"),
        ("/status/404", "down", "protocol", "status 404"),
        ("/status/403", "down", "denied", "status 403"),
        ("/status/429", "down", "busy", "status 429"),
        ("/early/413", "up", "protocol", "status 413"),
        ("/status/503", "up", "busy", "status 503"),
        ("/to/x", "up", None, ""),
        ("/silent", "down", "timeout", "waiting for the first byte"),
        ("/silent", "up", "timeout", ""),
        ("/slow-head", "down", "timeout", "reading the head"),
        ("/reset/3000000", "down", "reset", "reset"),
        ("/reset/3000000", "up", "reset", "reset"),
        ("/cut/3000000", "down", "protocol", "closed after"),
        ("/stall/3000000", "down", "timeout", "nothing moves"),
        ("/stall/3000000", "up", "timeout", "nothing moves"),
    ],
)
async def test_servers_fault_is_told(server: Served, path: str, direction: str, error: str | None, detail: str) -> None:
    wanted = params(server.port, path, direction, duration_s=10.0, upload_size=20_000_000)
    if error is None:  # a body is taken there
        await measure(params(server.port, path, direction))
        return
    failure = await fails(wanted)
    assert failure.error == error, failure.detail
    assert detail in failure.detail
    assert failure.result is None or not failure.result.complete


async def test_nobody_listens() -> None:
    with closed_port() as port:
        failure = await fails(params(port))
    assert failure.error == "refused"
    assert failure.result is None


async def test_name_that_is_none() -> None:
    failure = await fails(params(80), box("no-such-host.invalid"))
    assert failure.error == "name_not_found"


async def test_interface_that_is_not_there(server: Served) -> None:
    failure = await fails(params(server.port), box(interface="nosuch0"))
    assert failure.error == "no_interface"


def _connected(port: int) -> bool:
    return any(each.status == "ESTABLISHED" and each.raddr.port == port for each in psutil.net_connections("tcp"))


@pytest.mark.parametrize("direction", ["down", "up"])
async def test_server_killed_midway(direction: str) -> None:
    with Served("127.0.0.1") as server:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(fails(params(server.port, direction=direction, duration_s=60.0, max_bytes=None)))
            await until(lambda: _connected(server.port))
            await asyncio.sleep(1.0)
            server.process.kill()
            error = await task
    assert error.error in {"reset", "refused", "protocol"}, error.detail
    assert error.result is not None
    assert error.result.transferred


async def test_cancelled_run_ends_its_child(server: Served) -> None:
    for after_s in (0.01, 0.3, 1.0):
        with nothing_left():
            wanted = params(server.port, duration_s=60.0, max_bytes=None)
            task = asyncio.get_running_loop().create_task(http_throughput(wanted, box()))
            await asyncio.sleep(after_s)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


def test_killed_agent_leaves_no_child(server: Served) -> None:
    values = ("direction=down", f"port={server.port}", "path=/bytes/5000000", "duration=60 s", "early_stop=false")
    options = [part for value in (*values, "max_bytes=9999 GB") for part in ("--param", value)]
    command = [sys.executable, "-m", "fibrewatch_agent", "once", "http_throughput", "--target", "127.0.0.1", *options]
    agent = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_until(lambda: _connected(server.port))
    children = [child.pid for child in psutil.Process(agent.pid).children(recursive=True)]
    agent.kill()
    agent.wait()
    assert children
    wait_until(lambda: not any(alive(pid) for pid in children))
