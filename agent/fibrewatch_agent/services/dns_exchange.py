"""Asks one resolver one question, over UDP or TCP (RFC 1035 §4.2, RFC 7766)."""

import os
import time
from collections.abc import Callable
from typing import NamedTuple

from fibrewatch.results.dns import Transport
from fibrewatch.results.ping import Stamps
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.net import datagram
from fibrewatch_agent.net.connect import connected
from fibrewatch_agent.net.sockets import Endpoint
from fibrewatch_agent.net.streams import PlainStream, Stream
from fibrewatch_agent.services import dns_message
from fibrewatch_agent.services.dns_message import MessageError

_LENGTH_BYTES = 2


class Question(NamedTuple):
    """What to ask for, as `dns_message.question`; each time under a new random id."""

    name: str
    kind: str
    recursion: bool = True
    udp_size: int = 0

    def written(self) -> bytes:
        """A message.

        Raises:
            ProbeError: name_not_found, no message can hold the name.
        """
        number = int.from_bytes(os.urandom(2), "big")
        try:
            return dns_message.question(self.name, self.kind, number, recursion=self.recursion, udp_size=self.udp_size)
        except MessageError as e:
            raise ProbeError("name_not_found", str(e)) from e


class Answered(NamedTuple):
    """An answer and what it took."""

    message: bytes
    response_s: float
    stamps: Stamps


async def ask(to: Endpoint, question: Question, transport: Transport, stray: Callable[[], None]) -> Answered:
    """One question, one answer; the caller sets the deadline, and `stray` is told of each datagram that is no answer.

    Raises:
        ProbeError: protocol, and as `datagram.ask` and `connected`.
        OSError: The same.
    """
    return await (_over_udp if transport == "udp" else _over_tcp)(to, question.written(), stray)


async def _over_udp(to: Endpoint, asked: bytes, stray: Callable[[], None]) -> Answered:
    def fits(data: bytes) -> bool:
        if dns_message.answers(data, asked):
            return True
        stray()
        return False

    reply = await datagram.ask(to, asked, fits)
    return Answered(reply.data, reply.rtt_s, reply.stamps)


async def _over_tcp(to: Endpoint, asked: bytes, _: Callable[[], None]) -> Answered:
    async with connected(to) as connection:
        stream = PlainStream(connection.sock)
        began = time.monotonic()
        await stream.send(len(asked).to_bytes(_LENGTH_BYTES, "big") + asked)
        message = await _message(stream)
        took = time.monotonic() - began
    if not dns_message.answers(message, asked):
        raise ProbeError("protocol", "the reply is no answer to the question")
    return Answered(message, took, "user")


async def _message(stream: Stream) -> bytes:
    """The message behind its length; at least a header's, at most what two bytes can say."""
    data = b""
    while len(data) < _LENGTH_BYTES or len(data) < _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big"):
        more = await stream.receive()
        if not more:
            raise ProbeError("protocol", f"closed after {len(data)} bytes of an answer")
        data += more
    return data[_LENGTH_BYTES : _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")]
