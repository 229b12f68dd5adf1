"""Airtime of 802.11ax and 802.11be frames: tshark's rates, the standard's lengths, and radiotap headers of drivers."""

import itertools
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibrewatch_agent.air import radiotap
from fibrewatch_agent.air.airtime import airtime_s
from fibrewatch_agent.air.tally import Tally
from fibrewatch_agent.air.wide import Wide, sig_s
from tests.support.radio_pcap import Caught, written

FLAGS, AMPDU, HE, L_SIG, TLV = 1 << 1, 1 << 20, 1 << 23, 1 << 27, 1 << 28
DATA = bytes.fromhex("08020000 020000000000 020000000100 020000000100 0000") + bytes(100)
SU, EXTENDED, MU, TRIGGERED = range(4)


def he(form: int = SU, mcs: int = 7, width: int = 0, guard: int = 0, streams: int = 1, **more: int) -> bytes:
    """The HE field; what is known: MCS, coding (LDPC), space-time coding, width, guard interval, training."""
    known = form | 0x20 | 0x80 | 0x200 | 0x4000 | (0x40 if more.get("dcm") else 0)
    flags = mcs << 8 | more.get("dcm", 0) << 12 | more.get("ldpc", 1) << 13 | more.get("stbc", 0) << 15
    return struct.pack("<6H", known, 2, flags, 0, width | guard << 4 | more.get("training", 2) << 6, streams)


def packet(present: int, fields: bytes, frame: bytes = DATA) -> bytes:
    return struct.pack("<BBHI", 0, 0, 8 + len(fields), present) + fields + frame


def phy(data: bytes) -> Wide | None:
    radio = radiotap.parse(data)
    assert radio is not None
    assert radio.phy is None or isinstance(radio.phy, Wide)
    return radio.phy


def test_rates_of_he_are_tsharks(tmp_path: Path) -> None:
    kinds = list(itertools.product(range(12), (0, 1, 2, 3, 4, 6), (0, 1, 2), (1, 2, 8)))
    packets = [
        packet(FLAGS | HE, b"\x00\x00" + he(mcs=mcs, width=width, guard=guard, streams=streams))
        for mcs, width, guard, streams in kinds
    ]
    file = written(tmp_path / "he.pcap", [Caught(0.0, each, len(each)) for each in packets])
    argv = ["tshark", "-r", str(file), "-T", "fields", "-e", "wlan_radio.data_rate"]
    told = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout.split()
    assert len(told) == len(packets) > 600
    for each, rate in zip(packets, told, strict=True):
        mine = phy(each)
        assert mine is not None
        assert mine.bits / (12.8e-6 + mine.guard_s) / 1e6 == pytest.approx(float(rate), rel=2e-3, abs=0.15), mine


@pytest.mark.parametrize(
    ("wide", "octets", "microseconds"),
    [
        (Wide(11, 1, 980), 1536, 36 + 7.2 + 2 * 13.6),
        (Wide(0, 1, 234, training_s=3.2e-6), 100, 36 + 4 + 7 * 13.6),
        (Wide(0, 1, 234, ldpc=False), 96, 36 + 7.2 + 7 * 13.6),  # 790 bits of 117
        (Wide(0, 1, 234, ldpc=False), 100, 36 + 7.2 + 8 * 13.6),  # 822: the encoder's tail takes another symbol
        (Wide(7, 2, 468, guard_s=3.2e-6, training_s=12.8e-6), 1536, 36 + 2 * 16 + 3 * 16),
        (Wide(0, 1, 234, dcm=True, sig_s=sig_s(extended=True)), 100, 44 + 7.2 + 15 * 13.6),
        (Wide(4, 2, 234, stbc=True), 100, 36 + 2 * 7.2 + 2 * 13.6),
        (Wide(13, 2, 3920, sig_s=sig_s(eht_symbols=2)), 11454, 20 + 4 + 16 + 4 + 2 * 7.2 + 2 * 13.6),
    ],
)
def test_lengths_by_the_standard(wide: Wide, octets: int, microseconds: float) -> None:
    assert airtime_s(wide, octets) * 1e6 == pytest.approx(microseconds)


EHT_RATES = {
    0: (8.6, 17.2, 36.0, 72.1, 144.1),
    7: (86.0, 172.1, 360.3, 720.6, 1441.2),
    9: (114.7, 229.4, 480.4, 960.8, 1921.6),
    11: (143.4, 286.8, 600.5, 1201.0, 2401.9),
    12: (154.9, 309.7, 648.5, 1297.1, 2594.1),
    13: (172.1, 344.1, 720.6, 1441.2, 2882.4),
}
"""Mbit/s of one stream with 0.8 µs of guard interval in 20 to 320 MHz, IEEE Std 802.11be-2024 §36.5."""


