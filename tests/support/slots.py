"""A real responder that gives slots, boxes that are known to it, and tests that they make in their slots."""

import asyncio
import hashlib
import json
import re
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from fibrewatch_agent.slots.far_desk import Slot
from fibrewatch_agent.slots.login import login, version
from fibrewatch_agent.slots.messages import Wish
from fibrewatch_agent.tables import Control
from fibrewatch_agent.transfer.iperf3 import Run, conclude
from tests.support import secrets_scan
from tests.support.certificates import Authority
from tests.support.iperf3 import free_range
from tests.support.waiting import until, wait_until

MBIT = 1e6 / 8


class Over(NamedTuple):
    """What the responder's log says of a slot that is over."""

    slot: str
    agent: str
    need: float
    began: float
    ended: float
    why: str
    bytes: float

    @property
    def site(self) -> str:
        return self.agent.rpartition("/")[0]


class Responder:
    """`fibrewatch-agent responder --config FILE` on ports of its own; without `tls` in clear on loopback.

    Attributes:
        first: The first of `ports` for slots.
    """

    def __init__(
        self,
        folder: Path,
        boxes: Sequence[str] = ("paris/cargo/box-01",),
        *,
        capacity: str = "100 Mbit/s",
        listen: str = "127.0.0.1",
        tls: Authority | None = None,
        firewall: str = "off",
        limits: str = "",
        ports: int = 200,
        crl: Path | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.port, self._folder = free_range(ports + 1), folder
        self.first = self.port + 1
        self._crl = crl
        self._authority, self._log = tls, folder / "log"
        self.host = f"[{listen}]" if ":" in listen else listen
        tokens = "".join(f"{box} sha256:{hashlib.sha256(self._token(box)).hexdigest()}\n" for box in boxes)
        (folder / "tokens").write_text(tokens)
        self.config = folder / "responder.toml"
        self.config.write_text(
            f'[control]\nlisten = "{listen}"\nport = {self.port}\nports = [{self.first}, {self.first + ports - 1}]\n'
            f'capacity = "{capacity}"\ntokens = "{folder / "tokens"}"\nfirewall = "{firewall}"\n'
            f"[control.limits]\n{limits}\n{self._tls(tls, listen)}"
        )
        self._command = [*prefix, sys.executable, "-m", "fibrewatch_agent", "responder", "--config", str(self.config)]
        self._log.write_bytes(b"")
        self.process = self._started()

    def _started(self) -> "subprocess.Popen[bytes]":
        """A new one that serves."""
        before = self.log().count("slots at")
        with self._log.open("ab") as log:
            process = subprocess.Popen(self._command, stderr=log)
        wait_until(lambda: self.log().count("slots at") > before or process.poll() is not None)
        assert process.poll() is None, self.log()
        return process

    def restart(self) -> None:
        """Killed without a word, and started anew."""
        self.process.kill()
        self.process.wait()
        self.process = self._started()

    def _tls(self, authority: Authority | None, listen: str) -> str:
        if authority is None:
            return ""
        pem = authority.certificate("responder", names=f"IP:{listen}")
        crl = f'crl = "{self._crl}"\n' if self._crl else ""
        return f'[control.tls]\ncertificate = "{pem}"\nkey = "{pem}"\nca = "{authority.pem}"\n{crl}'

    def _token(self, box: str) -> bytes:
        token = secrets_scan.register(hashlib.sha256(f"token of {box}".encode()).hexdigest(), "a responder's token")
        (self._folder / f"token-{box.replace('/', '-')}").write_text(token)
        return token.encode()

    def log(self) -> str:
        """All that it has said."""
        return self._log.read_text()

    def over(self) -> list[Over]:
        """The slots that are over, in the order of their beginning."""
        found = re.findall(
            r"slot over slot=(\S+) agent=(\S+) .*need=(\S+) began=(\S+) ended=(\S+) why=(\S+) bytes=(\S+)",
            self.log(),
        )
        slots = [
            Over(slot, agent, float(need), float(began), float(ended), why, float(moved.replace("unknown", "nan")))
            for slot, agent, need, began, ended, why, moved in found
        ]
        return sorted(slots, key=lambda one: one.began)

    def status(self, box: str = "paris/cargo/box-01") -> dict[str, Any]:
        """How busy it says it is."""
        control = self.control(box)
        assert control.token
        secured = ssl.create_default_context(cafile=control.ca) if control.ca else None
        asked = urllib.request.Request(
            f"{control.urls[0]}/v1/status", headers={"Authorization": f"Bearer {control.token.read_text()}"}
        )
        with urllib.request.urlopen(asked, timeout=30, context=secured) as answer:
            told: dict[str, Any] = json.load(answer)
        return told

    async def is_over(self, why: str, box: str = "paris/cargo/box-01") -> Over:
        """The one slot that a box had, once it is over for this reason and nothing of it is left."""
        await until(lambda: any(slot.agent == box for slot in self.over()) and not self.servers())
        (over,) = [slot for slot in self.over() if slot.agent == box]
        assert over.why == why, self.log()
        return over

    def control(self, box: str = "paris/cargo/box-01", *, token: Path | None = None) -> Control:
        """What that box knows of us."""
        scheme = "https" if self._authority else "http"
        return Control(
            urls=(f"{scheme}://{self.host}:{self.port}",),
            ca=self._authority.pem if self._authority else None,
            token=token or self._folder / f"token-{box.replace('/', '-')}",
        )

    def servers(self) -> list[int]:
        """The pids of what it has started."""
        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]

    def __enter__(self) -> "Responder":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()


def wish(**settings: object) -> Wish:
    """A second at a tenth of the capacity."""
    fitted: dict[str, object] = {"request": "set-later", "direction": "down", "duration": 1.0, "rate": 10 * MBIT}
    return Wish(**fitted | settings)  # type: ignore[arg-type]


async def transfer(slot: Slot, *options: str, rate: float = MBIT, direction: str = "down", seconds: int = 1) -> Run:
    """One test in a slot, at a rate of bytes per second, by the real tool."""
    with login(slot, await tool_version()) as shown:
        command = ["iperf3", "-c", slot.host, "-p", str(slot.port), "-t", str(seconds), "-l", "4K", "-J"]
        command += ["-b", str(round(rate * 8)), *(["-R"] if direction == "down" else []), *shown.options, *options]
        process = await asyncio.create_subprocess_exec(
            *command, env={"PATH": "/usr/bin:/bin", **dict(shown.env)}, stdout=subprocess.PIPE
        )
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return conclude(output)


async def tool_version() -> tuple[int, int]:
    """Of iperf3, asked once."""
    if not _version:
        _version.append(await version())
    return _version[0]


_version: list[tuple[int, int]] = []
