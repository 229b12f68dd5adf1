"""STAMP's and TWAMP Light's layouts as the RFCs draw them, byte by byte, and what a reflector makes of any bytes."""

import hashlib
import hmac
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibrewatch_agent.stamp import packets, tlvs
from fibrewatch_agent.stamp.packets import Arrival

KEY = b"0123456789abcdef0123456789abcdef"
T1, T2, T3 = 0xE1E2E3E4_01020304, 0xE1E2E3E4_11121314, 0xE1E2E3E4_21222324
CAME = Arrival(number=7, received=T2, estimate=0x8A0B, ttl=250, dscp=46, ecn=1, before=None)


def rfc_hmac(key: bytes, text: bytes) -> bytes:
    """HMAC as RFC 2104 defines it, by hand; its first 128 bits."""
    block = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in block) + text).digest()
    return hashlib.sha256(bytes(b ^ 0x5C for b in block) + inner).digest()[:16]


def test_an_unauthenticated_request_is_that_of_rfc_8762_figure_2() -> None:
    assert packets.request(258, T1, 0x8102, ssid=0xABCD) == bytes.fromhex(
        "00000102e1e2e3e4010203048102abcd" + "00" * 28
    )


def test_an_authenticated_request_is_that_of_rfc_8762_figure_4() -> None:
    head = bytes.fromhex("00000102" + "00" * 12 + "e1e2e3e4010203048102abcd" + "00" * 68)
    assert packets.request(258, T1, 0x8102, ssid=0xABCD, key=KEY) == head + rfc_hmac(KEY, head)


def test_an_unauthenticated_reply_is_that_of_rfc_8762_figure_5() -> None:
    reply, dscp = packets.reflect(packets.request(258, T1, 0x8102, ssid=0xABCD), CAME)
    packets.set_sent(reply, T3)
    assert dscp == 46
    assert bytes(reply) == bytes.fromhex(
        "00000007" "e1e2e3e421222324" "8a0b" "abcd" "e1e2e3e411121314"
        "00000102" "e1e2e3e401020304" "8102" "0000" "fa" "000000"
    )  # fmt: skip


def test_an_authenticated_reply_is_that_of_rfc_8762_figure_7() -> None:
    reply, _ = packets.reflect(packets.request(258, T1, 0x8102, ssid=0xABCD, key=KEY), CAME, KEY)
    packets.set_sent(reply, T3, KEY)
    head = bytes.fromhex(
        "00000007" + "00" * 12 + "e1e2e3e421222324" "8a0b" "abcd" "00000000"
        "e1e2e3e411121314" + "00" * 8 + "00000102" + "00" * 12 + "e1e2e3e401020304" "8102" + "00" * 6 + "fa" + "00" * 15
    )  # fmt: skip
    assert len(head) == 96
    assert bytes(reply) == head + rfc_hmac(KEY, head)


@pytest.mark.parametrize("size", [38, 40, 41, 44, 100])
def test_replies_of_twamp_light_are_read_from_38_bytes_on(size: int) -> None:
    # RFC 5357 figure 4: number, T3, estimate, MBZ, T2, sender's number, T1, its estimate, MBZ, TTL, padding
    whole = bytes.fromhex(
        "00000009" "e1e2e3e421222324" "8a0b" "0000" "e1e2e3e411121314" "00000102" "e1e2e3e401020304" "8102" "0000" "40"
    )  # fmt: skip
    reply = packets.parse_reply(whole.ljust(size, b"\0")[:size])
    assert reply is not None
    assert (reply.number, reply.sender_number) == (9, 258)
    assert (reply.sender_sent, reply.received, reply.sent) == (T1, T2, T3)
    assert reply.ttl == (None if size < 41 else 64)
    assert packets.parse_reply(whole[:37]) is None


def test_a_request_of_14_bytes_gets_as_much_of_a_reply_under_its_own_number() -> None:
    request = bytes.fromhex("00000102e1e2e3e4010203048102")
    reply, _ = packets.reflect(request, CAME)
    packets.set_sent(reply, T3)
    assert bytes(reply) == bytes.fromhex("00000102e1e2e3e4212223248a0b")
    whole, _ = packets.reflect(request, CAME, whole=True)
    packets.set_sent(whole, T3)
    parsed = packets.parse_reply(bytes(whole))
    assert len(whole) == 44
    assert parsed is not None
    assert (parsed.number, parsed.sender_number, parsed.sender_sent, parsed.received) == (7, 258, T1, T2)


def test_twamps_padding_comes_back_as_it_is() -> None:
    request = bytes.fromhex("00000102e1e2e3e4010203048102") + bytes(range(100, 250))
    reply, _ = packets.reflect(request, CAME)
    assert len(reply) == len(request)
    assert reply[44:] == request[44:]
    assert reply[14:16] == b"\0\0"  # no session id: these were padding
    zeros, _ = packets.reflect(bytes(100), CAME)
    assert not any(zeros[44:])


def answered(request_tlvs: bytes, came: Arrival = CAME) -> tuple[bytes, int]:
    reply, dscp = packets.reflect(packets.request(1, T1, 1, ssid=5, tlvs=request_tlvs), came)
    return bytes(reply[44:]), dscp


