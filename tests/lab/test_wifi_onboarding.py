"""Onto networks of virtual radios by way of the radio helper, which has one capability; the agent has none of its own.

Oracles are not ours: hostapd's own stamps, and what passed on the air, read by tshark.
"""

import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.lab.radio.play import play
from tests.lab.radio.world import PASSPHRASE

_AUTHENTICATION, _ASSOCIATION, _REASSOCIATED = 11, (0, 2), 3  # subtypes of management frames; 2 is reassociation
_SLACK_S = {"": 0.02, "fast_": 0.002}
"""What the station's own program may take besides: a new process runs its code for the first time."""
_WAY = ("scan", "authentication", "association", "handshake", "dhcp", "gateway", "dns", "portal", "first_byte")


class Frame(NamedTuple):
    """One on the air: `kind` is type and subtype."""

    at: float
    kind: int
    key_message: str
    algorithm: str = ""


@pytest.mark.full_lab
def test_onto_a_wpa2_network_and_back(tmp_path: Path) -> None:
    facts = play("onboarding", tmp_path / "lab", virtual_time=True, timeout_s=900)
    assert facts["scanned"]["aborted"] is False
    result = facts["onboarded"]["result"]
    whole(result)
    of_the_point(facts["log"], result)
    of_the_air(tmp_path / "lab/air.pcap", result)
    for text in (facts["helper"], facts["commands"]):
        assert "radio_helper" in text
        assert PASSPHRASE not in text


@pytest.mark.full_lab
def test_installed_agent_publishes_it(tmp_path: Path) -> None:
    facts = play("onboarding_published", tmp_path / "lab", virtual_time=True, timeout_s=900)
    there, gone = facts["there"], facts["gone"]
    assert (there["outcome"], there["interface"]) == ("ok", "wlan0")
    whole(there["result"])
    assert (gone["outcome"], gone["error"], gone["result"]["failed_phase"]) == ("failed", "unreachable", "scan")


def whole(result: Any) -> None:
    """All phases of a network without EAP, and sums that are those of their parts."""
    assert (result["phases_passed"], result["security"]) == (len(_WAY), "WPA2-PSK")
    assert all(result[phase] > 0 for phase in _WAY)
    assert result["join"] == pytest.approx(sum(result[phase] for phase in _WAY[:4]), rel=0.01)
    assert result["total"] == pytest.approx(sum(result[phase] for phase in _WAY), rel=0.01)
    assert result["fast_join"] < result["join"] / 10, "who comes back need not scan"


def of_the_point(log: str, result: Any) -> None:
    """From its word "authenticated" to its word on the keys, both times."""
    began, keys = stamps(log, "IEEE 802.11: authenticated"), stamps(log, "WPA: pairwise key handshake completed")
    for start, end, prefix in zip(began, keys, ("", "fast_"), strict=True):
        ours = result[f"{prefix}association"] + result[f"{prefix}handshake"]
        assert ours == pytest.approx(end - start, rel=0.25, abs=_SLACK_S[prefix]), prefix


def of_the_air(pcap: Path, result: Any) -> None:
    """Frames in the order of the phases, and as long as these say: both times from the first frame to the last key."""
    found = frames(pcap)
    asked = [frame.at for frame in found if frame.kind == _AUTHENTICATION][::2]  # the second is the answer
    associates = [frame.at for frame in found if frame.kind in _ASSOCIATION]
    first_keys, last_keys = ([frame.at for frame in found if frame.key_message == number] for number in "14")
    for prefix, *marks in zip(("", "fast_"), asked, associates, first_keys, last_keys, strict=True):
        assert marks == sorted(marks)
        phases = [result[f"{prefix}{phase}"] for phase in ("authentication", "association", "handshake")]
        assert sum(phases) == pytest.approx(marks[-1] - marks[0], rel=0.25, abs=_SLACK_S[prefix]), prefix
        assert phases[0] == pytest.approx(marks[1] - marks[0], rel=0.25, abs=_SLACK_S[prefix]), prefix


def stamps(log: str, text: str) -> list[float]:
    """When hostapd said a thing, seconds since 1970."""
    return [float(found[1]) for found in re.finditer(rf"^(\d+\.\d+): .*{re.escape(text)}", log, re.MULTILINE)]


def frames(pcap: Path) -> list[Frame]:
    """All frames but retries, as tshark reads them."""
    fields = ["frame.time_epoch", "wlan.fc.type_subtype", "wlan_rsna_eapol.keydes.msgnr", "wlan.fixed.auth.alg"]
    argv = ["tshark", "-r", str(pcap), "-Y", "wlan.fc.retry == 0", "-T", "fields"]
    argv += [word for field in fields for word in ("-e", field)]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    parts = [line.split("\t") for line in lines]
    return [Frame(float(at), int(kind, 0), number, algorithm) for at, kind, number, algorithm in parts]


