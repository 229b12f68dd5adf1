"""wifi_link on virtual radios: what the installed agent publishes, against what `iw` and wpa_supplicant say."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.lab.radio.play import play, play_once


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return play_once("link", tmp_path_factory)


def number(text: str, name: str) -> float:
    """The figure behind a name in what `iw` prints."""
    found = re.search(rf"^\s*{re.escape(name)}:?\s+(-?[\d.]+)", text, re.MULTILINE)
    assert found, (name, text)
    return float(found[1])


def between(name: str, of: str, seen: Any) -> tuple[float, float]:
    """What `iw` said before and after: a counter's figure lies between."""
    return number(seen["before"][of], name), number(seen["after"][of], name)


def figures(seen: Any) -> Any:
    return seen["measurement"]["result"]


def total(measurements: list[Any], name: str) -> float:
    return sum(each["result"].get(name, 0) for each in measurements if each["outcome"] == "ok")


def test_link_as_iw_tells_it(facts: Any) -> None:
    seen, link, iw = facts["strong"], figures(facts["strong"]), facts["strong"]["before"]
    assert f"Connected to {link['bssid']} " in iw["link"]
    assert f"SSID: {link['ssid']}\n" in iw["link"]
    assert link["frequency"] == number(iw["link"], "freq") * 1e6
    assert f"channel {link['channel']} ({link['frequency'] / 1e6:.0f} MHz), width: 20 MHz" in iw["info"]
    assert (link["width"], link["band"], link["connected"]) == (20e6, "2.4 GHz", True)
    assert link["signal"] == number(iw["station"], "signal") == -30
    assert f"country {link['country']}:" in iw["reg"]
    assert link["country"] == "FR"
    low, high = between("connected time", "station", seen)
    assert low <= link["connected_time"] <= high
    low, high = between("rx packets", "station", seen)
    assert 0 < link["rx_packets"] <= high - low + 200 * link["watched"]


def test_bit_rate_and_modulation_as_iw_tells_them(facts: Any) -> None:
    """The driver tries other rates all the time: those count of which `iw` said the same before and after."""
    agreed = []
    for seen in (facts["strong"], facts["weak"], *facts["looks"]):
        before, after = (re.findall(r"tx bitrate:\s+(.*)", seen[at]["station"])[0] for at in ("before", "after"))
        if before == after:
            agreed.append((before, worded(figures(seen)["tx"])))
    wrong = [each for each in agreed if each[0] != each[1]]
    assert len(agreed) >= 2, facts["looks"]
    assert len(wrong) <= 1, wrong
    assert any("MCS" in said for said, _ in agreed)


def worded(tx: Any) -> str:
    """A rate as `iw` writes it."""
    mcs = f" MCS {tx['mcs']}" if tx["generation"] == "n" else ""
    return f"{tx['bitrate'] * 8 / 1e6:.1f} MBit/s{mcs}"


def test_survey_as_iw_tells_it(facts: Any) -> None:
    seen, link = facts["strong"], figures(facts["strong"])
    own = f"{link['frequency'] / 1e6:.0f} MHz"
    blocks = [b for b in seen["before"]["survey"].split("Survey data") if own in b]
    assert link["noise"] == number(blocks[0], "noise") == -92
    assert link["snr"] == link["signal"] - link["noise"]
    measured = [m["result"] for m in facts["all"] if (m.get("result") or {}).get("busy_ratio") is not None]
    assert measured
    assert all(each["busy_ratio"] == pytest.approx(1 / 8, abs=0.01) for each in measured)  # hwsim's own figure


def test_bss_load_as_iw_tells_it(facts: Any) -> None:
    link, scan = figures(facts["strong"]), facts["strong"]["before"]["scan"]
    own = next(b for b in scan.split("BSS 02:") if "-- associated" in b).split("from Beacon frame")[-1]
    assert link["ap_stations"] == number(own, "* station count") == 1
    assert link["ap_utilisation"] == pytest.approx(number(own, "* channel utilisation") / 255)
    assert 0 <= link["ap_load_age"] < 30


def test_signal_falls_with_the_access_points_power(facts: Any) -> None:
    assert figures(facts["strong"])["signal"] == -30
    assert figures(facts["weak"])["signal"] == number(facts["weak"]["before"]["station"], "signal") == -45
    assert figures(facts["weak"])["snr"] == 47


def test_roam_is_counted_once_with_its_interruption(facts: Any) -> None:
    runs = facts["roam"]["measurements"]
    assert (total(runs, "roams"), total(runs, "disconnects"), total(runs, "deauthentications")) == (1, 0, 0)
    assert runs[-1]["result"]["bssid"] == facts["roam"]["to"] != facts["roam"]["from"]
    took = next(each["result"]["interruption_max"] for each in runs if each["result"].get("interruption_max"))
    # wpa_supplicant says when it asks for the move, a moment before the kernel leaves, and when keys are agreed.
    began, ended = (
        float(re.findall(rf"^([\d.]+): wlan0: {word}", facts["roam"]["supplicant"], re.MULTILINE)[-1])
        for word in ("SME: Trying to authenticate", "CTRL-EVENT-CONNECTED")
    )
    assert 0 < took <= ended - began + 0.5, (took, ended - began)
    assert took >= (ended - began) / 10


