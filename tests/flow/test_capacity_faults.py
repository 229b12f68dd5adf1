"""Capacity tests that go wrong at either end: the right error in time, nothing left running, the slot freed."""

import asyncio
import json
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from fibrewatch import python_child
from fibrewatch.results.capacity import Params, Result
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.capacity.messages import HELLO_BYTES, Hello, seal
from fibrewatch_agent.capacity.order import ORDER
from fibrewatch_agent.probes.capacity import capacity
from tests.support.iperf3 import box
from tests.support.leftovers import nothing_left
from tests.support.mosquitto import free_port
from tests.support.slots import MBIT, Responder
from tests.support.waiting import until


def params(direction: Any = "down", **more: Any) -> Params:
    """Short and slow: loopback carries all that is reserved."""
    return Params(direction=direction, **{"duration_s": 2.0, "expected_rate": 20 * MBIT, "timeout_s": 1.0} | more)


@pytest.fixture(scope="module")
def responder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Responder]:
    with Responder(tmp_path_factory.mktemp("responder")) as responder:
        yield responder


def here(responder: Responder, address: str = "127.0.0.1") -> Box:
    made = box(address)
    made.control = responder.control()
    return made


async def fails(wanted: Params, at: Box) -> ProbeError:
    async with nothing_left():
        with pytest.raises(ProbeError) as caught:
            await capacity(wanted, at)
    return caught.value


async def over(responder: Responder, before: int) -> Any:
    """The slot that came after so many others, once it is over and nothing of it runs."""
    await until(lambda: len(responder.over()) > before and not responder.servers())
    assert responder.status()["running"] == 0
    return responder.over()[-1]


@pytest.mark.parametrize("direction", ["down", "up"])
async def test_no_more_is_sent_than_was_reserved_and_the_figure_is_a_bound(
    responder: Responder, direction: str
) -> None:
    before, at = len(responder.over()), here(responder)
    async with nothing_left():
        result: Result = await capacity(params(direction), at)
    assert result.capacity
    assert 0.2 * 20 * MBIT <= result.capacity <= 1.03 * 20 * MBIT, "others use this machine: less, but never more"
    assert result.offered == 20 * MBIT
    assert (at.verdict, "offered_load" in at.reasons) == ("censored", True)
    slot = await over(responder, before)
    assert (slot.why, slot.need) == ("done", 20 * MBIT)
    assert slot.bytes == pytest.approx(result.transferred, rel=0.05)


async def test_over_ipv6(tmp_path: Path) -> None:
    with Responder(tmp_path, listen="::1") as responder:
        at = here(responder, "::1")
        result = await capacity(params(), at)
        assert result.capacity
        assert at.used_family == 6


async def test_bytes_are_limited(responder: Responder) -> None:
    result = await capacity(params(duration_s=10.0, max_bytes=5_000_000), here(responder))
    assert result.stopped == "bytes"
    assert result.transferred
    assert result.transferred <= 5_300_000


@pytest.mark.parametrize("direction", ["down", "up"])
async def test_tenants_who_want_the_line_get_it(responder: Responder, direction: str) -> None:
    before, at = len(responder.over()), here(responder)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(capacity(params(direction, duration_s=30.0), at))
        await _flowing(responder)
        await asyncio.sleep(1.5)
        at.enough.set()
        result = await task
    assert result.stopped == "tenants"
    assert (await over(responder, before)).why == "done"


async def _flowing(responder: Responder) -> int:
    """The slot's server, once its box has spoken and some reports went to and fro."""
    await until(lambda: any(_connected(pid) for pid in responder.servers()))
    (server,) = [pid for pid in responder.servers() if _connected(pid)]
    await asyncio.sleep(0.7)
    return server


def _connected(pid: int) -> bool:
    try:
        return any(each.raddr for each in psutil.Process(pid).net_connections("udp"))
    except psutil.Error:
        return False


@pytest.mark.parametrize("direction", ["down", "up"])
@pytest.mark.parametrize(
    ("number", "errors"), [(signal.SIGKILL, {"refused", "timeout"}), (signal.SIGSTOP, {"timeout"})]
)
async def test_server_that_dies_or_stops_midway(
    responder: Responder, direction: str, number: signal.Signals, errors: set[str]
) -> None:
    before = len(responder.over())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(fails(params(direction, duration_s=30.0), here(responder)))
        server = await _flowing(responder)
        os.kill(server, number)
        error = await task
    assert error.error in errors, error.detail
    assert error.result is None or not error.result.complete
    assert (await over(responder, before)).why in {"broken", "released"}


@pytest.mark.parametrize("direction", ["down", "up"])
async def test_box_that_vanishes_is_not_flooded_and_its_slot_is_free(responder: Responder, direction: str) -> None:
    before = len(responder.over())
    task = asyncio.get_running_loop().create_task(capacity(params(direction, duration_s=60.0), here(responder)))
    await _flowing(responder)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    slot = await over(responder, before)
    assert slot.why == "broken"
    assert slot.ended - slot.began < 30


async def test_target_without_slots_is_refused() -> None:
    assert (await fails(params(), box())).error == "denied"


async def test_responder_that_is_not_there(responder: Responder) -> None:
    at = box()
    at.control = type(responder.control())(urls=(f"http://127.0.0.1:{free_port()}",))
    assert (await fails(params(), at)).error == "refused"


@asynccontextmanager
async def served(**order: Any) -> AsyncIterator[tuple["subprocess.Popen[bytes]", int]]:
    """The responder's child alone, with a token of the test's own."""
    port = free_port()
    granted = {
        "token": "secret",
        "host": "127.0.0.1",
        "port": port,
        "peer": "127.0.0.1",
        "duration_s": 2.0,
        "most": 1e6,
    }
    env = {"LANG": "C", ORDER: json.dumps(granted | order)}
    argv = python_child.command("fibrewatch_agent.capacity.child")
    process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert await asyncio.to_thread(process.stdout.readline) == b"ready\n"
        yield process, port
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def hello(**more: Any) -> Hello:
    wish: dict[str, Any] = {
        "nonce": "n" * 22,
        "direction": "down",
        "duration_s": 2.0,
        "packet_bytes": 1250,
        "most": 1e6,
    }
    return Hello(**wish | {"max_bytes": None, "tolerated_loss": 0.02, "lower_s": 0.03, "upper_s": 0.09} | more)


def heard(port: int, datagram: bytes, for_s: float) -> list[bytes]:
    """What comes back for one datagram."""
    answers = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(for_s)
        sock.send(datagram)
        try:
            while True:
                answers.append(sock.recv(65536))
        except (TimeoutError, ConnectionRefusedError):
            return answers


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"garbage" * 100,
        seal(b"another token", hello(), HELLO_BYTES),
        seal(b"secret", hello(direction="up"), HELLO_BYTES),
        seal(b"secret", hello(duration_s=60.0), HELLO_BYTES),
        seal(b"secret", hello(packet_bytes=10), HELLO_BYTES),
    ],
)
async def test_who_has_no_right_gets_not_one_packet(datagram: bytes) -> None:
    async with served() as (process, port):
        assert await asyncio.to_thread(heard, port, datagram, 0.5) == []
        assert process.poll() is None


async def test_who_does_not_report_gets_no_load() -> None:
    """The token alone is not enough: an address must be shown to be the box's own."""
    async with served() as (process, port):
        answers = await asyncio.to_thread(heard, port, seal(b"secret", hello(), HELLO_BYTES), 2.0)
        assert sum(map(len, answers)) < HELLO_BYTES
        assert await asyncio.to_thread(process.wait, 10) == 0
