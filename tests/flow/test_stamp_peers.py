"""STAMP and TWAMP Light as others speak it: their packets built byte by byte here, and ours read by scapy's decoder.

Layouts: RFC 8762 §4.2 and §4.3, RFC 5357 §4.1.2 and §4.2.1, RFC 8972 §3 and §4.
"""

import asyncio
import contextlib
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scapy.contrib.stamp import STAMPSessionReflectorTestUnauthenticated, STAMPSessionSenderTestUnauthenticated

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.net.icmp import IcmpSockets
from fibrewatch_agent.stamp import packets as stamp_packets
from tests.support.listeners import udp_server
from tests.support.reflector_bench import Bench
from tests.support.stamp_here import run

KEY = b"0123456789abcdef0123456789abcdef"
HELD_S = 0.02
NTP, PTP = 0, 1
NTP_EPOCH_S = 2_208_988_800
TAI_AHEAD_S = 37
UDP_NO_CHECK6_TX = 101


def field(unix_ns: int, kind: int) -> bytes:
    """A time stamp: NTP's 64 bits, or truncated PTPv2 of the usual time scale (TAI)."""
    seconds, rest = divmod(unix_ns, 10**9)
    if kind == PTP:
        return struct.pack("!II", seconds + TAI_AHEAD_S, rest)
    return struct.pack("!II", seconds + NTP_EPOCH_S, (rest << 32) // 10**9)


def peer(data: bytes, *, kind: int = NTP, estimate: int = 0x8A10, number: int | None = None) -> bytes:
    """A reply's first 41 bytes, T3 a known time behind T2, as a peer that holds packets for so long sends it."""
    received = time.time_ns()
    time.sleep(HELD_S)
    head = data[:4] if number is None else struct.pack("!I", number)
    head += field(time.time_ns(), kind) + struct.pack("!HH", estimate | kind << 14, 0) + field(received, kind)
    return head + data[:14] + bytes(2) + b"\xc8"


def patched(packet: bytes, at: int, value: bytes) -> bytes:
    """The packet with other bytes at a place."""
    return packet[:at] + value + packet[at + len(value) :]


LAYOUTS: dict[str, Callable[[bytes], bytes]] = {
    "38 bytes, without what follows the sender's estimate": lambda data: peer(data)[:38],
    "40 bytes": lambda data: peer(data)[:40],
    "41 bytes, TWAMP's least": peer,
    "44 bytes, STAMP's base": lambda data: peer(data) + bytes(3),
    "50 bytes with padding": lambda data: peer(data) + bytes(9),
    "50 bytes with noise": lambda data: peer(data) + os.urandom(9),
    "as long as the request, TWAMP's padding kept": lambda data: peer(data) + data[14 : 14 + len(data) - 41],
    "as long as the request, zeros": lambda data: peer(data).ljust(len(data), b"\0"),
    "1472 bytes": lambda data: peer(data) + os.urandom(1431),
    "extensions as they came, unanswered (U)": lambda data: peer(data) + bytes(3) + data[44:],
    "an extension cut short": lambda data: peer(data) + bytes(3) + b"\0\7\0\x10" + bytes(5),
    "an extension longer than the packet": lambda data: peer(data) + bytes(3) + b"\0\4\xff\xff" + bytes(40),
    "malformed (M)": lambda data: peer(data) + bytes(3) + b"\x40\4\0\4" + b"\xff" * 4,
    "integrity failed (I)": lambda data: peer(data) + bytes(3) + b"\x20\4\0\4" + b"\xff" * 4,
    "MBZ not zero": lambda data: patched(patched(peer(data), 14, b"\xde\xad"), 38, b"\xbe\xef\xc8\xff\xff\xff"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_replies_of_every_layout_are_read(layout: str) -> None:
    async with udp_server(lambda data: [LAYOUTS[layout](data)]) as port:
        result = await run(port, interval="40 ms", window_s=0.25)
    assert (result.lost, result.stateful) == (0, None)
    assert 0 < result.rtt_p50 < HELD_S / 2  # what the peer took itself is not the line's
    assert result.ttl_forward == (None if "38" in layout or "40" in layout else 0xC8)
    assert (result.dscp_forward, result.follow_ups, result.lost_forward) == (None, 0, None)


async def test_a_peer_with_ptp_stamps_has_round_trips_and_no_one_way_delays() -> None:
    """Z is 1, and its time scale is ahead of UTC by what it does not tell."""
    async with udp_server(lambda data: [peer(data, kind=PTP) + bytes(3)]) as port:
        result = await run(port, interval="40 ms")
    assert 0 < result.rtt_p50 < HELD_S / 2
    assert (result.owd_forward_p50, result.owd_backward_p50, result.owd_uncertainty) == (None, None, None)
    assert abs(result.ipdv_forward_p95) < 0.1


async def test_a_stateful_peer_that_counts_its_replies_shows_directions() -> None:
    """As Cisco's, Juniper's and Nokia's reflectors do in TWAMP's own words: an independent sequence number."""
    count = iter(range(10_000))

    def answer(data: bytes) -> list[bytes]:
        number = int.from_bytes(data[:4], "big")
        if number % 10 == 3:
            return []  # lost before it
        reply = peer(data, number=next(count))
        return [] if number % 10 == 6 else [reply]  # lost behind it

    async with udp_server(answer) as port:
        result = await run(port, interval="40 ms", window_s=1.6)
    assert result.stateful is True
    assert result.lost == result.lost_forward + result.lost_backward + result.lost_undetermined
    assert result.lost_forward > 0
    assert result.lost_backward > 0
    assert result.lost_undetermined == 0


async def test_a_stateful_peer_is_unknown_until_the_first_loss_on_the_way_there() -> None:
    """Without follow-up telemetry, and with losses on the way back alone, it looks like one that repeats numbers."""

    def peer_losing(there: int, back: int) -> Callable[[bytes], list[bytes]]:
        count = iter(range(10_000))

        def answer(data: bytes) -> list[bytes]:
            number = int.from_bytes(data[:4], "big")
            if number % 4 == there:
                return []
            reply = peer(data, number=next(count))
            return [] if number % 4 == back else [reply]

        return answer

    async with udp_server(peer_losing(there=-1, back=1)) as port:
        unknown = await run(port, interval="40 ms")
    assert unknown.lost > 0
    assert (unknown.stateful, unknown.lost_forward, unknown.lost_backward) == (None, None, None)
    async with udp_server(peer_losing(there=2, back=1)) as port:
        known = await run(port, interval="40 ms")
    assert known.stateful is True
    assert (known.lost_forward > 0, known.lost_backward > 0) == (True, True)


async def test_a_peer_with_one_number_for_two_arrivals_is_stateless() -> None:
    async with udp_server(lambda data: [peer(data), peer(data)]) as port:
        result = await run(port, interval="80 ms")
    assert (result.lost, result.stateful, result.duplicates_forward) == (0, False, None)


@pytest.mark.parametrize("keyed", [True, False])
async def test_sessions_to_one_peer_that_leaves_the_session_id_zero_get_their_own_replies(
    tmp_path: Path, keyed: bool
) -> None:
    """As a reflector of RFC 8762 without RFC 8972 does; both sessions number from 0 and may have the same key."""
    (file := tmp_path / "key").write_bytes(KEY)
    key, at, size = (KEY, 26, 112) if keyed else (None, 14, 44)
    more = {"key_file": str(file)} if keyed else {}

    def answer(data: bytes) -> list[bytes]:
        number, now = int.from_bytes(data[:4], "big"), stamp_packets.ntp_time(time.time_ns())
        arrival = stamp_packets.Arrival(number, now, 1, 255, 0, 0, None)
        reply, _ = stamp_packets.reflect(patched(data[:size], at, bytes(2)), arrival, key)
        stamp_packets.set_sent(reply, now, key)
        return [bytes(reply)]

    async with udp_server(answer) as port:
        with contextlib.closing(IcmpSockets()) as sockets:
            both = [
                run(port, probe=probe, test=probe, shared=sockets, interval="40 ms", **more, **each)
                for probe, each in (("stamp", {}), ("voice", {"duration": "1 s"}))
            ]
            results = await asyncio.gather(*both)
    assert all(result.sent > 5 for result in results)
    assert [result.lost for result in results] == [0, 0]


WRONG: dict[str, Callable[[bytes], bytes]] = {
    "another sender's number": lambda data: patched(peer(data), 24, struct.pack("!I", 1 << 31)),
    "another sender's time": lambda data: patched(peer(data), 28, bytes(8)),
    "37 bytes": lambda data: peer(data)[:37],
    "the request itself": lambda data: data,
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_replies_to_nothing_of_ours_are_no_replies(wrong: str) -> None:
    async with udp_server(lambda data: [WRONG[wrong](data)]) as port:
        with pytest.raises(ProbeError) as caught:
            await run(port, interval="40 ms", window_s=0.2)
    assert caught.value.error == "protocol"
    assert caught.value.result.lost == caught.value.result.sent > 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("source", ["127.0.0.2", "127.0.0.1"])
async def test_replies_from_another_address_or_port_are_ignored(source: str) -> None:
    """Well-formed, in time, and from somebody who was not asked."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reflector,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
    ):
        reflector.bind(("127.0.0.1", 0))
        port = reflector.getsockname()[1]
        stranger.bind((source, port if source != "127.0.0.1" else 0))
        reflector.setblocking(False)

        def forge() -> None:
            data, sender = reflector.recvfrom(2000)
            stranger.sendto(peer(data), sender)

        asyncio.get_running_loop().add_reader(reflector, forge)
        with pytest.raises(ProbeError) as caught:
            await run(port, interval="40 ms", window_s=0.2)
        asyncio.get_running_loop().remove_reader(reflector)
    assert caught.value.error == "timeout"


async def test_replayed_replies_are_duplicates_and_never_answer_a_later_packet() -> None:
    kept: list[bytes] = []

    def answer(data: bytes) -> list[bytes]:
        kept.append(peer(data))
        return [kept[-1], kept[-1], kept[0]] if int.from_bytes(data[:4], "big") % 5 else [kept[0]]

    async with udp_server(answer) as port:
        result = await run(port, interval="40 ms")
    assert result.lost == (result.sent - 1) // 5  # all that were answered with the first reply alone, but the first
    assert result.duplicates >= result.sent - result.lost


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**options: Any) -> Bench:
        made.append(Bench(**options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def sender(number: int, size: int, fill: Callable[[int], bytes], kind: int = NTP) -> bytes:
    """A request of a TWAMP Light sender: 14 bytes and its padding."""
    head = struct.pack("!I", number) + field(time.time_ns(), kind) + struct.pack("!H", 0x8102 | kind << 14)
    return head + fill(size - 14)


PADDINGS: dict[str, Callable[[int], bytes]] = {"zeros": bytes, "noise": os.urandom, "ones": lambda size: b"\xff" * size}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("size", [38, 41, 44, 50, 72, 112, 512, 1472])
def test_a_twamp_sender_with_any_padding_has_one_session(
    bench: Callable[..., Bench], host: str, padding: str, size: int
) -> None:
    made = bench(host=host)
    for number in range(3):
        asked = sender(number + 7, size, PADDINGS[padding], kind=number % 2)
        got = made.ask(asked)
        assert got is not None
        assert len(got) == size
        told = STAMPSessionReflectorTestUnauthenticated(got[:44].ljust(44, b"\0"))
        assert (told.seq, told.seq_sender, told.ssid) == (number, number + 7, 0)
        assert got[28:38] == asked[4:14]  # time and estimate as they came, whatever the format
        assert told.err_estimate.Z == 0
        assert told.ttl_sender == (64 if size >= 41 else 0)  # what the test's own socket sends with
        assert got[44:] == asked[44:]


@pytest.mark.parametrize("size", [14, 20, 37])
def test_a_sender_without_room_for_a_reply_gets_its_own_number_unless_it_is_named(
    bench: Callable[..., Bench], size: int
) -> None:
    plain, named = bench(), bench(whole=("127.0.0.0/8",))
    for number in range(2):
        asked = sender(number + 7, size, os.urandom)
        short, whole = plain.ask(asked), named.ask(asked)
        assert short is not None
        assert whole is not None
        assert (len(short), short[:4], len(whole)) == (size, asked[:4], 44)
        told = STAMPSessionReflectorTestUnauthenticated(whole)
        assert (told.seq, told.seq_sender, told.ttl_sender) == (number, number + 7, 64)


def test_extensions_come_back_as_scapy_reads_them(bench: Callable[..., Bench]) -> None:
    made = bench()
    asked = STAMPSessionSenderTestUnauthenticated(seq=5, ts=NTP_EPOCH_S + 1.5, ssid=77)
    extensions = bytes.fromhex("80010002abcd" "8004000400000000" "80070010" + "00" * 16 + "80fa0001ff")  # fmt: skip
    for number in range(2):
        told = STAMPSessionReflectorTestUnauthenticated(made.ask(bytes(asked) + extensions))
        assert (told.seq, told.seq_sender, told.ssid, told.ts_sender) == (number, 5, 77, NTP_EPOCH_S + 1.5)
        assert [(each.type, int(each.flags)) for each in told.tlv_objects] == [(1, 0), (4, 0), (7, 0), (250, 0x80)]
    assert told.tlv_objects[2].value[:4] == bytes(4)  # the number of the reply before
    assert told.tlv_objects[2].value[4:12] != bytes(8)


def test_a_packet_without_a_checksum_is_answered_over_ipv6_too(bench: Callable[..., Bench]) -> None:
    made = bench(host="::1")
    made.client.setsockopt(socket.IPPROTO_UDP, UDP_NO_CHECK6_TX, 1)
    assert made.ask(sender(0, 44, bytes)) is not None


async def test_a_reply_without_a_checksum_is_read_over_ipv6_too() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as reflector:
        reflector.bind(("::1", 0))
        reflector.setblocking(False)
        reflector.setsockopt(socket.IPPROTO_UDP, UDP_NO_CHECK6_TX, 1)

        def answer() -> None:
            data, source = reflector.recvfrom(2000)
            reflector.sendto(peer(data), source)

        asyncio.get_running_loop().add_reader(reflector, answer)
        result = await run(reflector.getsockname()[1], address="::1", interval="40 ms", window_s=0.2)
        asyncio.get_running_loop().remove_reader(reflector)
    assert result.lost == 0
