"""Airtime, owners and beacons of frames: recordings of virtual radios and made-up ones, beside tshark and scapy."""

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scapy.layers.dot11 import Dot11, Dot11Beacon, Dot11Elt, RadioTap
from scapy.packet import Packet, Raw

from fibrewatch.results.wifi_air import Result
from fibrewatch_agent.air import airtime, frames, radiotap
from fibrewatch_agent.air.airtime import Dsss, Ht, Ofdm, Vht, airtime_s
from fibrewatch_agent.air.beacons import row
from fibrewatch_agent.air.tally import MOST_POINTS, Tally
from tests.support.radio_pcap import Caught, caught, tshark, with_checksums, written

RECORDED = Path(__file__).parent / "recorded" / "air"
OWN, SECOND, STATION = "02:00:00:00:01:00", "02:00:00:00:02:00", "02:00:00:00:00:00"
STRANGER, EVERYBODY = "02:00:00:00:09:00", "ff:ff:ff:ff:ff:ff"


def whole(packets: Iterable[Caught], duration_s: float = 10.0, ssid: str = "fibre", bssid: str | None = OWN) -> Result:
    tally = Tally(ssid.encode(), bytes.fromhex(bssid.replace(":", "")) if bssid else None)
    first = None
    for at, data, length in packets:
        first = at if first is None else first
        tally.add(at - first, data, length)
    return tally.result(duration_s)


@pytest.mark.parametrize("name", ["dsss", "ofdm", "ht"])
def test_each_frames_airtime_is_tsharks(name: str) -> None:
    packets, told = caught(RECORDED / f"{name}.pcap"), tshark(RECORDED / f"{name}.pcap")
    assert len(packets) == len(told) > 300
    for (_, data, length), other in zip(packets, told, strict=True):
        radio = radiotap.parse(data)
        assert radio is not None
        assert radio.phy is not None
        assert round(airtime_s(radio.phy, length - radio.length) * 1e6) == other.duration_us


@pytest.mark.parametrize("name", ["dsss", "ofdm", "ht"])
def test_airtime_and_counts_by_sender_are_tsharks_of_the_same_frames(name: str, tmp_path: Path) -> None:
    packets = list(with_checksums(caught(RECORDED / f"{name}.pcap")))
    told = tshark(written(tmp_path / "fcs.pcap", packets))
    found = whole(packets)

    def share(wanted: Any) -> float:
        return sum(each.duration_us or 0 for each in told if wanted(each)) / 10e6

    assert found.frames == len(told)
    assert found.bad_frames == found.unrated == 0
    near = {"abs": len(told) * 0.5e-6 / 10}  # tshark gives whole microseconds
    assert found.airtime == pytest.approx(share(lambda each: True), **near)
    assert found.airtime_own_ap == pytest.approx(share(lambda each: each.sender == OWN), **near)
    assert found.airtime_own_stations == pytest.approx(
        share(lambda each: each.sender == STATION and each.bssid == OWN), **near
    )
    second = share(lambda each: SECOND in (each.sender, each.bssid) and each.sender != OWN)
    assert (found.airtime_same_ssid, found.airtime_others) == (
        (pytest.approx(second, **near), 0.0) if name == "ofdm" else (0.0, pytest.approx(second, **near))
    )
    assert found.management_rate == sum(each.kind == 0 for each in told) / 10
    assert found.retry_ratio == 0


@pytest.mark.parametrize("name", ["dsss", "ofdm", "ht", "ht40", "vht"])
def test_the_beacon_interval_is_true_though_the_machine_was_late_with_some(name: str) -> None:
    for bssid in (OWN, SECOND):
        found = whole(caught(RECORDED / f"{name}.pcap"), bssid=bssid)
        assert found.beacon_interval == pytest.approx(0.1024, rel=1e-3)
        assert found.beacon_interval_announced == pytest.approx(0.1024)
        assert found.beacons_missed == 0.0
        assert found.bssid == bssid


