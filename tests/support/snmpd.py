"""Debian's snmpd as a router's SNMP agent, in the router's network namespace."""

import subprocess
import time
from pathlib import Path
from types import TracebackType

from tests.support import secrets_scan
from tests.support.netns import Namespace

COMMUNITY, PORT = "fibre-watch", 161
NARROW = "narrow"
"""The community that sees no counters of 64 bits, as of a router that has none: no ifXTable."""
AUTH, PRIVACY = "auth-password", "privacy-password"
USERS = {"fib-sha": ("sha", "SHA"), "fib-sha256": ("sha256", "SHA-256")}
"""Name, and its authentication as the agent's config and as snmpd.conf call it; privacy is AES with 128 bits."""


class Snmpd:
    """A running snmpd that answers v2c and v3 on all of a namespace's addresses."""

    def __init__(self, namespace: Namespace, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for each in (AUTH, PRIVACY):
            secrets_scan.register(each, "a password of SNMPv3")
        users = [f'createUser {name} {auth} "{AUTH}" AES "{PRIVACY}"' for name, (_, auth) in USERS.items()]
        rights = [f"rouser {name} priv" for name in USERS]
        lines = [f"agentaddress udp:{PORT},udp6:{PORT}", f"rocommunity {COMMUNITY}", f"rocommunity6 {COMMUNITY}"]
        lines += ["view narrow included .1", "view narrow excluded .1.3.6.1.2.1.31"]
        lines += [f"rocommunity {NARROW} default -V narrow", f"rocommunity6 {NARROW} default -V narrow"]
        (folder / "snmpd.conf").write_text("\n".join([*lines, *users, *rights]) + "\n")
        environment = {"SNMP_PERSISTENT_DIR": str(folder), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        command = ["snmpd", "-f", "-LE", "4", "-C", "-c", str(folder / "snmpd.conf"), "-p", str(folder / "pid"), "-I"]
        self.process = namespace.popen([*command, "-smux"], env=environment, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while f":{PORT:04X} " not in namespace.run("cat", "/proc/net/udp"):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise TimeoutError("snmpd does not listen")
            time.sleep(0.05)

    def __enter__(self) -> "Snmpd":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
