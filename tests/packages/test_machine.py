"""The packaged services on a machine of their own, with radios, a clock that nobody set, and ceilings that hold."""

import re
import sys
from pathlib import Path

import pytest

from fibrewatch import wire
from fibrewatch.measurement import AnyMeasurement
from tests.lab.radio.world import PASSPHRASE
from tests.packages import machine
from tests.packages.sandbox import measured, probes
from tests.packages.tree import Tree, built, commands

pytestmark = pytest.mark.packages
HERE = Path(__file__).parent
AGENT = """
[agent]
territory = "paris"
site = "cargo"
name = "box-01"
[broker]
host = "127.0.0.1"
"""
TESTS = """
[targets.near]
address = "127.0.0.1"
role = "operator"
[tests.ping]
probe = "ping"
every = "5 s"
targets = ["near"]
"""
ONCE = {
    "wifi_link": "--interface wlan0",
    "wifi_scan": "--interface wlan2 --param frequencies=[2437]",
    "wifi_air": "--interface wlan2 --param frequency=2437 --param ssid=fibre --param duration=3s",
    "wifi_onboarding": "--interface wlan2 --param network=tenants --param fast=false --param roam=false"
    " --param check=http://check.example/generate_204",
}
MEMORY_MAX = 256 * 2**20
"""The radio helper's ceiling."""
WORLD = f"""{sys.executable} -B -m tests.packages.radio_world & world=$!
while [ ! -e /run/ready ]; do kill -0 $world; sleep 1; done"""


def test_the_radio_helper_serves_the_agent_within_both_sandboxes(tmp_path: Path) -> None:
    """Scans, the air, and a way onto a network; a helper that hangs is killed by its watchdog and comes back."""
    tree = Tree(tmp_path)
    tree.install(*built("0.1.0", "fibrewatch-agent_amd64"))
    tree.write("/etc/fibrewatch/agent.toml", f"{AGENT}[clock]\ntrusted = true\n")
    tree.write("/root/passphrase", f"{PASSPHRASE}\n")
    tree.sh("systemctl mask fibrewatch-agent")
    units = probes(tree, {name: (name, options) for name, options in ONCE.items()})
    (page,) = commands("wifi-onboarding.md")
    script = (HERE / "radio.sh").read_text().replace("@PAGE@", page).replace("@ONCE@", " ".join(units.values()))
    said = machine.boot(tree, script, tmp_path / "out", before=WORLD)
    assert "page: 0\n" in said, said
    assert "helper active user fibrewatch-radio\n" in said, said
    assert "fibrewatch-radio fibrewatch-agent 750\nfibrewatch-radio fibrewatch-agent 660\n" in said, said
    found = {name: measured(tmp_path / "out/out", name) for name in units}
    failed = {name: each for name, each in found.items() if each.get("outcome") != "ok"}
    assert not failed, (failed, said)
    assert found["wifi_link"]["interface"] == "wlan0"
    assert re.search(r"^restarts [1-9]\d* active$", said, re.M), said
    assert "stopped success" in said, said
    (peak,) = re.findall(r"^helper's peak (\d+)$", said, re.M)
    assert 0 < int(peak) < MEMORY_MAX, "below its ceiling, files that the kernel keeps for it included"
    assert "●" not in said, said


def test_without_clock_and_network_results_wait_and_are_dated_afterwards(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.sh("apt-get update && apt-get install -y --no-install-recommends iproute2")
    tree.install(*built("0.1.0", "fibrewatch-agent_amd64"))
    tree.sh("systemctl disable mosquitto fibrewatch-agent; systemctl mask systemd-timesyncd")
    tree.write("/etc/mosquitto/conf.d/local.conf", "listener 1883 127.0.0.1\nallow_anonymous true\n")
    tree.write("/etc/fibrewatch/agent.toml", AGENT + TESTS)
    said = machine.boot(tree, (HERE / "clock.sh").read_text(), tmp_path / "out")
    assert "state active, the clock 1970\n" in said, said
    assert "results while the clock is bad: 0\n" in said, said
    status = re.search(r"^\S+/up/status (.*)$", said, re.M)
    assert status is not None, said
    assert wire.decode(status[1].encode(), wire.Status).conditions.clock_synchronised is False
    found = _measured(re.findall(r"^\S+/up/results (.*)$", said, re.M))
    assert {each.outcome for each in found} == {"ok", "failed"}, "in the dark, and with a line"
    assert {f"{each.started_at:%Y-%m-%d}" for each in found} == {"2026-11-23"}, said
    assert not [each for each in found if "undated" in each.reasons], said
    assert [each.started_at for each in found] == sorted(each.started_at for each in found)
    synchronised = [each.conditions.clock_synchronised for each in found]
    assert synchronised == sorted(synchronised), "each says what it was measured by"
    assert set(synchronised) == {False, True}, said
    assert "●" not in said, said


def _measured(payloads: list[str]) -> list[AnyMeasurement]:
    """By their numbers, from the first on, each once: nobody acknowledges, so they are sent again."""
    found = {}
    for payload in payloads:
        batch = wire.decode_batch(payload.encode())
        found |= dict(enumerate(map(wire.decode_measurement, batch.measurements), batch.first))
    assert sorted(found) == list(range(1, len(found) + 1))
    return [found[number] for number in sorted(found)]
