"""Nothing is lost: real agent, Mosquitto and collector are killed at random moments, ledger and store compared."""

import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.fleet import Fleet, Ledger
from tests.support.small_disk import occupy, small_disk

SEEDS = tuple(range(20261122, 20261122 + 30))
VICTIMS = ("agent", "collector", "mosquitto", "mosquitto wiped", "all")


@contextmanager
def fleet_in(folder: Path, **options: Any) -> Iterator[Fleet]:
    fleet = Fleet(folder, **options)
    try:
        yield fleet
    finally:
        fleet.close()


def assert_each_once(ledger: Ledger, stored: Counter[str], cut_off: int) -> None:
    """Stored = written down, each once; only what a kill cut off between the two may be in the ledger alone."""
    assert not [digest for digest, count in stored.items() if count > 1], "stored twice"
    assert not stored - ledger.intent, "stored but never measured"
    assert not ledger.done - stored, f"{len(ledger.done - stored)} of {len(ledger.done)} lost"
    assert len(ledger.intent - stored) <= cut_off


def kill_and_restart(fleet: Fleet, rng: random.Random) -> str:
    victim = rng.choice(VICTIMS)
    if victim in {"agent", "all"} and fleet.agent is not None:
        fleet.agent.end(signal.SIGKILL)
    if victim in {"collector", "all"} and fleet.collector is not None:
        fleet.collector.end(signal.SIGKILL)
    if victim.startswith("mosquitto") or victim == "all":
        fleet.mosquitto.kill(wipe=victim == "mosquitto wiped")
    time.sleep(rng.uniform(0, 0.7))
    if victim.startswith("mosquitto") or victim == "all":
        fleet.mosquitto.start()
    if victim in {"collector", "all"}:
        fleet.start_collector()
    if victim in {"agent", "all"}:
        fleet.start_agent()
    return victim


def test_killing_any_part_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    with fleet_in(tmp_path) as fleet:
        fleet.start()
        fleet.wait_for(fleet.ledger_file.exists, "the first result")
        killed = Counter[str]()
        for seed in SEEDS:
            rng = random.Random(seed)
            time.sleep(rng.uniform(0.1, 1.5))
            killed[kill_and_restart(fleet, rng)] += 1
        time.sleep(1)
        fleet.drain()
        ledger, rows = fleet.read_ledger(), fleet.export()
        agents_ended = killed["agent"] + killed["all"] + 1
        assert_each_once(ledger, fleet.stored_digests(rows), cut_off=agents_ended * fleet.instances)
        assert set(killed) == set(VICTIMS), killed
        assert len(ledger.done) > 2_000
        assert not [row for row in rows if row["measurement"]["probe"] == "spool"], "dropped without need"
        assert fleet.metric("fibrewatch_collector_lost_total") in {0.0, None}
        print(f"{killed=} {len(ledger.done)=} {len(rows)=}")


def test_a_full_spool_reports_exactly_what_it_dropped(tmp_path: Path) -> None:
    options = {"padding": 2_000, "more": '[spool]\nmax_size = "1 MiB"'}
    with fleet_in(tmp_path, **options) as fleet:
        fleet.start()
        fleet.wait_for(lambda: bool(fleet.metric("fibrewatch_collector_stored_total")), "a first result")
        fleet.mosquitto.kill()
        fleet.wait_for(lambda: len(fleet.read_ledger().intent) > 1_500, "more than the spool can hold", 120)
        fleet.mosquitto.start()
        fleet.drain()
        rows = fleet.export()
        ledger, stored = fleet.read_ledger(), fleet.stored_digests(rows)
        drops = [row["measurement"]["result"] for row in rows if row["measurement"]["probe"] == "spool"]
        lost = len(ledger.done - stored)
        assert lost > 0
        assert not [digest for digest, count in stored.items() if count > 1]
        dropped = sum(drop["dropped"] for drop in drops)
        assert dropped / 2 < lost <= dropped  # the rest are runs that the scheduler skipped, and what came all the same
        gone = [(drop["stream"], number) for drop in drops for number in range(drop["first"], drop["last"] + 1)]
        assert len(gone) == len(set(gone)) == dropped
        present = {(row["stream"], row["sequence"]) for row in rows}
        never_came = set(gone) - present  # the first of those dropped may have come, its acknowledgement cut off
        for stream in {stream for stream, _ in gone}:
            numbers = sorted(number for each, number in present | never_came if each == stream)
            assert numbers == list(range(1, len(numbers) + 1)), "neither stored nor told as dropped"
        assert len(set(gone) & present) <= 4 * 100, "more than can be in flight"
        assert fleet.metric("fibrewatch_collector_lost_total") == len(never_came)


