"""Simulated boxes against a real Mosquitto and a real collector: everything is acknowledged, whatever is killed."""

import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from fibrewatch import wire
from fibrewatch_collector.operator import files, generate
from fibrewatch_collector.operator.simulate import Load, Simulation
from fibrewatch_collector.store import Filter
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.waiting import wait_until

SITES, AGENTS = 5, 2


class Collector:
    """The collector as a child process, which a test may kill."""

    def __init__(self, folder: Path, broker: int) -> None:
        self.folder, self.http = folder, free_port()
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "sites.toml").write_text(files.sites_toml(generate.fleet(SITES, AGENTS)), "utf-8")
        (folder / "collector.toml").write_text(files.collector_toml(broker, self.http), "utf-8")

    def start(self) -> None:
        argv = [sys.executable, "-m", "fibrewatch_collector", "run", "--config", str(self.folder / "collector.toml")]
        with (self.folder / "collector.log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_until(self.ready)

    def ready(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.http}/readyz", timeout=5).close()
        except (urllib.error.URLError, TimeoutError):
            return False
        return True

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stored(self) -> list[bytes]:
        """All that the store holds, read once the collector is gone."""
        store = SqliteStore(self.folder / "collector.db")
        rows, after = [], 0
        while page := store.measurements(Filter(), after, 500):
            rows += [bytes(row.raw) for row in page]
            after = page[-1].row
        store.close()
        return rows


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as started:
        yield started


@pytest.fixture
def collector(tmp_path: Path, broker: Mosquitto) -> Iterator[Collector]:
    made = Collector(tmp_path, broker.port)
    made.start()
    yield made
    made.kill()


def load(broker: Mosquitto, **changes: object) -> Load:
    content = {"sites": SITES, "agents": AGENTS, "rate": 500.0, "duration_s": 2.0, "port": broker.port}
    return Load(**(content | changes))  # type: ignore[arg-type]


def everything(simulation: Simulation) -> list[bytes]:
    """What its boxes have measured, made up anew from the seed."""
    return [
        wire.encode(generate.Source(simulation.plan, box.source.agent).measurement(number))
        for box in simulation.boxes
        for number in range(box.sent)
    ]


@pytest.mark.parametrize("batch", [1, 20])
def test_all_is_acknowledged_and_stored_as_it_was_made(broker: Mosquitto, collector: Collector, batch: int) -> None:
    simulation = Simulation(load(broker, batch=batch, probe="mix"))
    summary = simulation.run()
    assert (summary.sent, summary.acknowledged) == (1000, 1000)
    collector.kill()
    assert sorted(collector.stored()) == sorted(everything(simulation))


def test_all_is_acknowledged_although_the_broker_is_killed_and_wiped(broker: Mosquitto, collector: Collector) -> None:
    simulation = Simulation(load(broker))
    killed = threading.Thread(target=kill_and_start, args=(simulation, broker))
    killed.start()
    summary = simulation.run()
    killed.join()
    assert (summary.sent, summary.acknowledged) == (1000, 1000)
    collector.kill()
    assert sorted(collector.stored()) == sorted(everything(simulation))


def kill_and_start(simulation: Simulation, broker: Mosquitto) -> None:
    wait_until(lambda: sum(box.acknowledged for box in simulation.boxes) > 250)
    broker.kill(wipe=True)
    broker.start()


def test_all_is_acknowledged_although_the_collector_is_killed(broker: Mosquitto, collector: Collector) -> None:
    simulation = Simulation(load(broker))

    def kill() -> None:
        wait_until(lambda: sum(box.acknowledged for box in simulation.boxes) > 250)
        collector.kill()
        collector.start()

    killed = threading.Thread(target=kill)
    killed.start()
    summary = simulation.run()
    killed.join()
    assert (summary.sent, summary.acknowledged) == (1000, 1000)
    collector.kill()
    assert sorted(collector.stored()) == sorted(everything(simulation))


def test_without_a_collector_it_gives_up_and_says_what_is_missing(broker: Mosquitto) -> None:
    argv = ["simulate", "--sites", "1", "--rate", "10", "--duration", "1s", "--patience", "2s", "--broker"]
    command = [sys.executable, "-m", "fibrewatch_collector.operator.cli", *argv, f"127.0.0.1:{broker.port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("sent=4 acknowledged=0 ")
