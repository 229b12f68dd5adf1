"""The radio helper on a box without radios: what it refuses, whom it refuses, and how it starts and ends."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.once import Request, measure, prepare
from fibrewatch_agent.radio_helper.messages import Onboard, Scan
from fibrewatch_agent.wifi import radio
from tests.support.users import mapped
from tests.support.waiting import wait_until

CONFIG = """
socket = "{socket}"
user = "nobody"
[radios.wlan0]
scan = true
[radios.wlan1]
onboard = true
monitor = "mon1"
[networks.guests]
ssid = "guests"
security = "open"
"""


class Helper:
    """One as a process; `ears` hears what it tells the service manager."""

    def __init__(self, folder: Path) -> None:
        self.socket, self.config = folder / "s", folder / "helper.toml"
        self.config.write_text(CONFIG.format(socket=self.socket))
        self.ears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ears.bind(str(folder / "notify"))
        self.ears.settimeout(60)
        self.environment = {"NOTIFY_SOCKET": str(folder / "notify")}
        self.log = folder / "log"

    def start(self) -> "subprocess.Popen[bytes]":
        argv = [sys.executable, "-m", "fibrewatch_agent", "radio-helper", "--config", str(self.config)]
        with self.log.open("ab") as log:
            return subprocess.Popen(argv, env=self.environment, stderr=log)

    def ask(self, line: bytes) -> Any:
        """The answer to whatever bytes."""
        with self.connected() as sock:
            with contextlib.suppress(OSError):  # it may have answered, and closed, before all was sent
                sock.sendall(line)
            return answer(sock)

    def connected(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(60)
        sock.connect(str(self.socket))
        return sock


def answer(sock: socket.socket) -> Any:
    data = b""
    while not data.endswith(b"\n"):
        more = sock.recv(65536)
        assert more, data
        data += more
    return json.loads(data)


@pytest.fixture(scope="module")
def helper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helper]:
    helper = Helper(tmp_path_factory.mktemp("radio"))
    process = helper.start()
    try:
        assert b"READY=1" in helper.ears.recv(4096)
        yield helper
    finally:
        process.terminate()
        process.wait(30)


REFUSED: dict[str, tuple[object, str, str]] = {
    "no request": ({}, "protocol", "not a request"),
    "no JSON": (b"scan wlan0\n", "protocol", "not a request"),
    "no UTF-8": (b'{"do":"scan","interface":"\xff"}\n', "protocol", "not a request"),
    "another request": ({"do": "exec", "argv": ["id"]}, "protocol", "Invalid value 'exec'"),
    "one field more": ({"do": "scan", "interface": "wlan0", "argv": "id"}, "protocol", "unknown field `argv`"),
    "a path": ({"do": "scan", "interface": "../../etc"}, "protocol", "matching regex"),
    "an option": ({"do": "scan", "interface": "wlan0 --x"}, "protocol", "matching regex"),
    "a long name": ({"do": "scan", "interface": "w" * 16}, "protocol", "matching regex"),
    "a long SSID": (
        {"do": "scan", "interface": "wlan0", "passive": False, "ssids": ["é" * 17]},
        "protocol",
        "34 bytes, not 1 to 32",
    ),
    "ever": ({"do": "scan", "interface": "wlan0", "timeout_s": 1e9}, "protocol", "<= 60"),
    "no channel": ({"do": "monitor", "interface": "wlan1", "frequency": 1}, "protocol", ">= 2400"),
    "no middle": (
        {"do": "monitor", "interface": "wlan1", "frequency": 5180, "width": 80},
        "protocol",
        "needs its center",
    ),
    "a URL": ({"do": "onboard", "network": "guests", "check": "file:///etc/shadow"}, "protocol", "matching regex"),
    "another interface": ({"do": "scan", "interface": "eth0"}, "denied", "eth0 is not in the helper's configuration"),
    "another use": ({"do": "scan", "interface": "wlan1"}, "denied", "radios.wlan1.scan is not set"),
    "another network": ({"do": "onboard", "network": "bank"}, "denied", "networks.bank is not in"),
    "no radio": ({"do": "scan", "interface": "wlan0"}, "no_interface", "no wireless interface"),
    "no second radio": ({"do": "onboard", "network": "guests"}, "no_interface", "no wireless interface"),
    "a resolver": ({"do": "onboard", "network": "guests", "resolver": "wlan0; id"}, "protocol", "does not appear"),
    "deep": (b'{"do":"scan","interface":"wlan0","x":' + b"[" * 6000 + b"\n", "protocol", "not a request"),
    "lines of a log": ({"do": "scan", "interface": "wlan0", "x\nERROR root": 1}, "protocol", "field `x?ERROR root`"),
    "a megabyte": (b"\0" * (1 << 20), "protocol", "more than 8192 bytes"),
    "half of one": (b'{"do":"scan","interface"', "timeout", "no request within 5 s"),
    "too much": (b'{"do":"scan","interface":"' + b"w" * 20_000 + b'"}\n', "protocol", "more than 8192 bytes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_request_is_refused_and_the_helper_lives_on(helper: Helper, name: str) -> None:
    request, error, detail = REFUSED[name]
    told = helper.ask(request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n")
    assert (told["is"], told["error"]) == ("refused", error)
    assert detail in told["detail"]


def test_who_asks_nothing_and_leaves_is_forgotten(helper: Helper) -> None:
    for sent in (b"", b'{"do":"scan"'):
        with helper.connected() as sock:
            sock.sendall(sent)
    assert helper.ask(b"{}\n")["error"] == "protocol"


def test_the_ninth_at_once_is_told_to_come_back(helper: Helper) -> None:
    waiting = [helper.connected() for _ in range(8)]
    try:
        wait_until(lambda: helper.ask(b"{}\n")["error"] == "busy", "all places to be taken", 4)
    finally:
        for sock in waiting:
            sock.close()
    wait_until(lambda: helper.ask(b"{}\n")["error"] == "protocol", "places again")


def test_socket_is_for_one_user_and_group(helper: Helper) -> None:
    assert helper.socket.stat().st_mode & 0o777 == 0o660


@pytest.mark.parametrize("user", [65534, 4321])
def test_only_the_configured_user_is_heard(helper: Helper, user: int) -> None:
    """65534 is nobody, whom the configuration names; the socket's mode is out of the way here."""
    if not mapped(user):
        assert not mapped(1), "an ordinary user's test run knows root alone"
        return
    helper.socket.chmod(0o666)
    for folder in (helper.socket.parent, *helper.socket.parent.parents[:-2]):
        folder.chmod(folder.stat().st_mode | 0o711)
    ask = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({str(helper.socket)!r})\n"
    ask += "try: s.sendall(b'{}\\n')\nexcept OSError: pass\nprint(s.recv(4096).decode())"
    argv = ["setpriv", "--reuid", str(user), "--clear-groups", "/usr/bin/python3", "-IS", "-c", ask]
    told = json.loads(subprocess.run(argv, capture_output=True, check=True, timeout=60).stdout)
    assert told["error"] == ("protocol" if user == 65534 else "permission")
    helper.socket.chmod(0o660)


