"""One end of a capacity test, in a process of its own that ends with it: `main()` prints an Outcome.

The responder's says "ready" when it listens and "claimed" when its box has spoken, each on a line, before.
"""

import os
import secrets
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import msgspec

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.capacity.messages import HELLO_BYTES, Feedback, Hello, Welcome, seal, session_key, unseal
from fibrewatch_agent.capacity.order import CLAIMED, ORDER, READY, Order, Outcome
from fibrewatch_agent.capacity.receiver import Receiver
from fibrewatch_agent.capacity.search import SILENCE_S
from fibrewatch_agent.capacity.sender import Sender
from fibrewatch_agent.net.sockets import Endpoint, opened, probe_error, sockaddr

_AGAIN_S = 0.2
_NONCE_BYTES = 16
_LARGEST_PACKET = 9000


def box(order: Order, hello: Hello, outcome: Outcome, stop: Callable[[], bool]) -> None:
    """The box's part.

    Raises:
        ProbeError, OSError: It failed.
    """
    with opened(Endpoint(order.host, order.port, order.interface), socket.SOCK_DGRAM) as (sock, address):
        sock.connect(address)
        key = _greeted(sock, order, hello)
        if hello.direction == "up":
            _send(Sender(sock, key, hello, hello.most), outcome, stop)
        else:
            _receive(Receiver(sock, key, hello.packet_bytes), outcome, stop)


def _greeted(sock: socket.socket, order: Order, hello: Hello) -> bytes:
    """The session's key, once the responder has proved itself."""
    token, until, refused = order.token.encode(), time.monotonic() + order.timeout_s, False
    while time.monotonic() < until:
        try:
            sock.send(seal(token, hello, HELLO_BYTES))
            readable, _, _ = select.select([sock], [], [], _AGAIN_S)
            answer = unseal(token, sock.recv(65536)) if readable else None
        except ConnectionRefusedError:
            refused, answer = True, None
            time.sleep(_AGAIN_S)
        if isinstance(answer, Welcome) and answer.nonce == hello.nonce:
            return session_key(token, answer)
    where = f"{order.host} UDP port {order.port}"
    raise ProbeError("refused", f"{where}: nobody there") if refused else ProbeError("timeout", f"{where}: no answer")


def _send(
    sender: Sender, outcome: Outcome, stop: Callable[[], bool], heard: Callable[[bytes], None] = lambda data: None
) -> None:
    outcome.began = time.monotonic()
    try:
        outcome.end = sender.run(stop, heard)
    finally:
        outcome.reports, outcome.sender_cpu, outcome.ended = sender.reports, sender.cpu, time.monotonic()
        outcome.moved = sender.moved


def _receive(
    receiver: Receiver, outcome: Outcome, stop: Callable[[], bool], heard: Callable[[bytes], None] = lambda data: None
) -> None:
    outcome.began = time.monotonic()
    try:
        receiver.run(stop, heard)
    finally:
        outcome.reports, outcome.end, outcome.ended = receiver.reports, receiver.end, time.monotonic()
        outcome.moved = receiver.moved


def responder(order: Order, outcome: Outcome, stop: Callable[[], bool]) -> None:
    """The responder's part: for one box, once.

    Raises:
        ProbeError, OSError: It failed.
    """
    with _bound(order) as sock:
        _say(READY)
        hello, address = _awaited(sock, order)
        sock.connect(address)
        _say(CLAIMED)
        welcome = Welcome(nonce=hello.nonce, own=secrets.token_urlsafe(_NONCE_BYTES))
        key, answer = session_key(order.token.encode(), welcome), seal(order.token.encode(), welcome)

        def again(data: bytes) -> None:
            if isinstance(unseal(order.token.encode(), data), Hello):
                sock.send(answer)

        sock.send(answer)
        if hello.direction == "up":
            _receive(Receiver(sock, key, hello.packet_bytes), outcome, stop, again)
        elif _hears(sock, key, again):
            _send(Sender(sock, key, hello, order.most), outcome, stop, again)
        else:
            raise ProbeError("timeout", "the box does not answer")


@contextmanager
def _bound(order: Order) -> Iterator[socket.socket]:
    family, address = sockaddr(Endpoint(order.host, order.port), socket.SOCK_DGRAM)
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(address)
        yield sock


def _awaited(sock: socket.socket, order: Order) -> tuple[Hello, Any]:
    """The box's wish, and where it comes from; what nobody could have granted it is not heard."""
    while True:
        select.select([sock], [], [])
        data, address = sock.recvfrom(65536)
        hello = unseal(order.token.encode(), data)
        if isinstance(hello, Hello) and str(address[0]).partition("%")[0] == order.peer and _granted(hello, order):
            return hello, address


def _granted(hello: Hello, order: Order) -> bool:
    fits = 0 < hello.duration_s <= order.duration_s and 100 <= hello.packet_bytes <= _LARGEST_PACKET
    return fits and hello.direction == order.direction and hello.most > 0


def _hears(sock: socket.socket, key: bytes, again: Callable[[bytes], None]) -> bool:
    """Whether the box reports in time: only who got our nonce can, so its address is its own."""
    until = time.monotonic() + SILENCE_S
    while (left_s := until - time.monotonic()) > 0:
        readable, _, _ = select.select([sock], [], [], left_s)
        data = sock.recv(65536) if readable else b""
        if isinstance(unseal(key, data), Feedback):
            return True
        again(data)
    return False


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    """Does what the order in the environment says and prints what came of it."""
    order, outcome = msgspec.json.decode(os.environ[ORDER], type=Order), Outcome()
    state = SimpleNamespace(stop=False)
    signal.signal(signal.SIGTERM, lambda *_: setattr(state, "stop", True))
    try:
        if order.hello is not None:
            box(order, order.hello, outcome, lambda: state.stop)
        else:
            responder(order, outcome, lambda: state.stop)
    except ProbeError as e:
        outcome.error, outcome.detail = e.error, e.detail
    except OSError as e:
        outcome.error, outcome.detail = probe_error(e), os.strerror(e.errno or 0)
    sys.stdout.buffer.write(msgspec.json.encode(outcome))
