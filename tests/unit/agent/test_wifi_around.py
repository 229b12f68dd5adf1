"""What a list of networks means: neighbours by channel, who shares the air, what is missing, what pretends."""

from typing import Any

from fibrewatch import wire
from fibrewatch.results.wifi_scan import Params, Result
from fibrewatch_agent.wifi import around, channels
from fibrewatch_agent.wifi.around import Heard, Ours
from fibrewatch_agent.wifi.station import Bss

OURS, OTHER, FAR = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"


def bss(bssid: str, frequency: int, name: bytes | None, signal: float | None = -60.0, more: bytes = b"") -> Bss:
    ssid = b"" if name is None else bytes([0, len(name)]) + name
    return Bss(bytes.fromhex(bssid.replace(":", "")), frequency, signal, False, 100.0, ssid + more)


def heard(params: Params, *found: Bss) -> list[Heard]:
    return around.heard(found, params, around.site_names(params, None), 101.0)


def on(frequency: int, width: float = 20) -> Ours:
    return Ours(OURS, frequency, (channels.span(frequency, width),))


def shared(*found: Bss, ours: Ours) -> tuple[int, int, Any]:
    told = around.counted(heard(Params(ssids=("site",)), *found), ours)
    return told["co_channel"], told["overlapping"], told["competitor_signal"]


def test_own_access_point_is_no_neighbour_of_its_own() -> None:
    assert shared(bss(OURS, 2437, b"site"), ours=on(2437)) == (0, 0, None)


def test_sites_other_access_points_share_the_channel_but_are_no_competitors() -> None:
    assert shared(bss(OTHER, 2437, b"site", -40.0), bss(FAR, 2437, b"cafe", -70.0), ours=on(2437)) == (2, 0, -70.0)


def test_overlap_depends_on_both_widths() -> None:
    eighty = bytes([192, 5, 1, 42, 0, 0, 0])
    assert shared(bss(OTHER, 5180, b"cafe"), ours=on(5220)) == (0, 0, None)
    assert shared(bss(OTHER, 5180, b"cafe", more=eighty), ours=on(5220)) == (0, 1, -60.0)
    assert shared(bss(OTHER, 5180, b"cafe"), ours=Ours(OURS, 5220, (channels.span(5210, 80),))) == (0, 1, -60.0)
    assert shared(bss(OTHER, 2462, b"cafe"), ours=on(2437)) == (0, 0, None)
    assert shared(bss(OTHER, 2457, b"cafe"), ours=on(2437)) == (0, 1, -60.0)


def test_without_a_link_nothing_is_shared() -> None:
    told = around.counted(heard(Params(), bss(OTHER, 2437, b"cafe")), None)
    assert told["access_points"] == 1
    assert "co_channel" not in told


def test_driver_without_signals_is_counted_all_the_same() -> None:
    assert shared(bss(OTHER, 2437, b"cafe", None), ours=on(2437)) == (1, 0, None)


def test_hidden_names_are_counted_and_broken_ones_are_not_hidden() -> None:
    found = heard(Params(), bss(OTHER, 2437, b""), bss(FAR, 2437, bytes(8)), bss(OURS, 2437, b"x" * 40))
    told = around.counted(found, None)
    assert (told["hidden"], told["access_points"]) == (2, 3)


def test_hidden_network_that_somebody_knew_is_one_and_bears_its_name() -> None:
    """The kernel keeps its beacon and its answer apart, and tells the beacon with either."""
    beacon, answer = b"\0\0", b"\0\4site"
    quiet = Bss(bytes.fromhex("020000000002"), 2437, -50.0, False, 102.0, beacon, beacon)
    known = quiet._replace(associated=True, seen_at=100.0, answered=answer)
    for found in ((quiet, known), (known, quiet), (known._replace(associated=False), quiet)):
        everything = heard(Params(ssids=("site",)), *found)
        told = around.counted(everything, None)
        assert (told["access_points"], told["hidden"], told["same_ssid"]) == (1, 1, 1)
        assert around.expected(everything, Params(ssids=("site",)), complete=True)["missing_ssids"] == 0


def test_what_a_beacon_says_goes_before_an_answer() -> None:
    both = bss(OTHER, 2437, b"cafe")._replace(answered=b"\0\4site")
    assert [each.neighbour.ssid for each in heard(Params(ssids=("site",)), both)] == ["cafe"]


def test_missing_is_told_only_of_what_is_expected_and_of_a_whole_scan() -> None:
    params = Params(ssids=("site", "guests"), bssids=(OURS, FAR))
    found = heard(params, bss(OURS, 2437, b"site"), bss(OTHER, 2437, b"site"), bss(FAR, 5180, b"cafe"))
    whole = around.expected(found, params, complete=True)
    assert whole == {
        "unexpected_bssids": 1,
        "missing_ssids": 1,
        "ssids_missing": ("guests",),
        "missing_bssids": 0,
        "bssids_missing": (),
    }
    assert around.expected(found, params, complete=False) == {"unexpected_bssids": 1}
    assert around.expected(found, Params(ssids=("site",)), complete=True) == {"missing_ssids": 0, "ssids_missing": ()}
    assert around.expected(found, Params(), complete=True) == {}


def test_names_are_compared_as_they_are_written() -> None:
    params = Params(ssids=("caf\\é",))
    assert around.site_names(params, b"other") == ("caf\\\\é",)
    assert around.site_names(Params(), b"\xff") == ("\\xff",)
    assert around.site_names(Params(), None) == ()
    assert heard(params, bss(OTHER, 2437, "caf\\é".encode()))[0].neighbour.ours


def test_crowd_of_the_longest_names_fits_into_a_measurement() -> None:
    crowd = [
        bss(f"02:00:00:00:{i // 256:02x}:{i % 256:02x}", 2412 + 5 * (i % 13), b"\xff" * 32, -90.0 + i / 10)
        for i in range(300)
    ]
    expected = tuple(f"02:00:00:01:00:{i:02x}" for i in range(100))
    params = Params(ssids=tuple(f"{i:02}" + "é" * 15 for i in range(16)), bssids=expected)
    found = heard(params, *crowd, bss("02:00:00:00:09:00", 2437, b"cafe", -95.0))
    figures = around.counted(found, on(2437)) | around.expected(found, params, complete=True)
    result = Result(ssids=around.site_names(params, None), why_cache="x" * 400, source="scan", **figures)
    assert result.omitted == 301 - len(result.neighbours)
    assert result.access_points == 301
    assert len(wire.encode(result)) < wire.MAX_MEASUREMENT_BYTES - 2048
