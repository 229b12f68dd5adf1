"""The box's own ceiling: measured, kept, used by check-config, and by the tests that come after."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fibrewatch_agent.transfer import ceilings
from tests.support.iperf3 import Server

CONFIG = """
[agent]
territory = "paris"
site = "cargo"
name = "box-01"
state_dir = "{state}"

[broker]
host = "127.0.0.1"

[targets.near]
address = "127.0.0.1"
role = "responder"

[uplinks.fibre]
interface = "lo"
rate_down = "{rate}"
rate_up = "1 Mbit/s"

[tests.download]
probe = "throughput"
targets = ["near"]
every = "1 h"
params = {{ direction = "down" }}
"""

pytestmark = pytest.mark.calm


def agent(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "fibrewatch_agent", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


def config(folder: Path, rate: str) -> str:
    path = folder / "agent.toml"
    path.write_text(CONFIG.format(state=folder, rate=rate))
    return str(path)


def test_a_box_learns_its_ceiling_and_holds_rates_and_results_against_it(tmp_path: Path) -> None:
    path = config(tmp_path, "10 Mbit/s")
    made = agent("calibrate", "--config", path)
    assert made.returncode == 0, made.stderr
    assert "ceiling_down" in made.stdout
    found = ceilings.load(tmp_path)["lo"]
    assert found.reference == "loopback"
    assert found.down is not None
    assert found.up is not None
    assert found.down > 10e6

    assert agent("check-config", "--config", path).returncode == 0
    refused = agent("check-config", "--config", config(tmp_path, "100000 Gbit/s"))
    assert refused.returncode == 2
    assert "uplinks.fibre.rate_down: 1e+08 Mbit/s could never be proved" in refused.stderr

    slow = found.down / 100  # as if it had been a slower box
    state = {"lo": {"at": found.at, "reference": "responder", "down": slow, "up": slow}}
    (tmp_path / ceilings.FILE).write_text(json.dumps(state))
    with Server() as server:
        params = [f"ports=[{server.port}, {server.port}]", "direction=down", "duration=1 s", "idle=100 ms"]
        options = [option for param in params for option in ("--param", param)]
        said = agent(
            "once", "throughput", "--target", "near", "--json", "--config", config(tmp_path, "10 Mbit/s"), *options
        )
    measurement = json.loads(said.stdout)
    assert measurement["verdict"] == "censored"
    assert "calibrated_ceiling" in measurement["reasons"]


def test_nothing_is_calibrated_for_a_box_without_heavy_tests(tmp_path: Path) -> None:
    path = Path(config(tmp_path, "10 Mbit/s"))
    path.write_text(path.read_text().split("[tests")[0])
    made = agent("calibrate", "--config", str(path))
    assert made.returncode == 2
    assert made.stderr.strip().endswith("no test of the config loads a line, so there is nothing to calibrate for")
    assert not (tmp_path / ceilings.FILE).exists()


def test_without_iperf3_it_says_so_and_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "setpriv").symlink_to(str(shutil.which("setpriv")))
    monkeypatch.setenv("PATH", str(tools))
    made = agent("calibrate", "--config", config(tmp_path, "10 Mbit/s"))
    assert made.returncode == 1
    assert "iperf3 is not installed: apt install iperf3" in made.stdout
    assert not (tmp_path / ceilings.FILE).exists()
