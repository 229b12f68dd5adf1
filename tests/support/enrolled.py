"""An operator with an authority, the shipped broker and a collector, and the boxes that it enrols: real commands."""

import contextlib
import json
import os
import re
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho

from tests.support import secrets_scan
from tests.support.collector import CollectorProcess, site
from tests.support.mosquitto import BINARY, free_ports, wait_for_port

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "deploy" / "mosquitto"
FIBREWATCH = [sys.executable, "-m", "fibrewatch_collector.operator.cli"]
AGENT = [sys.executable, "-m", "fibrewatch_agent"]


def run(argv: list[str], text: str | None = None) -> subprocess.CompletedProcess[str]:
    """A command's end."""
    return subprocess.run(argv, input=text, capture_output=True, text=True, timeout=120, check=False)


class ShippedMosquitto:
    """deploy/mosquitto as it is, but for the ports and the folders."""

    def __init__(self, folder: Path, files: Path) -> None:
        self.folder = folder
        self.port, self.inner = free_ports(2)
        self.data, self.log = folder / "mosquitto-data", folder / "mosquitto.log"
        text = (SHIPPED / "fibrewatch.conf").read_text()
        text = text.replace("/etc/mosquitto/fibrewatch/fibrewatch.acl", str(SHIPPED / "fibrewatch.acl"))
        text = text.replace("/etc/mosquitto/fibrewatch/", f"{files}/").replace("/var/lib/mosquitto/", f"{self.data}/")
        text = text.replace("listener 8883", f"listener {self.port} 127.0.0.1")
        self.config = folder / "mosquitto.conf"
        self.config.write_text(f"user root\n{text.replace('listener 8884', f'listener {self.inner}')}")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until it listens."""
        self.data.mkdir(exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([BINARY, "-v", "-c", str(self.config)], stdout=log, stderr=log)
        wait_for_port(self.inner)
        (self.folder / "mosquitto.pid").write_text(str(self.process.pid))

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Operator:
    """In one folder: `authority`, broker and collector."""

    def __init__(self, folder: Path, *boxes: str, box_lasts: str = "365 d") -> None:
        self.folder, self.authority = folder, folder / "authority"
        self.agents: list[subprocess.Popen[bytes]] = []
        join = free_ports(1)[0]
        self.ok("ca", "init", "--broker", "localhost:8883", "--join", "localhost", "--folder", str(self.authority))
        self.ok("ca", "server", "localhost", "127.0.0.1", "--out", str(self.authority / "server.pem"))
        self.ok("ca", "collector", "--out", str(self.authority / "collector.pem"))
        self.broker = ShippedMosquitto(folder, self.authority)
        (self.authority / "authority.toml").write_text(
            f'box_lasts = "{box_lasts}"\nreload = ["sh", "-c", "kill -HUP $(cat {folder}/mosquitto.pid)"]\n'
            f'[broker]\nhost = "localhost"\nport = {self.broker.port}\n'
            f'[join]\nlisten = "127.0.0.1:{join}"\nnames = ["localhost"]\n'
        )
        self.collector = CollectorProcess(folder, self.broker.inner, site("cargo", *boxes))
        text = self.collector.config.read_text()
        tls = '[broker.tls]\nca = "authority/ca.pem"\n' + "".join(
            f'{each} = "authority/collector.pem"\n' for each in ("certificate", "key")
        )
        port = f"port = {self.broker.inner}\n"
        self.collector.config.write_text(text.replace(port, port + tls) + '[authority]\nfolder = "authority"\n')

    def ok(self, *arguments: str) -> str:
        """A `fibrewatch` command that works; its output."""
        folder = () if "--folder" in arguments else ("--folder", str(self.authority))
        done = run([*FIBREWATCH, *arguments, *folder])
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        """Broker and collector."""
        self.broker.start()
        self.collector.start()

    def close(self) -> None:
        """Kills what still runs."""
        for each in self.agents:
            each.kill()
            each.wait()
        if self.collector.process is not None:
            self.collector.process.kill()
            self.collector.process.wait()
        self.broker.kill()

    # ---- boxes

    def joined(self, box: str, config: str = "", *, token: bool = True) -> "Box":
        """A box that joined, by token or by bundle; `config` replaces what its tests begin with."""
        made = Box(self.folder / box)
        name = f"paris/cargo/{box}"
        if token:
            joining = secrets_scan.register(self.ok("enrol", name).strip(), "a join token")
            done = made.join("--token", "-", "--replace", text=joining)
        else:
            self.ok("enrol", name, "--bundle", str(made.folder / "bundle"))
            done = made.join(str(made.folder / "bundle"), "--replace")
        assert done.returncode == 0, done.stderr
        if config:
            head = made.config.read_text().partition("[schedule]")[0]
            made.config.write_text(f"{head}[clock]\ntrusted = true\n{config}")
        return made

    def start_agent(self, box: "Box", env: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
        """`fibrewatch-agent run`."""
        with (box.folder / "agent.log").open("ab") as log:
            argv = [*AGENT, "run", "--config", str(box.config)]
            self.agents.append(subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env))
        return self.agents[-1]

    def exported(self) -> list[dict[str, Any]]:
        """All that the store holds, by the collector's own export."""
        argv = [sys.executable, "-m", "fibrewatch_collector", "export", "--config", str(self.collector.config)]
        done = run([*argv, "--from", "2020-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00Z"])
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def stored(self, box: str) -> int:
        """How many of its measurements are in the store."""
        with contextlib.closing(sqlite3.connect(f"file:{self.folder}/collector.db?mode=ro", uri=True)) as db:
            found = db.execute(
                "SELECT count(*) FROM measurement JOIN series ON series.id = measurement.series"
                " JOIN agent ON agent.id = series.agent WHERE agent.agent = ?",
                (box,),
            )
            return int(found.fetchone()[0])