def test_follow_up_telemetry_tells_of_an_earlier_reply() -> None:
    asked = bytes.fromhex("80070010" + "00" * 16)
    assert tlvs.follow_up_request() == asked
    assert answered(asked)[0] == bytes.fromhex("00070010" + "00" * 16)  # the first of a session
    told, _ = answered(asked, CAME._replace(before=(6, T3)))
    assert told == bytes.fromhex("0007001000000006e1e2e3e42122232402000000")
    assert tlvs.follow_up(tlvs.usable(told)[7]) == (6, T3)


@pytest.mark.parametrize(
    ("wanted", "answer", "sent_with"),
    [
        (46, "bae40000", 46),  # DSCP1 46, DSCP2 46, ECN 1
        (0, "02e40000", 0),
        (10, "2ae50000", 46),  # not granted: RP is 1
    ],
)
def test_class_of_service_tells_how_the_packet_came(wanted: int, answer: str, sent_with: int) -> None:
    told, dscp = answered(tlvs.class_of_service_request(wanted))
    assert told == bytes.fromhex("00040004" + answer)
    assert dscp == sent_with
    marks = tlvs.marks(tlvs.usable(told)[4])
    assert marks == tlvs.Marks(dscp=46, ecn=1, refused=wanted == 10)


def test_unknown_extensions_come_back_marked_and_those_behind_them_are_answered() -> None:
    unknown, padding = bytes.fromhex("80ef0003aabbcc"), bytes.fromhex("80010002abcd")
    told, dscp = answered(unknown + padding + tlvs.class_of_service_request(0))
    assert told == bytes.fromhex("80ef0003aabbcc" "00010002abcd" "0004000402e40000")  # fmt: skip
    assert dscp == 0


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("80040003ffffff", "40040003ffffff"),  # the length is none of the type's
        ("80040004ffff", "40040004ffff"),  # longer than the packet
        ("80ef0009ffff", "c0ef0009ffff"),  # and of no known type either
        ("80030002ffff", "40030002ffff"),
        ("80070014" + "ff" * 20, "40070014" + "00" * 12 + "ff" * 8),  # RFC 8972 §4.7: number and time are zeroed
        ("80070002ffff", "400700020000"),
    ],
)
def test_a_malformed_extension_ends_the_processing_and_the_rest_is_copied(asked: str, told: str) -> None:
    behind = tlvs.class_of_service_request(0) if len(bytes.fromhex(asked)) == 4 + bytes.fromhex(asked)[3] else b""
    answer, dscp = answered(bytes.fromhex("80010000" + asked) + behind)
    assert answer == bytes.fromhex("00010000" + told) + behind  # RFC 8972 §4: a copy, its U as the sender set it
    assert dscp == 46


def test_the_sender_uses_nothing_behind_a_malformed_extension_and_nothing_where_the_hmac_failed() -> None:
    good, unknown, malformed = "0004000402e40000", "80070010" + "11" * 16, "4003000400000000"
    assert set(tlvs.usable(bytes.fromhex(unknown + good))) == {4}
    assert set(tlvs.usable(bytes.fromhex(good + malformed + "00070010" + "11" * 16))) == {4}
    assert tlvs.usable(bytes.fromhex(malformed + good)) == {}
    assert tlvs.usable(bytes.fromhex(good + "20010002abcd")) == {}
    assert set(tlvs.usable(bytes.fromhex("1f04000402e40000"))) == {4}  # reserved flags are ignored


def test_an_hmac_that_nobody_can_verify_is_a_failed_one() -> None:
    area = tlvs.class_of_service_request(0) + tlvs.tlv(tlvs.HMAC, bytes(16)) + tlvs.padding(8)
    told, dscp = answered(area)
    assert [each.flags for each in tlvs.parse(told)] == [0xA0, 0xA0, 0xA0]
    assert (told[4:8], dscp) == (area[4:8], 46)


def test_a_session_goes_on_while_twamps_padding_changes() -> None:
    head = bytes.fromhex("00000102e1e2e3e4010203048102")
    assert packets.session_of(head, None) == 0
    assert packets.session_of(head + bytes(range(1, 100)), None) == 0
    assert packets.session_of(head + bytes(range(1, 28)), None) == 0  # up to 41 bytes, as RFC 5357 §4.1.2 has it
    assert packets.session_of(packets.request(1, T1, 1, ssid=0xABCD), None) == 0xABCD
    assert packets.session_of(packets.request(1, T1, 1, ssid=0xABCD, key=KEY), KEY) == 0xABCD


def test_timestamp_information_says_how_the_reflector_keeps_time() -> None:
    asked = bytes.fromhex("8003000400000000")
    assert answered(asked)[0] == bytes.fromhex("0003000401020102")
    assert answered(asked, CAME._replace(estimate=1))[0] == bytes.fromhex("0003000405020502")
    longer = bytes.fromhex("800300090000000080f0000177")  # with an extension of its own
    assert answered(longer)[0] == bytes.fromhex("00030009" "01020102" "80f0000177")  # fmt: skip


