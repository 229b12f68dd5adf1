"""wifi_scan on virtual radios: networks in known places, what the installed agent publishes, and what `iw` lists."""

import re
from typing import Any

import pytest

from tests.lab.radio.play import play_once

pytestmark = pytest.mark.full_lab
SITE, PRETENDER, NEIGHBOUR, SECRET, WIDE = (
    f"02:00:00:00:{number}" for number in ("01:00", "02:01", "02:00", "03:00", "04:00")
)


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return play_once("scan", tmp_path_factory)


def by_bssid(measurement: Any) -> dict[str, Any]:
    return {each["bssid"]: each for each in measurement["result"]["neighbours"]}


def test_all_networks_are_heard_where_they_are(facts: Any) -> None:
    result, around = facts["scan"]["result"], by_bssid(facts["scan"])
    assert around.keys() == {SITE, PRETENDER, NEIGHBOUR, SECRET, WIDE}
    assert result["source"] == "scan"
    assert result["access_points"] == 5
    assert {bssid: (n["band"], n["channel"], n["width"]) for bssid, n in around.items()} == {
        SITE: ("2.4 GHz", 6, 20e6),
        PRETENDER: ("2.4 GHz", 6, 20e6),
        NEIGHBOUR: ("2.4 GHz", 6, 20e6),
        SECRET: ("2.4 GHz", 8, 20e6),
        WIDE: ("5 GHz", 36, 80e6),
    }
    assert around[WIDE]["generation"] == "ac"
    channels = {(each["band"], each["channel"]): each["access_points"] for each in result["channels"]}
    assert channels == {("2.4 GHz", 6): 3, ("2.4 GHz", 8): 1, ("5 GHz", 36): 1}


def test_they_are_those_that_iw_lists(facts: Any) -> None:
    said = {
        block[:17]: (float(re.search(r"signal: (-?[\d.]+)", block)[1]), int(re.search(r"freq: (\d+)", block)[1]))  # type: ignore[index]
        for block in re.split(r"^BSS ", facts["iw"], flags=re.MULTILINE)[1:]
    }
    around = by_bssid(facts["after"])
    assert {bssid: n["signal"] for bssid, n in around.items()} == {bssid: signal for bssid, (signal, _) in said.items()}
    assert said[WIDE][1] == 5180
    assert around[SITE]["signal"] == -45
    assert around[NEIGHBOUR]["signal"] == -30


def test_who_shares_the_channel_is_counted(facts: Any) -> None:
    result = facts["scan"]["result"]
    assert (result["co_channel"], result["overlapping"]) == (2, 1)  # 8 reaches into 6; 36 does not
    assert result["competitor_signal"] == -30
    assert (result["hidden"], result["same_ssid"]) == (1, 2)
    assert "ssid" not in by_bssid(facts["scan"])[SECRET]


def test_what_is_missing_and_what_pretends_is_told(facts: Any) -> None:
    result = facts["scan"]["result"]
    assert result["ssids"] == ["fibre", "guests"]
    assert (result["missing_ssids"], result["ssids_missing"]) == (1, ["guests"])
    assert (result["missing_bssids"], result["bssids_missing"]) == (1, ["02:00:00:00:99:00"])
    assert result["unexpected_bssids"] == 1
    assert [bssid for bssid, n in by_bssid(facts["scan"]).items() if n.get("unexpected")] == [PRETENDER]


def test_names_that_would_harm_a_terminal_are_escaped(facts: Any) -> None:
    assert by_bssid(facts["scan"])[NEIGHBOUR]["ssid"] == "café \\x1b[31m"


def test_hidden_network_answers_to_its_name_and_is_one(facts: Any) -> None:
    asked, known = by_bssid(facts["asked"])[SECRET], by_bssid(facts["known"])
    assert (asked["ssid"], asked["ours"]) == ("secret", True)
    assert "secret" not in facts["asked"]["result"].get("ssids_missing", ())
    assert facts["kept"].count(f"BSS {SECRET}") == 2, "the kernel keeps its beacon and its answer apart"
    assert facts["known"]["result"]["access_points"] == len(known) == 5
    assert (known[SECRET]["ssid"], facts["known"]["result"]["hidden"]) == ("secret", 1)


def test_without_the_helper_others_scans_are_told_as_such(facts: Any) -> None:
    result = facts["cache"]["result"]
    assert (result["source"], result["why_cache"]) == ("cache", "/tmp/radio/nobody.sock: no radio helper listens there")
    assert "missing_ssids" not in result
    assert "missing_bssids" not in result
    assert SITE in by_bssid(facts["cache"])
    assert result["age_max"] > 0
    assert facts["after"]["result"]["access_points"] == 5
