"""Boxes that don't do as they should, at a real responder with real servers: slots end, and end with everything."""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.slots.far_desk import Slot
from fibrewatch_agent.slots.reservation import reserve
from fibrewatch_agent.tables import Control
from tests.support.certificates import Authority
from tests.support.iperf3 import alive, box
from tests.support.leftovers import nothing_left
from tests.support.netns import Link, Namespace
from tests.support.slots import MBIT, Responder, transfer, wish
from tests.support.waiting import until

QUICK = 'claim = "1 s"\nmargin = "1 s"\nlease = "1 s"'
BOXES = [f"paris/site-{number}/box-{letter}" for number in range(30) for letter in "ab"]
_numbers = itertools.count()


@pytest.fixture(scope="module")
def responder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Responder]:
    """One for all tests that it survives; each has a site of its own."""
    with Responder(tmp_path_factory.mktemp("responder"), BOXES) as started:
        yield started


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Responder]:
    """The same, of little patience."""
    with Responder(tmp_path_factory.mktemp("quick"), BOXES, limits=QUICK) as started:
        yield started


@pytest.fixture
def name() -> str:
    """A box at a site of its own."""
    return f"paris/site-{next(_numbers)}/box-a"


@contextlib.asynccontextmanager
async def reserved(responder: Responder, name: str, **settings: Any) -> AsyncIterator[Slot]:
    """A slot of a box."""
    async with reserve(responder.control(name), wish(**settings), box(), patience_s=60) as slot:
        yield slot


async def error_of(slot: Slot, **more: Any) -> str | None:
    failure = (await transfer(slot, **more)).failure
    return failure.error if failure else None


async def attempt(slot: Slot, **more: Any) -> str | None:
    """As a box does: once more where the server was just starting again."""
    for _ in range(20):
        if (error := await error_of(slot, **more)) != "refused":
            return error
        await asyncio.sleep(0.1)
    return "refused"


async def test_wrong_token_is_denied_and_the_slot_stays_the_boxs(responder: Responder, name: str) -> None:
    async with reserved(responder, name) as slot:
        assert await attempt(replace(slot, token="guessed")) == "denied"
        assert await attempt(replace(slot, user="another")) == "denied"
        assert await attempt(slot) is None
    await responder.is_over("done", name)


async def test_token_is_good_for_one_test(responder: Responder, name: str) -> None:
    async with reserved(responder, name) as first:
        assert await error_of(first) is None
        await responder.is_over("done", name)
        assert await error_of(first) == "refused"
    async with reserved(responder, name) as second:
        assert await attempt(replace(first, port=second.port)) == "denied"
        assert await attempt(second) is None


async def test_slot_that_is_not_used_is_free_again(quick: Responder, name: str) -> None:
    async with reserved(quick, name) as slot:
        await quick.is_over("unused", name)
        assert await error_of(slot) == "refused"
    assert quick.status(name)["taken"] == 0


async def test_slot_that_is_given_back_is_free_at_once(responder: Responder, name: str) -> None:
    async with reserved(responder, name):
        assert responder.status(name)["running"] == 1
    await responder.is_over("released", name)


async def test_box_that_is_killed_frees_its_slot(responder: Responder, name: str) -> None:
    async with reserved(responder, name) as slot:
        test = asyncio.ensure_future(transfer(slot, seconds=60))
        await until(lambda: _moved(responder) > 200_000)
        test.cancel()  # kills the tool
        await asyncio.wait({test})
        assert (await responder.is_over("broken", name)).bytes > 0


def _moved(responder: Responder) -> int:
    counters = (Path(f"/proc/{pid}/io").read_text() for pid in responder.servers())
    return sum(int(line.split()[1]) for text in counters for line in text.splitlines() if line.startswith(("rc", "wc")))


async def test_box_that_hangs_loses_its_slot_at_the_deadline(quick: Responder, name: str) -> None:
    async with reserved(quick, name, duration=2.0) as slot:
        test = asyncio.ensure_future(transfer(slot, seconds=60))
        await quick.is_over("deadline", name)
        run = await test
    assert run.failure
    assert run.failure.error == "reset"


@pytest.mark.parametrize("silent", [True, False])
async def test_stranger_in_a_slot_is_thrown_out(responder: Responder, name: str, silent: bool) -> None:
    async with reserved(responder, name) as slot:
        with socket.create_connection((slot.host, slot.port), source_address=("127.0.0.9", 0)) as stranger:
            if not silent:
                stranger.sendall(b"GET / HTTP/1.0\r\n" + b"x" * 100)
            await until(lambda: f"stranger in a slot port={slot.port}" in responder.log())
        assert await attempt(slot) is None
    await responder.is_over("done", name)


