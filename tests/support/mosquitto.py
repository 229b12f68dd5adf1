"""A real Mosquitto on a loopback port of its own, which a test may kill, wipe and start again."""

import shutil
import socket
import subprocess
import time
from pathlib import Path

from fibrewatch_collector.operator.ports import free_ports

BINARY = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin") or "mosquitto"


def free_port() -> int:
    """A TCP port on loopback that nobody listens on, and that no connection's near end is given meanwhile."""
    return free_ports(1)[0]


def wait_for_port(port: int, host: str = "127.0.0.1", timeout_s: float = 20.0) -> None:
    """Returns once a TCP connection is accepted; raises TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise TimeoutError(f"nothing listens on {host}:{port}")


class Mosquitto:
    """The broker as a child process; its data live in `folder`."""

    def __init__(self, folder: Path, extra: str = "") -> None:
        self.folder, self.port = folder, free_port()
        self.data = folder / "mosquitto-data"
        self.config = folder / "mosquitto.conf"
        self.process: subprocess.Popen[bytes] | None = None
        self._extra = extra

    def also_listen(self, address: str) -> None:
        """Before it is started: the same port on another address too."""
        self._extra += f"\nlistener {self.port} {address}\n"

    def start(self) -> None:
        """Starts it and waits until it listens."""
        self.data.mkdir(exist_ok=True)
        self.config.write_text(
            f"user root\nlistener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
            f"persistence_location {self.data}/\nautosave_on_changes true\nautosave_interval 1000\n"
            f"max_inflight_messages 1000\nmax_queued_messages 100000\n{self._extra}\n"
        )
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen([BINARY, "-c", str(self.config)], stdout=log, stderr=log)
        wait_for_port(self.port)

    def kill(self, *, wipe: bool = False) -> None:
        """SIGKILL; with `wipe` its data directory is emptied too."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        if wipe:
            shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self) -> "Mosquitto":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
