"""Stamps and error queue of real UDP sockets on loopback."""

import select
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from fibrewatch_agent.net import stamps
from tests.support.mosquitto import free_port

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


@pytest.fixture(params=LOOPBACK, ids=["v4", "v6"])
def sock(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    with socket.socket(request.param, socket.SOCK_DGRAM) as sock:
        sock.bind((LOOPBACK[request.param], 0))
        sock.setblocking(False)
        yield sock


def next_notice(sock: socket.socket) -> stamps.SendStamp | stamps.IcmpError:
    """Waits for one: the error queue makes poll say POLLERR."""
    poll = select.poll()
    poll.register(sock, 0)
    for _ in range(100):
        notice = stamps.read_error_queue(sock)
        if notice is not None:
            return notice
        poll.poll(100)
    raise TimeoutError("the error queue stays empty")


def sent_key(sock: socket.socket) -> int:
    sock.sendto(b"x", sock.getsockname())
    notice = next_notice(sock)
    assert isinstance(notice, stamps.SendStamp)
    return notice.key


async def test_kernel_stamps_lie_between_the_callers_own_and_in_order(sock: socket.socket) -> None:
    assert stamps.enable(sock) == "kernel"
    assert await stamps.flowing(tries=4000)
    before = time.time_ns()
    sock.sendto(b"x", sock.getsockname())
    sent = next_notice(sock)
    select.select([sock], [], [], 10)
    _, control, _, _ = sock.recvmsg(100, stamps.CONTROL_BYTES)
    received = stamps.received_at(control)
    assert isinstance(sent, stamps.SendStamp)
    assert received is not None
    assert before <= sent.ns <= received <= time.time_ns()


def test_keys_count_sends_and_count_anew_when_told(sock: socket.socket) -> None:
    stamps.enable(sock)
    assert [sent_key(sock) for _ in range(3)] == [0, 1, 2]
    stamps.restart_keys(sock)
    assert [sent_key(sock) for _ in range(2)] == [0, 1]


def test_an_icmp_error_says_who_and_about_what(sock: socket.socket) -> None:
    stamps.enable_errors(sock)
    host = LOOPBACK[sock.family]
    sock.sendto(b"to nobody", (host, free_port()))
    unreachable = (1, 4) if sock.family == socket.AF_INET6 else (3, 3)
    assert next_notice(sock) == stamps.IcmpError(host, *unreachable, host, b"to nobody")
    assert stamps.read_error_queue(sock) is None


def test_an_absent_stamp_is_none() -> None:
    zero = struct.pack("=qqqqqq", *[0] * 6)
    assert stamps.received_at([]) is None
    assert stamps.received_at([(socket.SOL_SOCKET, stamps.SO_TIMESTAMPING_NEW, zero)]) is None
    assert (
        stamps.received_at([(socket.SOL_SOCKET, stamps.SO_TIMESTAMPNS_NEW, struct.pack("=qq", 2, 3))]) == 2_000_000_003
    )


def test_a_notice_of_another_origin_is_passed_over() -> None:
    local = struct.pack("=IBBBxII", 90, 1, 0, 0, 1500, 0)
    assert stamps.parse_notice(b"", [(socket.IPPROTO_IP, stamps.IP_RECVERR, local)], ("127.0.0.1", 0)) is None
    assert stamps.parse_notice(b"", [], None) is None
