"""stamp and voice on loopback: a relay of known truth, every way to fail, and nothing left behind when cancelled."""

import asyncio
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.net.packet_window import PacketWindow
from fibrewatch_agent.responder.keep import command
from fibrewatch_agent.responder.reflector import ReflectorConfig
from tests.support.leftovers import cancel_at_each_wait, nothing_left
from tests.support.listeners import closed_port, udp_server
from tests.support.mosquitto import free_port, wait_for_port
from tests.support.stamp_here import reflecting, run

KEY = b"0123456789abcdef0123456789abcdef"

FATES = {"there": {3: "drop", 5: "double", 7: "hold"}, "back": {11: "drop", 13: "double", 15: "hold"}}
PERIOD = 20


class Relay(asyncio.DatagramProtocol):
    """Between one sender and a reflector: each packet meets the fate that its number has, and that is noted."""

    def __init__(self, reflector_port: int) -> None:
        self._reflector = ("127.0.0.1", reflector_port)
        self._sender: Any = None
        self._held: dict[str, tuple[bytes, Any]] = {}
        self._met: dict[str, dict[int, str]] = {"there": {}, "back": {}}

    def met(self, way: str, fate: str, below: int) -> int:
        """How many packets numbered below a number met a fate."""
        return sum(each == fate for number, each in self._met[way].items() if number < below)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if addr[1] == self._reflector[1]:
            self._pass("back", int.from_bytes(data[24:28], "big"), data, self._sender)
        else:
            self._sender = addr
            self._pass("there", int.from_bytes(data[:4], "big"), data, self._reflector)

    def _pass(self, way: str, number: int, data: bytes, to: Any) -> None:
        fate = FATES[way].get(number % PERIOD, "pass")
        self._met[way][number] = fate
        if fate == "hold":
            self._held[way] = (data, to)
            return
        for _ in range({"drop": 0, "double": 2}.get(fate, 1)):
            self._transport.sendto(data, to)
        if fate != "drop" and way in self._held:
            self._transport.sendto(*self._held.pop(way))


async def test_a_relay_of_known_truth_is_seen_through() -> None:
    async with reflecting() as reflector:
        transport, relay = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Relay(reflector), ("127.0.0.1", 0)
        )
        result = await run(transport.get_extra_info("sockname")[1], window_s=2.0)
        transport.close()

    def met(fate: str) -> tuple[int, int]:
        return relay.met("there", fate, result.sent), relay.met("back", fate, result.sent)

    assert result.sent >= 150
    assert (result.lost_forward, result.lost_backward, result.lost_undetermined) == (*met("drop"), 0)
    assert result.lost == sum(met("drop"))
    assert (result.duplicates_forward, result.duplicates_backward) == met("double")
    assert result.duplicates == sum(met("double"))
    assert (result.reordered_forward, result.reordered_backward) == met("hold")
    assert result.reordered == sum(met("hold"))


@pytest.mark.parametrize("probe", ["stamp", "voice"])
async def test_authenticated_both_ways(tmp_path: Path, probe: str) -> None:
    (file := tmp_path / "key").write_bytes(KEY)
    more = {"duration": "1 s"} if probe == "voice" else {}
    async with reflecting(KEY) as port:
        result = await run(port, probe=probe, key_file=str(file), **more)
    assert result.lost == 0
    assert result.sent > 20
    if probe == "stamp":
        assert (result.authenticated, result.stateful) == (True, True)
        assert result.follow_ups >= result.sent - 2


async def fails(port: int, **params: Any) -> ProbeError:
    async with nothing_left():
        with pytest.raises(ProbeError) as caught:
            await run(port, **params)
    return caught.value


@pytest.mark.parametrize(
    ("ours", "theirs", "error"),
    [
        (KEY, KEY[::-1], "timeout"),  # a keyed reflector is silent to strangers
        (None, KEY, "timeout"),
        (KEY, None, "protocol"),  # its replies bear no HMAC
    ],
)
async def test_keys_that_do_not_fit(tmp_path: Path, ours: bytes | None, theirs: bytes | None, error: str) -> None:
    params = {}
    if ours is not None:
        (tmp_path / "key").write_bytes(ours)
        params = {"key_file": str(tmp_path / "key")}
    async with reflecting(theirs) as port:
        failed = await fails(port, **params)
    assert failed.error == error
    assert failed.result.sent == failed.result.lost > 0
    assert KEY.decode() not in failed.detail


