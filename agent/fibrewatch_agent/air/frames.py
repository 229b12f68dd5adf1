"""Whose a frame is: the header of IEEE Std 802.11-2020 §9.2.4 and §9.3, as far as that asks. Pure."""

import struct
from typing import Literal, NamedTuple

Kind = Literal["management", "control", "data"]
_KINDS: tuple[Kind, ...] = ("management", "control", "data")
_BEACON, _PROBE_RESPONSE = 8, 5
_BLOCK_ACK_REQUEST, _BLOCK_ACK, _PS_POLL, _RTS, _CTS, _ACK, _CF_END = 8, 9, 10, 11, 12, 13, 14
_TO_DS, _FROM_DS, _RETRY = 0x01, 0x02, 0x08
_HEADER, _CONTROL, _SHORT = 24, 16, 10
_BEACON_BODY = struct.Struct("<QHH")
_TU_S = 1024e-6
_SSID = 0


class Frame(NamedTuple):
    """What a header says; addresses are 6 bytes.

    Attributes:
        sender: None where the frame does not name it (CTS, ACK).
        bssid: The network's, where the header has it.
        answers: It can be sent again: data or management to one receiver.
    """

    kind: Kind
    receiver: bytes
    sender: bytes | None = None
    bssid: bytes | None = None
    retry: bool = False
    answers: bool = False
    from_ap: bool = False


class Beacon(NamedTuple):
    """What a beacon or probe response says of its network; `answer`: it is the latter."""

    bssid: bytes
    interval_s: float
    ssid: bytes | None
    answer: bool


def parse(data: bytes) -> Frame | None:
    """A frame's header; None where it is none, or cut too short."""
    if len(data) < _SHORT:
        return None
    first, flags = data[0], data[1]
    subtype, kind = first >> 4, first >> 2 & 3
    if first & 3 or kind >= len(_KINDS):  # another protocol version, or an extension frame (802.11ad)
        return None
    retry, receiver = bool(flags & _RETRY), data[4:10]
    if kind == 1:
        return _control(data, subtype, receiver)
    if len(data) < _HEADER:
        return None
    sender, third = data[10:16], data[16:22]
    alone = not receiver[0] & 1
    if kind == 0:
        from_ap = sender == third
        return Frame("management", receiver, sender, third, retry, answers=alone, from_ap=from_ap)
    to_ds, from_ds = flags & _TO_DS, flags & _FROM_DS
    bssid = third if not to_ds and not from_ds else receiver if not from_ds else sender
    return Frame("data", receiver, sender, bssid, retry, answers=alone, from_ap=bool(from_ds))


def _control(data: bytes, subtype: int, receiver: bytes) -> Frame | None:
    if subtype in (_CTS, _ACK):
        return Frame("control", receiver)
    if len(data) < _CONTROL:
        return Frame("control", receiver)
    sender = data[10:16]
    if subtype == _RTS or subtype in (_BLOCK_ACK_REQUEST, _BLOCK_ACK):
        # bandwidth signalling sets the group bit of the transmitter's address (§9.3.1.2)
        return Frame("control", receiver, bytes((sender[0] & 0xFE,)) + sender[1:])
    if subtype == _PS_POLL:
        return Frame("control", receiver, sender, receiver)
    return Frame("control", receiver, sender, sender if subtype == _CF_END else None)


def beacon(data: bytes) -> Beacon | None:
    """Of a frame that `parse` took for management; None for other frames."""
    subtype = data[0] >> 4
    if data[0] & 0x0C or subtype not in (_BEACON, _PROBE_RESPONSE) or len(data) < _HEADER + _BEACON_BODY.size:
        return None
    _, interval, _ = _BEACON_BODY.unpack_from(data, _HEADER)
    ssid = _element(data, _HEADER + _BEACON_BODY.size, _SSID)
    return Beacon(data[16:22], interval * _TU_S, ssid, subtype == _PROBE_RESPONSE)


def _element(data: bytes, at: int, wanted: int) -> bytes | None:
    """An information element's body; None where it is not there, or cut off."""
    while at + 2 <= len(data):
        number, length = data[at], data[at + 1]
        if at + 2 + length > len(data):
            return None
        if number == wanted:
            return bytes(data[at + 2 : at + 2 + length])
        at += 2 + length
    return None
