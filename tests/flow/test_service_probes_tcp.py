"""tcp against real listeners: its figures, its errors, nothing left behind."""

import asyncio
import contextlib
import resource
import socket
from collections.abc import Iterator

import pytest

from fibrewatch.results.tcp import Params
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.probes.tcp import tcp
from tests.support.leftovers import cancel_at_each_wait, nothing_left
from tests.support.listeners import closed_port, hold, reset, tcp_server
from tests.support.probe_driver import box


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await hold(reader)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_listener_gives_the_connect_time_and_the_kernels_round_trip(host: str) -> None:
    async with tcp_server(silent, host=host) as port, nothing_left():
        this = box(host)
        result = await tcp(Params(port=port), this)
        assert result.connect is not None
        assert result.rtt is not None
        assert 0 < result.rtt <= result.connect
        assert result.retransmits == 0
        assert result.resolve is None, "a numeric address is not resolved"
        assert (this.resolved, this.used_family) == (host, 6 if host == "::1" else 4)


async def test_a_name_is_resolved_and_timed() -> None:
    async with tcp_server(silent) as port, nothing_left():
        this = box("localhost", family=4)
        result = await tcp(Params(port=port), this)
        assert result.resolve is not None
        assert this.resolved == "127.0.0.1"


async def test_a_connection_reset_right_after_it_stood_is_measured() -> None:
    async def at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reset(writer)

    async with tcp_server(at_once) as port, nothing_left():
        assert (await tcp(Params(port=port), box("127.0.0.1"))).connect is not None


async def test_a_closed_port_is_refused() -> None:
    with closed_port() as port:
        async with nothing_left():
            with pytest.raises(ProbeError, match="refused") as caught:
                await tcp(Params(port=port), box("127.0.0.1"))
    assert caught.value.error == "refused"
    assert caught.value.result is None, "nothing was measured"


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Linux drops SYNs to a listener whose queue is full: the port is silent, not closed."""
    with contextlib.ExitStack() as stack:
        port: int = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0)).getsockname()[1]
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield port


async def test_a_silent_port_times_out_within_the_deadline(silent_port: int) -> None:
    async with nothing_left():
        with pytest.raises(ProbeError, match=r"connecting to 127.0.0.1:.*no end within 0.3 s") as caught:
            await tcp(Params(port=silent_port, timeout_s=0.3), box("127.0.0.1"))
    assert caught.value.error == "timeout"


async def test_an_interface_that_is_not_there_is_said() -> None:
    async with nothing_left():
        for address in ("127.0.0.1", "fe80::1"):
            with pytest.raises(ProbeError, match="nope0") as caught:
                await tcp(Params(port=1), box(address, interface="nope0"))
            assert caught.value.error == "no_interface"


async def test_no_descriptor_left_is_busy() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(ProbeError) as caught:
            await tcp(Params(port=1), box("127.0.0.1"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.error == "busy"


async def test_cancelled_at_any_wait_it_leaves_nothing(silent_port: int) -> None:
    assert await cancel_at_each_wait(lambda: tcp(Params(port=silent_port, timeout_s=0.3), box("127.0.0.1"))) == 1
    async with tcp_server(silent) as port:
        assert await cancel_at_each_wait(lambda: tcp(Params(port=port), box("localhost", family=4))) >= 1
