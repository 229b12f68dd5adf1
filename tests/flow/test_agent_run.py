"""The agent as a process: SIGTERM, SIGHUP, the service manager, a broker that comes and goes."""

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent import Box, Ears, Tree, box_and_ears
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.waiting import wait_until

PING = """
[targets.loop]
address = "127.0.0.1"
role = "gateway"
[tests.{name}]
probe = "ping"
targets = ["loop"]
[tests.{name}.params]
interval = "20 ms"
"""

# Sent over the loopback, where nobody has that address: nothing leaves the machine.
DARK = """
[targets.dark]
address = "198.51.100.1"
role = "operator"
[tests.dark]
probe = "ping"
targets = ["dark"]
interface = "lo"
[tests.dark.params]
interval = "20 ms"
timeout = "100 ms"
"""

COUNT_CONTRACT = '''
"""count: a number that no other run has."""
from msgspec import Struct

MODE = "burst"


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where each run is written down."""
    ledger: str


class Result(Struct, frozen=True, kw_only=True):
    """What this run wrote."""
    number: int
'''

COUNT_PROBE = '''
"""count: writes down what it returns."""
import itertools
from pathlib import Path

from fibrewatch.results.count import Params, Result
from fibrewatch_agent.box import Box

numbers = itertools.count()


async def count(params: Params, box: Box) -> Result:
    number = next(numbers)
    with Path(params.ledger).open("a") as ledger:
        ledger.write(f"{number}\\n")
    return Result(number=number)
'''


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as mosquitto:
        yield mosquitto


@pytest.fixture
def pair(tmp_path: Path, broker: Mosquitto) -> Iterator[tuple[Box, Ears]]:
    with box_and_ears(tmp_path, broker.port) as both:
        yield both


def test_sigterm_closes_the_window_flushes_and_says_goodbye(pair: tuple[Box, Ears]) -> None:
    box, ears = pair
    box.write(PING.format(name="loop") + DARK)
    box.start()
    wait_until(lambda: any(s.lost_targets == ("dark",) for s in ears.statuses()), "the lost target to be told at once")
    assert not ears.measurements()  # the minute's window is still open
    assert box.end() == 0
    wait_until(lambda: ears.statuses()[-1].state == "offline", "the goodbye")
    found = {m.test: m for m in ears.measurements()}
    assert (found["loop"].outcome, found["loop"].result.lost) == ("ok", 0)
    assert found["loop"].result.sent > 0
    assert 0 < found["loop"].duration_s < 60
    assert (found["dark"].outcome, found["dark"].result.lost) == ("failed", found["dark"].result.sent)
    assert "Traceback" not in box.log


async def test_sigterm_without_a_broker_keeps_what_was_measured(tmp_path: Path) -> None:
    box = Box(tmp_path, free_port())
    box.write(PING.format(name="loop"))
    try:
        box.start()
        assert box.end() == 0
    finally:
        box.close()
    assert [m.test for m in await box.spooled()] == ["loop"]


def test_sigint_ends_as_sigterm_does(pair: tuple[Box, Ears]) -> None:
    box, ears = pair
    box.write(PING.format(name="loop"))
    box.start()
    wait_until(lambda: bool(ears.statuses()), "the first status")
    box.signal(signal.SIGINT)
    assert box.process is not None
    assert box.process.wait(60) == 0
    wait_until(lambda: ears.statuses()[-1].state == "offline", "the goodbye")
    assert "interrupted" not in box.log


def test_bad_reload_is_refused_told_and_the_old_config_stays(pair: tuple[Box, Ears]) -> None:
    box, ears = pair
    box.write(PING.format(name="loop"))
    box.start()
    wait_until(lambda: bool(ears.inventories()), "the first inventory")
    box.write(PING.format(name="loop").replace('"ping"', '"pign"'))
    box.reload()
    wait_until(lambda: ears.statuses()[-1].config_error is not None, "the error in the status")
    error = ears.statuses()[-1].config_error
    assert error is not None
    assert error.startswith(f"{box.config}: tests.loop.probe: 'pign': no such probe (did you mean ping?)")
    box.write(PING.format(name="renamed"))
    box.reload()
    wait_until(lambda: ears.statuses()[-1].config_error is None, "the error to be taken back")
    wait_until(lambda: ears.inventories()[-1].schedule[0].test == "renamed", "the new schedule")
    wait_until(lambda: [m.test for m in ears.measurements()] == ["loop"], "the old window, closed by the reload")
    assert box.end() == 0
    assert [s.state for s in ears.statuses() if s.state == "offline"] == ["offline"]  # the connection held all along
    assert {schedule.test for inventory in ears.inventories() for schedule in inventory.schedule} == {"loop", "renamed"}


