"""dns against resolvers that tests run: every outcome, the retries, the change to TCP, nothing left behind."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from fibrewatch.config import build
from fibrewatch.errors import ConfigError
from fibrewatch.results.dns import Params, Result
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.probes import dns as dns_probe
from fibrewatch_agent.probes.dns import dns, system_resolvers
from tests.support.leftovers import cancel_at_each_wait, nothing_left
from tests.support.listeners import closed_port, hold, reset, tcp_server, udp_server
from tests.support.probe_driver import box

A, AAAA = (1, bytes([192, 0, 2, 1])), (28, bytes.fromhex("20010db8" + "0" * 23 + "1"))


def answer(asked: bytes, *records: tuple[int, bytes], flags: int = 0x8180) -> bytes:
    """The question repeated, and records that point to its name."""
    end = asked.index(b"\0", 12) + 5
    body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 300, len(data)) + data for kind, data in records)
    return asked[:2] + struct.pack("!5H", flags, 1, len(records), 0, 0) + asked[12:end] + body


def says(*records: tuple[int, bytes], flags: int = 0x8180) -> Callable[[bytes], list[bytes]]:
    return lambda asked: [answer(asked, *records, flags=flags)]


def over_tcp(reply: Callable[[bytes], bytes]) -> Any:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        writer.write(reply(asked))
        await writer.drain()

    return serve


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


async def ask(port: int, **more: Any) -> Result:
    return await dns(Params(name=more.pop("name", "www.example.fr"), port=port, **more), box("127.0.0.1"))


async def failure(port: int, **more: Any) -> ProbeError:
    async with nothing_left():
        with pytest.raises(ProbeError) as caught:
            await ask(port, **more)
    return caught.value


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_answer_over_udp_is_timed_by_the_kernels_stamps(host: str) -> None:
    async with udp_server(says((5, b"\xc0\x0c"), A, A, AAAA), host=host) as port, nothing_left():
        this = box(host)
        result = await dns(Params(name="www.example.fr", port=port), this)
    assert result.response_time is not None
    assert result.lookup_time is not None
    assert 0 < result.response_time < result.lookup_time
    assert (result.code, result.rcode, result.truncated, result.attempts) == ("NOERROR", 0, False, 1)
    assert (result.answers, result.answers_a, result.answers_aaaa, result.ttl_min) == (4, 2, 1, 300)
    assert result.addresses == ("192.0.2.1", "192.0.2.1", "2001:db8::1")
    assert (result.resolver, result.transport, result.stamps) == (host, "udp", "kernel")
    assert this.used_family == (6 if host == "::1" else 4)


async def test_the_target_is_the_name_and_its_address_the_answer() -> None:
    async with udp_server(says(A)) as port, nothing_left():
        this = box("www.example.fr")
        await dns(Params(resolver="127.0.0.1", port=port), this)
    assert this.resolved == "192.0.2.1"


async def test_a_numeric_target_is_a_resolver_and_asked_for_the_root() -> None:
    heard: list[bytes] = []

    def reply(asked: bytes) -> list[bytes]:
        heard.append(asked)
        return [answer(asked, (2, b"\1a\0"))]

    async with udp_server(reply) as port, nothing_left():
        result = await dns(Params(port=port), box("127.0.0.1"))
    assert heard[0][12:17] == b"\0\0\2\0\1"
    assert result.answers == 1


async def test_id_and_port_are_new_with_each_question() -> None:
    heard: set[bytes] = set()

    def reply(asked: bytes) -> list[bytes]:
        heard.add(asked[:2])
        return [answer(asked, A)]

    async with udp_server(reply) as port:
        for _ in range(20):
            await ask(port)
    assert len(heard) > 10


@pytest.mark.parametrize(
    ("code", "name", "error"),
    [
        (1, "FORMERR", "protocol"),
        (2, "SERVFAIL", "protocol"),
        (3, "NXDOMAIN", "name_not_found"),
        (4, "NOTIMP", "protocol"),
        (5, "REFUSED", "denied"),
    ],
)
async def test_an_answer_code_is_an_error_with_its_result(code: int, name: str, error: str) -> None:
    async with udp_server(says(flags=0x8180 | code)) as port:
        failed = await failure(port)
    assert (failed.error, failed.result.rcode, failed.result.code) == (error, code, name)
    assert failed.result.response_time > 0


async def test_no_records_of_that_type_is_an_answer() -> None:
    async with udp_server(says()) as port:
        result = await ask(port, type="AAAA")
    assert (result.code, result.answers, result.ttl_min) == ("NOERROR", 0, None)


@pytest.mark.parametrize("expect", ["192.0.2.1", "192.0.2.0/24", "2001:db8::/32"])
async def test_an_expected_address_or_network_is_found(expect: str) -> None:
    async with udp_server(says(A, AAAA)) as port:
        assert (await ask(port, expect=expect)).answers == 2


async def test_an_answer_without_what_is_expected_is_an_error() -> None:
    async with udp_server(says(A)) as port:
        failed = await failure(port, expect="198.51.100.0/24")
    assert failed.error == "protocol"
    assert "198.51.100.0/24 is not among the answers: 192.0.2.1" in failed.detail
    assert failed.result.answers_a == 1


async def test_a_silent_resolver_times_out_after_all_attempts() -> None:
    heard: list[bytes] = []
    async with udp_server(lambda asked: heard.append(asked) or []) as port:
        failed = await failure(port, timeout_s=0.3, attempts=3)
    assert failed.error == "timeout"
    assert "no end within 0.3 s" in failed.detail
    assert len(heard) == failed.result.attempts == 3


async def test_a_lost_question_is_asked_again() -> None:
    heard: list[bytes] = []

    def second(asked: bytes) -> list[bytes]:
        heard.append(asked)
        return [answer(asked, A)] if len(heard) == 2 else []

    async with udp_server(second) as port, nothing_left():
        result = await ask(port, timeout_s=10, attempts=50)
    assert result.attempts == 2
    assert result.lookup_time is not None
    assert result.response_time is not None
    assert result.lookup_time > 0.19, "the wait for the first is part of what a client waits"
    assert heard[0][:2] != heard[1][:2]


async def test_a_closed_port_is_refused() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    failed = await failure(port, timeout_s=5)
    assert failed.error == "refused"


@pytest.mark.parametrize("spoil", ["other id", "other name", "short", "noise"])
async def test_strange_replies_are_passed_over_and_named_when_nothing_else_came(spoil: str) -> None:
    def strange(asked: bytes) -> bytes:
        good = answer(asked, A)
        return {
            "other id": bytes([good[0] ^ 1]) + good[1:],
            "other name": good.replace(b"\3www", b"\3wwx"),
            "short": good[:9],
            "noise": b"\xff" * 300,
        }[spoil]

    async with udp_server(lambda asked: [strange(asked), answer(asked, A)]) as port, nothing_left():
        assert (await ask(port)).answers == 1
    async with udp_server(lambda asked: [strange(asked)]) as port:
        failed = await failure(port, timeout_s=0.2, attempts=1)
    assert failed.error == "protocol"
    assert "1 unfit replies" in failed.detail


async def test_an_answer_that_breaks_off_is_garbage() -> None:
    async with udp_server(lambda asked: [answer(asked, A)[:-2]]) as port:
        assert (await failure(port)).error == "protocol"


async def test_a_truncated_answer_is_asked_for_again_over_tcp() -> None:
    serve = over_tcp(lambda asked: framed(answer(asked, A, A, A)))
    async with tcp_server(serve) as port, udp_server(says(flags=0x8380), port=port), nothing_left():
        result = await ask(port)
        assert (result.transport, result.truncated, result.answers, result.stamps) == ("tcp", True, 3, "user")
        kept = await ask(port, tcp_on_truncation=False)
        assert (kept.transport, kept.truncated, kept.answers) == ("udp", True, 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_answer_over_tcp_in_pieces_is_put_together(host: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        for byte in framed(answer(asked, A)):
            writer.write(bytes([byte]))
            await writer.drain()

    async with tcp_server(serve, host=host) as port, nothing_left():
        result = await dns(Params(name="a.example", transport="tcp", port=port), box(host))
    assert (result.answers, result.truncated, result.transport) == (1, False, "tcp")


async def test_a_tcp_answer_cut_short_is_a_fault_of_the_protocol() -> None:
    async with tcp_server(over_tcp(lambda asked: framed(answer(asked, A))[:-3])) as port:
        failed = await failure(port, transport="tcp")
    assert failed.error == "protocol"
    assert "closed after" in failed.detail


async def test_a_tcp_answer_to_another_question_is_a_fault_of_the_protocol() -> None:
    async with tcp_server(over_tcp(lambda asked: framed(b"\xff" * 40))) as port:
        assert (await failure(port, transport="tcp")).error == "protocol"


async def test_a_tcp_connection_reset_before_the_answer_is_a_reset() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(2)
        reset(writer)

    async with tcp_server(serve) as port:
        assert (await failure(port, transport="tcp")).error == "reset"


async def test_a_tcp_resolver_that_says_nothing_times_out() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hold(reader)

    async with tcp_server(serve) as port:
        assert (await failure(port, transport="tcp", timeout_s=0.2)).error == "timeout"


async def test_a_closed_tcp_port_is_refused() -> None:
    with closed_port() as port:
        assert (await failure(port, transport="tcp")).error == "refused"


async def test_a_name_that_no_question_can_hold_is_not_found() -> None:
    assert (await failure(53, name="a..b")).error == "name_not_found"


async def test_a_resolver_by_name_is_resolved_anew() -> None:
    async with udp_server(says(A)) as port, nothing_left():
        result = await dns(Params(name="a.example", resolver="localhost", port=port), box(None, family=4))
    assert result.resolver == "127.0.0.1"


async def test_neither_name_nor_target_is_said() -> None:
    with pytest.raises(ProbeError, match="neither a name nor a target"):
        await dns(Params(), box(None))


@pytest.fixture
def resolv_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "resolv.conf"
    monkeypatch.setattr(dns_probe, "RESOLV_CONF", path)
    return path


async def test_the_systems_resolvers_are_asked_in_turn(resolv_conf: Path) -> None:
    """The first one refuses (nobody listens on ::1), the second one answers."""
    resolv_conf.write_text("# comment\nsearch example.fr\nnameserver ::1\nnameserver 127.0.0.1\noptions edns0\n")
    async with udp_server(says(A)) as port, nothing_left():
        result = await dns(Params(port=port), box("www.example.fr"))
        assert (result.resolver, result.attempts) == ("127.0.0.1", 2)
        only6 = box("www.example.fr", family=6)
        with pytest.raises(ProbeError) as caught:
            await dns(Params(port=port), only6)
    assert caught.value.error == "refused"


def _named(resolv_conf: Path, *addresses: str) -> None:
    resolv_conf.write_text("".join(f"nameserver {address}\n" for address in addresses))


async def test_the_third_resolver_is_asked_in_the_first_round(resolv_conf: Path) -> None:
    _named(resolv_conf, "127.0.0.1", "127.0.0.2", "127.0.0.3")
    heard: list[bytes] = []

    def silent(asked: bytes) -> list[bytes]:
        heard.append(asked)
        return []

    async with (
        udp_server(silent) as port,
        udp_server(silent, host="127.0.0.2", port=port),
        udp_server(says(A), host="127.0.0.3", port=port),
        nothing_left(),
    ):
        result = await dns(Params(port=port, timeout_s=3.0), box("www.example.fr"))
        assert (result.resolver, result.attempts, len(heard)) == ("127.0.0.3", 3, 2)
        once = await dns(Params(port=port, timeout_s=3.0, attempts=1), box("www.example.fr"))
    assert (once.resolver, once.attempts, len(heard)) == ("127.0.0.3", 3, 4)


async def test_all_resolvers_are_asked_in_each_round_within_the_deadline(resolv_conf: Path) -> None:
    _named(resolv_conf, "127.0.0.1", "127.0.0.2", "127.0.0.3")
    heard: list[str] = []

    def silent(name: str) -> Callable[[bytes], list[bytes]]:
        return lambda _: heard.append(name) or []

    async with (
        udp_server(silent("a")) as port,
        udp_server(silent("b"), host="127.0.0.2", port=port),
        udp_server(silent("c"), host="127.0.0.3", port=port),
    ):
        with pytest.raises(ProbeError) as caught:
            await dns(Params(port=port, timeout_s=1.2), box("www.example.fr"))
    assert (caught.value.error, heard) == ("timeout", [*"abcabc"])


async def test_what_a_refusal_leaves_of_the_time_is_the_others(resolv_conf: Path) -> None:
    """Two refuse at once; the third needs more than a sixth of the time."""
    _named(resolv_conf, "::1", "127.0.0.2", "127.0.0.1")

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        await asyncio.sleep(1.15)
        writer.write(framed(answer(asked, A)))
        await writer.drain()

    async with tcp_server(late) as port, nothing_left():
        result = await dns(Params(port=port, transport="tcp", timeout_s=6.0), box("www.example.fr"))
    assert (result.resolver, result.attempts) == ("127.0.0.1", 3)


async def test_a_family_without_a_resolver_is_unreachable(resolv_conf: Path) -> None:
    resolv_conf.write_text("nameserver 127.0.0.1\n")
    with pytest.raises(ProbeError, match="no resolver of IPv6") as caught:
        await dns(Params(), box("www.example.fr", family=6))
    assert caught.value.error == "unreachable"


def test_resolv_conf_is_read_as_the_c_library_does() -> None:
    names = ["192.0.2.1 # a", "fe80::1%eth0", "junk", "::1", "192.0.2.4"]
    lines = [";nameserver 192.0.2.9", "nameserver", *(f"nameserver\t{name}" for name in names)]
    assert system_resolvers("\n".join(lines)) == ("192.0.2.1", "fe80::1%eth0", "::1")
    assert system_resolvers("") == ("127.0.0.1",)


def test_an_expectation_that_is_no_network_is_refused_by_the_config() -> None:
    with pytest.raises(
        ConfigError, match=r"agent.toml: tests.x.params: '300.0.0.1' does not appear to be an IPv4 or IPv6"
    ):
        build({"expect": "300.0.0.1"}, Params, "agent.toml", "tests.x.params")


async def test_cancelled_at_any_wait_it_leaves_nothing() -> None:
    serve = over_tcp(lambda asked: framed(answer(asked, A)))
    async with tcp_server(serve) as port, udp_server(says(flags=0x8380), port=port):
        assert await cancel_at_each_wait(lambda: ask(port)) >= 2


class Resolver(threading.Thread):
    """Answers from a thread of its own, whatever the event loop does."""

    def __init__(self) -> None:
        super().__init__()
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port: int = self.sock.getsockname()[1]

    def run(self) -> None:
        while True:
            asked, where = self.sock.recvfrom(2000)
            if not asked:
                return
            self.sock.sendto(answer(asked, A), where)


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    thread = Resolver()
    thread.start()
    yield thread
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"", ("127.0.0.1", thread.port))
    thread.join()
    thread.sock.close()


@pytest.mark.calm
async def test_a_busy_event_loop_does_not_lengthen_the_response_time(resolver: Resolver) -> None:
    async def hog() -> None:
        while True:
            time.sleep(0.02)
            await asyncio.sleep(0.001)

    hogging = asyncio.get_running_loop().create_task(hog())
    results = [await ask(resolver.port) for _ in range(20)]
    hogging.cancel()
    waited = median(each.lookup_time or 0 for each in results)
    assert median(each.response_time or 1 for each in results) < waited / 5
