"""4G is tested by 4G: a test of an uplink leaves by that uplink's interface, whatever the default route says."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.netns import Link, Namespace

FAR = {4: "10.77.0.1", 6: "fd77::1"}
CONFIG = """
[agent]
territory = "paris"
site = "cargo"
name = "box-01"
state_dir = "{state}"

[broker]
host = "127.0.0.1"

[uplinks.fibre]
interface = "eth0"

[uplinks.lte]
interface = "eth1"
"""


@pytest.fixture(scope="module")
def box() -> Iterator[Namespace]:
    """A box with two ways to the far end; the default routes take the first."""
    box, far = Namespace("box"), Namespace("far")
    links = [Link(box, far, f"eth{i}", f"eth{i}", number=i + 1) for i in range(2)]
    for metric, link in enumerate(links, start=1):
        box.run("ip", "route", "add", "default", "via", link.b4, "metric", str(metric))
        box.run("ip", "-6", "route", "add", "default", "via", link.b6, "metric", str(metric))
    far.run("ip", "addr", "add", f"{FAR[4]}/32", "dev", "lo")
    far.run("ip", "addr", "add", f"{FAR[6]}/128", "dev", "lo")
    server = far.popen(["iperf3", "-s", "-J"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield box
    server.kill()
    server.wait()
    box.close()
    far.close()


def moved(box: Namespace, interface: str) -> int:
    names = (f"/sys/class/net/{interface}/statistics/{way}_bytes" for way in ("rx", "tx"))
    return sum(int(box.run("cat", name)) for name in names)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(("options", "interface"), [(["--interface", "eth1"], "eth1"), ([], "eth0")])
def test_a_heavy_test_leaves_by_its_uplinks_interface(
    box: Namespace, tmp_path: Path, options: list[str], interface: str, family: int
) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(CONFIG.format(state=tmp_path))
    before = {name: moved(box, name) for name in ("eth0", "eth1")}
    command = [sys.executable, "-m", "fibrewatch_agent", "once", "throughput", "--target", FAR[family], "--json"]
    params = ("direction=up", "duration=1 s", "omit=0 s", "idle=100 ms", "max_bytes=20 MB")
    command += ["--config", str(path), *options, *(word for param in params for word in ("--param", param))]
    made = json.loads(box.run(*command))
    assert made["outcome"] == "ok", made
    assert (made["interface"], made["family"]) == (interface, family)
    others = {"eth0", "eth1"} - {interface}
    assert moved(box, interface) - before[interface] > 10_000_000
    assert all(moved(box, name) - before[name] < 100_000 for name in others)