async def test_port_that_is_taken_leads_to_another(tmp_path: Path, name: str) -> None:
    with Responder(tmp_path, [name], ports=2) as responder, socket.create_server(("127.0.0.1", responder.first)):
        for _ in range(3):
            async with reserved(responder, name) as slot:
                assert slot.port == responder.first + 1
                assert await error_of(slot) is None


async def test_every_port_taken_is_busy(tmp_path: Path, name: str) -> None:
    with Responder(tmp_path, [name], ports=1) as responder, socket.create_server(("127.0.0.1", responder.first)):
        with pytest.raises(ProbeError) as caught:
            await reserve(responder.control(name), wish(), box(), patience_s=3).__aenter__()
        assert caught.value.error == "busy"
        assert "no server" in caught.value.detail
        assert responder.status(name)["running"] == 0


async def test_box_that_waits_and_dies_holds_nobody_up(responder: Responder) -> None:
    first, second, third = (f"paris/site-{next(_numbers)}/box-a" for _ in range(3))
    async with reserved(responder, first, rate=None, duration=3.0) as slot:
        test = asyncio.ensure_future(error_of(slot, seconds=3))
        dies = reserved(responder, second, rate=None)
        waiting = asyncio.ensure_future(dies.__aenter__())
        await until(lambda: responder.status(first)["queued"] == 1)
        waiting.cancel()
        await asyncio.wait({waiting})
        async with reserved(responder, third, rate=None) as next_slot:
            assert await error_of(next_slot) is None
        assert await test is None


async def test_two_boxes_of_a_site_never_measure_at_once(responder: Responder, name: str) -> None:
    other = name.replace("box-a", "box-b")
    with_other = reserved(responder, other)
    async with reserved(responder, name):
        waiting = asyncio.ensure_future(with_other.__aenter__())
        await until(lambda: responder.status(name)["queued"] == 1)
        assert responder.status(name)["taken"] == 10 * MBIT
    assert await error_of(await waiting) is None
    await with_other.__aexit__(None, None, None)
    assert (await responder.is_over("released", name)).ended <= (await responder.is_over("done", other)).began


async def test_killed_responder_leaves_no_server(tmp_path: Path, name: str) -> None:
    with Responder(tmp_path, [name]) as responder:
        async with reserved(responder, name):
            servers = responder.servers()
            responder.process.kill()
            responder.process.wait()
            await until(lambda: not any(alive(pid) for pid in servers))
    assert servers


async def test_ended_responder_leaves_nothing(tmp_path: Path, name: str) -> None:
    with Responder(tmp_path, [name]) as responder:
        async with reserved(responder, name):
            (server,) = responder.servers()
            key = next(part for part in psutil.Process(server).cmdline() if part.endswith("key.pem"))
            responder.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(responder.process.wait, 20) == 0
        assert not alive(server)
        assert not Path(key).parent.exists()


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Responder, Authority]]:
    """One over TLS that knows no token."""
    folder = tmp_path_factory.mktemp("secured")
    authority = Authority(folder / "ca")
    with Responder(folder / "r", (), tls=authority) as started:
        yield started, authority


@pytest.mark.parametrize(
    ("subject", "known"),
    [
        (r"/CN=paris\/cargo\/box-07", True),
        (r"/CN=paris\/cargo", False),
        (r"/CN=Paris\/cargo\/box", False),
        (r"/O=paris\/cargo\/box-07", False),
        (r"/CN=paris\/cargo\/box-07/CN=paris\/cargo\/box-08", False),
    ],
)
async def test_box_is_known_by_its_certificates_name(
    secured: tuple[Responder, Authority], subject: str, known: bool
) -> None:
    responder, authority = secured
    pem = authority.certificate("box", subject=subject)
    with _known(known):
        control = Control(urls=responder.control().urls, ca=authority.pem, certificate=pem, key=pem)
        async with nothing_left(), reserve(control, wish(), box(), 5) as slot:
            assert await error_of(slot) is None
        await responder.is_over("done", "paris/cargo/box-07")


@contextlib.contextmanager
def _known(known: bool) -> Iterator[None]:
    if known:
        yield
        return
    with pytest.raises(ProbeError) as caught:
        yield
    assert caught.value.error == "denied"


