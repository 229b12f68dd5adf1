"""The responder keeps every port served, whatever happens to a server, and leaves none behind."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from fibrewatch.results.throughput import Params
from fibrewatch_agent.probes.throughput import throughput
from fibrewatch_agent.responder import watch
from fibrewatch_agent.responder.server import ResponderConfig, serve
from fibrewatch_agent.responder.watch import listens
from tests.support.iperf3 import alive, box, free_range, nothing_left
from tests.support.waiting import until, wait_until


class Responder:
    """`fibrewatch-agent responder` on two ports of its own."""

    def __init__(self) -> None:
        self.first = free_range(2)
        command = [sys.executable, "-m", "fibrewatch_agent", "responder", "--reflector-port", "0"]
        command += ["--ports", f"{self.first}-{self.first + 1}"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: all(self.server(port) for port in (self.first, self.first + 1)))

    def server(self, port: int) -> int | None:
        """The pid of the iperf3 that listens on a port."""
        return next((pid for pid in self.children() if listens(pid, port)), None)

    def children(self) -> list[int]:
        """All that it started."""
        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]

    def __enter__(self) -> "Responder":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def test_killed_server_is_back_while_the_others_stay() -> None:
    with Responder() as responder:
        killed, other = responder.server(responder.first), responder.server(responder.first + 1)
        assert killed
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: responder.server(responder.first) not in {None, killed})
        assert responder.server(responder.first + 1) == other


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_ended_responder_leaves_no_server(number: signal.Signals) -> None:
    with Responder() as responder:
        children = responder.children()
        responder.process.send_signal(number)
        status = responder.process.wait(20)
        assert status == (0 if number != signal.SIGKILL else -signal.SIGKILL)
        assert len(children) == 2
        wait_until(lambda: not any(alive(pid) for pid in children))


def test_missing_tool_is_one_line_and_status_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fibrewatch_agent", "responder"]
    ended = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60, env={"PATH": str(tmp_path)}
    )
    assert ended.returncode == 2
    assert ended.stderr == "fibrewatch-agent: iperf3 is not installed: apt install iperf3\n"


@contextlib.asynccontextmanager
async def serving(first: int, last: int) -> AsyncIterator[asyncio.Event]:
    """The responder in this process; cancelled at the end. The event tells that it said it is ready."""
    ready = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(serve(ResponderConfig(first_port=first, last_port=last), ready.set))
        try:
            yield ready
        finally:
            task.cancel()


async def test_serves_when_ready_and_cancelled_leaves_nothing() -> None:
    first = free_range(2)
    with nothing_left():
        async with serving(first, first + 1) as ready:
            await ready.wait()
            params = Params(direction="up", ports=(first, first + 1), duration_s=1, omit_s=0, streams=1)
            measured_from = box()
            result = await throughput(params, measured_from)
            measured_from.icmp.close()
        assert result.transferred, "our servers tell what they received"


async def test_port_taken_by_others_is_said_once_and_served_when_free(caplog: pytest.LogCaptureFixture) -> None:
    first = free_range(2)
    caplog.set_level(logging.DEBUG, "fibrewatch_agent.responder")
    with socket.create_server(("127.0.0.1", first)) as other:
        async with serving(first, first + 1) as ready:
            await ready.wait()
            await until(lambda: _said(caplog, f"restart port={first}") >= 3)
            assert _said(caplog, f"serving host=127.0.0.1 port={first + 1}") == 1, "the others run on"
            errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
            assert errors == [
                f"can't serve host=127.0.0.1 port={first}, still trying: "
                "error - unable to start listener for connections: Address already in use"
            ]
            other.close()
            await until(lambda: _said(caplog, f"serving host=127.0.0.1 port={first}") == 1)


async def test_server_that_hangs_with_a_silent_client_is_replaced(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "STUCK_S", 2.0)
    port = free_range(1)
    async with serving(port, port) as ready:
        await ready.wait()
        hanging = _server(port)
        _, silent = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: _said(caplog, "hangs") == 1)
        silent.close()
        await until(lambda: _server(port) not in {None, hanging})
        params = Params(direction="down", ports=(port, port), duration_s=3, omit_s=0, streams=1)
        assert (await throughput(params, box())).goodput, "and one at work for longer than that is left alone"
    assert _said(caplog, "hangs") == 1


def _server(port: int) -> int | None:
    """The pid of our iperf3 that listens on a port."""
    return next((child.pid for child in psutil.Process().children() if listens(child.pid, port)), None)


def _said(caplog: pytest.LogCaptureFixture, text: str) -> int:
    """How often."""
    return sum(text in record.getMessage() for record in caplog.records)
