"""Echo packets as bytes."""

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fibrewatch_agent.net import icmp_packets as packets

COOKIE = b"8 octets"


def summed(data: bytes) -> int:
    """RFC 1071 §4.1 to the letter."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@given(st.binary(max_size=200))
@example(b"")
@example(b"\0\0\0\0")
@example(b"\xff\xff")
@example(b"\x00\x01\xf2\x03\xf4\xf5\xf6\xf7")
def test_checksum_is_rfc_1071s(data: bytes) -> None:
    assert packets.internet_checksum(data) == summed(data)


@pytest.mark.parametrize("payload_bytes", [16, 17, 56, 1400])
def test_a_request_has_the_size_asked_and_checks(payload_bytes: int) -> None:
    sent = packets.request(4, 0xBEEF, 70_000, COOKIE, payload_bytes)
    assert len(sent) == 8 + payload_bytes
    assert summed(sent) == 0
    assert struct.unpack_from("!BBxxHH", sent) == (8, 0, 0xBEEF, 70_000 & 0xFFFF)


def reply(family: packets.Family, number: int = 70_000, payload_bytes: int = 56) -> bytes:
    sent = packets.request(family, 0xBEEF, number, COOKIE, payload_bytes)
    return bytes([{4: 0, 6: 129}[family]]) + sent[1:]


@pytest.mark.parametrize("family", [4, 6])
def test_a_reply_tells_whose_it_is(family: packets.Family) -> None:
    assert packets.parse_reply(reply(family), family) == packets.Reply(0xBEEF, COOKIE, 70_000)
    assert packets.parse_reply(reply(family)[:24], family) == packets.Reply(0xBEEF, COOKIE, 70_000)


@pytest.mark.parametrize("family", [4, 6])
def test_what_is_no_whole_reply_is_none(family: packets.Family) -> None:
    good = reply(family)
    assert packets.parse_reply(good[:23], family) is None
    assert packets.parse_reply(b"", family) is None
    assert packets.parse_reply(good[:1] + b"\1" + good[2:], family) is None
    assert packets.parse_reply(packets.request(family, 1, 2, COOKIE, 56), family) is None
    assert packets.parse_reply(good[:6] + b"\0\0" + good[8:], family) is None


@given(st.binary(max_size=100))
def test_garbage_never_raises(data: bytes) -> None:
    packets.strip_ip_header(data)
    packets.parse_reply(data, 4)
    packets.parse_reply(data, 6)


def test_the_ip_header_goes_with_its_options_and_a_bad_checksum_goes_all() -> None:
    icmp = reply(4)
    icmp = icmp[:2] + summed(icmp[:2] + b"\0\0" + icmp[4:]).to_bytes(2, "big") + icmp[4:]
    for options in (b"", b"\1" * 8):
        header = bytes([0x40 | (20 + len(options)) // 4]) + bytes(8) + b"\1" + bytes(10) + options
        assert packets.strip_ip_header(header + icmp) == icmp
        assert packets.strip_ip_header(header + icmp[:-1] + b"\xfe") == b""


def test_destinations_are_written_as_the_kernel_writes_them() -> None:
    assert packets.destination("FD99:0:0::2").address == "fd99::2"
    assert packets.destination("fe80::1", 7).sockaddr == ("fe80::1", 0, 0, 7)
    assert packets.destination("10.0.0.1").control == []
    ((_, _, data),) = packets.destination("10.0.0.1", dscp=46).control
    assert struct.unpack("=i", data) == (184,)


@pytest.mark.parametrize(
    ("family", "kind", "code", "word"),
    [
        (4, 3, 0, "unreachable"),
        (4, 3, 1, "unreachable"),
        (4, 3, 9, "denied"),
        (4, 3, 10, "denied"),
        (4, 3, 13, "denied"),
        (4, 11, 0, "unreachable"),
        (4, 4, 0, None),
        (6, 1, 0, "unreachable"),
        (6, 1, 1, "denied"),
        (6, 1, 5, "denied"),
        (6, 3, 0, "unreachable"),
        (6, 128, 0, None),
    ],
)
def test_icmp_errors_in_words(family: packets.Family, kind: int, code: int, word: str | None) -> None:
    assert packets.error_word(family, kind, code) == word
