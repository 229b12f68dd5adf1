"""What doctor says of a host that a test makes up in files, as sysfs has them."""

from pathlib import Path

import pytest

from fibrewatch_agent.doctor.diagnosis import Check
from fibrewatch_agent.doctor.host import capabilities, interface_stamps, radio


def host(folder: Path, *, driver: bool = True, soft: int = 0, hard: int = 0) -> Path:
    """A /sys with one wireless interface, beside a wired one and the switch of something else."""
    for name in ("eth0", "wlan0"):
        (folder / "class/net" / name).mkdir(parents=True)
        (folder / "class/net" / name / "type").write_text("1\n")
    (folder / "class/net/wlan0/uevent").write_text("DEVTYPE=wlan\nINTERFACE=wlan0\n")
    if driver:
        (folder / "class/net/wlan0/phy80211").mkdir()
    for number, kind, states in ((0, "bluetooth", (1, 1)), (1, "wlan", (soft, hard))):
        switch = folder / f"class/rfkill/rfkill{number}"
        switch.mkdir(parents=True)
        for name, text in (("type", kind), ("soft", states[0]), ("hard", states[1])):
            (switch / name).write_text(f"{text}\n")
    return folder


def test_radio_that_works_is_named(tmp_path: Path) -> None:
    assert radio(host(tmp_path))[:3] == ("radio", True, "wlan0: by nl80211")


def test_radio_that_is_switched_off_is_switched_on_by_a_command(tmp_path: Path) -> None:
    check = radio(host(tmp_path, soft=1))
    assert (check.fault, check.finding, check.remedy) == (True, "wlan0: switched off", "rfkill unblock wifi")


def test_radio_that_a_switch_turns_off_needs_a_hand(tmp_path: Path) -> None:
    check = radio(host(tmp_path, hard=1))
    assert (check.fault, check.finding) == (True, "wlan0: off by its switch")


def test_driver_without_nl80211_is_a_fault(tmp_path: Path) -> None:
    check = radio(host(tmp_path, driver=False))
    assert (check.fault, check.finding) == (True, "the driver of wlan0 knows no nl80211")


def test_box_without_a_radio_lacks_nothing(tmp_path: Path) -> None:
    (tmp_path / "class/net/eth0").mkdir(parents=True)
    check = radio(tmp_path)
    assert not check.fault
    assert str(check).splitlines()[0] == "--    radio        no wireless interface, not needed"
    assert radio(tmp_path, needed=True).fault


@pytest.mark.parametrize(
    ("mask", "held"),
    [("0000000000000000", "none"), ("0000000000003000", "net_admin, net_raw"), ("400", "net_bind_service")],
)
def test_capabilities_are_those_in_effect(tmp_path: Path, mask: str, held: str) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/status").write_text(f"Name:\tpython\nCapPrm:\tffffffffffffffff\nCapEff:\t{mask}\n")
    assert capabilities(tmp_path).finding == held


def test_loopback_s_driver_stamps_by_software() -> None:
    check = interface_stamps("lo")
    assert check.ok
    assert check.finding == "by software sending and receiving, by hardware none"


def test_interface_that_is_gone_does_not_tell() -> None:
    check = interface_stamps("nowhere0")
    assert not check.fault
    assert check.finding == "the driver does not tell (No such device)"


def test_fault_has_its_remedy_below() -> None:
    check = Check("ICMP", False, "refused", "sysctl -w this=that")
    assert str(check).splitlines() == ["FAIL  ICMP         refused", "                   → sysctl -w this=that"]
