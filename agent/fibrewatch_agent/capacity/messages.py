"""What both ends of a capacity test say to each other by UDP: our own protocol, each word sealed by the slot's token.

    box → responder     Hello, until the answer is there; it is longer than any answer
    responder → box     Welcome, with a nonce of its own: from both nonces and the token the session's key follows
    sender → receiver   load packets: mark, session, sequence number, send time; padded with random bytes
    receiver → sender   Feedback each 50 ms; nothing flows faster than the table's first row before one was believed
    sender → receiver   End, until the final Feedback is there

RFC 9946's protocol is not spoken. Who has not the token gets no answer at all, and so no load; an address that is not
the box's can't answer with the responder's nonce, and so gets none either.
"""

import hmac
import struct
from typing import Literal

import msgspec
from msgspec import Struct

LOAD = b"FWcL"
HEADER = struct.Struct("!4s8sQQ")
NUMBERS = struct.Struct("!QQ")
NUMBERS_AT = 12
_SEALED = b"FWcS"
_SEAL_BYTES = 16
HELLO_BYTES = 500


class Hello(Struct, frozen=True, kw_only=True, tag="hello"):
    """The box's wish; rates in bytes of IP per second."""

    nonce: str
    direction: Literal["down", "up"]
    duration_s: float
    packet_bytes: int
    most: float
    max_bytes: float | None
    tolerated_loss: float
    lower_s: float
    upper_s: float


class Welcome(Struct, frozen=True, kw_only=True, tag="welcome"):
    """The answer, with both nonces."""

    nonce: str
    own: str


class Feedback(Struct, frozen=True, kw_only=True, tag="feedback"):
    """What the receiver has seen by a moment of its monotonic clock: sums of the whole test, and since the last report.

    Attributes:
        drops: Packets that its own socket had no room for.
        errors: Lost, out of order or twice since the last report; packets: received since then.
        delay_s: Mean above the least of the test; delay_min_s, delay_max_s: on the unknown offset of both clocks.
        cpu_s: Of the receiving process.
        stop: The receiver wants the sender to end; final: its answer to End.
    """

    number: int
    at_ns: int
    received: int
    lost: int
    reordered: int
    duplicates: int
    drops: int
    packets: int
    errors: int
    delay_s: float | None
    delay_min_s: float | None
    delay_max_s: float | None
    cpu_s: float
    stop: bool = False
    final: bool = False


class End(Struct, frozen=True, kw_only=True, tag="end"):
    """The sender's last word.

    Attributes:
        met: In how many reports it saw congestion; top: the greatest rate that it was to send.
        cpu: In cores, of its busiest second.
    """

    sent: int
    met: int
    top: float
    cpu: float | None
    stopped: Literal["duration", "tenants", "bytes"]


Message = Hello | Welcome | Feedback | End


def seal(key: bytes, message: Message, least: int = 0) -> bytes:
    """The datagram, padded to a length."""
    body = msgspec.json.encode(message)
    body += b" " * (least - len(body) - len(_SEALED) - _SEAL_BYTES)
    return _SEALED + hmac.digest(key, body, "sha256")[:_SEAL_BYTES] + body


def unseal(key: bytes, datagram: bytes) -> Message | None:
    """What it says; None when it is not sealed by this key, or not of this protocol."""
    seal_at, body_at = len(_SEALED), len(_SEALED) + _SEAL_BYTES
    body = datagram[body_at:]
    if not datagram.startswith(_SEALED) or len(datagram) <= body_at:
        return None
    if not hmac.compare_digest(hmac.digest(key, body, "sha256")[:_SEAL_BYTES], datagram[seal_at:body_at]):
        return None
    try:
        message: Message = msgspec.json.decode(body, type=Message)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return message


def session_key(token: bytes, welcome: Welcome) -> bytes:
    """Of the words behind the Welcome; its first 8 bytes mark the load."""
    return hmac.digest(token, f"session {welcome.nonce} {welcome.own}".encode(), "sha256")
