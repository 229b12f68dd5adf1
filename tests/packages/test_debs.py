"""`make packages`: the .debs in fresh Debian trees, and under a systemd of their own."""

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packages.emulated import aarch64_is_understood
from tests.packages.exported import nothing_is_missing
from tests.packages.tree import ROOT, Tree, built, commands

pytestmark = pytest.mark.packages
HERE = Path(__file__).parent
OLD, NEW = "0.1.0", "0.1.1"
CONFIG = """# edited by the administrator
[agent]
territory = "paris"
site = "cargo"
name = "box-01"
[clock]
trusted = true
[broker]
host = "127.0.0.1"
[targets.near]
address = "127.0.0.1"
role = "operator"
[tests.near]
probe = "tcp"
every = "500 ms"
targets = ["near"]
params = { port = 1883 }
[tests.ping]
probe = "ping"
every = "5 s"
targets = ["near"]
"""
COLLECTED = 'sites = "sites.toml"\n[broker]\nhost = "127.0.0.1"\n[store]\npath = "/var/lib/fibrewatch/collector.db"\n'
SITES = """[[territory]]
id = "paris"
name = "Paris"
[[site]]
territory = "paris"
id = "cargo"
name = "Le Cargo"
city = "Paris"
latitude = 48.894
longitude = 2.381
time_zone = "Europe/Paris"
[[site.uplink]]
id = "fibre"
kind = "fibre"
download = "1 Gbit/s"
upload = "1 Gbit/s"
[[site.agent]]
id = "box-01"
"""
MOSQUITTO = "listener 1883 127.0.0.1\nallow_anonymous true\n"


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_installed_upgraded_removed_and_purged(tmp_path: Path, release: str) -> None:
    """What the administrator wrote is kept by an upgrade and by removing; purging leaves nothing."""
    tree = Tree(tmp_path, release)
    tree.install(*built(OLD, "fibrewatch-agent_amd64"))
    assert tree.sh("fibrewatch-agent --version").strip() == "fibrewatch-agent 0.1.0"
    assert not (tree.path / "etc/fibrewatch/agent.toml").exists(), "joining makes it"
    assert tree.sh("stat -c '%U %a' /var/lib/fibrewatch-agent").split() == ["fibrewatch-agent", "750"]
    assert tree.sh("systemctl is-enabled fibrewatch-agent fibrewatch-responder", ok=False).split() == [
        "enabled",
        "disabled",
    ]
    tree.write("/etc/fibrewatch/agent.toml", CONFIG)
    tree.sh("systemctl disable fibrewatch-agent")
    tree.install(*built(NEW, "fibrewatch-agent_amd64"))
    assert (tree.path / "etc/fibrewatch/agent.toml").read_text() == CONFIG
    assert tree.sh("systemctl is-enabled fibrewatch-agent", ok=False).strip() == "disabled", (
        "as the administrator left it"
    )
    assert "ok: paris/cargo/box-01" in tree.sh("fibrewatch-agent check-config")
    assert not tree.sh("find /usr/lib/fibrewatch-agent -name '*.pyc'")
    for version in (NEW, OLD):  # once more, and back
        tree.install(*built(version, "fibrewatch-agent_amd64"))
        assert tree.sh("fibrewatch-agent --version").strip() == f"fibrewatch-agent {version}"
        assert tree.sh("dpkg --verify fibrewatch-agent") == ""
        assert (tree.path / "etc/fibrewatch/agent.toml").read_text() == CONFIG
    _manual_is_current(tree, "fibrewatch-agent")
    tree.sh("touch /etc/fibrewatch/responder.toml /var/lib/fibrewatch-agent/spool.sqlite")
    tree.sh("dpkg --remove fibrewatch-agent")
    assert (tree.path / "var/lib/fibrewatch-agent/spool.sqlite").exists()
    assert (tree.path / "etc/fibrewatch/agent.toml").read_text() == CONFIG
    assert not (tree.path / "usr/lib/fibrewatch-agent").exists()
    tree.sh("dpkg --purge fibrewatch-agent")
    assert tree.sh("find / -xdev -name '*fibrewatch*' -not -path '/root/*' -not -path '/proc/*' -print").split() == []


