"""Responders that don't do as they should: the right error, in time, nothing left, and the second one is asked."""

import asyncio
import json
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.slots import far_desk
from fibrewatch_agent.slots.far_desk import Slot
from fibrewatch_agent.slots.reservation import reserve
from fibrewatch_agent.tables import Control
from tests.support.certificates import Authority
from tests.support.iperf3 import box
from tests.support.leftovers import cancel_at_each_wait, nothing_left
from tests.support.lying import GRANTED, Answer, drips, http, lying, resets, says
from tests.support.mosquitto import free_port
from tests.support.slots import Responder, wish

PROBLEM = {"error": "full", "detail": "the queue is full", "retry_after": 3}
DEEP = b'{"more": ' * 5000
QUEUED = {"id": "slot", "place": 3, "expected_in": 900, "retry_after": 1, "kept": 15}


async def asks(*urls: str, patience_s: float = 5.0, **more: Any) -> Slot:
    """What comes of asking these."""
    async with reserve(Control(urls=urls, **more), wish(), box(), patience_s) as slot:
        return slot


async def fails(*urls: str, patience_s: float = 5.0, **more: Any) -> ProbeError:
    with pytest.raises(ProbeError) as caught:
        await asks(*urls, patience_s=patience_s, **more)
    return caught.value


@pytest.mark.parametrize(
    ("answer", "error", "detail"),
    [
        (says(http(201, b"\x00\xff not json")), "parse", "malformed"),
        (says(http(201, b'{"id": "\xff\xfe"}')), "parse", "can't decode"),
        (says(http(201, DEEP)), "parse", "recursion"),
        (says(http(429, DEEP)), "busy", "status 429"),
        (says(http(201, [1, 2])), "parse", "Expected `object`"),
        (says(http(201, GRANTED | {"port": 0})), "parse", "$.port"),
        (says(http(201, GRANTED | {"port": "5300"})), "parse", "$.port"),
        (says(http(201, GRANTED | {"token": "a b; rm -rf"})), "parse", "$.token"),
        (says(http(201, GRANTED | {"id": "../../etc"})), "parse", "$.id"),
        (says(http(201, GRANTED | {"public_key": "key"})), "parse", "$.public_key"),
        (says(http(201, GRANTED | {"ends_within": -1})), "parse", "$.ends_within"),
        (says(http(201, GRANTED | {"starts_in": 3600})), "protocol", "3600 s from now"),
        (says(http(201, {key: value for key, value in GRANTED.items() if key != "token"})), "parse", "token"),
        (says(http(202, {"id": "slot"})), "parse", "place"),
        (says(http(202, QUEUED)), "busy", "3 in the queue, about 900 s"),
        (says(http(429, PROBLEM)), "busy", "the queue is full"),
        (says(http(429, b"<html>")), "busy", "status 429"),
        (says(http(401, {"error": "x", "detail": "unknown box"})), "denied", "unknown box"),
        (says(http(500, b"<html>oops</html>")), "protocol", "status 500"),
        (says(http(200, GRANTED)), "protocol", "status 200"),
        (says(http(302, b"")), "protocol", "status 302"),
        (says(http(201, b" " * 100_000)), "protocol", "more than 65536 bytes"),
        (says(http(201, GRANTED)[:-9]), "protocol", "closed after"),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n"), "protocol", "begins with"),
        (says(b""), "reset", "closed without an answer"),
        (resets, "reset", "reset"),
    ],
)
async def test_answer_that_is_none_of_a_responder(answer: Answer, error: str, detail: str) -> None:
    async with lying(answer) as url:
        failure = await fails(url)
    assert failure.error == error
    assert detail in failure.detail


@pytest.mark.parametrize("clock", ["1970-01-01T00:00:10Z", "2199-12-31T23:59:59+14:00"])
async def test_clock_of_the_responder_counts_for_nothing(clock: str) -> None:
    async with lying(says(http(201, GRANTED | {"starts_at": clock}))) as url:
        slot = await asks(url)
    assert slot.left_s == pytest.approx(GRANTED["ends_within"], rel=0.5)


async def test_answer_that_drips_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(far_desk, "_ANSWERS_S", 0.5)
    async with lying(drips) as url, nothing_left():
        assert (await fails(url, patience_s=0.0)).error == "timeout"


async def test_nobody_listening_is_refused() -> None:
    async with nothing_left():
        assert (await fails(f"http://127.0.0.1:{free_port()}")).error == "refused"


async def test_stopped_responder_is_a_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(far_desk, "_ANSWERS_S", 0.5)
    with Responder(tmp_path) as responder:
        responder.process.send_signal(signal.SIGSTOP)
        try:
            failure = await fails(responder.control().urls[0], patience_s=0.0)
        finally:
            responder.process.send_signal(signal.SIGCONT)
    assert failure.error == "timeout"