REFUSED = {
    "psk-wrong": ("handshake", "denied", "passphrase may be wrong"),
    "psk-as-sae": ("scan", "denied", "is there with another security: [WPA2-PSK-CCMP]"),
    "sae-wrong": ("authentication", "denied", "passphrase may be wrong"),
    "peap-wrong": ("eap", "denied", "refuses the identity, password or certificate"),
    "peap-nobody": ("eap", "denied", "refuses the identity, password or certificate"),
    "peap-expired": ("eap", "tls", "certificate is refused"),
    "peap-dead": ("eap", "timeout", "the authentication server does not answer"),
    "peap-other-ca": ("eap", "tls", "certificate is refused"),
    "peap-other-name": ("eap", "tls", "certificate is refused"),
}
BEHIND = {
    "no-server": ("first_byte", "refused", "connecting to"),
    "portal": ("portal", "denied", "status 302, it leads to http://login.example/"),
    "dns-refused": ("dns", "refused", "asking 10.77.0.1"),
    "dns-silent": ("dns", "timeout", "asking 10.77.0.19"),
    "dns-no-name": ("dns", "denied", "REFUSED"),
    "gateway-silent": ("gateway", "unreachable", "10.77.0.19 does not answer ARP"),
    "dhcp-silent": ("dhcp", "timeout", "no offer"),
    "full": ("authentication", "busy", "takes no more stations (status 17)"),
    "gone": ("scan", "unreachable", "'fibre' not found"),
}
JOINED = {"psk": ("WPA2-PSK", None), "sae": ("SAE", True), "tls": ("WPA2/IEEE 802.1X/EAP", True)}
JOINED |= {"peap": JOINED["tls"]}


@pytest.mark.full_lab
def test_each_kind_of_network_and_who_refuses(tmp_path: Path) -> None:
    facts = play("onboarding_refused", tmp_path / "lab", virtual_time=True, timeout_s=1200)
    named(facts, REFUSED)
    for name, (security, cached) in JOINED.items():
        result = facts[name]["result"]
        assert (result["security"], result.get("fast_cached"), facts[name]["error"]) == (security, cached, None), name
        assert result["fast_join"] < result["join"] / 3, name
        eap = security.endswith("EAP")
        assert ("eap" in result, "fast_eap" in result) == (eap, False), "known keys spare EAP"
        assert result["phases_passed"] == len(_WAY) + eap


@pytest.mark.full_lab
def test_what_fails_behind_the_access_point_is_named(tmp_path: Path) -> None:
    facts = play("onboarding_behind", tmp_path / "lab", virtual_time=True, timeout_s=1200)
    named(facts, BEHIND)
    assert facts["portal"]["result"]["portal_detected"] is True


@pytest.mark.full_lab
def test_moves_by_fast_transition_and_without(tmp_path: Path) -> None:
    facts = play("onboarding_roam", tmp_path / "lab", virtual_time=True, timeout_s=900)
    for name in ("psk", "sae", "eap", "psk-without"):
        result, found = facts[name]["result"], frames(tmp_path / f"lab/{name}.pcap")
        fast, own_eap = name != "psk-without", name == "eap"
        assert facts[name]["error"] is None, facts[name]
        assert (result["roam_fast"], result["roam_bssid"]) == (fast, "02:00:00:00:02:00"), result
        assert ("roam_handshake" in result, "roam_eap" in result, "eap" in result) == (not fast, False, own_eap)
        moves = [frame for frame in found if frame.kind == _AUTHENTICATION and frame.algorithm == "2"]
        assert len(moves) == (2 if fast else 0), "802.11r's own authentication (802.11-2020 Table 9-42)"
        answered = [frame.at for frame in found if frame.kind == _REASSOCIATED][-1]
        begun = [frame.at for frame in found if frame.kind == _AUTHENTICATION and frame.at < answered][-2]
        assert any(frame.key_message for frame in found if frame.at > begun) != fast
        took = result["roam_authentication"] + result["roam_association"]
        assert took >= answered - begun
        assert took == pytest.approx(answered - begun, abs=0.06), "the station leaves its channel first"
        assert result["roam_join"] < result["join"] / 20
    strangers = facts["psk-strangers"]
    named(facts, {"psk-strangers": ("roam", "denied", "the access point refuses")})
    assert strangers["result"]["status_code"] == 53, "invalid PMKID"
    assert strangers["result"]["fast_join"] > 0


def named(facts: Any, expected: dict[str, tuple[str, str, str]]) -> None:
    """The phase that failed, the word for it and the line for people."""
    for name, (phase, error, detail) in expected.items():
        told = facts[name]
        assert (told["result"].get("failed_phase"), told["error"]) == (phase, error), (name, told)
        assert detail in told["detail"], (name, told)


@pytest.mark.full_lab
def test_whoever_is_killed_the_radio_is_put_back(tmp_path: Path) -> None:
    facts = play("radio_helper", tmp_path / "lab", timeout_s=900)
    assert facts["scan"]["aborted"] is False
    assert facts["scan_down"], "an interface that was down is down again"
    assert facts["monitor_during"] == [True, False, True]
    assert facts["monitor_after"] == [False, True]
    assert facts["asker_killed"] == {"up": True, "cells": [], "files": []}
    assert facts["waited"] == ["dhcp", "done"]
    (uplink,) = facts["uplink"]
    assert uplink.startswith("denied: wlan0 carries the box's own uplink"), "with a gateway and without one"
    assert facts["no_namespaces"].startswith("permission: unshare: "), facts["no_namespaces"]
    assert facts["helper_killed"]["cells"] == []
    assert facts["swept"] == []
    killed, removed = facts["supplicant_killed"], facts["removed"]
    assert (killed["error"], killed["phase"]) == ("tool_failed", None), "not the network's fault"
    assert killed["detail"].startswith("wpa_supplicant has ended (status -9)")
    assert (removed["error"], removed["detail"]) == ("no_interface", "wlan0 was removed meanwhile")
    assert removed["scan"] in ("aborted", "no_interface", "unreachable")
    assert (removed["without"], removed["again"]) == ("no_interface", "done")