def _manual_is_current(tree: Tree, *programs: str) -> None:
    """Every command of each is in its man page."""
    for each in programs:
        words = re.findall(r"(?m)^    ([a-z][a-z-]+)\b", tree.sh(f"{each} --help"))
        assert len(words) > 4
        page = tree.sh(f"zcat /usr/share/man/man1/{each}.1.gz").replace("\\-", "-")
        assert not [word for word in words if word not in page], each
        assert re.search(rf"(?m)^\.SH NAME\n{each} ", page), "what man(1) -k finds it by"


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_the_collector_is_installed_upgraded_removed_and_purged(tmp_path: Path, release: str) -> None:
    """Its settings begin as examples that check; what became of them, and its state, is kept until it is purged."""
    tree = Tree(tmp_path, release)
    tree.install(*built(OLD, "fibrewatch-collector_amd64"))
    assert tree.sh("fibrewatch-collector --version").strip() == "fibrewatch-collector 0.1.0"
    assert "usage: fibrewatch " in tree.sh("fibrewatch --help")
    assert "ok: " in tree.sh("fibrewatch-collector check-config")
    assert tree.sh("systemctl is-enabled fibrewatch-collector").strip() == "enabled"
    assert tree.sh("stat -c '%U %G %a' /etc/fibrewatch/sites.toml /var/lib/fibrewatch").split() == [
        *("root", "fibrewatch", "640"),
        *("fibrewatch", "fibrewatch", "750"),
    ]
    tree.sh(f"cat > /etc/fibrewatch/collector.toml <<'END'\n{COLLECTED}\n# mine\nEND")
    tree.sh("touch /var/lib/fibrewatch/kept; rm /etc/fibrewatch/sites.toml")
    tree.write("/etc/fibrewatch/sites.toml", SITES)
    tree.install(*built(NEW, "fibrewatch-collector_amd64"))
    assert tree.sh("dpkg-query -Wf '${Version}' fibrewatch-collector") == NEW
    assert (tree.path / "etc/fibrewatch/collector.toml").read_text() == f"{COLLECTED}\n# mine\n"
    assert (tree.path / "etc/fibrewatch/sites.toml").read_text() == SITES
    assert "1 sites, 1 agents" in tree.sh("fibrewatch-collector check-config")
    assert tree.sh("dpkg --verify fibrewatch-collector") == ""
    _manual_is_current(tree, "fibrewatch-collector", "fibrewatch")
    tree.sh("dpkg --remove fibrewatch-collector")
    assert (tree.path / "var/lib/fibrewatch/kept").exists()
    assert (tree.path / "etc/fibrewatch/sites.toml").read_text() == SITES
    tree.sh("dpkg --purge fibrewatch-collector")
    assert tree.sh("find / -xdev -name '*fibrewatch*' -not -path '/root/*' -not -path '/proc/*' -print").split() == []


def test_a_package_is_the_same_whenever_it_is_built(tmp_path: Path) -> None:
    (first,) = built(OLD, "fibrewatch-agent_arm64")
    builder = [
        sys.executable,
        str(ROOT / "deploy/debian/build.py"),
        "--quick",
        "--version",
        OLD,
        "--out",
        str(tmp_path),
    ]
    subprocess.run([*builder, "fibrewatch-agent_arm64"], check=True, env={**os.environ, "TZ": "Asia/Tokyo"})
    assert first.read_bytes() == (tmp_path / first.name).read_bytes()


