"""Every probe within the shipped agent's sandbox, against the shipped responder in its own: what that refuses fails."""

import shutil
from pathlib import Path

import pytest

from tests.packages.sandbox import OUT, measured, probes, within
from tests.packages.tree import ROOT, Tree, built, commands
from tests.support.certificates import Authority

pytestmark = pytest.mark.packages
HERE = Path(__file__).parent
CONFIG = """
[agent]
territory = "paris"
site = "cargo"
name = "box-01"
[clock]
trusted = true
[broker]
host = "127.0.0.1"
[targets]
far = { address = "10.9.0.1", role = "neutral" }
[targets.slots]
address = "127.0.0.1"
role = "responder"
control = "http://127.0.0.1:5200"
token = "/etc/fibrewatch/responder-token"
"""
REFLECTOR = '[reflector]\nlisten = "127.0.0.2"\n'
CA = "/etc/fibrewatch/www-ca.pem"
TOGETHER = {
    "ping": "--target far",
    "stamp": "--target 127.0.0.1",
    "reflector": "--target 127.0.0.2",
    "voice": "--target 127.0.0.1 --param duration=2s",
    "path": "--target far",
    "lan": "--interface line0",
    "dhcp": "--interface line0",
    "dns": "--target far --param name=www.example.net",
    "ntp": "--target far",
    "tcp": "--target far --param port=80",
    "tls": f"--target far --param server_name=www.example.net --param ca={CA}",
    "http": f"--target far --param scheme=https --param host=www.example.net --param ca={CA}",
}
"""Probe: the options of `once`; `reflector` is stamp against the other service."""
_SHORT = "--param duration=3s"
ONE_BY_ONE = {
    "throughput": f"--target slots --interface lo --param direction=down {_SHORT}",
    "capacity": f"--target slots --interface lo --param direction=up {_SHORT}",
    "http_throughput": f"--target far --param direction=down --param path=/endless {_SHORT}",
    "calibration": f"--interface line0 {_SHORT}",
}
PROBE = {"reflector": "stamp"}
REFUSED = """
import ctypes, mmap, os, socket
def told(name, what):
    try: what()
    except PermissionError: print(name, "refused")  # EPERM or, of newer systemd's write-xor-execute, EACCES
    except OSError as e: print(name, os.strerror(e.errno))
    else: print(name, "done")
libc = ctypes.CDLL(None, use_errno=True)
def call(number):
    if number < 0: raise OSError(ctypes.get_errno(), "")
told("wx", lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC))
told("namespace", lambda: call(libc.unshare(0x10000000)))
told("priority", lambda: os.setpriority(os.PRIO_PROCESS, 0, -5))
told("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
told("vsock", lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM))
told("clock", lambda: call(libc.adjtimex(ctypes.create_string_buffer(512))))
told("usr", lambda: open("/usr/lib/x", "w"))
told("state", lambda: open("/var/lib/fibrewatch-agent/x", "w"))
"""


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_every_probe_measures_within_the_sandbox(tmp_path: Path, release: str) -> None:
    tree = Tree(tmp_path, release)
    tree.sh("apt-get update && apt-get install -y --no-install-recommends iproute2 dnsmasq-base")
    tree.install(*built("0.1.0", "fibrewatch-agent_amd64"))
    _configure(tree, tmp_path)
    units = probes(tree, {name: (PROBE.get(name, name), what) for name, what in (TOGETHER | ONE_BY_ONE).items()})
    tree.write("/usr/share/refused.py", REFUSED)
    control = within(tree, "fibrewatch-agent", "refused", "/usr/bin/python3 -B /usr/share/refused.py")
    _, page = commands("responder.md")
    script = (HERE / "sandbox.sh").read_text().replace("@PAGE@", page)
    script = script.replace("@TOGETHER@", " ".join([control, *(units[name] for name in TOGETHER)]))
    said = tree.boot(script.replace("@ONE_BY_ONE@", " ".join(units[name] for name in ONE_BY_ONE)))
    assert "page: 0\nactive\nactive\n" in said, said
    assert "stopped success success" in said, said
    assert "●" not in said, said
    out = tree.path / OUT
    assert (out / "refused").read_text().split("\n")[:-1] == [
        "wx refused",
        "namespace refused",
        "priority refused",
        "packet done",
        "vsock Address family not supported by protocol",
        "clock done",
        "usr Read-only file system",
        "state done",
    ], "the sandbox is there"
    found = {name: measured(out, name) for name in units}
    failed = {name: each for name, each in found.items() if each.get("outcome") != "ok"}
    assert not failed, (failed, said)


def _configure(tree: Tree, folder: Path) -> None:
    authority = Authority(folder / "ca")
    tree.write("/root/www.pem", authority.certificate("www", names="DNS:www.example.net").read_text())
    tree.write(CA, authority.pem.read_text())
    shutil.copy(ROOT / "tests/support/far_end.py", tree.path / "root")
    for name, text in {"agent": CONFIG, "reflector": REFLECTOR}.items():
        tree.write(f"/etc/fibrewatch/{name}.toml", text)
