"""Debian 12's iperf3 and Debian 13's, which changed the padding of its passwords, at either end of a slot."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.slots import Responder

ROOT = Path(__file__).parents[2]
CONFIG = """
[agent]
territory = "paris"
site = "cargo"
name = "box-01"
[broker]
host = "127.0.0.1"
[targets.dc]
address = "127.0.0.1"
role = "responder"
control = "{url}"
token = "{token}"
"""


@pytest.fixture(scope="module")
def other() -> str:
    """A PATH where the other release's iperf3 goes first."""
    made = subprocess.run(
        [ROOT / "tests/support/build_iperf3"], check=True, capture_output=True, text=True, timeout=300
    )
    return f"{made.stdout.strip()}:{os.environ['PATH']}"


def once(config: Path, direction: str, path: str) -> dict[str, Any]:
    options = [f"direction={direction}", "duration=1 s", "omit=0 s", "latency=off", "early_stop=false"]
    command = [
        sys.executable,
        "-m",
        "fibrewatch_agent",
        "once",
        "throughput",
        "--config",
        str(config),
        "--target",
        "dc",
    ]
    command += ["--json", *(part for option in options for part in ("--param", option))]
    environment = os.environ | {"PATH": path}
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=environment)
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


@pytest.mark.parametrize("newer_at", ["box", "responder"])
def test_old_and_new_iperf3_understand_each_other(tmp_path: Path, other: str, newer_at: str) -> None:
    here = os.environ["PATH"]
    versions = {
        subprocess.run(["iperf3", "-v"], check=True, capture_output=True, text=True, env={"PATH": path}).stdout.split()[
            1
        ]
        for path in (here, other)
    }
    assert len(versions) == 2
    assert min(versions) < "3.17" <= max(versions)
    at_responder, at_box = (other, here) if newer_at == "responder" else (here, other)
    with Responder(tmp_path / "r", prefix=["env", f"PATH={at_responder}"]) as responder:
        control, config = responder.control(), tmp_path / "agent.toml"
        config.write_text(CONFIG.format(url=control.urls[0], token=control.token))
        for direction in ("down", "up"):
            told = once(config, direction, at_box)
            assert told["outcome"] == "ok", told
            assert told["result"]["goodput"] > 0
            assert told["result"]["cpu_remote"] > 0, "the server's own word came along"
    whys = [slot.why for slot in responder.over()]
    assert len(whys) == 2
    assert {*whys} <= {"done", "broken"}, "an old server finds that a new client leaves early"
