"""A reflector served by hand, one turn after each request."""

import socket
from contextlib import ExitStack
from typing import Any

from fibrewatch_agent.clock import ClockState
from fibrewatch_agent.responder.reflector import Reflector, ReflectorConfig

UNSYNCHRONISED = ClockState(synchronised=False)


class Bench:
    """A reflector served by hand, and a client."""

    def __init__(self, host: str = "127.0.0.1", key: bytes | None = None, **config: Any) -> None:
        self.time = 1000.0
        self.host = host
        self.reflector = Reflector(
            ReflectorConfig(hosts=(host,), port=0, **config), key, clock=lambda: UNSYNCHRONISED, now=lambda: self.time
        )
        (self.port,) = self.reflector.ports
        self.sockets = ExitStack()
        self.client = self.open()

    def open(self, port: int = 0) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        sock = self.sockets.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        sock.bind((self.host, port))
        sock.setblocking(False)
        return sock

    def ask(self, data: bytes, client: socket.socket | None = None) -> bytes | None:
        """One packet, and the reply to it; delivery on loopback is done when sendto returns."""
        client = client or self.client
        client.sendto(data, (self.host, self.port))
        self.turn()
        try:
            return client.recv(65535)
        except BlockingIOError:
            return None

    def turn(self) -> None:
        for end in self.reflector._ends:
            self.reflector.turn(end)

    def close(self) -> None:
        self.sockets.close()
        self.reflector.close()