def test_who_sends_it_away_is_counted_by_reason(facts: Any) -> None:
    runs = facts["sent away"]["measurements"]
    assert (total(runs, "deauthentications"), total(runs, "disassociations"), total(runs, "roams")) == (2, 1, 0)
    assert total(runs, "disconnects") == 4
    given = {}
    for each in (reason for run in runs for reason in (run.get("result") or {}).get("reasons", ())):
        if each["by"] == "ap":
            key = (each["kind"], each["reason"])
            given[key] = given.get(key, 0) + each["times"]
    assert given == {("deauthenticated", 5): 1, ("disassociated", 8): 1, ("deauthenticated", 12): 1}


def test_not_to_be_connected_is_a_result(facts: Any) -> None:
    apart = facts["sent away"]["apart"]
    assert (apart["outcome"], apart["result"]["connected"]) == ("ok", False)
    assert "signal" not in apart["result"]
    assert "bssid" not in apart["result"]
    assert apart["result"]["interruption_time"] > 0


def test_agent_survives_the_radios_removal(facts: Any) -> None:
    gone, back = facts["removed"]["without"], facts["removed"]["back"]
    assert (gone["outcome"], gone["error"], gone["detail"]) == ("failed", "no_interface", "no wireless interface")
    assert "result" not in gone
    assert back["outcome"] == "ok"
    assert back["result"]["channel"] == 1
    assert gone["boot"] == back["boot"]


def test_bssid_is_no_label(facts: Any) -> None:
    labels = {key for m in facts["all"] for key in ("test", "interface", "target") if key in m for key in [m[key]]}
    assert not any(bssid in label for bssid in facts["bssids"] for label in labels)


def test_agent_stays_small(facts: Any) -> None:
    assert facts["rss"] <= 40 * 2**20


@pytest.mark.full_lab
def test_wide_link_and_its_silent_end(tmp_path: Path) -> None:
    facts = play("link_wide", tmp_path / "lab")
    for seen in facts["looks"]:
        link = figures(seen)
        assert (link["band"], link["channel"], link["width"], link["centre"]) == ("5 GHz", 36, 80e6, 5210e6)
        assert "channel 36 (5180 MHz), width: 80 MHz, center1: 5210 MHz" in seen["before"]["info"]
    sent = [figures(seen)["tx"] for seen in facts["looks"]]
    assert {rate["generation"] for rate in sent} == {"ac"}, "mac80211's rate control knows no ax"
    iw = "".join(seen[at]["station"] for seen in facts["looks"] for at in ("before", "after"))
    said = re.findall(r"tx bitrate:\s+(.*)", iw)
    assert any(words(rate) == text for rate in sent for text in said), (sent, said)
    ends = [each["result"] for each in facts["silent"] if each["outcome"] == "ok"]
    assert sum(each.get("disconnects", 0) for each in ends) == 1
    assert sum(each.get("roams", 0) + each.get("deauthentications", 0) for each in ends) == 0
    assert ("deauthenticated", "box", 4) in {
        (reason["kind"], reason["by"], reason["reason"]) for each in ends for reason in each.get("reasons", ())
    }
    assert ends[-1]["connected"] is False
    moves_with_its_access_point(facts["switched"])
    same_link_under_other_laws(facts["other laws"])
    asked = facts["asked"]
    assert (asked["by address"], asked["nobody"]) == (asked["listed"][0], None)
    away, back = facts["renamed"]["away"], facts["renamed"]["back"]
    assert (away["error"], away["detail"]) == ("no_interface", "there is no interface wlan0")
    assert back["result"]["connected"] is False
    six = figures(facts["six"])
    assert (six["band"], six["channel"], six["frequency"], six["width"]) == ("6 GHz", 37, 6135e6, 20e6)
    assert "channel 37 (6135 MHz), width: 20 MHz" in facts["six"]["before"]["info"]
    assert six["signal"] == number(facts["six"]["before"]["station"], "signal")


def moves_with_its_access_point(seen: Any) -> None:
    """A switch of the channel that the access point announced is neither a roam nor a loss."""
    link = figures(seen)
    assert (link["channel"], link["frequency"], link["width"], link["centre"]) == (40, 5200e6, 80e6, 5210e6)
    assert "channel 40 (5200 MHz), width: 80 MHz, center1: 5210 MHz" in seen["before"]["info"]
    undisturbed(seen["measurements"])


def same_link_under_other_laws(seen: Any) -> None:
    link = figures(seen)
    assert link["country"] != "FR"
    assert f"country {link['country']}:" in seen["before"]["reg"]
    assert link["connected"] is True
    undisturbed(seen["measurements"])


def undisturbed(measurements: list[Any]) -> None:
    assert {each["outcome"] for each in measurements} == {"ok"}
    assert all(each["result"]["connected"] for each in measurements)
    assert sum(total(measurements, each) for each in ("roams", "disconnects", "deauthentications")) == 0


def words(rate: Any) -> str:
    """An 802.11ac rate as `iw` writes it."""
    short = " short GI" if rate["guard_interval"] < 0.5e-6 else ""
    bitrate = f"{rate['bitrate'] * 8 / 1e6:.1f} MBit/s"
    wide = "" if rate["width"] == 20e6 else f" {rate['width'] / 1e6:.0f}MHz"
    return f"{bitrate} VHT-MCS {rate['mcs']}{wide}{short} VHT-NSS {rate['nss']}"