def test_lintian_finds_no_error() -> None:
    packages = built(OLD, "fibrewatch-agent_amd64", "fibrewatch-agent_arm64", "fibrewatch-collector_amd64")
    argv = ["lintian", "--allow-root", "--fail-on", "error", *map(str, packages)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_in_the_arm64_package_is_of_that_machine(tmp_path: Path) -> None:
    (package,) = built(OLD, "fibrewatch-agent_arm64")
    subprocess.run(["dpkg-deb", "-x", str(package), str(tmp_path)], check=True)
    machines = [
        struct.unpack_from("<H", head, 18)[0]
        for path in tmp_path.rglob("*")
        if path.is_file() and (head := path.read_bytes()[:20])[:4] == b"\x7fELF"
    ]
    assert len(machines) > 10
    assert set(machines) == {183}, "EM_AARCH64"
    for python in ("311", "313"):
        assert list(tmp_path.rglob(f"msgspec/*cpython-{python}-aarch64*")), python


def test_the_arm64_package_is_installed_and_runs_under_emulation(tmp_path: Path) -> None:
    """Debian's own Python for aarch64 imports all that an agent's run needs, and what the children need."""
    with aarch64_is_understood():
        tree = Tree(tmp_path, architecture="arm64")
        assert tree.sh("uname -m").strip() == "aarch64"
        tree.install(*built(OLD, "fibrewatch-agent_arm64"))
        assert tree.sh("fibrewatch-agent --version").strip() == "fibrewatch-agent 0.1.0"
        tree.write("/etc/fibrewatch/agent.toml", CONFIG)
        assert "ok: paris/cargo/box-01" in tree.sh("fibrewatch-agent check-config")
        path = "import sys; sys.path.insert(0, '/usr/lib/fibrewatch-agent')"
        modules = "msgspec._core, psutil, aiomqtt, aiohttp, cryptography.x509, scapy.layers.dhcp, fibrewatch_agent.app"
        tree.sh(f'/usr/bin/python3 -IS -c "{path}; import {modules}"')
        tree.sh("dpkg --purge fibrewatch-agent")
        assert not (tree.path / "usr/lib/fibrewatch-agent").exists()


def test_the_agent_under_a_real_systemd(tmp_path: Path) -> None:
    """Starts, delivers, is killed by its watchdog when it hangs, flushes at the end, and restarts at an upgrade."""
    tree = Tree(tmp_path)
    tree.install(*built(OLD, "fibrewatch-agent_amd64"))
    tree.write("/etc/fibrewatch/agent.toml", CONFIG)
    tree.write("/etc/mosquitto/conf.d/local.conf", MOSQUITTO)
    tree.write("/etc/systemd/system/fibrewatch-agent.service.d/test.conf", "[Service]\nWatchdogSec=4\n")
    (package,) = built(NEW, "fibrewatch-agent_amd64")
    tree.write("/root/new.deb", "").write_bytes(package.read_bytes())
    said = tree.boot((HERE / "agent.sh").read_text())
    assert re.search(r"^state active user fibrewatch-agent$", said, re.M), said
    assert said.count("fibrewatch/v1/paris/cargo/box-01/up/results") >= 2, said
    assert re.search(r"^restarts [1-9]\d* active$", said, re.M), said
    assert "atchdog timeout" in said
    assert f'after the upgrade active "{NEW}"' in said, said
    assert "stopped success" in said
    assert "stopped agent=paris/cargo/box-01" in said
    assert "●" not in said, "nothing failed"


def test_the_agent_starts_without_a_network_and_says_what_it_thinks_of_the_clock(tmp_path: Path) -> None:
    """Results from before there was a line come when there is one; without a good clock they say so (adjtimex(2))."""
    tree = Tree(tmp_path)
    tree.sh("apt-get update && apt-get install -y --no-install-recommends iproute2")
    tree.install(*built(OLD, "fibrewatch-agent_amd64"))
    tree.write("/etc/fibrewatch/agent.toml", CONFIG.replace("trusted = true", 'hold = "5 s"'))
    tree.write("/etc/mosquitto/conf.d/local.conf", MOSQUITTO)
    ask = "import ctypes; print(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)))"
    asked = f"[Service]\nExecStartPre=/bin/sh -c '/usr/bin/python3 -c \"{ask}\" > /var/lib/fibrewatch-agent/adjtimex'\n"
    tree.write("/etc/systemd/system/fibrewatch-agent.service.d/ask.conf", asked)
    dark = "[Unit]\nBefore=fibrewatch-agent.service\n[Service]\nType=oneshot\nExecStart=/usr/sbin/ip link set lo down\n"
    tree.write("/etc/systemd/system/dark.service", f"{dark}[Install]\nWantedBy=multi-user.target\n")
    tree.sh("systemctl enable dark.service; systemctl disable mosquitto")
    said = tree.boot((HERE / "early.sh").read_text())
    assert "state active, loopback DOWN" in said, said
    assert '"first":1,"oldest":1' in said, "what was measured in the dark comes when there is a line"
    assert '"outcome":"ok"' in said, said
    good = kernel_clock_is_synchronised()
    assert ('"undated"' in said) is not good, said
    assert f'"clock_synchronised":{str(good).lower()}' in said, said
    assert re.search(r"^adjtimex said [0-5]$", said, re.M), said
    assert "restarts 0" in said


def kernel_clock_is_synchronised() -> bool:
    """As the whole machine's kernel has it: a container has no clock of its own."""
    from fibrewatch_agent.clock import kernel_clock

    return kernel_clock().synchronised


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_the_collector_under_a_real_systemd(tmp_path: Path, release: str) -> None:
    """It serves what the agent beside it sends, makes reports and packs, is upgraded, and restored: in its sandbox."""
    tree = Tree(tmp_path, release)
    tree.install(*built(OLD, "fibrewatch-agent_amd64", "fibrewatch-collector_amd64"))
    assert tree.sh("stat -c '%U %G %a' /etc/fibrewatch/collector.toml").split() == ["root", "fibrewatch", "640"]
    tree.write("/etc/fibrewatch/agent.toml", CONFIG)
    tree.write("/etc/fibrewatch/collector.toml", COLLECTED)
    tree.write("/etc/fibrewatch/sites.toml", SITES)
    tree.write("/etc/mosquitto/conf.d/local.conf", MOSQUITTO)
    tree.write("/etc/systemd/system/fibrewatch-collector.service.d/test.conf", "[Service]\nWatchdogSec=6\n")
    for kind, path in zip(
        ("agent", "collector"), built(NEW, "fibrewatch-agent_amd64", "fibrewatch-collector_amd64"), strict=True
    ):
        tree.write(f"/root/new-{kind}.deb", "").write_bytes(path.read_bytes())
    backup, restore = commands("backup.md")
    script = (HERE / "collector.sh").read_text().replace("@BACKUP@", backup).replace("@RESTORE@", restore)
    said = tree.boot(script, 900)
    assert "state active" in said, said
    assert re.search(r'^fibrewatch_tcp_.*agent="box-01"', said, re.M), said
    assert "%PDF-" in said, said
    assert "paris/cargo measured nothing before the end of" in said, (
        "its child has read store and key: no minute is over"
    )
    assert "token 0\n" in said, said
    owners = set(re.findall(r"^owner (\w+)$", said, re.M))
    assert owners == {"fibrewatch"}, "root's commands make no file that the collector can't write"
    assert re.search(r"^monthly [1-9]", said, re.M), said
    assert re.search(r"^restarts [1-9]\d* active$", said, re.M), said
    assert f'upgraded {NEW}"' in said, said
    assert "backup: 0\n" in said, said
    assert "restore: 0\n" in said, said
    assert "stopped success" in said
    assert "fibrewatch fibrewatch 640\nroot fibrewatch 640\n" in said, said
    assert nothing_is_missing((tree.path / "root/all").read_bytes()) == 2, "both sides were upgraded meanwhile"
    before, restored, all_ = (set((tree.path / "root" / each).read_bytes().splitlines()) for each in EXPORTS)
    assert restored <= all_, "and the archive's moment is before what came next"
    assert len(restored) >= len(before) - 50, said
    assert len(restored) > 10
    assert "●" not in said, said


EXPORTS = ("before", "restored", "all")
