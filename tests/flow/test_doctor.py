"""doctor in a namespace where one thing after the other is broken: its line says so, and its command mends it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.netns import Link, Namespace

UNPRIVILEGED = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
"""Root without a capability: what it may it may by sysctl."""
LISTENER = """
import socket, time
server = socket.create_server(("127.0.0.1", 1883))
print("ready", flush=True)
time.sleep(3600)
"""
CONFIG = """
[agent]
territory = "paris"
site = "cargo"
name = "box-01"
state_dir = "{folder}/state"
[clock]
trusted = true
[broker]
host = "127.0.0.1"
port = {port}
[targets.far]
address = "{far}"
role = "neutral"
[tests.ping]
probe = "ping"
targets = ["far"]
interface = "eth0"
[tests.dhcp]
probe = "dhcp"
every = "1 h"
"""


class Line(NamedTuple):
    """What doctor says of one thing."""

    word: str
    finding: str
    remedy: str


class Site:
    """A box that lacks nothing, its own resolv.conf too."""

    def __init__(self, folder: Path, box: Namespace) -> None:
        self.folder, self.box, self.config = folder, box, folder / "agent.toml"
        self.resolv_conf = folder / "resolv.conf"
        self.resolv_conf.write_text("nameserver 127.0.0.1\n")

    def shell(self, *argv: str) -> list[str]:
        """Runs a command there, with that resolv.conf."""
        script = f'mount --bind {self.resolv_conf} /etc/resolv.conf && exec "$@"'
        return self.box.exec("unshare", "--mount", "sh", "-c", script, "sh", *argv)

    def doctor(
        self, *, prefix: tuple[str, ...] = (), before: str = "", environment: dict[str, str] | None = None
    ) -> dict[str, Line]:
        """Its lines by their names; its exit status agrees with them."""
        code = f"{before}\nfrom fibrewatch_agent.cli import main\nmain(['doctor', '--config', {str(self.config)!r}])"
        argv = self.shell(*prefix, sys.executable, "-c", code)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=environment)
        assert not done.stderr
        found: dict[str, Line] = {}
        for line in done.stdout.splitlines():
            if line.startswith(" "):
                name, said = next(reversed(found.items()))
                found[name] = said._replace(remedy=line.strip().removeprefix("→ "))
            else:
                found[line[6:18].strip()] = Line(line[:4].strip(), line[19:], "")
        assert done.returncode == (1 if any(said.word == "FAIL" for said in found.values()) else 0)
        return found

    def mend(self, said: Line) -> None:
        """Types what the line says."""
        subprocess.run(self.shell("sh", "-c", said.remedy), check=True, capture_output=True, timeout=60)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    box, far = Namespace("box"), Namespace("far")
    try:
        link = Link(box, far)
        box.run("ip", "route", "add", "default", "via", link.b4)
        (tmp_path / "state").mkdir()
        with box.popen([sys.executable, "-c", LISTENER], stdout=subprocess.PIPE) as broker:
            assert broker.stdout is not None
            assert broker.stdout.readline() == b"ready\n"
            made = Site(tmp_path, box)
            made.config.write_text(CONFIG.format(folder=tmp_path, port=1883, far=link.b4))
            yield made
            broker.kill()
    finally:
        box.close()
        far.close()


def test_box_that_lacks_nothing(site: Site) -> None:
    found = site.doctor()
    assert {said.word for said in found.values()} <= {"ok", "--"}
    assert found["eth0 stamps"] == ("ok", "by software sending and receiving, by hardware none", "")
    assert found["gateway"] == ("ok", "10.99.0.2 over eth0", "")
    assert found["interface"] == ("ok", "eth0 is up", "")


def test_icmp_that_is_refused_is_allowed_by_the_command(site: Site) -> None:
    said = site.doctor(prefix=UNPRIVILEGED)["ICMP"]
    assert said[:2] == ("FAIL", "neither datagram nor raw sockets can be opened")
    site.mend(said)
    assert site.doctor(prefix=UNPRIVILEGED)["ICMP"][:2] == ("ok", "datagram sockets can be opened")


def test_reflector_s_port_is_opened_by_the_command(site: Site) -> None:
    said = site.doctor(prefix=UNPRIVILEGED)["port 862"]
    assert said[:2] == ("--", "a STAMP reflector may not bind it, not needed")
    site.mend(said)
    assert site.doctor(prefix=UNPRIVILEGED)["port 862"].word == "ok"


def test_packet_sockets_need_the_capability_that_the_command_grants(site: Site) -> None:
    found = site.doctor(prefix=UNPRIVILEGED)
    assert found["capabilities"].finding == "none"
    assert found["packets"].word == "FAIL"
    assert "AmbientCapabilities=CAP_NET_RAW\\n' > /etc/systemd/system/fibrewatch-agent" in found["packets"].remedy
    found = site.doctor(prefix=("setpriv", "--bounding-set=-all,+net_raw", "--inh-caps=-all,+net_raw"))
    assert (found["capabilities"].finding, found["packets"].word, found["ICMP"].word) == ("net_raw", "ok", "ok")


def test_interface_that_is_down_is_set_up_by_the_command(site: Site) -> None:
    site.box.run("ip", "link", "set", "eth0", "down")
    said = site.doctor()["interface"]
    assert said == ("FAIL", "eth0 is down", "ip link set eth0 up")
    site.mend(said)
    assert site.doctor()["interface"].word == "ok"


def test_ipv6_that_is_off_is_switched_on_by_the_command(site: Site) -> None:
    site.box.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    said = site.doctor()["IPv6"]
    assert said.word == "--"
    site.config.write_text(site.config.read_text().replace('address = "10.99.0.2"', 'address = "2001:db8::7"'))
    said = site.doctor()["IPv6"]
    assert said.word == "FAIL"
    assert said.finding.endswith("needed by ping/far")
    site.mend(said)
    site.box.run("ip", "-6", "addr", "add", "fd99:0::1/64", "dev", "eth0", "nodad")
    site.box.run("ip", "-6", "route", "add", "default", "via", "fd99:0::2")
    assert site.doctor()["IPv6"] == ("ok", "there is a route", "")


def test_state_folder_is_made_by_the_command(site: Site) -> None:
    (site.folder / "state").rmdir()
    said = site.doctor()["state"]
    assert said[:2] == ("FAIL", f"{site.folder}/state is not there")
    site.mend(said)
    assert site.doctor()["state"].word == "ok"


def test_resolver_that_is_missing_is_named_by_the_command(site: Site) -> None:
    site.resolv_conf.write_text("search example.net\n")
    assert site.doctor()["resolvers"].word == "--"
    site.config.write_text(site.config.read_text().replace('address = "10.99.0.2"', 'address = "no-such-host.invalid"'))
    found = site.doctor()
    assert found["resolvers"] == (
        "FAIL",
        "/etc/resolv.conf names none",
        "echo nameserver 10.99.0.2 >> /etc/resolv.conf",
    )
    assert found["names"].finding.startswith("no-such-host.invalid: ")
    assert found["names"].remedy.startswith("getent ahosts no-such-host.invalid")
    site.mend(found["resolvers"])
    assert site.doctor()["resolvers"] == ("ok", "10.99.0.2", "")


def test_missing_default_route_is_a_fault(site: Site) -> None:
    site.box.run("ip", "route", "del", "default")
    assert site.doctor()["gateway"][:2] == ("FAIL", "no default route")


def test_disk_without_room_for_the_spool_is_a_fault(site: Site) -> None:
    site.config.write_text(site.config.read_text() + '[spool]\nmax_size = "900000 GiB"\n')
    said = site.doctor()["disk"]
    assert said.word == "FAIL"
    assert "the spool may take 921,600,000" in said.finding


@pytest.mark.parametrize(("version", "padding"), [("3.16.1", "pads"), ("3.17", "told to pad")])
def test_iperf3_s_version_says_whom_it_authenticates_to(site: Site, version: str, padding: str) -> None:
    program = site.folder / "iperf3"
    program.write_text(f"#!/bin/sh\necho 'iperf {version} (cJSON 1.7.15)'\n")
    program.chmod(0o755)
    said = site.doctor(environment={"PATH": f"{site.folder}:/usr/sbin:/usr/bin:/sbin:/bin"})["iperf3"]
    assert said[:2] == ("ok", f"{version} at {program}; {padding} its authentication by PKCS #1, as our responders do")


def test_tools_that_are_missing_are_installed_by_the_command(site: Site) -> None:
    without = "import sys, shutil\nsys.modules['scapy'] = None\nshutil.which = lambda name: None"
    found = site.doctor(before=without)
    assert found["iperf3"] == ("--", "not installed, not needed", "apt install iperf3")
    assert found["scapy"] == (
        "FAIL",
        "not installed: no dhcp",
        f"{sys.executable} -m pip install 'scapy>=2.6,<3'",
    )