async def test_second_responder_serves_when_the_first_can_not(tmp_path: Path) -> None:
    with Responder(tmp_path) as responder:
        control = responder.control()
        async with lying(says(http(429, PROBLEM))) as full, nothing_left():
            refused = f"http://127.0.0.1:{free_port()}"
            slot = await asks(refused, full, *control.urls, token=control.token)
        assert responder.first <= slot.port < responder.first + 200
        await responder.is_over("released")


async def test_busy_site_is_not_taken_to_the_second_responder() -> None:
    asked = asyncio.Event()

    async def second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()

    async with lying(says(http(429, PROBLEM | {"reason": "site"}))) as busy, lying(second) as free:
        assert (await fails(busy, free, patience_s=1.0)).error == "busy"
    async with lying(says(http(202, QUEUED | {"reason": "site"}))) as busy, lying(second) as free:
        assert (await fails(busy, free, patience_s=1.0)).error == "busy"
    assert not asked.is_set()


async def test_answer_that_is_lost_is_asked_for_again() -> None:
    requests = []

    async def loses_two(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"POST"):
            return
        requests.append(json.loads(await reader.readuntil(b"}"))["request"])
        if len(requests) < 3:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            writer.write(http(201, GRANTED))
            await writer.drain()

    async with lying(loses_two) as url:
        assert (await asks(url, patience_s=30.0)).port == GRANTED["port"]
    assert len(requests) == 3
    assert len(set(requests)) == 1, "the same question, so never a second slot"


async def test_refusal_that_says_when_is_asked_again_then() -> None:
    answers = iter([http(429, PROBLEM | {"retry_after": 2}), http(201, GRANTED), http(204, b"")])
    came: list[float] = []

    async def later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        came.append(time.monotonic())
        writer.write(next(answers))
        await writer.drain()

    async with lying(later) as url:
        assert (await asks(url, patience_s=30.0)).port == GRANTED["port"]
    assert came[1] - came[0] >= 2.0


async def test_first_responders_error_is_told_when_none_serves() -> None:
    async with lying(says(http(429, PROBLEM))) as full:
        failure = await fails(full, f"http://127.0.0.1:{free_port()}")
    assert failure.error == "busy"
    assert "the queue is full" in failure.detail
    assert "refused" in failure.detail


async def test_cancellation_at_any_wait_leaves_nothing() -> None:
    async with lying(says(http(201, GRANTED))) as url:
        assert await cancel_at_each_wait(lambda: asks(url)) >= 3


async def test_responder_without_a_certificate_of_our_authority_is_not_believed(tmp_path: Path) -> None:
    with Responder(tmp_path / "r", tls=Authority(tmp_path / "ca")) as responder:
        other = Authority(tmp_path / "other", "Another authority")
        failure = await fails(*responder.control().urls, ca=other.pem)
    assert failure.error == "tls"


@pytest.mark.parametrize(
    ("content", "error"),
    [(None, "denied"), ("", "denied"), ("two words\n", "denied"), ("x" * 300, "denied"), ("wrong", "denied")],
)
async def test_token_that_is_none(tmp_path: Path, content: str | None, error: str) -> None:
    token = tmp_path / "token"
    if content is not None:
        token.write_text(content)
    async with lying(says(http(401, {"error": "unauthorised", "detail": "no certificate or token of a box"}))) as url:
        assert (await fails(url, token=token)).error == error


def test_resident_box_never_loads_the_server() -> None:
    code = "import fibrewatch_agent.app, fibrewatch_agent.slots.reservation, sys; sys.exit('aiohttp' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    "word", [b"", b"[]", b"\xff", b'{"cpu": -1}', b'{"share": 0}', b'{"busy": 7}', b'{"cpu": "1"}']
)
async def test_slots_end_that_is_told_in_no_way_is_no_error(word: bytes) -> None:
    async def far(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(http(200, word) if head.startswith(b"DELETE") else http(201, GRANTED))
        await writer.drain()

    async with lying(far) as url:
        assert (await asks(url)).after.told is None


async def test_queue_is_left_when_the_patience_is_over() -> None:
    left = asyncio.Event()
    questions = 0

    async def queue(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal questions
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"DELETE /v1/slots/slot "):
            left.set()
            writer.write(b"HTTP/1.1 204 X\r\n\r\n")
        else:
            questions += 1
            writer.write(http(202, QUEUED | {"expected_in": 0, "retry_after": 0.1}))
        await writer.drain()

    async with lying(queue) as url:
        assert (await fails(url, patience_s=1.0)).error == "busy"
        await left.wait()
    assert questions > 2
