"""A Debian in a folder: made once, copied for each test, entered by chroot or booted with a systemd of its own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fibrewatch"
WANTED = "systemd,systemd-sysv,dbus,python3,iperf3,wpasupplicant,procps,mosquitto,mosquitto-clients,nftables"
MORE = "libpangoft2-1.0-0,libharfbuzz-subset0,fonts-lato,ca-certificates"
MIRROR = "http://deb.debian.org/debian"


BARE = "systemd,python3,iperf3,wpasupplicant,openssl"
"""What the agent's package needs: under emulation each package more takes seconds."""


def fresh(release: str, architecture: str = "amd64") -> Path:
    """The tree that others are copies of."""
    foreign = architecture != "amd64"
    tree = CACHE / f"debian-{release}{f'-{architecture}' if foreign else ''}"
    made, wanted = tree / "made", BARE if foreign else f"{WANTED},{MORE}"
    if not made.exists() or made.read_text() != wanted:
        shutil.rmtree(tree, ignore_errors=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        argv = ["debootstrap", f"--arch={architecture}", "--variant=minbase", f"--include={wanted}"]
        subprocess.run([*argv, release, str(tree), MIRROR], check=True, stdout=subprocess.DEVNULL)
        made.write_text(wanted)
    return tree


def commands(page: str) -> list[str]:
    """The shell blocks of a page of docs."""
    return re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs" / page).read_text("utf-8"), re.M | re.S)


def built(version: str, *wanted: str) -> list[Path]:
    """Packages of this checkout."""
    out = ROOT / "dist" / version
    names = {each: out / f"{each.replace('_', f'_{version}_')}.deb" for each in wanted}
    if missing := [each for each, path in names.items() if not path.exists()]:
        builder = [sys.executable, str(ROOT / "deploy/debian/build.py"), "--quick", "--version", version]
        out.mkdir(parents=True, exist_ok=True)
        subprocess.run([*builder, "--out", str(out), *missing], check=True)
    return list(names.values())


class Tree:
    """A copy, for one test."""

    def __init__(self, folder: Path, release: str = "bookworm", architecture: str = "amd64") -> None:
        self.path = folder / "root"
        subprocess.run(["cp", "-a", "--reflink=auto", str(fresh(release, architecture)), str(self.path)], check=True)
        policy = self.path / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)

    def sh(self, command: str, *, ok: bool = True) -> str:
        """Within; what it printed, on both ways."""
        within = 'mount -t proc proc "$0/proc" && exec chroot "$0" sh -c "$1"'
        argv = ["unshare", "--mount", "sh", "-c", within, str(self.path), command]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LANG": "C.UTF-8"}
        done = subprocess.run(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, check=False, timeout=600
        )
        assert done.returncode == 0 or not ok, done.stdout
        return done.stdout

    def install(self, *packages: Path) -> str:
        """By dpkg, with nobody there to answer."""
        for each in packages:
            shutil.copy(each, self.path / "root")
        return self.sh("dpkg -i " + " ".join(f"/root/{each.name}" for each in packages) + " < /dev/null")

    def write(self, path: str, text: str, mode: int = 0o644) -> Path:
        """A file in it."""
        target = self.path / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
        return target

    def boot(self, script: str, timeout_s: float = 240) -> str:
        """Its systemd as PID 1, without a network; the script is a service, and then it is off. What that printed."""
        self.begin_with(script)
        argv = [*nspawn(), "--boot", "-D", str(self.path), "--register=no", "--keep-unit", "--private-network"]
        argv.append("--system-call-filter=adjtimex clock_adjtime")  # as a machine: may be asked, and here not set
        printed = ""
        try:
            done = subprocess.run(
                ["unshare", "-m", *argv], capture_output=True, text=True, check=False, timeout=timeout_s
            )
            printed = done.stdout[-2000:] + done.stderr[-2000:]
        except subprocess.TimeoutExpired:
            printed = f"was not off within {timeout_s:g} s"
        said = self.path / "root/said"
        assert said.exists(), printed
        return said.read_text()

    def begin_with(self, script: str, files: str = "/root") -> None:
        """What its systemd does when it is booted; it prints to `said` in that folder."""
        (self.path / "usr/sbin/policy-rc.d").unlink(missing_ok=True)
        self.write("/root/script", f"#!/bin/bash\nexec > {files}/said 2>&1\n{script}\n", 0o755)
        unit = "[Service]\nExecStart=/root/script\nExecStopPost=/usr/bin/systemctl poweroff\n"
        self.write("/etc/systemd/system/script.service", f"{unit}[Install]\nWantedBy=multi-user.target\n")
        self.sh("systemctl enable script.service")


def nspawn() -> list[str]:
    """systemd-nspawn, where it is not installed unpacked beside the trees: its package would bring services."""
    if shutil.which("systemd-nspawn"):
        return ["systemd-nspawn"]
    folder = CACHE / "systemd-container"
    if not (folder / "usr/bin/systemd-nspawn").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "systemd-container"], cwd=folder, check=True, capture_output=True)
        for each in folder.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(each), str(folder)], check=True)
    libraries = ":".join(str(each) for each in folder.glob("usr/lib/*-linux-gnu"))
    return ["env", f"LD_LIBRARY_PATH={libraries}", str(folder / "usr/bin/systemd-nspawn")]
