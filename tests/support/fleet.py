"""One box, one broker and one collector as real processes, which a test may kill at any moment.

The box runs a test-only probe, dropped in as two files: `ledger` writes down what it measured, in a file of its own,
before and after the agent took it. So the truth is known without the spool's, the wire's or the store's word.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.mosquitto import Mosquitto, free_port, wait_for_port

ROOT = Path(__file__).parents[2]
AGENT = "paris/cargo/box-01"

CONTRACT = '''
"""ledger: a test's own probe."""
from typing import Annotated
from msgspec import Struct
from fibrewatch.metric import Metric

MODE = "burst"


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the ledger is, and how much each result carries."""
    path: str
    padding: int = 0


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was "measured": a number that no other result has."""
    token: str
    value: Annotated[float | None, Metric("seconds", "A number.")] = None
    padding: str = ""
'''

PROBE = '''
"""Writes `intent` before it returns a result, and `done` once the agent asks for the next: then it has the last one."""
import hashlib
import os
import uuid

from fibrewatch.results.ledger import Params, Result
from fibrewatch_agent.box import Box

LIFE = uuid.uuid4().hex
_last: dict[str, str] = {}
_count: dict[str, int] = {}


async def ledger(params: Params, box: Box) -> Result:
    number = _count[box.test] = _count.get(box.test, 0) + 1
    token = hashlib.sha256(f"{LIFE} {box.test} {number}".encode()).hexdigest()
    value = number / 1000
    digest = hashlib.sha256(f"{box.test} {token} {value!r} {'x' * params.padding}".encode()).hexdigest()
    lines = f"done {_last[box.test]}\\n" if box.test in _last else ""
    _last[box.test] = digest
    descriptor = os.open(params.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{lines}intent {digest}\\n".encode())
    finally:
        os.close(descriptor)
    return Result(token=token, value=value, padding="x" * params.padding)
'''


@dataclass
class Ledger:
    """Digests of contents: `intent` may have been cut off by a kill, `done` was certainly in the agent's hands."""

    intent: Counter[str]
    done: Counter[str]


class Process:
    """A child whose output goes to a file."""

    def __init__(self, argv: list[str], log: Path, env: dict[str, str]) -> None:
        with log.open("ab") as out:
            self.child = subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=env)

    def end(self, how: signal.Signals, timeout_s: float = 30) -> int:
        """Sends a signal and waits; returns the exit status."""
        self.child.send_signal(how)
        return self.child.wait(timeout_s)

    def hears_sigterm(self) -> bool:
        """Whether it has a handler of its own for it (proc(5), SigCgt)."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        caught = int(status.split("SigCgt:")[1].split()[0], 16)
        return bool(caught >> (signal.SIGTERM - 1) & 1)

    def __del__(self) -> None:
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()


class Fleet:
    """Everything in one folder; start what the test needs, in any order."""

    def __init__(
        self, folder: Path, *, instances: int = 10, every: str = "50 ms", padding: int = 0, more: str = ""
    ) -> None:
        self.folder, self.instances = folder, instances
        self.mosquitto = Mosquitto(folder)
        self.http = free_port()
        self.ledger_file = folder / "ledger"
        self.state_dir, self.data_dir = folder / "agent-state", folder / "collector-data"
        self.state_dir.mkdir()
        self.data_dir.mkdir()
        self.tree = _tree(folder / "tree")
        self.env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, self.tree))}
        self.agent: Process | None = None
        self.collector: Process | None = None
        self._every, self._padding, self._more = every, padding, more
        self._write_agent_config("agent", instances)
        self._write_agent_config("agent-quiet", 0)
        self._write_collector_config()

    # ---- configs

    def _write_agent_config(self, name: str, instances: int) -> None:
        tests = "".join(
            f'[tests.ledger-{n}]\nprobe = "ledger"\nevery = "{self._every}"\n'
            f'[tests.ledger-{n}.params]\npath = "{self.ledger_file}"\npadding = {self._padding}\n'
            for n in range(instances)
        )
        (self.folder / f"{name}.toml").write_text(
            f'[agent]\nterritory = "paris"\nsite = "cargo"\nname = "box-01"\nstate_dir = "{self.state_dir}"\n'
            f'[clock]\ntrusted = true\n[broker]\nhost = "127.0.0.1"\nport = {self.mosquitto.port}\n'
            f"{self._more}\n{tests}"
        )

    def _write_collector_config(self) -> None:
        (self.folder / "sites.toml").write_text(
            '[[territory]]\nid = "paris"\nname = "Paris"\n'
            '[[site]]\nterritory = "paris"\nid = "cargo"\nname = "Le Cargo"\ncity = "Paris"\n'
            'latitude = 48.894\nlongitude = 2.381\ntime_zone = "Europe/Paris"\n'
            '[[site.uplink]]\nid = "fibre"\nkind = "fibre"\ndownload = "1 Gbit/s"\nupload = "1 Gbit/s"\n'
            '[[site.agent]]\nid = "box-01"\n'
        )
        (self.folder / "collector.toml").write_text(
            f'sites = "sites.toml"\n[broker]\nhost = "127.0.0.1"\nport = {self.mosquitto.port}\n'
            f'[store]\npath = "{self.data_dir}/store.sqlite"\n[http]\naddress = "127.0.0.1:{self.http}"\n'
        )

    # ---- processes

    def start_agent(self, config: str = "agent") -> None:
        """Starts the agent and returns at once; with "agent-quiet" it only empties its spool."""
        argv = [sys.executable, "-m", "fibrewatch_agent", "run", "--config", str(self.folder / f"{config}.toml")]
        self.agent = Process(argv, self.folder / "agent.log", self.env)

    def start_collector(self) -> None:
        """Starts the collector and returns at once."""
        argv = [sys.executable, "-m", "fibrewatch_collector", "run", "--config", str(self.folder / "collector.toml")]
        self.collector = Process(argv, self.folder / "collector.log", self.env)

    def start(self) -> None:
        """Starts all three and waits until the collector serves."""
        self.mosquitto.start()
        self.start_collector()
        wait_for_port(self.http, timeout_s=60)
        self.start_agent()

    def close(self) -> None:
        """Kills what still runs."""
        for process in (self.agent, self.collector):
            if process is not None and process.child.poll() is None:
                process.end(signal.SIGKILL)
        self.mosquitto.kill()

    # ---- what happened

    def drain(self, attempts: int = 6) -> None:
        """Ends the measuring; lets the agent send what it has until its spool is empty."""
        self.end_agent()
        for _ in range(attempts):
            if self.spool_depth() == 0:
                return
            self.start_agent("agent-quiet")
            time.sleep(4)
            self.end_agent()  # it flushes for up to 5 s more
        raise AssertionError(f"{self.spool_depth()} left in the spool\n{self.log('agent')}\n{self.log('collector')}")

    def end_agent(self) -> None:
        """SIGTERM, and no complaint; one that has only just begun to load would end by the signal itself."""
        if self.agent is not None and self.agent.child.poll() is None:
            self.wait_for(self.agent.hears_sigterm, "the agent to have started")
            assert self.agent.end(signal.SIGTERM) == 0, self.log("agent")

    def spool_depth(self) -> int:
        """Rows in the spool of an agent that has ended, read from its file."""
        with contextlib.closing(sqlite3.connect(self.state_dir / "spool.sqlite")) as db:
            return int(db.execute("SELECT count(*) FROM measurement").fetchone()[0])

    def export(self) -> list[dict[str, Any]]:
        """All that the store holds, by the collector's own export."""
        argv = [sys.executable, "-m", "fibrewatch_collector", "export", "--config", str(self.folder / "collector.toml")]
        argv += ["--from", "2020-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00Z"]
        done = subprocess.run(argv, capture_output=True, text=True, env=self.env, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def get(self, path: str) -> tuple[int, str]:
        """An HTTP GET at the collector: status and text."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def metric(self, name: str) -> float | None:
        """The sum of a metric's samples at /metrics, whatever their labels; None when there is none."""
        try:
            _, text = self.get("/metrics")
        except OSError:
            return None
        values = [
            float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name
        ]
        return sum(values) if values else None

    def wait_for(self, condition: Callable[[], bool], what: str, timeout_s: float = 60) -> None:
        """Polls until the condition holds; fails with both logs otherwise."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {timeout_s} s for {what}\n{self.log('agent')}\n{self.log('collector')}")
            time.sleep(0.1)

    def log(self, name: str) -> str:
        """The end of a process's log."""
        path = self.folder / f"{name}.log"
        return f"---- {name}\n{path.read_text()[-3000:] if path.exists() else ''}"

    def read_ledger(self) -> Ledger:
        """What the probe wrote down."""
        lines = [line.split() for line in self.ledger_file.read_text().splitlines()]
        return Ledger(
            intent=Counter(digest for kind, digest in lines if kind == "intent"),
            done=Counter(digest for kind, digest in lines if kind == "done"),
        )

    def stored_digests(self, rows: list[dict[str, Any]]) -> Counter[str]:
        """The same digests, from the store's content."""
        return Counter(_digest(row["measurement"]) for row in rows if is_ledger(row))


def is_ledger(row: dict[str, Any]) -> bool:
    """Whether an exported row is a result of the ledger probe (not a skipped run, not the agent's own events)."""
    return row["measurement"]["probe"] == "ledger" and "result" in row["measurement"]


def _digest(measurement: dict[str, Any]) -> str:
    result = measurement["result"]
    content = f"{measurement['test']} {result['token']} {result['value']!r} {result.get('padding', '')}"
    return hashlib.sha256(content.encode()).hexdigest()


def _tree(folder: Path) -> list[Path]:
    """The sources with the ledger probe dropped in; found before the installed ones by PYTHONPATH."""
    for side in ("core", "agent", "collector"):
        shutil.copytree(ROOT / side, folder / side, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "core/fibrewatch/results/ledger.py").write_text(CONTRACT)
    (folder / "agent/fibrewatch_agent/probes/ledger.py").write_text(PROBE)
    return [folder / "core", folder / "agent", folder / "collector"]
