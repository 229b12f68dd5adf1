"""A box's certificate is renewed again and again while it delivers, and Mosquitto, as it is shipped, is killed."""

import random
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

from tests.support.enrolled import Box, Operator, serial_lines, until
from tests.support.fleet import Fleet

SEED, KILLS, RENEWALS = 20261122, 3, 1


def test_renewals_and_kills_of_the_shipped_broker_lose_nothing(tmp_path: Path) -> None:
    """The probe's own ledger says what was measured; a certificate lasts 90 s, so that the next comes after 60.

    After so many kills the box may wait half a minute before it connects again: by then it must not be too late.
    """
    (tmp_path / "fleet").mkdir()
    (tmp_path / "operator").mkdir()
    operator, fleet = Operator(tmp_path / "operator", "box-01", box_lasts="90 s"), Fleet(tmp_path / "fleet")
    rng = random.Random(SEED)
    try:
        operator.start()
        tests = (fleet.folder / "agent.toml").read_text().partition(f"port = {fleet.mosquitto.port}\n")[2]
        box = operator.joined("box-01", tests)
        first = box.own.read_bytes()
        agent = operator.start_agent(box, fleet.env)
        for _ in range(KILLS):
            before = operator.stored("box-01")
            until(lambda before=before: operator.stored("box-01") > before, "results")
            operator.broker.kill()
            time.sleep(rng.uniform(0.2, 1.5))
            operator.broker.start()
        until(lambda: len(serial_lines(operator.ok("ca", "list"), "box-01")) > RENEWALS, "renewals", 150)
        until(lambda: box.own.read_bytes() != first, "the new certificate in place")
        operator.broker.kill()  # the next connection shows the new certificate
        operator.broker.start()
        _drain(operator, box, fleet, agent)
        ledger, stored = fleet.read_ledger(), fleet.stored_digests(operator.exported())
        assert not [digest for digest, count in stored.items() if count > 1], "stored twice"
        assert not ledger.done - stored, f"{len(ledger.done - stored)} of {len(ledger.done)} lost\n{box.log}"
        assert not stored - ledger.intent
        assert not [line for line in box.log.splitlines() if "no new certificate" in line]
        assert not list(box.state.glob("*.next"))
    finally:
        operator.close()
        fleet.close()


def _drain(operator: Operator, box: Box, fleet: Fleet, agent: "subprocess.Popen[bytes]") -> None:
    """Ends the measuring, and lets the box send what it has; each end flushes for some seconds."""
    _end(agent, box)
    box.config.write_text(box.config.read_text().partition("[tests.")[0])
    for _ in range(6):
        if _waiting(box) == 0:
            return
        agent = operator.start_agent(box, fleet.env)
        time.sleep(4)
        _end(agent, box)
    raise AssertionError(f"{_waiting(box)} left in the spool\n{box.log}")


def _end(agent: "subprocess.Popen[bytes]", box: Box) -> None:
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(30) == 0, box.log


def _waiting(box: Box) -> int:
    """Of an agent that has ended."""
    with closing(sqlite3.connect(box.state / "spool.sqlite")) as db:
        return int(db.execute("SELECT count(*) FROM measurement").fetchone()[0])