class Box:
    """A box's files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.config, self.state = folder, folder / "etc" / "agent.toml", folder / "state"
        folder.mkdir(exist_ok=True)

    @property
    def own(self) -> Path:
        """Key and certificate."""
        return self.state / "box.pem"

    @property
    def ca(self) -> Path:
        """The authority's certificate."""
        return self.folder / "etc" / "ca.pem"

    @property
    def log(self) -> str:
        """What its agent printed."""
        return (self.folder / "agent.log").read_text()

    def join(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """`fibrewatch-agent join`."""
        argv = [*AGENT, "join", "--config", str(self.config), "--state-dir", str(self.state), *arguments]
        return run(argv, text)


class Stranger:
    """A paho client with whatever certificate it is given."""

    def __init__(
        self,
        port: int,
        ca: Path,
        own: Path | None,
        *,
        identifier: str = "x",
        will: str | None = None,
        user: str | None = None,
        protocol: int = paho.MQTTv311,
    ) -> None:
        version = paho.CallbackAPIVersion.VERSION2
        self.client = paho.Client(version, identifier, protocol=protocol, reconnect_on_failure=False)  # type: ignore[arg-type]
        self.client.username_pw_set(user)
        self.heard: list[tuple[str, bytes]] = []
        self.granted: list[int] = []
        self.ended = False
        context = ssl.create_default_context(cafile=ca)
        if own is not None:
            context.load_cert_chain(own)
        self.client.tls_set_context(context)
        if will is not None:
            self.client.will_set(will, b"will", qos=1, retain=True)
        self.client.on_message = lambda c, u, message: self.heard.append((message.topic, message.payload))
        self.client.on_subscribe = lambda c, u, mid, codes, p: self.granted.extend(int(code.value) for code in codes)
        self.client.on_disconnect = lambda *_: setattr(self, "ended", True)
        self._port = port

    def connect(self) -> bool:
        """Whether the broker lets it in."""
        try:
            self.client.connect("localhost", self._port, 30)
        except (OSError, ssl.SSLError):
            return False
        self.client.loop_start()
        deadline = time.monotonic() + 20
        while not self.client.is_connected() and not self.ended and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.client.is_connected()

    def say(self, topic: str, payload: bytes = b"x", *, retain: bool = False) -> None:
        """Publishes and waits for the broker's word, which a denial is not told from."""
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(20)

    def ask(self, topic: str) -> int:
        """Subscribes; the granted QoS or 128."""
        self.granted.clear()
        self.client.subscribe(topic, 1)
        until(lambda: bool(self.granted), f"an answer for {topic}")
        return self.granted[0]

    def vanish(self) -> None:
        """Its line breaks, so that its will is due; by a descriptor of our own, since paho's thread reads the other."""
        with socket.socket(fileno=os.dup(self.client.socket().fileno())) as line:  # type: ignore[union-attr]
            line.shutdown(socket.SHUT_RDWR)
        self.client.loop_stop()

    def close(self) -> None:
        """Leaves."""
        self.client.disconnect()
        self.client.loop_stop()


def until(true: Callable[[], bool], what: str, timeout_s: float = 90) -> float:
    """Waits; how long it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < timeout_s, f"waited {timeout_s} s for {what}"
        time.sleep(0.05)
    return time.monotonic() - began


def copied(source: Path, to: Path) -> Path:
    """A file elsewhere, as a thief would have it."""
    shutil.copy(source, to)
    return to


def serial_lines(listing: str, box: str) -> list[str]:
    """Of `fibrewatch ca list`."""
    return [line for line in listing.splitlines() if re.match(rf"paris/cargo/{box}\s+box ", line)]
