"""What the kernel says of connections, against what was sent over them."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from fibrewatch_agent.net import netlink
from fibrewatch_agent.net.tcp_info import TcpInfo, settable
from tests.support.waiting import wait_until

HOSTS = {4: "127.0.0.1", 6: "::1"}
BYTES = 300_000


class Pair:
    """A connection: `near` has connected to `far`."""

    def __init__(self, host: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, 0), family=family) as listener:
            self.port = listener.getsockname()[1]
            self.near = socket.create_connection((host, self.port))
            self.far, _ = listener.accept()

    def send(self, sender: socket.socket, receiver: socket.socket) -> None:
        """Moves BYTES."""
        sender.setblocking(False)
        left, moved = BYTES, 0
        while moved < BYTES:
            with suppress(BlockingIOError):
                left -= sender.send(bytes(min(left, 50_000))) if left else 0
            moved += len(receiver.recv(1 << 20))

    def close(self) -> None:
        """Both ends."""
        self.near.close()
        self.far.close()


@pytest.fixture(params=[4, 6])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Pair, TcpInfo, str]]:
    """A connection and who asks about it."""
    host = HOSTS[request.param]
    with closing(Pair(host)) as made, closing(TcpInfo(request.param)) as kernel:
        yield made, kernel, host


def test_bytes_received_and_acknowledged_are_those_sent(pair: tuple[Pair, TcpInfo, str]) -> None:
    made, kernel, host = pair
    made.send(made.far, made.near)
    made.send(made.near, made.far)
    wait_until(lambda: kernel.to(host, made.port)[0].acked == BYTES)
    (found,) = kernel.to(host, made.port)
    assert (found.received, found.acked, found.retransmits) == (BYTES, BYTES, 0)
    assert found.arrived > 0
    assert found.delivered > 0
    assert found.inode == os.fstat(made.near.fileno()).st_ino
    assert kernel.again([found.key])[0].received == BYTES


def test_congestion_control_is_told(pair: tuple[Pair, TcpInfo, str]) -> None:
    made, kernel, host = pair
    made.near.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    assert kernel.to(host, made.port)[0].congestion == "reno"


def test_only_connections_to_the_address_and_port_are_told(pair: tuple[Pair, TcpInfo, str]) -> None:
    made, kernel, host = pair
    with closing(Pair(host)) as other:
        assert [each.inode for each in kernel.to(host, other.port)] == [os.fstat(other.near.fileno()).st_ino]
        assert kernel.to("127.0.0.9" if ":" not in host else "::9", other.port) == []
        assert len(kernel.to(host, made.port)) == 1


def test_connection_that_has_ended_is_left_out_and_the_others_stay(pair: tuple[Pair, TcpInfo, str]) -> None:
    made, kernel, host = pair
    with closing(Pair(host)) as other:
        first, second = kernel.to(host, made.port)[0], kernel.to(host, other.port)[0]
        assert len(kernel.again([first.key, second.key, first.key])) == 3
        made.near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        made.near.close()
        assert [each.inode for each in kernel.again([first.key, second.key, first.key])] == [second.inode]
    assert kernel.again([]) == []


def test_kernel_that_refuses_a_question_says_so() -> None:
    with netlink.open_socket(netlink.SOCK_DIAG) as sock, pytest.raises(OSError) as caught:
        list(netlink.ask_all(sock, [(20, 0, b"\xff" * 56)], missing=errno.ENOENT))
    assert caught.value.errno in (errno.EINVAL, errno.ENOENT, errno.EPROTONOSUPPORT)


def test_congestion_control_that_is_not_there_can_not_be_set() -> None:
    assert settable("cubic")
    assert not settable("nosuch")