@pytest.mark.parametrize("mcs", EHT_RATES)
def test_rates_of_eht_are_the_standards(mcs: int) -> None:
    for width, rate in enumerate(EHT_RATES[mcs]):
        for streams in (1, 2, 8):
            for guard, guard_s in enumerate((0.8e-6, 1.6e-6, 3.2e-6)):
                user, first = USER | mcs << 20 | (streams - 1) << 24, guard << 7 | 2 << 9
                mine = phy(eht([user], (0x2 | width << 15, SIG[1], SIG[2]), first=first, known=4))
                assert mine is not None
                told = mine.bits / (12.8e-6 + mine.guard_s) / 1e6
                assert told == pytest.approx(rate * streams * 13.6e-6 / (12.8e-6 + guard_s), rel=4e-3)


def test_others_transmissions_and_unknown_rates_have_no_length_of_their_own() -> None:
    assert phy(packet(HE, he(form=MU))) is phy(packet(HE, he(form=TRIGGERED))) is None
    assert phy(packet(HE, he(streams=0))) is phy(packet(HE, he(mcs=14))) is phy(packet(HE, bytes(12))) is None
    assert phy(packet(HE, he(form=EXTENDED, width=6))) == Wide(7, 1, 102, sig_s=16e-6)


@pytest.mark.parametrize("form", range(4))
def test_the_legacy_header_says_how_long_any_transmission_is(form: int) -> None:
    """§27.3.11.5: LENGTH = 3 · ⌈(TXTIME - 20) / 4⌉ - 3 - m, with m of 1 (ER SU, MU) or 2 (SU, TB)."""
    for length_us in (60, 164, 5484):
        m = 1 if form in (EXTENDED, MU) else 2
        legacy = 3 * ((length_us - 20) // 4) - 3 - m
        data = packet(HE | L_SIG, he(form=form) + struct.pack("<HH", 3, legacy << 4 | 0xB))
        tally = Tally()
        tally.add(0.0, data, len(data))
        assert tally.result(1.0).airtime == pytest.approx(length_us * 1e-6)
        assert tally.unrated == 0


def test_an_aggregates_legacy_header_counts_once() -> None:
    def part(number: int) -> bytes:
        fields = struct.pack("<IHBB", number, 0, 0, 0) + he() + struct.pack("<HH", 2, 105 << 4)
        return packet(AMPDU | HE | L_SIG, fields)

    tally = Tally()
    for number in (1, 1, 1, 2, 2):
        tally.add(0.0, part(number), len(part(number)))
    assert tally.result(1.0).airtime == pytest.approx(2 * 164e-6)
    assert tally.frames == 5


def eht(users: list[int], u_sig: tuple[int, int, int], first: int = 0, known: int = 0) -> bytes:
    """TLVs as mac80211 writes them, behind the second word of presence that its chains' signals bring along."""
    body = struct.pack("<10I", known, first, *([0] * 8)) + struct.pack(f"<{len(users)}I", *users)
    tlvs = struct.pack("<HH", 33, 12) + struct.pack("<3I", *u_sig) + struct.pack("<HH", 34, len(body)) + body
    fields = struct.pack("<I", 1 << 5 | 1 << 11 | TLV) + struct.pack("<BBBB", 0, 200, 198, 0) + tlvs
    return packet(FLAGS | 1 << 5 | 1 << 29 | 1 << 31, fields)


USER = 0x2 | 0x4 | 0x10 | 0x80 | 0x80000
"""MCS, coding, streams known; the frame is this user's; LDPC."""
SIG = (0x2 | 5 << 15, 1 << 6 | 3 << 17, 0xFFFFFFFF)
"""320 MHz, to one receiver, four symbols of EHT-SIG."""


def test_eht_to_one_receiver_is_rated() -> None:
    data = eht([USER | 13 << 20 | 1 << 24], SIG, first=1 << 7 | 2 << 9, known=4)
    assert phy(data) == Wide(13, 2, 3920, guard_s=1.6e-6, training_s=6.4e-6, sig_s=24e-6)
    bare = eht([USER | 9 << 20], (0x2 | 2 << 15, 0, 0))
    assert phy(bare) == Wide(9, 1, 980, sig_s=16e-6), "a driver that tells no more than rate and width"


def test_eht_of_several_receivers_or_of_no_known_rate_is_not() -> None:
    assert phy(eht([USER, USER], SIG)) is None
    assert phy(eht([USER], (SIG[0], 0, 0xFFFFFFFF))) is None, "by many at once"
    assert phy(eht([0x80], SIG)) is phy(eht([], SIG)) is phy(eht([USER | 15 << 20], SIG)) is None
    assert phy(eht([USER], (SIG[0] | 0x20, *SIG[1:]))) is None, "U-SIG's checksum is wrong"


@given(st.binary(max_size=90), st.sampled_from([HE, TLV, HE | L_SIG, FLAGS | L_SIG | TLV, 1 << 29 | 1 << 31 | TLV]))
@settings(max_examples=150, deadline=None)
def test_garbage_never_breaks_it(fields: bytes, present: int) -> None:
    tally = Tally()
    tally.add(0.5, packet(present, fields), 300)
    assert (tally.result(1.0).airtime or 0.0) >= 0.0
