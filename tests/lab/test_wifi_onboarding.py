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

_AUTHENTICATION, _ASSOCIATION = 11, (0, 2)  # subtypes of management frames; 2 is reassociation
_SLACK_S = {"": 0.02, "fast_": 0.002}
"""What the station's own program may take besides: a new process runs its code for the first time."""
_WAY = ("scan", "authentication", "association", "handshake", "dhcp", "gateway", "dns", "portal", "first_byte")


class Frame(NamedTuple):
    """One on the air: `kind` is type and subtype."""

    at: float
    kind: int
    key_message: str


def test_onto_a_wpa2_network_and_back(tmp_path: Path) -> None:
    facts = play("onboarding", tmp_path / "lab", virtual_time=True, timeout_s=400)
    result = facts["onboarded"]["result"]
    whole(result)
    of_the_point(facts["log"], result)
    of_the_air(tmp_path / "lab/air.pcap", result)
    for text in (facts["helper"], facts["commands"]):
        assert "radio_helper" in text
        assert PASSPHRASE not in text


@pytest.mark.full_lab
def test_installed_agent_publishes_it(tmp_path: Path) -> None:
    facts = play("onboarding_published", tmp_path / "lab", virtual_time=True, timeout_s=400)
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
    fields = ["frame.time_epoch", "wlan.fc.type_subtype", "wlan_rsna_eapol.keydes.msgnr"]
    argv = ["tshark", "-r", str(pcap), "-Y", "wlan.fc.retry == 0", "-T", "fields"]
    argv += [word for field in fields for word in ("-e", field)]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    parts = [line.split("\t") for line in lines]
    return [Frame(float(at), int(kind, 0), number) for at, kind, number in parts]


FAILED = {
    "psk-wrong": ("handshake", "denied", "passphrase may be wrong"),
    "psk-as-sae": ("scan", "denied", "is there with another security: [WPA2-PSK-CCMP]"),
    "sae-wrong": ("authentication", "denied", "passphrase may be wrong"),
    "peap-wrong": ("eap", "denied", "refuses the identity, password or certificate"),
    "peap-other-ca": ("eap", "tls", "certificate is refused"),
    "peap-other-name": ("eap", "tls", "certificate is refused"),
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


@pytest.mark.full_lab
def test_the_phase_that_failed_is_the_one_named(tmp_path: Path) -> None:
    facts = play("onboarding_faults", tmp_path / "lab", virtual_time=True, timeout_s=900)
    told = {name: (each["result"].get("failed_phase"), each.get("error")) for name, each in facts.items()}
    assert told == dict.fromkeys(("psk", "sae", "tls", "peap"), (None, None)) | {
        name: (phase, error) for name, (phase, error, _) in FAILED.items()
    }
    for name, (_, _, detail) in FAILED.items():
        assert detail in facts[name]["detail"], name
    for name in ("tls", "peap"):
        full = facts[name]["result"]
        assert full["eap"] > 0
        assert "fast_eap" not in full, "known keys spare EAP"
    assert [facts[name]["result"].get("fast_cached") for name in ("psk", "sae", "tls", "peap")] == [
        None,
        True,
        True,
        True,
    ]
    for name in ("psk", "sae", "tls", "peap"):
        result = facts[name]["result"]
        assert result["fast_join"] < result["join"] / 3, name
        assert result["phases_passed"] == len(_WAY) + (name in ("tls", "peap"))


@pytest.mark.full_lab
def test_whoever_is_killed_the_radio_is_put_back(tmp_path: Path) -> None:
    facts = play("radio_helper", tmp_path / "lab", timeout_s=400)
    assert facts["scan"]["aborted"] is False
    assert facts["scan_down"], "an interface that was down is down again"
    assert facts["monitor_during"] == [True, False, True]
    assert facts["monitor_after"] == [False, True]
    assert facts["asker_killed"] == {"up": True, "cells": [], "files": []}
    assert facts["waited"] == ["dhcp", "done"]
    assert facts["uplink"].startswith("denied: wlan0 carries the box's own uplink")
    assert facts["helper_killed"]["cells"] == []
