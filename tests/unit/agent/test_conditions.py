"""Conditions from recorded trees of /sys and /proc."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from fibrewatch_agent.clock import ClockState
from fibrewatch_agent.conditions import Observer, between, link_speed, route_interface, temperature, throttled
from fibrewatch_agent.net.interfaces import interfaces, kind

PI_4 = {  # Raspberry Pi OS, kernel 6.1; eth0 at 1 Gbit/s, wlan0 does not tell a speed
    "sys/class/thermal/thermal_zone0/temp": "51121\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "0\n",
    "sys/class/hwmon/hwmon1/name": "rpi_volt\n",
    "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n",
    "sys/class/net/eth0/speed": "1000\n",
    "sys/class/net/eth0/type": "1\n",
    "sys/class/net/eth0/uevent": "INTERFACE=eth0\nIFINDEX=2\n",
    "sys/class/net/eth0/device/modalias": "of:NethernetT(null)Cbrcm,bcm2711-genet-v5\n",
    "sys/class/net/wlan0/type": "1\n",
    "sys/class/net/wlan0/uevent": "DEVTYPE=wlan\nINTERFACE=wlan0\nIFINDEX=3\n",
    "sys/class/net/wlan0/device/uevent": "DRIVER=brcmfmac\n",
    "sys/class/net/wwan0/type": "65534\n",
    "sys/class/net/wwan0/uevent": "DEVTYPE=wwan\nINTERFACE=wwan0\nIFINDEX=4\n",
    "sys/class/net/lo/type": "772\n",
    "sys/class/net/lo/uevent": "INTERFACE=lo\nIFINDEX=1\n",
    "sys/class/net/docker0/type": "1\n",
    "sys/class/net/docker0/uevent": "DEVTYPE=bridge\nINTERFACE=docker0\nIFINDEX=5\n",
    "proc/stat": "cpu  1000 10 500 8000 200 5 35 0 0 0\ncpu0 1 1 1 1 1 1 1 0 0 0\n",
    "proc/net/route": (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
        "eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
        "eth0\t0000000A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
        "wlan0\t0001A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0\n"
        "wwan0\t4D2200CB\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n"
        "eth0\t0000FEA9\t00000000\t0200\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    ),
    "proc/net/ipv6_route": (
        "20010db8000000010000000000000000 40 00000000000000000000000000000000 00 "
        "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n"
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
        "fe800000000000000000000000000001 00000400 00000002 00000000 00000003    wlan0\n"
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
        "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n"
    ),
}


def record(folder: Path, tree: Mapping[str, str]) -> tuple[Path, Path]:
    for name, text in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "sys", folder / "proc"


@pytest.mark.parametrize(
    ("bits", "flags"),
    [
        ("0", ()),
        ("1", ("under_voltage",)),
        ("2", ("frequency_capped",)),
        ("4", ("throttled",)),
        ("8", ("soft_temperature_limit",)),
        ("f", ("under_voltage", "frequency_capped", "throttled", "soft_temperature_limit")),
        ("50000", ()),  # was so since boot, is not now
        ("e0008", ("soft_temperature_limit",)),
        ("0x50005", ("under_voltage", "throttled")),
    ],
)
def test_firmware_flags_are_those_that_are_up_now(tmp_path: Path, bits: str, flags: tuple[str, ...]) -> None:
    sys, _ = record(tmp_path, PI_4 | {"sys/devices/platform/soc/soc:firmware/get_throttled": f"{bits}\n"})
    assert throttled(sys) == flags


def test_firmware_flags_of_a_pi_5_stand_below_another_address(tmp_path: Path) -> None:
    sys, _ = record(tmp_path, {"sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled": "1\n"})
    assert throttled(sys) == ("under_voltage",)


@pytest.mark.parametrize(("alarm", "flags"), [("1\n", ("under_voltage",)), ("0\n", ())])
def test_mainline_kernel_tells_under_voltage_only(tmp_path: Path, alarm: str, flags: tuple[str, ...]) -> None:
    tree = {"sys/class/hwmon/hwmon0/name": "cpu_thermal\n", "sys/class/hwmon/hwmon1/name": "rpi_volt\n"}
    sys, _ = record(tmp_path, tree | {"sys/class/hwmon/hwmon1/in0_lcrit_alarm": alarm})
    assert throttled(sys) == flags


def test_box_that_is_no_pi_has_no_flags(tmp_path: Path) -> None:
    assert throttled(tmp_path) is None


def test_temperature_is_the_hottest_zone_that_makes_sense(tmp_path: Path) -> None:
    zones = {f"sys/class/thermal/thermal_zone{i}/temp": text for i, text in enumerate(["41000\n", "-274000\n", "x\n"])}
    sys, _ = record(tmp_path, zones)
    assert temperature(sys) == 41.0


def test_temperature_comes_from_hwmon_where_there_is_no_zone(tmp_path: Path) -> None:
    sys, _ = record(tmp_path, {"sys/class/hwmon/hwmon0/temp1_input": "38500\n"})
    assert temperature(sys) == 38.5


@pytest.mark.parametrize(("text", "speed"), [("1000\n", 125e6), ("100\n", 12.5e6), ("-1\n", None), ("\n", None)])
def test_link_speed_is_bytes_per_second(tmp_path: Path, text: str, speed: float | None) -> None:
    sys, _ = record(tmp_path, {"sys/class/net/eth0/speed": text})
    assert link_speed(sys, "eth0") == speed
    assert link_speed(sys, "wlan0") is None


@pytest.mark.parametrize(
    ("address", "interface"),
    [
        (None, "eth0"),  # of two default routes the one of lesser metric
        ("192.0.2.1", "eth0"),
        ("10.0.0.7", "eth0"),
        ("192.168.1.20", "wlan0"),
        ("203.0.34.77", "wwan0"),
        ("169.254.1.1", "eth0"),  # the route of its own is not up
        ("2001:db8:0:1::5", "eth0"),
        ("2001:db8:2::5", "wlan0"),
        ("127.0.0.1", "lo"),
        ("::1", "lo"),
        ("responder.example.net", None),  # not resolved yet: not guessed
    ],
)
def test_route_tells_the_interface(tmp_path: Path, address: str | None, interface: str | None) -> None:
    _, proc = record(tmp_path, PI_4)
    assert route_interface(proc, address) == interface


def test_conditions_between_two_snapshots_are_the_worse_of_both(tmp_path: Path) -> None:
    sys, proc = record(tmp_path, PI_4)
    now, clocks = [0.0], [ClockState(synchronised=True, offset_bound_s=b) for b in (0.003, 0.001)]
    observer = Observer(sys, proc, clock=clocks.pop, monotonic=lambda: now[0])
    before = observer.snapshot()
    record(
        tmp_path,
        {
            "proc/stat": "cpu  1060 10 520 8110 210 5 35 0 0 0\n",
            "sys/class/thermal/thermal_zone0/temp": "48000\n",
            "sys/devices/platform/soc/soc:firmware/get_throttled": "6\n",
            "sys/class/net/eth0/speed": "100\n",
        },
    )
    now[0] = 60.0
    found = between(before, observer.snapshot())
    assert (found.clock_synchronised, found.clock_offset_bound_s) == (True, 0.003)
    assert found.cpu_busy == pytest.approx(80 / 200)
    assert found.temperature_celsius == 51.121
    assert found.throttled == ("frequency_capped", "throttled")
    assert found.link_speed == 12.5e6


def test_clock_that_is_not_synchronised_at_one_end_has_no_bound(tmp_path: Path) -> None:
    clocks = [ClockState(synchronised=False), ClockState(synchronised=True, offset_bound_s=0.001)]
    observer = Observer(tmp_path, tmp_path, clock=clocks.pop)
    found = between(observer.snapshot(), observer.snapshot())
    assert (found.clock_synchronised, found.clock_offset_bound_s) == (False, None)


def test_host_that_tells_nothing_gives_nothing(tmp_path: Path) -> None:
    observer = Observer(tmp_path, tmp_path, clock=lambda: ClockState(synchronised=False))
    found = between(observer.snapshot(), observer.snapshot())
    assert found.cpu_busy is found.temperature_celsius is found.throttled is found.link_speed is None


def test_slow_values_are_read_once_a_second_however_many_tests_run(tmp_path: Path) -> None:
    sys, proc = record(tmp_path, PI_4)
    now = [0.0]
    observer = Observer(sys, proc, clock=lambda: ClockState(synchronised=False), monotonic=lambda: now[0])
    seen = [observer.snapshot().temperature_celsius]
    record(tmp_path, {"sys/class/thermal/thermal_zone0/temp": "60000\n"})
    for moment in (0.9, 1.1):
        now[0] = moment
        seen.append(observer.snapshot().temperature_celsius)
    assert seen == [51.121, 51.121, 60.0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("eth0", "wired"), ("wlan0", "wireless"), ("wwan0", "mobile"), ("lo", "loopback"), ("docker0", "other")],
)
def test_kind_of_an_interface_follows_from_sysfs(tmp_path: Path, name: str, expected: str) -> None:
    sys, _ = record(tmp_path, PI_4)
    assert kind(sys, name) == expected


def test_inventory_lists_the_loopback_with_its_address() -> None:
    (loopback,) = [each for each in interfaces() if each.name == "lo"]
    assert (loopback.kind, loopback.up) == ("loopback", True)
    assert "127.0.0.1" in loopback.addresses
