"""STAMP test packets as bytes (RFC 8762 §4.2, §4.3), and those of TWAMP Light that it shares (RFC 5357 §4).

Nothing here does I/O. Authenticated packets carry HMAC-SHA-256 truncated to 128 bits over their first 96 bytes
(RFC 8762 §4.4); a key makes the difference between the two modes.
"""

import hmac
import math
import struct
from typing import NamedTuple

from fibrewatch_agent.services import ntp_message
from fibrewatch_agent.stamp import tlvs as stamp_tlvs

PORT = 862
BASE, AUTHENTICATED_BASE = 44, 112
SHORTEST_REQUEST = 14
"""TWAMP Light: number, time and error estimate (RFC 5357 §4.1.2)."""
SHORTEST_REPLY = 38
"""TWAMP Light as real peers send it: up to the sender's error estimate, without its TTL (RFC 5357 §4.2.1)."""
_WITH_TTL, _SIGNED, _HMAC = 41, 96, 16

_REQUEST = struct.Struct("!IQHH28x")  # number, time, error estimate, session id
_REQUEST_SIGNED = struct.Struct("!I12xQHH68x")
_REPLY = struct.Struct("!IQHHQIQH2xB3x")  # the reflector's four, T2, then the sender's number, time, estimate, TTL
_REPLY_SIGNED = struct.Struct("!I12xQHH4xQ8xI12xQH6xB15x")
_TIME = struct.Struct("!Q")
_NTP_EPOCH_NS = 2_208_988_800 * 1_000_000_000
_SYNCHRONISED, _PTP = 0x8000, 0x4000
_LARGEST_SCALE = 63


class ErrorEstimate(NamedTuple):
    """What one end says of its clock (RFC 4656 §4.1.2, RFC 8186 §2.3).

    Attributes:
        synchronised: To UTC by an outside source (S).
        ptp: Its time stamps are of the truncated PTPv2 format (Z), not of NTP's.
        seconds: Bound of its clock's error.
    """

    synchronised: bool
    ptp: bool
    seconds: float


class Reply(NamedTuple):
    """A reply's parts; the three times as they stand in the packet.

    Attributes:
        number: The reflector's own count of the session, or the sender's number again when it keeps none.
        sent, received: T3 and T2.
        sender_number, sender_sent: Of the request that it answers.
        ttl: Of the request when it came; None in a packet too short to say.
        tlvs: What follows the base packet.
    """

    number: int
    sent: int
    estimate: ErrorEstimate
    ssid: int
    received: int
    sender_number: int
    sender_sent: int
    ttl: int | None
    tlvs: bytes


