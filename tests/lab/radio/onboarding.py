"""In the lab: the radio helper as its unit would run it, the networks that it knows, and what stands behind them."""

import asyncio
import grp
import importlib
import os
import pwd
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fibrewatch.results.wifi_onboarding import Limits
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.radio_helper.messages import Onboard, Onboarded
from fibrewatch_agent.wifi import radio
from tests.lab.radio.world import HELD, PASSPHRASE, ROOT, AccessPoint
from tests.support.certificates import Authority
from tests.support.netns import run
from tests.support.waiting import wait_until

FOLDER = Path("/run/radio-helper")
SOCKET = FOLDER / "helper.sock"
USER, HELPER = "fibrewatch", "fibrewatch-radio"
CHECK, PAGE = "http://check.example/generate_204", "http://www.example/page"
_WEB = """#!/bin/sh
while read -r line && [ "${{#line}}" -gt 1 ]; do :; done
printf 'HTTP/1.1 {status}\\r\\n{more}Connection: close\\r\\n\\r\\n'
"""
PORTAL = "Location: http://login.example/\\r\\n"
PASSWORD = "an identity's password"
SHORT = Limits(join_s=15.0, dhcp_s=5.0)


def prepare(networks: str, radios: str = "[radios.wlan0]\nonboard = true\n") -> None:
    """The users, the folder and the configuration; secrets are the helper's alone."""
    _warm()
    for user in (USER, HELPER):
        run("useradd", "--system", user)
    _open_the_way()
    FOLDER.mkdir()
    for name, text in {"right": PASSPHRASE, "wrong": "not the passphrase", "password": PASSWORD}.items():
        secret(name, text)
    (FOLDER / "helper.toml").write_text(f'socket = "{SOCKET}"\nuser = "{USER}"\n{radios}{networks}')
    os.chown(FOLDER, pwd.getpwnam(HELPER).pw_uid, grp.getgrnam(USER).gr_gid)


def _warm() -> None:
    """Has in memory what starts later under somebody's deadline: in virtual time a wait for a file is long."""
    for name in ("cell", "server"):
        importlib.import_module(f"fibrewatch_agent.radio_helper.{name}")
    for argv in (["wpa_supplicant", "-v"], ["unshare", "--version"], ["setpriv", "--version"], ["busybox"]):
        subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)


def secret(name: str, text: str) -> None:
    """A file that only the helper may read."""
    path = FOLDER / name
    path.write_text(f"{text}\n")
    os.chown(path, pwd.getpwnam(HELPER).pw_uid, -1)
    path.chmod(0o600)


def _open_the_way() -> None:
    """A Python in a home may not be reached by other users; here nothing lasts."""
    for each in (sys.executable, os.path.realpath(sys.executable)):
        for folder in Path(each).parents:
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH)


def network(name: str, ssid: str, security: str, *, hidden: bool = False, **more: str) -> str:
    """A table of the helper's configuration."""
    fields = {"ssid": ssid, "security": security} | more
    return f"[networks.{name}]\nhidden = {str(hidden).lower()}\n" + "".join(
        f'{key} = "{value}"\n' for key, value in fields.items()
    )


@contextmanager
def helper() -> Iterator[subprocess.Popen[bytes]]:
    """As a user of its own with one capability, in the group of the one who may ask."""
    argv = ["setpriv", "--reuid", HELPER, "--regid", USER, "--clear-groups", "--no-new-privs"]
    argv += [f"--{kind}=-all,+net_admin" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
    argv += [str(program()), "radio-helper", "--config", str(FOLDER / "helper.toml"), "--log-level", "debug"]
    told = HELD / "radio-helper.log"
    with told.open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        wait_until(lambda: "radio helper ready" in told.read_text(), "the radio helper", 60)
        yield process
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def capture(name: str) -> Iterator[None]:
    """All frames on the air meanwhile, into /run/out/NAME.pcap."""
    run("ip", "link", "set", "hwsim0", "up")
    log, file = HELD / "tcpdump.log", HELD / f"{name}.pcap"
    with log.open("wb") as errors:
        argv = ["tcpdump", "--immediate-mode", "-U", "-Z", "root", "-i", "hwsim0", "-w", str(file)]
        process = subprocess.Popen(argv, stderr=errors)
    wait_until(lambda: "listening on" in log.read_text(), "the capture")
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)
        shutil.copy(file, f"/run/out/{name}.pcap")


@contextmanager
def command_lines() -> Iterator[set[str]]:
    """Those of every process that is seen meanwhile, and their environments."""
    seen, ending = set[str](), threading.Event()

    def look() -> None:
        while not ending.wait(1):
            for each in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    with suppress(OSError):
                        seen.add((each / name).read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ending.set()
        thread.join()


def program() -> str:
    """The installed agent."""
    return str(shutil.which("fibrewatch-agent", path=str(ROOT / ".venv/bin")))


def onboarded(name: str, **fields: Any) -> Onboarded:
    """One onboarding, asked as the probe asks it."""
    request = Onboard(network=name, **{"check": CHECK, "url": PAGE} | fields)
    try:
        return asyncio.run(radio.onboard(request, str(SOCKET)))
    except ProbeError as e:
        raise AssertionError(f"{name}: {e}") from e


def web(point: AccessPoint, status: str = "204 No Content", more: str = "") -> subprocess.Popen[bytes]:
    """A web server behind an access point; busybox, because another Python takes seconds to start here."""
    path = HELD / f"web-{point.interface}-{status[:3]}"
    path.write_text(_WEB.format(status=status, more=more))
    path.chmod(0o755)
    return point.namespace.popen(["busybox", "nc", "-ll", "-p", "80", "-e", str(path)])


def eap_server(folder: Path, authority: Authority) -> dict[str, object]:
    """hostapd's options for an authentication server of its own: EAP-TLS, and PEAP with a password."""
    server = authority.certificate("radius", subject="/CN=radius.example", names="DNS:radius.example")
    users = folder / "users"
    users.write_text(f'"box@example" TLS,PEAP\n* PEAP\n"box@example" MSCHAPV2 "{PASSWORD}" [2]\n')
    return {
        "wpa_key_mgmt": "WPA-EAP",
        "wpa_passphrase": None,
        "ieee8021x": 1,
        "eap_server": 1,
        "eap_user_file": users,
        "ca_cert": authority.pem,
        "server_cert": server,
        "private_key": server,
        "nas_identifier": "lab",
    }
