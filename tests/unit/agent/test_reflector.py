"""The reflector on loopback: whom it answers, how often, and that nothing makes it fall or grow."""

import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fibrewatch.errors import ConfigError
from fibrewatch_agent.responder import reflector as module
from fibrewatch_agent.responder.reflector import ReflectorConfig, checked
from fibrewatch_agent.responder.sessions import Limiter, Prefixes, Sessions
from fibrewatch_agent.stamp import packets, tlvs
from fibrewatch_agent.stamp.key import read_key
from tests.support.reflector_bench import Bench

KEY = b"k" * 32


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    with ExitStack() as made:

        def make(**options: Any) -> Bench:
            one = Bench(**options)
            made.callback(one.close)
            return one

        yield make


def request(number: int = 0, *, ssid: int = 9, key: bytes | None = None, extensions: bytes = b"") -> bytes:
    sent = packets.ntp_time(time.time_ns())
    return packets.request(number, sent, 1, ssid=ssid, tlvs=extensions, key=key)


def reply(data: bytes | None, key: bytes | None = None) -> packets.Reply:
    assert data is not None
    parsed = packets.parse_reply(data, key)
    assert parsed is not None
    return parsed


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_it_counts_each_session_by_itself_and_stamps_in_order(bench: Callable[..., Bench], host: str) -> None:
    made = bench(host=host)
    other = made.open()
    for expected, (number, ssid, client) in enumerate([(0, 9, None), (1, 9, None), (5, 9, None)]):
        before = time.time_ns()
        got = reply(made.ask(request(number, ssid=ssid), client))
        assert (got.number, got.sender_number, got.ssid) == (expected, number, ssid)
        t2, t3 = packets.unix_ns(got.received, before), packets.unix_ns(got.sent, before)
        assert before - 1 <= t2 <= t3 <= time.time_ns()
    assert reply(made.ask(request(6, ssid=10))).number == 0
    assert reply(made.ask(request(6), other)).number == 0
    assert reply(made.ask(request(7))).number == 3


def test_true_send_times_are_told_with_the_next_reply(bench: Callable[..., Bench]) -> None:
    made, asked = bench(), tlvs.follow_up_request()
    first = reply(made.ask(request(0, extensions=asked)))
    assert tlvs.follow_up(tlvs.usable(first.tlvs)[tlvs.FOLLOW_UP]) is None
    second = reply(made.ask(request(1, extensions=asked)))
    told = tlvs.follow_up(tlvs.usable(second.tlvs)[tlvs.FOLLOW_UP])
    assert told is not None
    assert told[0] == first.number
    assert first.sent <= told[1] <= second.received


def test_a_session_silent_for_long_starts_anew(bench: Callable[..., Bench]) -> None:
    made = bench()
    assert [reply(made.ask(request(n))).number for n in range(3)] == [0, 1, 2]
    made.time += 901
    assert reply(made.ask(request(3))).number == 0


def test_a_source_gets_its_rate_and_no_more(bench: Callable[..., Bench]) -> None:
    made = bench(rate=10.0, burst=5.0)
    answers = [made.ask(request(n)) is not None for n in range(8)]
    assert answers == [True] * 5 + [False] * 3
    made.time += 0.35
    assert [made.ask(request(n)) is not None for n in range(5)] == [True] * 3 + [False] * 2
    assert made.reflector.counts["over_rate"] == 5


def test_only_allowed_sources_are_answered(bench: Callable[..., Bench]) -> None:
    made = bench(allow=("10.0.0.0/8", "2001:db8::/32"))
    assert made.ask(request()) is None
    assert made.reflector.counts == {"received": 1, "not_allowed": 1}
    assert bench(allow=("127.0.0.0/8",)).ask(request()) is not None


def test_service_ports_are_not_answered_or_two_reflectors_would_never_stop(bench: Callable[..., Bench]) -> None:
    made = bench()
    low = next(port for port in range(600, 1024) if _free(port))
    assert made.ask(request(), made.open(low)) is None
    assert made.reflector.counts["from_service_port"] == 1


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.mark.parametrize("size", [0, 1, 13])
def test_less_than_a_request_is_not_answered(bench: Callable[..., Bench], size: int) -> None:
    assert bench().ask(bytes(size)) is None