def test_extensions_of_authenticated_packets_are_signed_with_the_packets_number() -> None:
    asked = tlvs.follow_up_request() + tlvs.class_of_service_request(46)
    request = packets.request(258, T1, 1, ssid=5, tlvs=asked, key=KEY)
    assert request[112:] == asked + bytes.fromhex("80080010") + rfc_hmac(KEY, bytes.fromhex("00000102") + asked)
    reply, _ = packets.reflect(request, CAME, KEY)
    packets.set_sent(reply, T3, KEY)
    assert len(reply) == len(request)
    body = bytes(reply[112:-20])
    assert bytes(reply[-20:]) == bytes.fromhex("00080010") + rfc_hmac(KEY, bytes.fromhex("00000007") + body)
    parsed = packets.parse_reply(bytes(reply), KEY)
    assert parsed is not None
    assert set(tlvs.usable(parsed.tlvs)) == {4, 7}


def test_extensions_with_a_wrong_hmac_come_back_as_failed_and_are_not_used() -> None:
    request = bytearray(packets.request(1, T1, 1, ssid=5, tlvs=tlvs.follow_up_request(), key=KEY))
    request[120] ^= 1
    reply, _ = packets.reflect(bytes(request), CAME._replace(before=(6, T3)), KEY)
    packets.set_sent(reply, T3, KEY)
    assert [tlv.flags & tlvs.INTEGRITY_FAILED for tlv in tlvs.parse(bytes(reply[112:]))] == [0x20, 0x20]
    assert bytes(reply[116:132]) == bytes(request[116:132])
    parsed = packets.parse_reply(bytes(reply), KEY)
    assert parsed is not None
    assert parsed.tlvs == b""


def test_a_reply_signed_by_another_key_is_none() -> None:
    reply, _ = packets.reflect(packets.request(1, T1, 1, ssid=5, key=KEY), CAME, KEY)
    packets.set_sent(reply, T3, KEY)
    assert packets.parse_reply(bytes(reply), KEY) is not None
    assert packets.parse_reply(bytes(reply), KEY[::-1]) is None
    assert packets.parse_reply(bytes(reply[:-1]), KEY) is None
    assert hmac.digest(KEY, bytes(reply[:96]), "sha256")[:16] == bytes(reply[96:])


@given(st.binary(max_size=300), st.booleans(), st.integers(0, 63))
@settings(max_examples=500)
def test_no_reply_is_longer_than_its_request(tail: bytes, zeros: bool, dscp: int) -> None:
    data = bytes(14) + (bytes(30) if zeros else b"") + tail
    came = CAME._replace(dscp=dscp, before=(3, T3))
    reply, sent_with = packets.reflect(data, came)
    packets.set_sent(reply, T3)
    assert len(reply) == len(data)
    assert sent_with in (0, dscp)
    if len(data) >= 112:
        signed, _ = packets.reflect(data, came, KEY)
        packets.set_sent(signed, T3, KEY)
        assert len(signed) == len(data)


@given(st.binary(max_size=300))
@settings(max_examples=500)
def test_no_bytes_break_what_reads_replies(data: bytes) -> None:
    for key in (None, KEY):
        reply = packets.parse_reply(data, key)
        if reply is not None:
            for value in tlvs.usable(reply.tlvs).values():
                tlvs.follow_up(value), tlvs.marks(value)
            near = 1_800_000_000_000_000_000
            sent = packets.unix_ns(reply.sent, near, ptp=reply.estimate.ptp)
            assert abs(sent - near) <= (2**31 + 5) * 10**9, "of the era that is nearest: 1959 to 2095"


@given(st.integers(0, 2**63 - 1))
def test_times_survive_ntps_format_to_a_nanosecond_beyond_2036(ns: int) -> None:
    assert abs(packets.unix_ns(packets.ntp_time(ns), ns + 10**18) - ns) <= 1


def test_truncated_ptp_times_are_seconds_and_nanoseconds_and_wrap() -> None:
    assert packets.unix_ns(1_800_000_000 << 32 | 123, 1_800_000_100 * 10**9, ptp=True) == 1_800_000_000_000_000_123
    assert packets.unix_ns(5 << 32 | 1, (2**32 + 9) * 10**9, ptp=True) == (2**32 + 5) * 10**9 + 1


@given(st.floats(0, 1e9))
def test_error_estimates_bound_what_they_stand_for(bound_s: float) -> None:
    said = packets.parse_error_estimate(packets.error_estimate(bound_s))
    assert said.synchronised
    assert not said.ptp
    assert bound_s <= said.seconds <= bound_s * 1.02 + 2.0**-32  # the unit of the estimate


def test_an_unsynchronised_clock_and_an_invalid_multiplier_say_nothing() -> None:
    assert packets.error_estimate(None) == 1
    assert not packets.parse_error_estimate(packets.error_estimate(None)).synchronised
    assert not packets.parse_error_estimate(0x8000).synchronised
    assert packets.parse_error_estimate(0xC101) == packets.ErrorEstimate(True, True, 2.0**-31)
    assert struct.pack("!H", packets.error_estimate(1.0)) == bytes.fromhex("9980")  # 128 · 2^(25-32)