def test_clients_say_what_the_helper_says(helper: Helper) -> None:
    with pytest.raises(ProbeError, match=r"^no_interface: no wireless interface$"):
        asyncio.run(radio.scan(Scan(interface="wlan0"), str(helper.socket)))
    with pytest.raises(ProbeError, match=r"^no_interface: no wireless interface$"):
        asyncio.run(radio.onboard(Onboard(network="guests"), str(helper.socket)))


UNFIT = {
    "no UTF-8": b'{"is":"scanned","duration":1,"aborted":"\xff"}\n',
    "deep": b'{"is":"scanned","x":' + b"[" * 20_000 + b"\n",
    "long": b'{"is":"refused","error":"busy","detail":"' + b"x" * 70_000 + b'"}\n',
    "of another kind": b'{"is":"monitoring","interface":"mon0"}\n',
    "cut short": b'{"is":"scan',
}


@pytest.mark.parametrize("name", UNFIT)
async def test_answer_that_is_none_is_told_as_such(tmp_path: Path, name: str) -> None:
    async def answered(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(UNFIT[name])
        writer.close()

    async with await asyncio.start_unix_server(answered, tmp_path / "s"):
        with pytest.raises(ProbeError) as caught:
            await radio.scan(Scan(interface="wlan0"), str(tmp_path / "s"))
    assert caught.value.error == ("tool_failed" if name == "cut short" else "protocol")


@pytest.mark.parametrize("path", ["/nonexistent/helper.sock", "/etc/passwd/helper.sock", "{}"])
def test_probe_fails_clearly_without_radio_with_and_without_helper(helper: Helper, path: str) -> None:
    params = ["network=guests", f"socket={path.format(helper.socket)}"]
    plan, agent, window_s = prepare(
        Request(
            probe="wifi_onboarding",
            config=None,
            target=None,
            interface=None,
            family=None,
            params=params,
            window="5 s",
        )
    )
    measurement = asyncio.run(measure(plan, agent, window_s))
    assert (measurement.outcome, measurement.error) == ("failed", "no_interface")
    assert measurement.detail == "no wireless interface"


def test_a_second_one_is_refused_and_a_killed_one_s_socket_is_taken_over(tmp_path: Path) -> None:
    helper = Helper(tmp_path)
    (tmp_path / "onboard-left" / "control").mkdir(parents=True)
    first = helper.start()
    assert b"READY=1" in helper.ears.recv(4096)
    assert not (tmp_path / "onboard-left").exists(), "what a killed one's cell has left"
    assert helper.start().wait(60) == 2
    assert f"socket: {helper.socket}: another radio helper listens there" in helper.log.read_text()
    first.send_signal(signal.SIGKILL)
    first.wait(30)
    second = helper.start()
    assert b"READY=1" in helper.ears.recv(4096)
    second.terminate()
    assert second.wait(30) == 0
    assert b"STOPPING=1" in helper.ears.recv(4096)
    assert not helper.socket.exists()


def test_watchdog_is_fed(tmp_path: Path) -> None:
    helper = Helper(tmp_path)
    helper.environment["WATCHDOG_USEC"] = "400000"
    process = helper.start()
    try:
        told = [helper.ears.recv(4096) for _ in range(4)]
    finally:
        process.terminate()
        process.wait(30)
    assert b"READY=1" in told[0] or b"READY=1" in told[1]
    assert told.count(b"WATCHDOG=1") >= 2
