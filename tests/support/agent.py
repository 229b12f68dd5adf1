"""The agent as a process, from a copy of the sources if a test drops in a probe; what it publishes, and its spool."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fibrewatch import wire
from fibrewatch.measurement import AnyMeasurement
from fibrewatch_agent.spool import Spool
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
AGENT = wire.AgentId("paris", "cargo", "box-01")


class Tree:
    """A copy of the sources that comes before the installed ones."""

    def __init__(self, folder: Path) -> None:
        self.core, self.agent = folder / "core", folder / "agent"
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "core", self.core, ignore=ignore)
        shutil.copytree(ROOT / "agent", self.agent, ignore=ignore)

    def drop_contract(self, name: str, source: str) -> None:
        """core's half of a new probe."""
        (self.core / f"fibrewatch/results/{name}.py").write_text(source)

    def drop_probe(self, name: str, source: str) -> None:
        """The agent's half of a new probe."""
        (self.agent / f"fibrewatch_agent/probes/{name}.py").write_text(source)

    @property
    def environment(self) -> dict[str, str]:
        """What lets a process find this tree first."""
        return os.environ | {"PYTHONPATH": f"{self.core}{os.pathsep}{self.agent}"}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs one command of the agent to its end."""
        command = [sys.executable, "-m", "fibrewatch_agent", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=self.environment)


class Box:
    """An agent with a config file of its own, run by `prefix` (a namespace's exec)."""

    def __init__(self, folder: Path, port: int, prefix: tuple[str, ...] = ()) -> None:
        self.folder, self.config, self.state_dir = folder, folder / "agent.toml", folder / "state"
        self.log_file, self._port, self._prefix = folder / "agent.log", port, prefix
        self.process: subprocess.Popen[bytes] | None = None
        self.log_level = "info"
        self.program: tuple[str, ...] = (sys.executable, "-m", "fibrewatch_agent")

    def write(self, tests: str) -> None:
        """The config: this box, that broker, and the given targets and tests."""
        self.config.write_text(
            f'[agent]\nterritory = "paris"\nsite = "cargo"\nname = "box-01"\nstate_dir = "{self.state_dir}"\n'
            f'[clock]\ntrusted = true\n[broker]\nhost = "127.0.0.1"\nport = {self._port}\n{tests}'
        )

    def start(self, environment: dict[str, str] | None = None) -> None:
        """Starts it and returns once it measures."""
        command = [*self._prefix, *self.program, "run", "--config", str(self.config)]
        command += ["--log-level", self.log_level]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, env=environment)
        wait_until(lambda: " running agent=" in self.log, "the agent to run")

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self.log_file.read_text()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def reload(self) -> None:
        """SIGHUP; returns once the config was taken or refused."""
        before = self.log.count(" reload")
        self.signal(signal.SIGHUP)
        wait_until(lambda: self.log.count(" reload") > before, "the reload")

    def end(self) -> int:
        """SIGTERM; its exit status."""
        self.signal(signal.SIGTERM)
        assert self.process is not None
        return self.process.wait(60)

    async def spooled(self) -> list[AnyMeasurement]:
        """What waits in the spool of an agent that has ended."""
        spool = Spool.open(self.state_dir / "spool.sqlite", max_bytes=2**28, max_age_s=1e9, boot="00000000")
        found: list[AnyMeasurement] = []
        try:
            while (chunk := await spool.next()) is not None:
                found += [wire.decode_measurement(raw) for raw in wire.decode_batch(chunk.payload).measurements]
        finally:
            await spool.close()
        return found

    def close(self) -> None:
        """Ends what still runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Ears:
    """Hears everything that is published, in order, by the broker's own client."""

    def __init__(self, folder: Path, port: int) -> None:
        self._file = folder / "heard"
        with self._file.open("wb") as out:
            command = ["mosquitto_sub", "-p", str(port), "-t", f"{wire.ROOT}/#", "-F", "%t %r %p"]
            self._process = subprocess.Popen(command, stdout=out)

    def heard(self, channel: wire.UpChannel) -> list[bytes]:
        """The payloads of a channel, oldest first."""
        topic = wire.up_topic(AGENT, channel).encode()
        lines = [line.split(b" ", 2) for line in self._file.read_bytes().splitlines() if line.count(b" ") >= 2]
        return [payload for heard, _, payload in lines if heard == topic]

    def statuses(self) -> list[wire.Status]:
        """All statuses."""
        return [wire.decode(payload, wire.Status) for payload in self.heard("status")]

    def inventories(self) -> list[wire.Inventory]:
        """All inventories."""
        return [wire.decode(payload, wire.Inventory) for payload in self.heard("inventory")]

    def measurements(self) -> list[AnyMeasurement]:
        """All measurements, a resent one again."""
        batches = [wire.decode_batch(payload) for payload in self.heard("results")]
        return [wire.decode_measurement(raw) for batch in batches for raw in batch.measurements]

    def close(self) -> None:
        """Stops listening."""
        self._process.terminate()
        self._process.wait()


@contextmanager
def box_and_ears(folder: Path, port: int) -> Iterator[tuple[Box, Ears]]:
    """A box that is not started yet, and ears that listen already."""
    box, ears = Box(folder, port), Ears(folder, port)
    try:
        yield box, ears
    finally:
        box.close()
        ears.close()