def test_reload_that_only_a_restart_can_do_says_so(pair: tuple[Box, Ears]) -> None:
    box, ears = pair
    box.write(PING.format(name="loop"))
    box.start()
    box.config.write_text(box.config.read_text().replace("box-01", "box-02"))
    box.reload()
    wait_until(lambda: bool(ears.statuses()) and ears.statuses()[-1].config_error is not None, "the error")
    assert ears.statuses()[-1].config_error == f"{box.config}: agent: it changes with a restart only"


def test_reload_moves_to_another_broker(pair: tuple[Box, Ears], tmp_path: Path, broker: Mosquitto) -> None:
    box, ears = pair
    box.write(PING.format(name="loop"))
    box.start()
    wait_until(lambda: bool(ears.statuses()), "the first status")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with Mosquitto(elsewhere) as other:
        other_ears = Ears(elsewhere, other.port)
        box.config.write_text(box.config.read_text().replace(str(broker.port), str(other.port)))
        box.reload()
        wait_until(lambda: bool(other_ears.inventories()), "the box at the other broker")
        wait_until(lambda: ears.statuses()[-1].state == "offline", "the goodbye at the first")
        assert box.end() == 0
        wait_until(lambda: bool(other_ears.measurements()), "the window")
        other_ears.close()


async def test_reloads_lose_and_double_nothing(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "tree")
    tree.drop_contract("count", COUNT_CONTRACT)
    tree.drop_probe("count", COUNT_PROBE)
    ledger = tmp_path / "ledger"
    box = Box(tmp_path, free_port())
    tests = "".join(
        f'[tests.c{i}]\nprobe = "count"\nevery = "{{every}} ms"\n[tests.c{i}.params]\nledger = "{ledger}"\n'
        for i in range(3)
    )
    try:
        box.write(tests.format(every=20))
        box.start(tree.environment)
        for turn in range(12):
            seen = ledger.stat().st_size if ledger.exists() else 0
            wait_until(lambda seen=seen: ledger.exists() and ledger.stat().st_size > seen + 20, "more runs")
            box.write(tests.format(every=20 + turn % 3))
            box.reload()
        assert box.end() == 0
    finally:
        box.close()
    written = [int(line) for line in ledger.read_text().split()]
    stored = Counter(m.result["number"] for m in await box.spooled() if m.result)
    assert len(written) >= 50
    assert stored == Counter(written)


def test_service_manager_is_told_every_step(tmp_path: Path, pair: tuple[Box, Ears]) -> None:
    box, _ = pair
    box.write(PING.format(name="loop"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(60)
        manager.bind(str(tmp_path / "notify"))

        def hear(state: str) -> list[str]:
            before = []
            while not (heard := manager.recv(1000).decode()).startswith(state):
                before.append(heard)
            return before

        box.start(os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"})
        hear("READY=1\nSTATUS=1 tests")
        hear("WATCHDOG=1")
        box.signal(signal.SIGHUP)
        hear("RELOADING=1\nMONOTONIC_USEC=")
        hear("READY=1")
        hear("WATCHDOG=1")
        box.signal(signal.SIGTERM)
        assert set(hear("STOPPING=1")) <= {"WATCHDOG=1"}
        assert box.process is not None
        assert box.process.wait(60) == 0


def test_second_agent_on_the_same_spool_is_refused_in_one_line(pair: tuple[Box, Ears]) -> None:
    box, _ = pair
    box.write(PING.format(name="loop"))
    box.start()
    command = [sys.executable, "-m", "fibrewatch_agent", "run", "--config", str(box.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"fibrewatch-agent: {box.state_dir}/spool.sqlite: ")
    assert done.stderr.count("\n") == 1
