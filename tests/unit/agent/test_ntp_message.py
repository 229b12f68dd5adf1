"""NTP packets and their arithmetic: eras, offsets to the nanosecond, replies that can't be."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibrewatch_agent.services import ntp_message
from fibrewatch_agent.services.ntp_message import PacketError

NOW = 1_795_000_000_123_456_789
COOKIE = 0x0123456789ABCDEF


def ntp(ns: int) -> int:
    return ((ns + 2_208_988_800 * 10**9) * 2**32 // 10**9) % 2**64


def reply(
    received: int,
    sent: int,
    *,
    flags: int = 0x24,
    stratum: int = 2,
    refid: bytes = b"\x0a\0\0\1",
    precision: int = -20,
    origin: int = COOKIE,
) -> bytes:
    head = struct.pack("!BBbbII4s", flags, stratum, 6, precision, 1 << 16, 1 << 15, refid)
    return head + bytes(8) + struct.pack("!3Q", origin, received, sent)


def test_a_request_tells_nothing_but_its_cookie() -> None:
    assert ntp_message.request(COOKIE) == b"\x23" + bytes(39) + COOKIE.to_bytes(8, "big")


def test_offset_and_delay_are_those_of_rfc_5905() -> None:
    there, back = NOW + 5_000_000 + 70_000_000, NOW + 6_000_000 + 70_000_000
    found = ntp_message.times(ntp_message.decode(reply(ntp(there), ntp(back))), NOW, NOW + 11_000_000)
    assert found.delay_ns == pytest.approx(10_000_000, abs=2)
    assert found.offset_ns == pytest.approx(70_000_000, abs=2)


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 2**33 * 10**9), st.integers(-(10**18), 10**18))
def test_timestamps_are_of_the_era_that_is_nearest(near: int, away: int) -> None:
    """An era has 136 years: what lies within 68 of the box's own time is told right, 2036 or not."""
    assert ntp_message.unix_ns(ntp(near + away), near) == pytest.approx(near + away, abs=1)


@pytest.mark.parametrize(
    ("received", "sent", "problem"),
    [
        (0, ntp(NOW), "no time"),
        (ntp(NOW), 0, "no time"),
        (ntp(NOW + 2000), ntp(NOW), "before the request"),
        (ntp(NOW), ntp(NOW + 20_000_000), "longer than"),
    ],
)
def test_times_that_can_not_be_are_refused(received: int, sent: int, problem: str) -> None:
    with pytest.raises(PacketError, match=problem):
        ntp_message.times(ntp_message.decode(reply(received, sent)), NOW, NOW + 10_000_000)


def test_a_clock_coarser_than_a_second_is_refused() -> None:
    with pytest.raises(PacketError, match="steps of"):
        ntp_message.times(ntp_message.decode(reply(ntp(NOW), ntp(NOW), precision=100)), NOW, NOW)


def test_a_delay_below_the_clocks_grain_is_none() -> None:
    packet = ntp_message.decode(reply(ntp(NOW), ntp(NOW + 200_000)))
    assert ntp_message.times(packet, NOW, NOW + 100_000).delay_ns == 0


def test_a_reply_is_read() -> None:
    packet = ntp_message.decode(reply(1, 2, flags=0x64))
    assert (packet.leap, packet.version, packet.stratum, packet.reference) == (1, 4, 2, "10.0.0.1")
    assert (packet.root_delay_s, packet.root_dispersion_s, packet.precision_s) == (1.0, 0.5, 2**-20)
    assert packet.synchronised
    assert packet.kiss is None


@pytest.mark.parametrize(("flags", "stratum"), [(0xE4, 2), (0x24, 16), (0x24, 0)])
def test_a_server_that_knows_no_time_says_so(flags: int, stratum: int) -> None:
    assert not ntp_message.decode(reply(1, 2, flags=flags, stratum=stratum)).synchronised


def test_a_reserved_stratum_is_refused() -> None:
    with pytest.raises(PacketError, match="stratum 17 is reserved"):
        ntp_message.decode(reply(1, 2, stratum=17))


def test_codes_are_text() -> None:
    assert ntp_message.decode(reply(1, 2, stratum=1, refid=b"GPS\0")).reference == "GPS"
    assert ntp_message.decode(reply(1, 2, stratum=0, refid=b"RATE")).kiss == "RATE"
    assert ntp_message.decode(reply(1, 2, stratum=0, refid=bytes(4))).kiss is None


def test_only_a_servers_packet_with_our_cookie_is_a_reply() -> None:
    good = reply(1, 2)
    assert ntp_message.is_reply(good, COOKIE)
    assert ntp_message.is_reply(good + bytes(20), COOKIE)
    assert ntp_message.is_reply(reply(1, 2, flags=0x1C), COOKIE), "version 3"
    for bad in (good[:-1], b"", reply(1, 2, flags=0x23), reply(1, 2, flags=0x2C), reply(1, 2, origin=COOKIE + 1)):
        assert not ntp_message.is_reply(bad, COOKIE)


@settings(max_examples=1000, deadline=None)
@given(st.binary(min_size=48, max_size=80))
def test_arbitrary_replies_are_times_or_refused(data: bytes) -> None:
    try:
        packet = ntp_message.decode(data)
        assert packet.reference is not None
        found = ntp_message.times(packet, NOW, NOW + 10**7)
    except PacketError:
        return
    assert found.delay_ns >= 0
