"""The mesh for real: `fibrewatch mesh` writes what three boxes, one behind NAT, then measure to each other."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.collector import CollectorProcess, site
from tests.support.mesh_lab import CARGO, HALLES, NAT, SERVER, Lab, MeshBox
from tests.support.mosquitto import Mosquitto
from tests.support.prometheus import Prometheus
from tests.support.waiting import wait_until

DOCS = Path(__file__).parents[2] / "docs" / "mesh.md"
LOSS, RTT, HOPS, READY, UNHEARD = re.findall(r"```promql\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)

SITES = (
    site("cargo", "box-01") + f'reflector = {{ address = "{CARGO}" }}\n',
    site("halles", "box-01") + f'reflector = {{ address = "{HALLES}" }}\n',
    site("attic", "box-01") + f'sources = ["{NAT}"]\n',
    '[[mesh]]\nid = "all"\nall = "paris"\n'
    'stamp = { every = "2 s", params = { interval = "20 ms" } }\n'
    'voice = { every = "4 s", params = { duration = "1 s" } }\n'
    'path = { every = "4 s", params = { mtu = false } }\n',
)
Matrix = dict[tuple[str, str], float]


class Rig(NamedTuple):
    """All that runs."""

    lab: Lab
    collector: CollectorProcess
    prometheus: Prometheus
    boxes: dict[str, MeshBox]
    folder: Path

    def matrix(self, expression: str) -> Matrix:
        """From site and to site, by their last words, and the value."""
        found = {}
        for labels, value in self.prometheus.query(expression):
            found[labels["from"].removeprefix("paris/"), labels["to"].removeprefix("paris/")] = value
        return found


def fibrewatch(*argv: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "fibrewatch_collector.operator.cli", *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Everything runs, the boxes without any tests yet."""
    with Lab() as lab:
        broker = Mosquitto(tmp_path)
        broker.also_listen(SERVER)
        spaces = {"cargo": lab.cargo, "halles": lab.halles, "attic": lab.attic}
        boxes = {name: MeshBox(tmp_path / name, space, name, broker.port) for name, space in spaces.items()}
        collector = CollectorProcess(tmp_path, broker.port, *SITES)
        try:
            with broker, collector, Prometheus(tmp_path / "prometheus", collector.http) as prometheus:
                for box in boxes.values():
                    box.start_agent()
                yield Rig(lab, collector, prometheus, boxes, tmp_path)
        finally:
            for box in boxes.values():
                box.close()


def give_out(rig: Rig) -> None:
    """Has the files written, copies each box's to it, and starts the reflectors."""
    out = rig.folder / "out"
    done = fibrewatch("mesh", "--sites", str(rig.collector.sites), "--out", str(out))
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 pairs of 3 boxes, 2 with one box at most; 3 boxes' files" in done.stdout
    for name, box in rig.boxes.items():
        own = out / "paris" / name / "box-01"
        if name != "attic":
            box.start_responder(own / "reflector-allow")
        shutil.copy(own / "mesh.toml", box.fragments)
        box.reload()


def test_three_sites_one_behind_nat_fill_the_matrix(rig: Rig) -> None:
    three = {(a, b) for a in rig.boxes for b in rig.boxes if a != b}
    wait_until(lambda: len(rig.prometheus.query(UNHEARD)) == 4, "the planned pairs, before anything is measured")
    give_out(rig)
    wait_until(lambda: rig.matrix(LOSS).keys() == three, "a loss figure each way between every two sites")
    assert set(rig.matrix(LOSS).values()) == {0.0}
    wait_until(lambda: rig.matrix(RTT).keys() == three, "a round trip between every two sites")
    there = {("cargo", "halles"): 2, ("halles", "cargo"): 2, ("attic", "cargo"): 3, ("attic", "halles"): 3}
    wait_until(lambda: rig.matrix(HOPS) == there, "the traces, of the box behind NAT outwards only")
    wait_until(lambda: len(rig.matrix(READY)) == 3, "a call for each pair")
    wait_until(lambda: not rig.prometheus.query(UNHEARD), "every planned pair to be heard of")

    rig.lab.lose_towards_attic(30)
    towards = [("cargo", "attic"), ("halles", "attic")]
    wait_until(lambda: all(rig.matrix(LOSS)[cell] > 0.1 for cell in towards), "the loss towards the attic")
    assert all(value < 0.02 for cell, value in rig.matrix(LOSS).items() if cell not in towards)

    check_labels(rig)
    check_lists(rig)
    check_bad_fragment(rig)


def check_labels(rig: Rig) -> None:
    """Stored results name the peer, and can be asked for by it."""
    stored = rig.collector.json("/api/v1/measurements?peer=paris/halles&limit=1000")["measurements"]
    assert {each["site"] for each in stored} <= {"attic", "cargo"}
    assert {(each["measurement"]["target"]["name"], each["measurement"]["target"]["peer"]) for each in stored} == {
        ("paris.halles.box-01", "paris/halles/box-01")
    }
    assert {each["measurement"]["probe"] for each in stored} == {"stamp", "voice", "path"}
    shown = fibrewatch("sites", "--api", f"http://127.0.0.1:{rig.collector.http}", "--peer", "paris/attic")
    assert (shown.returncode, shown.stderr) == (0, "")
    rows = [line.split() for line in shown.stdout.splitlines()[1:]]
    assert {tuple(row[:3]) for row in rows} == {
        ("paris/attic/box-01", f"paris/{other}/box-01", f"mesh-all-{test}")
        for other in ("cargo", "halles")
        for test in ("stamp", "voice", "path")
    }


def check_lists(rig: Rig) -> None:
    """A stranger is not answered."""
    once = ["once", "stamp", "--target", CARGO, "--window", "1 s"]
    done = subprocess.run(
        [sys.executable, "-m", "fibrewatch_agent", *once], capture_output=True, text=True, timeout=60, check=False
    )
    assert "failed, timeout" in done.stdout


def check_bad_fragment(rig: Rig) -> None:
    """It is refused by its own name, and told."""
    box = rig.boxes["cargo"]
    (box.fragments / "more.toml").write_text('[tests.mesh-all-path]\nprobe = "ping"\n')
    box.reload()
    problem = f"{box.fragments}/more.toml: tests.mesh-all-path: {box.fragments}/mesh.toml has one of this name already"

    def told() -> bool:
        agents = rig.collector.json("/api/v1/agents")["agents"]
        return any(each["site"] == "cargo" and each["config_error"] == problem for each in agents)

    rig.collector.wait(told, "the refused fragment in the box's status")
