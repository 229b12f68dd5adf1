"""ntp against servers that tell the time, refuse to, or talk nonsense."""

import struct
import time
from collections.abc import Callable
from typing import Any

import pytest

from fibrewatch.results.ntp import Params, Result
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.net import datagram
from fibrewatch_agent.probes.ntp import ntp
from tests.support.leftovers import cancel_at_each_wait, nothing_left
from tests.support.listeners import udp_server
from tests.support.probe_driver import box


def stamp(seconds: float) -> int:
    return int((seconds + 2_208_988_800) * 2**32) % 2**64


def server(
    ahead_s: float = 0.0, *, leap: int = 0, stratum: int = 2, refid: bytes = b"\x0a\0\0\1", version: int = 4
) -> Callable[[bytes], list[bytes]]:
    """A server whose clock is ahead of this host's."""

    def reply(asked: bytes) -> list[bytes]:
        now = stamp(time.time() + ahead_s)
        head = struct.pack("!BBbbII4s8s", leap << 6 | version << 3 | 4, stratum, 6, -20, 655, 1311, refid, bytes(8))
        return [head + asked[40:48] + struct.pack("!2Q", now, now)]

    return reply


async def ask(port: int, host: str = "127.0.0.1", **more: Any) -> Result:
    return await ntp(Params(port=port, **more), box(host))


async def failure(port: int, **more: Any) -> ProbeError:
    async with nothing_left():
        with pytest.raises(ProbeError) as caught:
            await ask(port, **more)
    return caught.value


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("ahead_s", [0.0, 12.5, -86400.0])
async def test_the_offset_is_found_within_its_uncertainty(host: str, ahead_s: float) -> None:
    async with udp_server(server(ahead_s), host=host) as port, nothing_left():
        result = await ask(port, host)
    assert result.offset is not None
    assert result.uncertainty is not None
    assert abs(result.offset - ahead_s) <= result.uncertainty
    assert result.uncertainty == pytest.approx((result.delay or 0) / 2 + 655 / 65536 / 2 + 1311 / 65536 + 2**-20)
    assert (result.stratum, result.synchronised, result.leap, result.refid) == (2, True, 0, "10.0.0.1")
    assert (result.kiss, result.version, result.stamps) == (None, 4, "kernel")


async def test_an_older_server_answers_in_its_version() -> None:
    async with udp_server(server(version=3)) as port:
        assert (await ask(port)).version == 3


@pytest.mark.parametrize(("leap", "stratum", "told"), [(3, 2, 2), (0, 16, 16), (3, 0, 16)])
async def test_a_server_without_time_is_a_result_that_says_so(leap: int, stratum: int, told: int) -> None:
    async with udp_server(server(3600.0, leap=leap, stratum=stratum, refid=b"INIT")) as port, nothing_left():
        result = await ask(port)
    assert (result.synchronised, result.leap, result.stratum) == (False, leap, told)
    assert (result.offset, result.uncertainty) == (None, None), "its time is none"


@pytest.mark.parametrize(("code", "error"), [("DENY", "denied"), ("RSTR", "denied"), ("RATE", "busy")])
async def test_a_kiss_of_death_is_an_error(code: str, error: str) -> None:
    async with udp_server(server(leap=3, stratum=0, refid=code.encode())) as port:
        failed = await failure(port)
    assert (failed.error, failed.result.kiss, failed.result.offset) == (error, code, None)


async def test_a_forged_kiss_is_passed_over() -> None:
    """It does not know what we sent."""

    def forged_first(asked: bytes) -> list[bytes]:
        (kiss,), (good,) = server(leap=3, stratum=0, refid=b"DENY")(bytes(48)), server()(asked)
        return [kiss, b"noise", good]

    async with udp_server(forged_first) as port, nothing_left():
        assert (await ask(port)).synchronised


@pytest.mark.parametrize("reply", [b"noise", bytes(48), b"\x24" * 47])
async def test_garbage_alone_is_a_fault_of_the_protocol_when_the_time_is_over(reply: bytes) -> None:
    async with udp_server(lambda asked: [reply]) as port:
        failed = await failure(port, timeout_s=0.2)
    assert failed.error == "protocol"
    assert "1 unfit replies" in failed.detail


async def test_times_that_can_not_be_are_a_fault_of_the_protocol() -> None:
    def backwards(asked: bytes) -> list[bytes]:
        (good,) = server()(asked)
        return [good[:40] + stamp(time.time() - 5).to_bytes(8, "big")]

    async with udp_server(backwards) as port:
        failed = await failure(port)
    assert failed.error == "protocol"
    assert failed.result.stratum == 2


@pytest.mark.parametrize("leap", [0, 3])
@pytest.mark.parametrize("stratum", [17, 128, 255])
async def test_a_reserved_stratum_is_a_fault_of_the_protocol(leap: int, stratum: int) -> None:
    async with udp_server(server(leap=leap, stratum=stratum)) as port:
        failed = await failure(port)
    assert (failed.error, failed.result) == ("protocol", None)
    assert f"stratum {stratum} is reserved" in failed.detail


async def test_a_silent_server_times_out() -> None:
    async with udp_server(lambda asked: []) as port:
        failed = await failure(port, timeout_s=0.2)
    assert (failed.error, failed.result) == ("timeout", None)


async def test_cancelled_at_any_wait_it_leaves_nothing() -> None:
    async with udp_server(server()) as port:
        assert await cancel_at_each_wait(lambda: ask(port)) >= 1
        assert await cancel_at_each_wait(lambda: ntp(Params(port=port), box("localhost", family=4))) >= 2


async def test_a_clock_that_was_stepped_meanwhile_gives_no_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = datagram._clocks
    steps = iter((0, 5_000_000_000))

    def stepped() -> tuple[int, int]:
        wall, monotonic = clocks()
        return wall + next(steps), monotonic

    monkeypatch.setattr(datagram, "_clocks", stepped)
    async with udp_server(server()) as port, nothing_left():
        this = box("127.0.0.1")
        result = await ntp(Params(port=port), this)
    assert (this.verdict, this.reasons) == ("invalid", ["clock_stepped"])
    assert (result.offset, result.stratum, result.stamps) == (None, 2, "user")