@pytest.mark.parametrize(("whole", "size"), [((), 14), (("127.0.0.1/32",), 44), (("10.0.0.0/8",), 14)])
def test_only_sources_that_were_named_get_more_than_they_sent(
    bench: Callable[..., Bench], whole: tuple[str, ...], size: int
) -> None:
    data = bench(whole=whole).ask(request()[:14])
    assert data is not None
    assert len(data) == size


def test_with_a_key_only_what_it_signed_is_answered(bench: Callable[..., Bench]) -> None:
    made = bench(key=KEY)
    assert made.ask(request()) is None
    assert made.ask(request(key=b"another key of enough bytes")) is None
    assert made.ask(request(key=KEY)[:111]) is None
    got = reply(made.ask(request(3, key=KEY, extensions=tlvs.follow_up_request())), KEY)
    assert (got.number, got.sender_number, got.ssid) == (0, 3, 9)
    assert made.reflector.counts["not_authenticated"] == 3


def test_the_code_point_of_the_request_is_that_of_the_reply(bench: Callable[..., Bench]) -> None:
    made = bench()
    made.client.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 46 << 2)
    made.client.setsockopt(socket.IPPROTO_IP, 13, 1)  # IP_RECVTOS
    made.client.sendto(request(extensions=tlvs.class_of_service_request(46)), (made.host, made.port))
    made.turn()
    data, control, _, _ = made.client.recvmsg(2000, 100)
    assert [value[0] >> 2 for level, kind, value in control if (level, kind) == (0, socket.IP_TOS)] == [46]
    marks = tlvs.marks(tlvs.usable(reply(data).tlvs)[tlvs.CLASS_OF_SERVICE])
    assert marks == tlvs.Marks(dscp=46, ecn=0, refused=False)


@settings(max_examples=1000, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    head=st.one_of(st.just(b""), st.just(request()), st.just(request(key=KEY))),
    tail=st.binary(max_size=200),
    keyed=st.booleans(),
)
def test_garbage_is_never_answered_with_more_and_never_breaks_it(head: bytes, tail: bytes, keyed: bool) -> None:
    made = _BENCHES[keyed]
    made.time += 10
    data = made.ask(head + tail)
    assert data is None or len(data) <= len(head + tail)
    got = made.ask(request(key=KEY if keyed else None))
    assert reply(got, KEY if keyed else None).sender_number == 0


_BENCHES = {False: Bench(), True: Bench(key=KEY)}


def test_what_it_remembers_is_bounded() -> None:
    rng, sessions, limiter = random.Random(5), Sessions(most=100), Limiter(10, 10, most=100)
    for n in range(5000):
        sessions.use(("10.0.0.1", n, rng.random()), n / 1000)
        limiter.allows(rng.random(), n / 1000)
    assert (len(sessions), len(limiter)) == (100, 100)
    prefixes = Prefixes(("10.0.0.0/8",), most=10)
    assert [f"10.0.{n}.1" in prefixes for n in range(40)] == [True] * 40
    assert "11.0.0.1" not in prefixes
    assert "fe80::1%eth0" not in prefixes


def test_a_busy_session_stays_while_others_come_and_go() -> None:
    sessions = Sessions(most=10)
    for n in range(100):
        assert sessions.use("busy", n).next == n
        sessions.use("busy", n).next += 1
        sessions.use(("passer-by", n), n)


def test_two_hosts_of_one_v6_network_share_their_rate_and_v4_hosts_do_not() -> None:
    assert module._site("2001:db8::1") == module._site("2001:db8::ffff:1:2:3")
    assert module._site("2001:db8::1") != module._site("2001:db8:0:1::1")
    assert module._site("10.0.0.1") != module._site("10.0.0.2")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"port": 70000}, "--reflector-port: 70000 is not a port"),
        ({"rate": 0.0}, "--reflector-rate: 0 is less than 1"),
        ({"allow": ("10.0.0.0/40",)}, "--reflector-allow: '10.0.0.0/40' does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_options_that_cannot_be_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked(ReflectorConfig(**changes))
    assert str(caught.value) == message


def test_a_key_is_its_files_bytes_without_the_newline(tmp_path: Any) -> None:
    file = tmp_path / "key"
    file.write_bytes(KEY + b"\n")
    assert read_key(file) == KEY
    file.write_bytes(b"short\n")
    with pytest.raises(ValueError, match="16 bytes at least"):
        read_key(file)
