"""The service manager's socket is a real one."""

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fibrewatch.sdnotify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@fibrewatch-{os.getpid()}-{time.time_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        s.bind(address.replace("@", "\0"))
        yield s, address


def test_states_reach_the_manager(manager: tuple[socket.socket, str]) -> None:
    receiver, address = manager
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address})
    notifier.ready("4 tests")
    assert receiver.recv(1000) == b"READY=1\nSTATUS=4 tests"
    notifier.stopping()
    assert receiver.recv(1000) == b"STOPPING=1"
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    state, moment = receiver.recv(1000).decode().split("\n")
    assert state == "RELOADING=1"
    assert before <= int(moment.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


async def test_watchdog_is_fed_twice_a_period_until_the_end(manager: tuple[socket.socket, str]) -> None:
    receiver, address = manager
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "100000"})
    stopping = asyncio.Event()
    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(notifier.feed_watchdog(stopping))
        for _ in range(4):
            assert await asyncio.to_thread(receiver.recv, 1000) == b"WATCHDOG=1"
        stopping.set()
    assert time.monotonic() - began >= 0.14  # three halves of the period


async def test_nothing_is_said_where_no_manager_is() -> None:
    notifier = Notifier.from_environment({})
    notifier.ready("")
    assert notifier.watchdog_s is None
    await notifier.feed_watchdog(asyncio.Event())


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),  # meant for another process
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_period_is_read_as_systemd_says(environment: dict[str, str], watchdog_s: float | None) -> None:
    assert Notifier.from_environment(environment).watchdog_s == watchdog_s


def test_manager_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    Notifier(str(tmp_path / "nobody")).ready("4 tests")
