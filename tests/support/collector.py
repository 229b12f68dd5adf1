"""The real collector as a process, and a scripted box that speaks the wire to it."""

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec

from fibrewatch import wire
from fibrewatch.measurement import AnyMeasurement
from fibrewatch.wire import Ack, AgentId, Batch
from tests.support import secrets_scan
from tests.support.mosquitto import free_port, wait_for_port

MODULE = [sys.executable, "-m", "fibrewatch_collector"]


def site(name: str, *agents: str, territory: str = "paris", mobile: bool = False) -> str:
    """A site's tables."""
    default = 'default_uplink = "fibre"\n' if mobile else ""
    text = (
        f'[[site]]\nterritory = "{territory}"\nid = "{name}"\nname = "Site {name}"\ncity = "Paris"\nlatitude = 48.9\n'
        f'longitude = 2.4\ntime_zone = "Europe/Paris"\n{default}'
        '[[site.uplink]]\nid = "fibre"\nkind = "fibre"\ndownload = "1 Gbit/s"\noperator = "Réseau \\"L\\""\n'
    )
    if mobile:
        text += '[[site.uplink]]\nid = "4g"\nkind = "mobile"\n'
    return text + "".join(f'[[site.agent]]\nid = "{agent}"\n' for agent in agents)


class CollectorProcess:
    """Its files live in `folder`; it may be ended and started again."""

    def __init__(self, folder: Path, broker_port: int, *sites: str) -> None:
        self.folder, self.http = folder, free_port()
        self.config, self.sites = folder / "collector.toml", folder / "sites.toml"
        self.write_sites(*sites)
        self.config.write_text(
            f'[broker]\nport = {broker_port}\n[store]\npath = "collector.db"\n'
            f'[http]\naddress = "127.0.0.1:{self.http}"\n'
        )
        self.process: subprocess.Popen[bytes] | None = None

    def write_sites(self, *sites: str) -> None:
        """Another inventory; SIGHUP puts it in force."""
        self.sites.write_text('[[territory]]\nid = "paris"\nname = "Paris"\n' + "".join(sites), "utf-8")

    def start(self) -> None:
        """Starts it and waits until it is ready."""
        self.launch()
        self.wait(lambda: self.get("/readyz")[0] == 200, "readiness")

    def launch(self) -> None:
        """Starts it and waits until it answers."""
        with self.log.open("ab") as log:
            argv = [*MODULE, "run", "--config", str(self.config)]
            self.process = subprocess.Popen(argv, stdout=log, stderr=log)
        wait_for_port(self.http)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and returns the exit status."""
        assert self.process is not None
        self.process.send_signal(how)
        status = self.process.wait(30)
        self.process = None
        return status

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.folder / "collector.log"

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        """Status and body of a GET."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as e:
            status, body = e.code, e.read()
        except OSError:
            return 0, b""
        secrets_scan.answered(body, path)
        return status, body

    def json(self, path: str) -> Any:
        """The decoded answer of a request that must succeed."""
        status, body = self.get(path)
        assert status == 200, body
        return json.loads(body)

    def site(self, name: str) -> dict[str, Any]:
        """A site of /api/v1/sites."""
        (found,) = [each for each in self.json("/api/v1/sites")["sites"] if each["site"] == name]
        assert isinstance(found, dict)
        return found

    def run(self, *argv: str) -> "subprocess.CompletedProcess[str]":
        """Another command of the collector's, with its config."""
        return run_cli(*argv, "--config", str(self.config))

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float = 60) -> None:
        """Polls until the condition holds."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}\n{self.log.read_text()[-3000:]}"
            time.sleep(0.1)

    def __enter__(self) -> "CollectorProcess":
        self.start()
        return self

    def show_all(self) -> None:
        """Has the scan of secrets look at what it answers in the end."""
        for path in ("/metrics", "/api/v1/agents", "/api/v1/sites", "/api/v1/measurements?limit=100"):
            if self.get(path)[0] == 0:
                return

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                self.show_all()
            self.process.kill()
            self.process.wait()


def run_cli(*argv: str) -> "subprocess.CompletedProcess[str]":
    """A command of the collector's."""
    return subprocess.run(
        [*MODULE, *argv],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


async def deliver(port: int, agent: AgentId, runs: Iterable[AnyMeasurement], stream: str, first: int = 1) -> None:
    """Publishes one batch and waits for its acknowledgement."""
    measurements = [msgspec.Raw(wire.encode(run)) for run in runs]
    batch = Batch(stream=stream, first=first, oldest=1, measurements=measurements)
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(wire.down_topic(agent, "ack"), qos=1)
        await client.publish(wire.up_topic(agent, "results"), wire.encode(batch), qos=1)
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            ack = wire.decode(message.payload, Ack)
            if ack.stream == stream and ack.through >= first + len(measurements) - 1:
                return


async def publish(port: int, agent: AgentId, payload: wire.Status | wire.Inventory) -> None:
    """Publishes a retained status or inventory."""
    channel: wire.UpChannel = "status" if isinstance(payload, wire.Status) else "inventory"
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.publish(wire.up_topic(agent, channel), wire.encode(payload), qos=1, retain=True)