def test_40_mhz_has_108_subcarriers() -> None:
    """tshark 4.0 takes twice those of 20 MHz, 104; its rates are right, and so are ours (table 19-38: 15 Mbit/s)."""
    path = RECORDED / "ht40.pcap"
    wide = 0
    for (_, data, length), other in zip(caught(path), tshark(path), strict=True):
        radio = radiotap.parse(data)
        assert radio is not None
        assert radio.phy is not None
        mine = airtime_s(radio.phy, length - radio.length)
        if isinstance(radio.phy, Ht) and radio.phy.width == 40:
            wide += 1
            symbol = 3.6e-6 if radio.phy.short_gi else 4e-6
            per_symbol = round((other.rate or 0) * 1e6 * symbol)
            symbols = -(-(8 * (length - radio.length) + 22) // per_symbol)
            assert mine == pytest.approx(radio.phy.preamble_s + symbols * symbol)
        else:
            assert round(mine * 1e6) == other.duration_us
    assert wide > 100


def test_vht_frames_take_whole_symbols() -> None:
    """tshark calls its own a crude quick hack: bits by rate, no symbols; it is shorter, by less than four of them."""
    path = RECORDED / "vht.pcap"
    for (_, data, length), other in zip(caught(path), tshark(path), strict=True):
        radio = radiotap.parse(data)
        assert radio is not None
        assert radio.phy is not None
        more = airtime_s(radio.phy, length - radio.length) * 1e6 - (other.duration_us or 0)
        assert 0 <= more < 16 if isinstance(radio.phy, Vht) else round(more) == 0


@pytest.mark.parametrize(
    ("phy", "octets", "microseconds"),
    [
        (Dsss(1_000_000), 14, 304),  # an ACK: 192 + 112
        (Dsss(11_000_000, short_preamble=True), 14, 107),
        (Dsss(1_000_000, short_preamble=True), 14, 304),
        (Ofdm(24_000_000), 14, 28),  # the ACK of every text book
        (Ofdm(6_000_000), 14, 44),
        (Ofdm(54_000_000), 1536, 248),
        (Ht(7), 1536, 228),
        (Ht(7, short_gi=True), 1536, 36 + 48 * 3.6),
        (Ht(15, width=40), 1536, 88),
        (Ht(7, greenfield=True), 1536, 216),
        (Ht(32, width=40), 100, 36 + 35 * 4),
        (Ht(0, stbc=1), 100, 40 + 32 * 4),
        (Vht(9, 1, 80), 1536, 40 + 8 * 4),
    ],
)
def test_airtimes_by_the_standard(phy: airtime.Phy, octets: int, microseconds: float) -> None:
    assert airtime_s(phy, octets) * 1e6 == pytest.approx(microseconds)


def made(frame: Packet, at: float = 0.0, **radio: Any) -> Caught:
    """A frame as a radio would tell of it, by scapy."""
    data = bytes(RadioTap(present="Flags+Rate", **{"Rate": 6, "Flags": 0} | radio) / frame)
    return Caught(at, data, len(data))


def data_frame(to_ap: bool = True, *, station: str = STATION, bssid: str = OWN, retry: bool = False) -> Packet:
    flags = (1 if to_ap else 2) | (8 if retry else 0)
    addresses = (bssid, station, STRANGER) if to_ap else (station, bssid, STRANGER)
    return Dot11(type=2, subtype=0, FCfield=flags, **_addresses(addresses)) / Raw(b"x" * 100)


def _addresses(addresses: tuple[str, str, str]) -> dict[str, str]:
    return dict(zip(("addr1", "addr2", "addr3"), addresses, strict=True))


def beacon(bssid: str = OWN, ssid: bytes = b"fibre", interval: int = 100) -> Packet:
    head = Dot11(type=0, subtype=8, **_addresses((EVERYBODY, bssid, bssid)))
    return head / Dot11Beacon(beacon_interval=interval) / Dot11Elt(ID=0, info=ssid)


def test_random_rates_made_by_scapy_are_tsharks(tmp_path: Path) -> None:
    packets = []
    for rate in (1, 2, 5.5, 11, 6, 9, 12, 18, 24, 36, 48, 54):
        for flags in (0x10, 0x12) if rate != 1 else (0x10,):  # there is no short preamble at 1 Mbit/s (§16.2.2.3)
            frame = Dot11(type=2, FCfield=1, **_addresses((OWN, STATION, STRANGER))) / Raw(b"x" * (37 + flags))
            packets.append(made(frame, Rate=rate, Flags=flags))
    for mcs in range(32):
        for flags in (0, 4, 0x20):
            if mcs // 8 + 1 + (flags >> 5) <= 4:
                head = struct.pack("<BBHIB3B", 0, 0, 12, 1 << 1 | 1 << 19, 0x10, 0x27, flags, mcs)
                data = head + bytes(data_frame()) + b"0" * 4
                packets.append(Caught(0.0, data, len(data)))
    told = tshark(written(tmp_path / "made.pcap", packets))
    assert len(told) == len(packets) > 100
    for (_, data, length), other in zip(packets, told, strict=True):
        radio = radiotap.parse(data)
        assert radio is not None
        assert radio.phy is not None
        assert int(airtime_s(radio.phy, length - radio.length) * 1e6 + 0.5 + 1e-6) == other.duration_us, radio


def test_who_sent_what() -> None:
    control = {
        "rts": Dot11(type=1, subtype=11, addr1=OWN, addr2=STATION),
        "cts": Dot11(type=1, subtype=13, addr1=STATION),
        "ack_of_station": Dot11(type=1, subtype=13, addr1=OWN),
        "poll": Dot11(type=1, subtype=10, addr1=OWN, addr2=STATION),
        "strange": Dot11(type=1, subtype=13, addr1="02:00:00:00:77:00"),
    }
    start = [made(beacon()), made(beacon(SECOND)), made(beacon(STRANGER, b"other")), made(data_frame())]
    before = whole(start)
    for name, frame in control.items():
        after = whole([*start, made(frame)])
        grown = {
            each: round((getattr(after, f"airtime_{each}") - getattr(before, f"airtime_{each}")) * 1e7)
            for each in ("own_ap", "own_stations", "same_ssid", "others", "unknown")
        }
        owner = {"cts": "own_ap", "strange": "unknown"}.get(name, "own_stations")
        assert {each for each, more in grown.items() if more > 0} == {owner}, name
    assert (before.access_points, before.same_ssid) == (3, 2)
    assert before.airtime_same_ssid is not None
    assert before.airtime_same_ssid > 0


def test_retries_count_among_what_can_be_sent_again() -> None:
    packets = [made(data_frame(retry=n % 4 == 0)) for n in range(40)]
    packets += [made(data_frame(station="02:00:00:00:55:00", bssid=STRANGER, retry=True)) for _ in range(10)]
    packets += [made(beacon(), n * 0.1) for n in range(20)]  # to everybody: nobody asks for them again
    found = whole(packets)
    assert found.own_retry_ratio == 10 / 40
    assert found.retry_ratio == 20 / 50


def test_peaks_are_those_of_whole_seconds() -> None:
    packets = [made(beacon(), n * 0.1) for n in range(30)] + [made(beacon(), 1.0 + n * 0.001) for n in range(100)]
    packets += [made(data_frame(), 3.2) for _ in range(500)]  # in a second that was not listened to as a whole
    found = whole(sorted(packets, key=lambda each: each.at), duration_s=3.5)
    assert (found.management_peak, found.frame_peak) == (110, 110)
    assert found.airtime_peak == pytest.approx(110 * airtime_s(Ofdm(6_000_000), len(beacon()) + 4))


def test_frames_of_one_aggregate_share_its_preamble() -> None:
    def part(number: int) -> Caught:
        head = struct.pack("<BBHIB3BIHBB", 0, 0, 20, 1 << 1 | 1 << 19 | 1 << 20, 0, 7, 0, 7, number, 0, 0, 0)
        data = head + bytes(data_frame())
        return Caught(0.0, data, len(data))

    octets = len(bytes(data_frame())) + 4
    found = whole([part(1), part(1), part(1), part(2)], duration_s=1.0)
    one, three = (airtime_s(Ht(7), n * (4 + octets + -octets % 4)) for n in (1, 3))
    assert found.airtime == pytest.approx(one + three)


def test_the_strongest_of_the_ssid_is_the_own_one_unless_told() -> None:
    packets = []
    for bssid, signal in ((OWN, -70), (SECOND, -40), (STRANGER, -20)):
        frame = bytes(beacon(bssid, b"other" if bssid == STRANGER else b"fibre"))
        head = struct.pack("<BBHIBBb", 0, 0, 11, 1 << 1 | 1 << 2 | 1 << 5, 0, 12, signal)
        packets.append(Caught(0.0, head + frame, len(head + frame)))
    assert whole(packets, bssid=None).bssid == SECOND
    assert whole(packets, bssid=OWN).bssid == OWN
    nobody = whole(packets, ssid="elsewhere", bssid=None)
    assert nobody.bssid is nobody.airtime_own_ap is nobody.own_retry_ratio is nobody.beacon_interval is None


def test_what_a_radio_does_not_tell_has_no_airtime_and_is_counted() -> None:
    frame = bytes(data_frame())
    he = struct.pack("<BBHI", 0, 0, 20, 1 << 23) + bytes(12) + frame
    bad = made(data_frame(), Flags=0x40)
    found = whole([Caught(0.0, he, len(he)), bad], duration_s=1.0)
    assert (found.frames, found.unrated, found.bad_frames) == (1, 1, 1)
    assert found.airtime == found.airtime_unknown == pytest.approx(airtime_s(Ofdm(6_000_000), len(frame) + 4))


@pytest.mark.parametrize(("interval", "announced"), [(0.1024, 0.1024), (0.11, 0.1024), (0.2048, 0.2048)])
def test_a_rows_interval_is_found_whatever_was_late_or_missing(interval: float, announced: float) -> None:
    places = [n for n in range(300) if n % 7 and not 50 < n < 60]
    times = [100.0 + n * interval + (0.6 * interval if n % 23 == 0 else 0.0005 * (n % 3)) for n in places]
    found = row(times, announced)
    assert found.interval_s == pytest.approx(interval, rel=1e-3)
    assert found.missed == pytest.approx(1 - len(places) / (places[-1] - places[0] + 1), abs=0.005)


def test_a_few_beacons_say_nothing_of_their_interval() -> None:
    assert row([0.0, 0.1, 0.2], 0.1024).interval_s is None
    assert row([0.0, 0.1, 0.2, 0.3], None).interval_s is None
    assert row([0.5, 0.5, 0.5, 0.5], 0.1).interval_s is None


def test_forged_addresses_do_not_fill_the_memory() -> None:
    tally = Tally(b"fibre")
    for n in range(2 * MOST_POINTS):
        forged = f"02:11:{n >> 8:02x}:{n & 255:02x}:00:00"
        tally.add(0.0, *made(beacon(forged))[1:])
    for n in range(6000):
        forged = f"02:22:{n >> 8:02x}:{n & 255:02x}:00:00"
        head = struct.pack("<BBHIB", 0, 0, 9, 1 << 2, 12) + bytes.fromhex("08010000") + bytes.fromhex("020000000100")
        tally.add(0.0, head + bytes.fromhex(forged.replace(":", "")) * 2 + b"00", 40)
    assert len(tally._points) == MOST_POINTS
    assert len(tally._stations) <= 4096
    assert tally.result(1.0).access_points == MOST_POINTS


def test_a_result_names_no_station() -> None:
    found = repr(whole(caught(RECORDED / "ht.pcap")))
    assert STATION not in found
    assert STATION.replace(":", "") not in found


GOOD = [each.data for name in ("ofdm", "ht", "vht") for each in caught(RECORDED / f"{name}.pcap")[:40]]


@given(st.lists(st.binary(max_size=200), max_size=5))
@settings(max_examples=150, deadline=None)
@example([b"\x00\x00\x08\x00\x00\x00\x00\x00"])
@example([b"\x00\x00\x09\x00\x00\x00\x00\x80\x00"])
def test_garbage_never_breaks_it(packets: list[bytes]) -> None:
    tally = Tally(b"fibre")
    for each in packets:
        tally.add(0.5, each, len(each))
    assert tally.result(1.0).frames is not None


@given(
    st.sampled_from(GOOD),
    st.lists(st.tuples(st.integers(0, 109), st.integers(0, 255)), max_size=8),
    st.integers(0, 110),
    st.integers(0, 70_000),
)
@settings(max_examples=250, deadline=None)
def test_damaged_frames_never_break_it(data: bytes, changes: list[tuple[int, int]], kept: int, length: int) -> None:
    damaged = bytearray(data)
    for place, value in changes:
        if place < len(damaged):
            damaged[place] = value
    tally = Tally(b"fibre")
    for at in (0.0, 0.1, 0.2, 0.3, 0.4):
        tally.add(at, bytes(damaged[:kept]), max(kept, length))
    found = tally.result(1.0)
    assert (found.airtime or 0) >= 0
    assert (found.frames or 0) + (found.bad_frames or 0) <= 5
    frames.parse(bytes(damaged))