@pytest.mark.parametrize(("content", "error"), [(None, "permission"), (b"short", "parse")])
async def test_a_key_that_cannot_be_used(tmp_path: Path, content: bytes | None, error: str) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    failed = await fails(1, key_file=str(file))
    assert failed.error == error
    assert str(file) in failed.detail


GARBAGE = {
    "short": b"x" * 20,
    "long": b"\xff" * 1200,
    "zeros": bytes(72),
}


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_garbage_for_an_answer_is_a_protocol_error(garbage: str) -> None:
    async with udp_server(lambda data: [GARBAGE[garbage]]) as port:
        failed = await fails(port)
    assert failed.error == "protocol"
    assert "none of them a reply" in failed.detail
    assert failed.result.lost == failed.result.sent > 0


async def test_an_echo_server_is_no_reflector() -> None:
    async with udp_server(lambda data: [data]) as port:
        assert (await fails(port)).error == "protocol"


async def test_silence_is_a_timeout_and_a_closed_port_refuses() -> None:
    async with udp_server(lambda data: []) as port:
        assert (await fails(port)).error == "timeout"
    with closed_port() as port:
        assert (await fails(port)).error == "refused"


async def test_names_and_interfaces_that_are_not_there() -> None:
    assert (await fails(862, address="bad host!")).error == "name_not_found"
    assert (await fails(862, interface="nosuch0")).error == "no_interface"
    assert (await fails(862, address="203.0.113.1", interface="lo")).error in {"unreachable", "timeout"}


async def test_a_stateless_reflector_of_38_bytes_gives_round_trips_and_no_directions() -> None:
    """As TWAMP Light's do: the sender's number and time again, no extensions, nothing behind byte 38."""

    def answer(data: bytes) -> list[bytes]:
        now = (time.time_ns() + 2_208_988_800 * 10**9 << 32) // 10**9
        number = int.from_bytes(data[:4], "big")
        reply = data[:4] + now.to_bytes(8, "big") + bytes.fromhex("01010000") + now.to_bytes(8, "big") + data[:14]
        return [reply] if number % 10 else []

    async with udp_server(answer) as port:
        result = await run(port)
    assert 0 < result.lost < result.sent
    assert result.stateful is None  # as if all were lost on their way back
    assert (result.lost_forward, result.loss_backward_ratio, result.ttl_forward) == (None, None, None)
    assert 0 < result.rtt_p50 < 0.3
    assert (result.follow_ups, result.owd_forward_p50) == (0, None)


async def test_voice_over_a_stateless_reflector_counts_every_loss_either_way() -> None:
    def answer(data: bytes) -> list[bytes]:
        now = (time.time_ns() + 2_208_988_800 * 10**9 << 32) // 10**9
        number = int.from_bytes(data[:4], "big")
        reply = data[:4] + now.to_bytes(8, "big") + bytes.fromhex("01010000") + now.to_bytes(8, "big") + data[:14]
        return [reply] if number % 10 else []

    async with udp_server(answer) as port:
        result = await run(port, probe="voice", duration="1 s", interval="20 ms")
    assert result.one_way_loss is False
    assert result.basis == "half_round_trip"
    assert result.loss_ratio == pytest.approx(result.lost / result.sent)
    assert "loss" in result.missed


@pytest.mark.parametrize("probe", ["stamp", "voice"])
async def test_cancelled_at_any_wait_it_leaves_nothing(probe: str) -> None:
    more = {"duration": "1 s"} if probe == "voice" else {"window_s": 0.1}
    async with reflecting() as port:
        waits = await cancel_at_each_wait(lambda: run(port, probe=probe, **more))
        assert waits >= 1
        waits = await cancel_at_each_wait(lambda: run(port, probe=probe, address="localhost", family=4, **more))
    assert waits >= 2


