"""Three sites with a box each, one of them behind NAT, and a server that hears them: what the mesh is tried on.

cargo 10.81.0.2 ––┐
halles 10.81.1.2 –– core –– server (where the test runs) 10.82.0.1
attic 192.168.7.2 –– nat 10.81.2.2 ––┘
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from tests.support.netns import Namespace, run
from tests.support.waiting import wait_until

SERVER = "10.82.0.1"
CARGO, HALLES, NAT, ATTIC = "10.81.0.2", "10.81.1.2", "10.81.2.2", "192.168.7.2"


class Lab:
    """The namespaces and the wires between them."""

    def __init__(self) -> None:
        self.core, self.nat = Namespace("core"), Namespace("nat")
        self.cargo, self.halles, self.attic = (Namespace(name) for name in ("cargo", "halles", "attic"))
        self._outside = f"mesh{os.getpid()}"[:15]
        for number, site in enumerate((self.cargo, self.halles, self.nat)):
            _wire(self.core, f"eth{number}", f"10.81.{number}.1", site, "eth0", f"10.81.{number}.2")
        _wire(self.nat, "eth1", "192.168.7.1", self.attic, "eth0", ATTIC)
        self._wire_to_server()
        for router in (self.core, self.nat):
            router.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        self.nat.run("nft", "add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; }")
        self.nat.run("nft", 'add rule ip nat out oifname "eth0" masquerade')

    def _wire_to_server(self) -> None:
        run("ip", "link", "add", self._outside, "type", "veth", "peer", "name", "eth3", "netns", self.core.name)
        run("ip", "addr", "add", f"{SERVER}/24", "dev", self._outside)
        run("ip", "link", "set", self._outside, "up")
        self.core.run("ip", "addr", "add", "10.82.0.2/24", "dev", "eth3")
        self.core.run("ip", "link", "set", "eth3", "up")
        run("ip", "route", "add", "10.81.0.0/16", "via", "10.82.0.2")

    def lose_towards_attic(self, per_cent: int) -> None:
        """Drops this share of the reflectors' replies on their way to the box behind NAT, by chance."""
        self.nat.run("nft", "add table ip loss; add chain ip loss via { type filter hook forward priority 0; }")
        chance = f"numgen random mod 100 < {per_cent}"
        self.nat.run("nft", f"add rule ip loss via udp sport 862 ip daddr {ATTIC} {chance} drop")

    def close(self) -> None:
        """Takes it down."""
        run("ip", "link", "del", self._outside)
        for namespace in (self.attic, self.nat, self.halles, self.cargo, self.core):
            namespace.close()

    def __enter__(self) -> "Lab":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _wire(a: Namespace, a_if: str, a_address: str, b: Namespace, b_if: str, b_address: str) -> None:
    """A link; b's default route is over it."""
    run("ip", "link", "add", a_if, "netns", a.name, "type", "veth", "peer", "name", b_if, "netns", b.name)
    for namespace, interface, address in ((a, a_if, a_address), (b, b_if, b_address)):
        namespace.run("ip", "addr", "add", f"{address}/24", "dev", interface)
        namespace.run("ip", "link", "set", interface, "up")
    b.run("ip", "route", "add", "default", "via", a_address)


class MeshBox:
    """An agent, and a responder where it can be reached, in a namespace; its tests are to come by fragments."""

    def __init__(self, folder: Path, namespace: Namespace, site: str, broker_port: int) -> None:
        self.folder, self._namespace = folder, namespace
        self.config, self.log = folder / "agent.toml", folder / "box.log"
        self.fragments = folder / "agent.d"
        self.fragments.mkdir(parents=True)
        self.config.write_text(
            f'[agent]\nterritory = "paris"\nsite = "{site}"\nname = "box-01"\nstate_dir = "{folder}/state"\n'
            f'[clock]\ntrusted = true\n[broker]\nhost = "{SERVER}"\nport = {broker_port}\n'
        )
        self._processes: list[subprocess.Popen[bytes]] = []

    def start_agent(self) -> None:
        """Returns once it measures."""
        self._start("run", "--config", str(self.config))
        wait_until(lambda: " running agent=" in self.log.read_text(), "the agent to run")

    def start_responder(self, allow: Path) -> None:
        """Returns once the reflector answers."""
        config = self.folder / "responder.toml"
        config.write_text(f'[reflector]\nlisten = "0.0.0.0"\nallow_file = "{allow}"\n')
        self._start("responder", "--config", str(config))
        wait_until(lambda: "reflecting on" in self.log.read_text(), "the reflector to answer")

    def reload(self) -> None:
        """SIGHUP to the agent, which was started first."""
        before = self.log.read_text().count(" reload")
        self._processes[0].send_signal(signal.SIGHUP)
        wait_until(lambda: self.log.read_text().count(" reload") > before, "the reload")

    def _start(self, *arguments: str) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "fibrewatch_agent", *arguments]
            self._processes.append(self._namespace.popen(command, stdout=log, stderr=log))

    def close(self) -> None:
        """Ends all of it, the agent first."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(60)