def ntp_time(unix_ns: int) -> int:
    """Nanoseconds since 1970 as NTP's 64 bits (RFC 5905 §6), which wrap in 2036."""
    return ((unix_ns + _NTP_EPOCH_NS << 32) // 1_000_000_000) & 0xFFFF_FFFF_FFFF_FFFF


def unix_ns(timestamp: int, near_ns: int, *, ptp: bool = False) -> int:
    """A packet's time in nanoseconds since 1970, of the era nearest to a known time.

    A truncated PTPv2 time is seconds and nanoseconds (RFC 8186 §2.1) of a scale that its sender does not tell: usually
    TAI, 37 s ahead of UTC. Differences of such times are true, the times themselves need not be.
    """
    if not ptp:
        return ntp_message.unix_ns(timestamp, near_ns)
    seconds, nanoseconds = timestamp >> 32, timestamp & 0xFFFF_FFFF
    near_s = near_ns // 1_000_000_000
    ahead = (seconds - near_s + 2**31) % 2**32 - 2**31
    return (near_s + ahead) * 1_000_000_000 + nanoseconds


def error_estimate(bound_s: float | None) -> int:
    """Our clock's error as the packet's 16 bits, rounded up; None while it is not synchronised."""
    if bound_s is None:
        return 0x0001  # the multiplier must not be 0
    units = max(1, math.ceil(bound_s * 2**32))
    scale = max(0, units.bit_length() - 8)
    multiplier = -(-units >> scale)
    if multiplier > 0xFF:
        scale, multiplier = scale + 1, (multiplier + 1) // 2
    if scale > _LARGEST_SCALE:
        scale, multiplier = _LARGEST_SCALE, 0xFF
    return _SYNCHRONISED | scale << 8 | multiplier


def parse_error_estimate(field: int) -> ErrorEstimate:
    """The meaning of the 16 bits; a multiplier of 0 is invalid and says nothing of the clock (RFC 4656 §4.1.2)."""
    scale, multiplier = field >> 8 & 0x3F, field & 0xFF
    return ErrorEstimate(
        synchronised=bool(field & _SYNCHRONISED) and multiplier > 0,
        ptp=bool(field & _PTP),
        seconds=multiplier * 2.0 ** (scale - 32),
    )


def request(number: int, sent: int, estimate: int, *, ssid: int, tlvs: bytes = b"", key: bytes | None = None) -> bytes:
    """A sender's packet; with a key it is authenticated, and so are its TLVs."""
    if key is None:
        return _REQUEST.pack(number, sent, estimate, ssid) + tlvs
    head = _REQUEST_SIGNED.pack(number, sent, estimate, ssid)
    return head + digest(key, head) + stamp_tlvs.signed(tlvs, head[:4], key)


def parse_reply(data: bytes, key: bytes | None = None) -> Reply | None:
    """A reply's parts; None when it is too short, or its HMAC is not of our key."""
    if key is not None:
        return _parse_signed(data, key)
    if len(data) < SHORTEST_REPLY:
        return None
    number, sent, estimate, ssid, received, sender_number, sender_sent, _, ttl = _REPLY.unpack_from(
        data.ljust(BASE, b"\0")
    )
    return Reply(
        number,
        sent,
        parse_error_estimate(estimate),
        ssid,
        received,
        sender_number,
        sender_sent,
        ttl if len(data) >= _WITH_TTL else None,
        data[BASE:],
    )


def _parse_signed(data: bytes, key: bytes) -> Reply | None:
    if len(data) < AUTHENTICATED_BASE or not is_signed(data, key):
        return None
    number, sent, estimate, ssid, received, sender_number, sender_sent, _, ttl = _REPLY_SIGNED.unpack_from(data)
    tlvs = stamp_tlvs.verified(data[AUTHENTICATED_BASE:], data[:4], key)
    parsed = parse_error_estimate(estimate)
    return Reply(number, sent, parsed, ssid, received, sender_number, sender_sent, ttl, tlvs)


def is_signed(data: bytes, key: bytes) -> bool:
    """Whether a packet of at least 112 bytes carries the HMAC of this key."""
    return hmac.compare_digest(digest(key, data[:_SIGNED]), data[_SIGNED:AUTHENTICATED_BASE])


def digest(key: bytes, text: bytes | bytearray) -> bytes:
    """HMAC-SHA-256, its first 128 bits."""
    return hmac.digest(key, text, "sha256")[:_HMAC]


def session_of(data: bytes, key: bytes | None) -> int:
    """The session id of a request (RFC 8972 §3); 0 where it has none, as TWAMP's have not.

    Where TWAMP's padding stands there, mostly pseudo-random, each packet would be a session of its own.
    """
    at = 14 if key is None else 26
    return int.from_bytes(data[at : at + 2], "big") if key is not None or _is_stamp(data) else 0


class Arrival(NamedTuple):
    """How a request came, and what the reflector adds to it.

    Attributes:
        number: The reflector's own count of the session.
        received: T2 as NTP's 64 bits.
        estimate: Of the reflector's clock.
        dscp, ecn: As they stood in the request's IP header; ttl as well.
        before: Number and true send time of an earlier reply in the session; None while that is not known.
    """

    number: int
    received: int
    estimate: int
    ttl: int
    dscp: int
    ecn: int
    before: tuple[int, int] | None


def reflect(data: bytes, arrival: Arrival, key: bytes | None = None, *, whole: bool = False) -> tuple[bytearray, int]:
    """The reply to a request of at least `SHORTEST_REQUEST` bytes, and the DSCP to send it with; T3 is still to be set.

    It is as long as the request (RFC 8762 §4.3), so that nobody can use it to amplify. What does not fit is cut off:
    below 38 bytes that may be the sender's number, so that the reply bears it in place of its own.

    Args:
        key: The request is authenticated with it: checked by the caller.
        whole: Send the base packet whole, even to a shorter request.
    """
    if key is not None:
        return _reflect_signed(data, arrival, key)
    size = len(data)
    number, sent = struct.unpack_from("!IQ", data)
    estimate = int.from_bytes(data[12:14], "big")
    ssid = int.from_bytes(data[14:16], "big") if _is_stamp(data) else 0
    own = arrival.number if size >= SHORTEST_REPLY or whole else number
    reply = bytearray(max(BASE, size))
    _REPLY.pack_into(reply, 0, own, 0, arrival.estimate, ssid, arrival.received, number, sent, estimate, arrival.ttl)
    dscp = arrival.dscp
    if size > BASE:
        tail = data[BASE:]
        reply[BASE:], dscp = stamp_tlvs.reflected(tail, arrival) if _is_stamp(data) else (tail, dscp)
    if size < BASE and not whole:
        del reply[size:]
    return reply, dscp


def _is_stamp(data: bytes) -> bool:
    """Whether 28 bytes must be, and are, zero: in TWAMP's packets they are padding, mostly pseudo-random."""
    return len(data) >= BASE and not any(data[16:BASE])


def _reflect_signed(data: bytes, arrival: Arrival, key: bytes) -> tuple[bytearray, int]:
    number, sent, estimate, ssid = _REQUEST_SIGNED.unpack_from(data)
    reply = bytearray(AUTHENTICATED_BASE)
    _REPLY_SIGNED.pack_into(
        reply, 0, arrival.number, 0, arrival.estimate, ssid, arrival.received, number, sent, estimate, arrival.ttl
    )
    dscp = arrival.dscp
    if len(data) > AUTHENTICATED_BASE:
        tlvs, dscp = stamp_tlvs.reflected_signed(data[AUTHENTICATED_BASE:], arrival, data[:4], bytes(reply[:4]), key)
        reply += tlvs
    return reply, dscp


def set_sent(reply: bytearray, sent: int, key: bytes | None = None) -> None:
    """Puts T3 into a reply, right before it is sent, and signs it where there is a key."""
    if key is None:
        _TIME.pack_into(reply, 4, sent)
    else:
        _TIME.pack_into(reply, 16, sent)
        reply[_SIGNED:AUTHENTICATED_BASE] = digest(key, reply[:_SIGNED])
