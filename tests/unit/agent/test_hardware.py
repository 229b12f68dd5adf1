"""What holds a box back, from recorded trees of /sys and /proc."""

from pathlib import Path

import pytest

from fibrewatch_agent.transfer.hardware import Moment, cpu_share, held_share, moment, softirq_share, stretch, usb_speed

GROUP = "/system.slice/fibrewatch-agent.service"


def record(folder: Path, tree: dict[str, str]) -> tuple[Path, Path]:
    for name, text in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "proc", folder / "sys"


@pytest.mark.parametrize(("speed", "expected"), [("480\n", 60e6), ("5000\n", 625e6), ("12\n", 1.5e6)])
def test_the_bus_of_a_usb_adapter_is_that_of_the_nearest_usb_device(
    tmp_path: Path, speed: str, expected: float
) -> None:
    port = "sys/devices/platform/soc/3f980000.usb/usb1/1-1/1-1.1"
    _, sys = record(
        tmp_path,
        {
            f"{port}/bDeviceClass": "ff\n",
            f"{port}/speed": speed,
            "sys/devices/platform/soc/3f980000.usb/usb1/bDeviceClass": "09\n",
            "sys/devices/platform/soc/3f980000.usb/usb1/speed": "480\n",
            f"{port}/1-1.1:1.0/net/eth0/speed": "1000\n",
            "sys/class/net/lo/type": "772\n",
        },
    )
    (sys / "class/net/eth0").symlink_to(tmp_path / port / "1-1.1:1.0/net/eth0")
    (tmp_path / port / "1-1.1:1.0/net/eth0/device").symlink_to(tmp_path / port / "1-1.1:1.0")
    assert usb_speed("eth0", sys) == expected
    assert usb_speed("lo", sys) is None


def test_an_adapter_on_pci_hangs_on_no_usb(tmp_path: Path) -> None:
    _, sys = record(tmp_path, {"sys/devices/pci0000:00/0000:00:1f.6/net/eno1/speed": "1000\n"})
    (sys / "class/net").mkdir(parents=True)
    (sys / "class/net/eno1").symlink_to(sys / "devices/pci0000:00/0000:00:1f.6/net/eno1")
    (sys / "devices/pci0000:00/0000:00:1f.6/net/eno1/device").symlink_to(sys / "devices/pci0000:00/0000:00:1f.6")
    assert usb_speed("eno1", sys) is None


def test_a_quota_of_any_group_above_us_counts(tmp_path: Path) -> None:
    proc, sys = record(
        tmp_path,
        {
            "proc/stat": "cpu  9 0 9 90 0 0 0 0 0 0\ncpu0 100 0 100 700 0 0 50 0 0 0\ncpu1 0 0 0 900 0 0 0 0 0 0\n",
            "proc/self/cgroup": f"0::{GROUP}\n",
            f"sys/fs/cgroup{GROUP}/cpu.stat": "usage_usec 5\nnr_throttled 3\nthrottled_usec 1500000\n",
            "sys/fs/cgroup/system.slice/cpu.stat": "usage_usec 5\nthrottled_usec 250000\n",
            "sys/fs/cgroup/cpu.stat": "usage_usec 5\n",
        },
    )
    seen = moment(proc, sys)
    assert seen.held_s == 1.75
    assert seen.cores == ((50, 950), (0, 900))


def test_version_1_of_control_groups_counts_nanoseconds(tmp_path: Path) -> None:
    proc, sys = record(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/x\n3:cpu,cpuacct:/agent\n0::/\n",
            "sys/fs/cgroup/cpu,cpuacct/agent/cpu.stat": "nr_periods 9\nthrottled_time 2000000000\n",
        },
    )
    assert moment(proc, sys).held_s == 2.0


def test_shares_are_of_the_time_between() -> None:
    before = Moment(at=10.0, cores=((0, 100), (5, 100)), held_s=1.0)
    after = Moment(at=20.0, cores=((10, 200), (95, 200)), held_s=4.0)
    assert softirq_share(before, after) == 0.9
    assert held_share(before, after) == pytest.approx(0.3)
    assert softirq_share(before, before) is None
    assert held_share(before, Moment(at=20.0)) is None


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        (None, (0, 30)),
        ((20.0, 23.1), (20, 23)),  # a wait before and a report after are none of it
        ((20.1, 20.4), (20, 21)),  # shorter than the moments lie apart: around it
        ((29.5, 31.0), (29, 30)),
    ],
)
def test_the_processors_are_judged_by_the_time_of_the_traffic(
    flow: tuple[float, float] | None, expected: tuple[int, int]
) -> None:
    moments = [Moment(at=float(at), cpu=(at if at > 20 else 0, at)) for at in range(31)]
    seen = stretch(moments, flow)
    assert seen is not None
    assert (seen[0].at, seen[1].at) == expected


def test_one_moment_is_no_stretch() -> None:
    assert stretch([Moment(at=1.0)], (0.0, 2.0)) is None
    assert cpu_share(Moment(at=1.0, cpu=(10, 100)), Moment(at=2.0, cpu=(60, 200))) == 0.5