def test_a_full_disk_at_the_box_is_said_and_survived(tmp_path: Path) -> None:
    options = {"instances": 4, "every": "100 ms", "padding": 2_000}
    with fleet_in(tmp_path, **options) as fleet, small_disk(fleet.state_dir, "8m"):
        fleet.start()
        fleet.wait_for(lambda: bool(fleet.metric("fibrewatch_collector_stored_total")), "a first result")
        fleet.mosquitto.kill()
        hog = occupy(fleet.state_dir)
        fleet.wait_for(lambda: "full" in (fleet.folder / "agent.log").read_text(), "the agent to say it", 120)
        fleet.mosquitto.start()
        fleet.wait_for(lambda: fleet.metric("fibrewatch_agent_spool_full") == 1, "the degraded state in /metrics", 120)
        hog.unlink()
        fleet.wait_for(lambda: fleet.metric("fibrewatch_agent_spool_full") == 0, "the recovery", 120)
        fleet.drain()
        ledger, stored = fleet.read_ledger(), fleet.stored_digests(fleet.export())
        assert_each_once(ledger, stored, cut_off=fleet.instances)


def test_a_full_disk_at_the_collector_is_said_and_survived(tmp_path: Path) -> None:
    with fleet_in(tmp_path, instances=4, every="100 ms") as fleet, small_disk(fleet.data_dir, "16m"):
        fleet.start()
        fleet.wait_for(lambda: bool(fleet.metric("fibrewatch_collector_stored_total")), "a first result")
        hog = occupy(fleet.data_dir)
        fleet.wait_for(lambda: fleet.metric("fibrewatch_collector_store_up") == 0, "the degraded state", 120)
        assert fleet.get("/readyz")[0] == 503
        assert "full" in fleet.get("/readyz")[1]
        assert fleet.get("/healthz")[0] == 200
        hog.unlink()
        fleet.wait_for(lambda: fleet.metric("fibrewatch_collector_store_up") == 1, "the recovery", 120)
        fleet.wait_for(lambda: fleet.get("/readyz")[0] == 200, "readiness")
        fleet.drain()
        ledger, stored = fleet.read_ledger(), fleet.stored_digests(fleet.export())
        assert_each_once(ledger, stored, cut_off=fleet.instances)
        assert fleet.collector is not None
        assert fleet.collector.child.poll() is None, "it had to be restarted"


@pytest.mark.parametrize("restored", ["cloned", "restarted"])
def test_a_copied_spool_swallows_nothing(tmp_path: Path, restored: str) -> None:
    """A card is cloned, or set back to an old copy: both boxes' results are kept, none twice."""
    with fleet_in(tmp_path, instances=4, every="100 ms") as fleet:
        fleet.mosquitto.start()
        fleet.start_agent()
        fleet.wait_for(fleet.ledger_file.exists, "the first result")
        fleet.wait_for(lambda: len(fleet.read_ledger().intent) > 40, "a spool with something in it")
        assert fleet.agent is not None
        fleet.agent.end(signal.SIGKILL)
        copy = tmp_path / "copy"
        shutil.copytree(fleet.state_dir, copy)
        if restored == "cloned":
            fleet.start_collector()
            fleet.drain()
        shutil.rmtree(fleet.state_dir)
        shutil.copytree(copy, fleet.state_dir)
        fleet.start_agent()
        if restored == "restarted":
            fleet.start_collector()
        before = len(fleet.read_ledger().intent)
        fleet.wait_for(lambda: len(fleet.read_ledger().intent) > before + 40, "more results")
        fleet.drain()
        ledger, stored = fleet.read_ledger(), fleet.stored_digests(fleet.export())
        assert_each_once(ledger, stored, cut_off=3 * fleet.instances)
