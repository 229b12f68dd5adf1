"""Elements of beacons: known ones, and whatever anybody may send."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibrewatch.results.wifi_scan import Params
from fibrewatch.ssid import octets
from fibrewatch.ssid import text as ssid_text
from fibrewatch_agent.wifi import around, channels, elements, station
from fibrewatch_agent.wifi.channels import Span
from fibrewatch_agent.wifi.station import Bss


def element(number: int, body: bytes) -> bytes:
    if number >= 256:
        number, body = 255, bytes([number - 256]) + body
    return bytes([number, len(body)]) + body


def spans(*given: bytes, frequency: int) -> tuple[Span, ...]:
    return elements.spans(elements.parse(b"".join(given)), frequency)


HT20, HT40_ABOVE = element(61, bytes([36, 0]) + bytes(20)), element(61, bytes([36, 1]) + bytes(20))
HT40_BELOW = element(61, bytes([40, 3]) + bytes(20))


@pytest.mark.parametrize(
    ("given", "frequency", "taken"),
    [
        ((), 2437, [(2426, 2448)]),  # 802.11b's 22 MHz
        ((), 5180, [(5170, 5190)]),
        ((HT20,), 5180, [(5170, 5190)]),
        ((HT40_ABOVE,), 5180, [(5170, 5210)]),
        ((HT40_BELOW,), 5200, [(5170, 5210)]),
        ((HT40_ABOVE, element(192, bytes([0, 0, 0, 0, 0]))), 5180, [(5170, 5210)]),
        ((HT40_ABOVE, element(192, bytes([1, 42, 0, 0, 0]))), 5180, [(5170, 5250)]),
        ((HT40_ABOVE, element(192, bytes([1, 42, 50, 0, 0]))), 5180, [(5170, 5330)]),
        ((HT40_ABOVE, element(192, bytes([2, 50, 0, 0, 0]))), 5180, [(5170, 5330)]),  # the old word for it
        ((HT40_ABOVE, element(192, bytes([1, 42, 155, 0, 0]))), 5180, [(5170, 5250), (5735, 5815)]),
    ],
)
def test_air_that_a_network_takes(given: tuple[bytes, ...], frequency: int, taken: list[tuple[int, int]]) -> None:
    assert spans(*given, frequency=frequency) == tuple(Span(*each) for each in taken)


def he_operation(six: bytes = b"", vht: bytes = b"") -> bytes:
    flags = (1 << 17 if six else 0) | (1 << 14 if vht else 0)
    return element(256 + 36, flags.to_bytes(3, "little") + bytes(3) + vht + six)


@pytest.mark.parametrize(
    ("operation", "taken"),
    [
        (he_operation(bytes([37, 0, 37, 0, 6])), (6125, 6145)),
        (he_operation(bytes([37, 1, 35, 0, 6])), (6105, 6145)),
        (he_operation(bytes([37, 2, 39, 0, 6])), (6105, 6185)),
        (he_operation(bytes([37, 3, 39, 47, 6])), (6105, 6265)),
        (element(256 + 106, bytes([1]) + bytes(4) + bytes([4, 47, 31])), (5945, 6265)),
        (element(256 + 106, bytes([1]) + bytes(4) + bytes([2, 39, 0])), (6105, 6185)),
    ],
)
def test_air_that_a_network_takes_at_six_gigahertz(operation: bytes, taken: tuple[int, int]) -> None:
    assert spans(operation, frequency=6135) == (Span(*taken),)


def test_centre_that_its_primary_channel_is_not_in_is_not_believed() -> None:
    assert spans(element(192, bytes([1, 155, 0, 0, 0])), frequency=5180) == (Span(5170, 5190),)


def test_widths_are_counted_as_standards_do() -> None:
    assert elements.width((Span(2426, 2448),)) == 20
    assert elements.width((Span(5170, 5250), Span(5735, 5815))) == 160


@pytest.mark.parametrize(
    ("frequency", "number", "band"),
    [
        (2412, 1, "2.4 GHz"),
        (2472, 13, "2.4 GHz"),
        (2484, 14, "2.4 GHz"),
        (5180, 36, "5 GHz"),
        (5885, 177, "5 GHz"),
        (5935, 2, "6 GHz"),
        (5955, 1, "6 GHz"),
        (7115, 233, "6 GHz"),
    ],
)
def test_channel_numbers(frequency: int, number: int, band: str) -> None:
    assert (channels.channel(frequency), channels.band(frequency)) == (number, band)


def test_every_channel_of_six_gigahertz() -> None:
    numbers = range(1, 234, 4)  # IEEE Std 802.11ax-2021 Annex E, operating class 131: 59 of them
    assert len(numbers) == 59
    assert [channels.channel(5950 + 5 * number) for number in numbers] == list(numbers)
    assert {channels.band(5950 + 5 * number) for number in (2, *numbers)} == {"6 GHz"}


@pytest.mark.parametrize("frequency", [0, 863, 902, 927, 2401, 2413, 5900, 5920, 5925, 7120, 7125, 58320, 70200])
def test_what_is_no_channel_has_no_number(frequency: int) -> None:
    assert channels.channel(frequency) is None


@pytest.mark.parametrize("frequency", [863, 928, 4899, 5925, 7125, 45000, 58320, 60480, 70200])
def test_other_bands_than_three_have_none(frequency: int) -> None:
    """S1G (802.11ah), 60 GHz (802.11ad, ay) and what lies between."""
    assert channels.band(frequency) is None
    heard = around.heard([Bss(b"\2\0\0\0\0\1", frequency, -50.0, False, 10.0, b"\0\1x")], Params(), (), 12.0)
    assert (heard[0].neighbour.channel, heard[0].neighbour.width) == (None, None)
    assert around.counted(heard, None)["channels"] == ()


def test_channels_overlap_where_they_share_air() -> None:
    at = {number: channels.span(2407 + 5 * number, 20) for number in range(1, 14)}
    assert [number for number in at if at[number].overlaps(at[6])] == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert not channels.span(5180, 20).overlaps(channels.span(5200, 20))


def test_bss_load() -> None:
    told = elements.parse(element(11, struct.pack("<HBH", 300, 51, 31250)))
    assert elements.load(told) == (300, 0.2, 1.0)


@pytest.mark.parametrize("body", [b"", b"\1", bytes(4), bytes(6), bytes(255)])
def test_bss_load_of_another_length_is_none(body: bytes) -> None:
    assert elements.load(elements.parse(element(11, body))) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"fibre", "fibre"),
        ("café".encode(), "café"),
        (b"\xff\xfe", "\\xff\\xfe"),
        (b"a\x1b[31m\n", "a\\x1b[31m\\x0a"),
        (b"back\\slash", "back\\\\slash"),
        (b"\\xff", "\\\\xff"),
        ("\u202eevil".encode(), "\\xe2\\x80\\xaeevil"),
        (b"caf\xc3", "caf\\xc3"),
    ],
)
def test_names_as_text(name: bytes, text: str) -> None:
    assert ssid_text(name) == text


def test_hidden_and_impossible_names() -> None:
    assert elements.ssid(elements.parse(element(0, b""))) == b""
    assert elements.ssid(elements.parse(element(0, bytes(7)))) == b""
    assert elements.ssid(elements.parse(element(0, bytes(32)))) == b""
    assert elements.ssid(elements.parse(element(0, bytes(33)))) is None
    assert elements.ssid(elements.parse(element(0, b"x" * 33))) is None
    assert elements.ssid(elements.parse(b"")) is None


def test_element_that_is_cut_short_ends_the_list() -> None:
    assert elements.parse(b"\0\5fibre\x0b\5\1") == {0: b"fibre"}
    assert elements.parse(b"\0\xff") == {}


@given(st.binary(max_size=300), st.sampled_from([2412, 2484, 5180, 5885, 5955, 7115, 58320]))
def test_nothing_sent_breaks_the_parser(data: bytes, frequency: int) -> None:
    told = elements.parse(data)
    name, load = elements.ssid(told), elements.load(told)
    assert name is None or len(name) <= 32
    assert load is None or 0 <= load.utilisation <= 1
    assert elements.generation(told) in ("legacy", "n", "ac", "ax", "be")
    for each in elements.spans(told, frequency):
        assert each.high - each.low <= 320
    assert any(each.low < frequency < each.high for each in elements.spans(told, frequency))


@given(st.lists(st.tuples(st.sampled_from([0, 11, 61, 192, 292, 362, 291, 364]), st.binary(max_size=40)), max_size=8))
def test_nothing_in_known_elements_breaks_the_judgement(given: list[tuple[int, bytes]]) -> None:
    data = b"".join(element(number, body) for number, body in given)
    one = Bss(b"\2\0\0\0\0\1", 5180, -50.0, True, 10.0, data)
    found = around.heard([one], Params(ssids=("fibre",)), ("fibre",), 12.0)
    figures = around.counted(found, around.Ours("02:00:00:00:00:09", 5180, (Span(5170, 5250),)))
    assert figures["access_points"] == 1
    assert figures["co_channel"] == 1


@given(st.binary(max_size=64))
def test_names_are_printable_and_tell_all(name: bytes) -> None:
    text = ssid_text(name)
    assert text.isprintable() or not text
    assert len(text) <= 4 * len(name)
    unescaped = text.replace("\\\\", "\0").encode().decode("latin-1")
    again = b"".join(
        part if i == 0 else bytes.fromhex(part[:2].decode()) + part[2:]
        for i, part in enumerate(unescaped.encode("latin-1").split(b"\\x"))
    )
    assert again.replace(b"\0", b"\\") == name or b"\0" in name


@given(st.binary(max_size=60))
def test_no_frame_breaks_the_reading_of_reasons(frame: bytes) -> None:
    found = station.frame_reason(frame)
    assert (found is None) == (len(frame) < 24)


def test_reason_of_a_frame() -> None:
    ours, theirs = b"\2\0\0\0\0\0", b"\2\0\0\0\1\0"
    head = b"\xc0\0\0\0"
    assert station.frame_reason(head + ours + theirs + theirs + b"\0\0\5\0") == (theirs, True, 5)
    assert station.frame_reason(head + theirs + ours + theirs + b"\0\0\3\0") == (theirs, False, 3)
    assert station.frame_reason(head + ours + theirs + theirs + b"\0\0") == (theirs, True, None)


@given(st.binary(min_size=1, max_size=32))
def test_a_name_that_results_write_can_be_configured(name: bytes) -> None:
    assert octets(ssid_text(name)) == name


def test_names_that_people_write_mean_what_they_say() -> None:
    assert octets("café") == "café".encode()
    assert octets("back\\slash \\n \\x4") == b"back\\slash \\n \\x4"
    assert octets("\\xE9t\\xe9 \\\\x41") == b"\xe9t\xe9 \\x41"
    for wrong in ("", "é" * 17, "\\x41" * 33):
        with pytest.raises(ValueError, match="is no network's name"):
            octets(wrong)
