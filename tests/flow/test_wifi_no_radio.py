"""Without a wireless interface a Wi-Fi test says so, in one line, and nothing else goes wrong."""

import subprocess
import sys

import pytest

from tests.support.agent import ROOT

NEEDED = {"wifi_air": ("--param", "frequency=2437"), "wifi_onboarding": ("--param", "network=guests")}


@pytest.mark.parametrize("probe", ["wifi_link", "wifi_scan", "wifi_air", "wifi_onboarding"])
def test_no_radio_is_one_clear_error(probe: str) -> None:
    for interface in ((), ("--interface", "wlan0")):
        said = once(probe, *NEEDED.get(probe, ()), *interface)
        assert said == (1, f"{probe}: failed, no_interface", "no wireless interface")


@pytest.mark.parametrize("probe", ["wifi_link", "wifi_scan"])
def test_another_interface_is_said_to_be_none(probe: str) -> None:
    assert once(probe, "--interface", "lo") == (1, f"{probe}: failed, no_interface", "lo is no wireless interface")


def once(probe: str, *more: str) -> tuple[int, str, str]:
    """Exit status, the first words and the second line of what is printed."""
    argv = [sys.executable, "-m", "fibrewatch_agent", "once", probe, *more]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    lines = done.stdout.splitlines()
    return done.returncode, ", ".join(lines[0].split(", ")[:2]), lines[1].strip()