async def test_certificate_of_another_authority_is_refused(
    secured: tuple[Responder, Authority], tmp_path: Path
) -> None:
    responder, authority = secured
    pem = Authority(tmp_path / "other", "Other").certificate("box", subject=r"/CN=paris\/cargo\/box-07")
    control = Control(urls=responder.control().urls, ca=authority.pem, certificate=pem, key=pem)
    with pytest.raises(ProbeError) as caught:
        await reserve(control, wish(), box(), 5).__aenter__()
    assert caught.value.error in {"tls", "reset", "protocol"}, "asyncio's server closes without a word"


async def test_token_that_was_taken_back_is_void_at_once(tmp_path: Path, name: str) -> None:
    with Responder(tmp_path, [name]) as responder:
        async with reserved(responder, name):
            pass
        (tmp_path / "tokens").write_text("# nobody\n")
        with pytest.raises(ProbeError) as caught:
            await reserved(responder, name).__aenter__()
    assert caught.value.error == "denied"


@pytest.mark.parametrize("family", [4, 6])
def test_nftables_lets_in_the_box_and_only_in_its_time(tmp_path: Path, family: int) -> None:
    near, far = Namespace("near"), Namespace("far")
    try:
        link = Link(near, far)
        near.run("ip", "addr", "add", "10.99.0.3/24", "dev", "eth0")
        near.run("ip", "addr", "add", "fd99:0::3/64", "dev", "eth0", "nodad", "preferred_lft", "0")
        here, stranger = (link.b4, "10.99.0.3") if family == 4 else (link.b6, "fd99::3")
        mine = link.a4 if family == 4 else link.a6
        _through(near, far, Authority(tmp_path / "ca"), here, mine, stranger, tmp_path)
    finally:
        near.close()
        far.close()


def _through(
    near: Namespace, far: Namespace, tls: Authority, here: str, mine: str, stranger: str, folder: Path
) -> None:
    with Responder(folder / "r", tls=tls, listen=here, firewall="required", prefix=far.exec()) as responder:
        token = folder / "r" / "token-paris-cargo-box-01"
        arguments = [f"https://{responder.host}:{responder.port}", str(tls.pem), str(token), mine, stranger]
        told = near.run(sys.executable, "-m", "tests.support.slot_box", *arguments)
        assert told.splitlines() == ["stranger: refused", "box: reached", "measured: None", "afterwards: refused"]
        assert "stranger in a slot" not in responder.log(), "it never reached the server"
        table = far.run("nft", "list", "ruleset")
    assert f"fibrewatch_slots_{responder.port}" in table
    assert "fibrewatch_slots" not in far.run("nft", "list", "ruleset")


def test_firewalled_control_is_a_timeout(tmp_path: Path) -> None:
    near, far = Namespace("near"), Namespace("far")
    try:
        link = Link(near, far)
        far.run("nft", "add table inet f; add chain inet f i { type filter hook input priority 0; policy drop; }")
        far.run("nft", "add rule inet f i meta l4proto ipv6-icmp accept")
        arguments = [f"http://{link.b4}:5200", "-", str(tmp_path / "token"), link.a4, link.a4]
        (tmp_path / "token").write_text("token")
        told = near.run(sys.executable, "-m", "tests.support.slot_box", *arguments)
    finally:
        near.close()
        far.close()
    assert told.startswith("no slot: timeout")


def test_required_firewall_that_can_not_be_had_is_said(tmp_path: Path) -> None:
    config = tmp_path / "responder.toml"
    (tmp_path / "tokens").touch()
    config.write_text(f'[control]\ncapacity = "1 Gbit/s"\ntokens = "{tmp_path / "tokens"}"\nfirewall = "required"\n')
    command = [sys.executable, "-m", "fibrewatch_agent", "responder", "--config", str(config)]
    for tool in ("setpriv", "iperf3", "openssl"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    ended = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60, env=os.environ | {"PATH": str(tmp_path)}
    )
    assert ended.returncode == 2
    assert ended.stderr.endswith(
        "fibrewatch-agent: slots can't be kept apart by nftables: nft is not installed: apt install nftables\n"
    )


def test_port_of_the_control_api_that_is_taken_is_one_line(responder: Responder) -> None:
    command = [sys.executable, "-m", "fibrewatch_agent", "responder", "--config", str(responder.config)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    problem = f"fibrewatch-agent: control API on 127.0.0.1 port {responder.port}: "
    assert ended.stderr.splitlines()[-1].startswith(problem)