async def test_stopping_closes_the_window_and_keeps_what_it_has() -> None:
    stopping = asyncio.Event()
    async with reflecting() as port:
        asyncio.get_running_loop().call_later(0.2, stopping.set)
        async with asyncio.timeout(60):
            result = await run(port, window_s=3600, stopping=stopping)
    assert (result.lost, result.sent > 0) == (0, True)


@pytest.fixture
def responder(tmp_path: Path) -> Iterator[int]:
    """`fibrewatch-agent responder` with a reflector on a port of its own."""
    ports, port = free_port(), free_port()
    command = [sys.executable, "-m", "fibrewatch_agent", "responder", "--ports", str(ports)]
    with subprocess.Popen([*command, "--reflector-port", str(port)], stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        while "reflecting on" not in (line := child.stderr.readline()):
            assert line, "the responder ended"
        wait_for_port(ports)
        yield port
        child.send_signal(signal.SIGTERM)
        rest = child.stderr.read()
        assert child.wait(30) == 0
    assert "reflector counts=" in rest


def once(probe: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "fibrewatch_agent", "once", probe, "--json", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


def test_once_measures_against_the_responder(responder: int) -> None:
    done = once("stamp", "--target", "127.0.0.1", "--param", f"port={responder}", "--window", "2 s")
    said = json.loads(done.stdout)
    assert (done.returncode, said["outcome"], said["result"]["lost"]) == (0, "ok", 0)
    assert said["result"]["sent"] in range(18, 22)
    assert (said["result"]["stamps"], said["result"]["stateful"]) == ("kernel", True)
    done = once("voice", "--target", "127.0.0.1", "--param", f"port={responder}", "--param", 'duration="1 s"')
    assert json.loads(done.stdout)["result"]["ready"] is True


def test_a_port_that_was_asked_for_and_is_taken_ends_the_responder_in_one_line() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        command = [sys.executable, "-m", "fibrewatch_agent", "--log-level", "error", "responder"]
        command += ["--ports", str(free_port()), "--reflector-port", str(port)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    wanted = f"fibrewatch-agent: no STAMP reflector on 127.0.0.1 port {port}: Address already in use\n"
    assert done.stderr == wanted


def test_without_permission_for_862_the_rest_is_served_and_one_line_says_so() -> None:
    ports = free_port()
    prefix = ["setpriv", "--bounding-set", "-net_bind_service", "--inh-caps", "-all"] if os.getuid() == 0 else []
    command = [*prefix, sys.executable, "-m", "fibrewatch_agent", "--log-level", "warning", "responder"]
    with subprocess.Popen([*command, "--ports", str(ports)], stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        said = child.stderr.readline()
        wait_for_port(ports)
        child.send_signal(signal.SIGTERM)
        rest = child.stderr.read()
        assert child.wait(30) == 0
    wanted = "no STAMP reflector on 127.0.0.1 port 862: Permission denied (another port: --reflector-port)"
    assert said.strip().endswith(wanted)
    assert rest == ""


def nice_allowed(value: int) -> bool:
    """Whether a process may raise its own priority so far here."""
    try_it = f"import os; os.setpriority(os.PRIO_PROCESS, 0, {value})"
    return subprocess.run([sys.executable, "-c", try_it], stderr=subprocess.DEVNULL, check=False).returncode == 0


def test_the_reflectors_process_goes_ahead_of_the_rest_where_that_is_allowed() -> None:
    expected = -10 if nice_allowed(-10) else os.getpriority(os.PRIO_PROCESS, 0)
    order = command(ReflectorConfig(port=0))
    with subprocess.Popen(order, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as reflector:
        try:
            assert reflector.stdout is not None
            assert reflector.stdout.readline() == b"ready\n"
            assert os.getpriority(os.PRIO_PROCESS, reflector.pid) == expected
        finally:
            reflector.terminate()


def windows_alive() -> int:
    return sum(isinstance(each, PacketWindow) for each in gc.get_objects())


async def test_a_window_that_is_over_is_freed_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        before = windows_alive()
        async with reflecting() as port:
            assert (await run(port, window_s=0.2)).sent > 5
        assert windows_alive() == before
    finally:
        gc.enable()
