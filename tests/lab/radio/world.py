"""In the lab: virtual radios (mac80211_hwsim), access points (hostapd, dnsmasq), a station (wpa_supplicant) and a box.

All radios hear each other. The box is the machine's own namespace, so that its Mosquitto is on 127.0.0.1; access points
get namespaces of their own.
"""

import asyncio
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fibrewatch import wire
from fibrewatch.measurement import AnyMeasurement
from tests.support.agent import Box
from tests.support.collector_stub import CollectorStub
from tests.support.mosquitto import Mosquitto
from tests.support.netns import Namespace, run

ROOT = Path(__file__).parents[3]
HELD = Path("/tmp/radio")
PASSPHRASE = "a passphrase of tests"
ACCESS_POINT: Mapping[str, object] = {
    "driver": "nl80211",
    "country_code": "FR",
    "ieee80211d": 1,
    "hw_mode": "g",
    "channel": 6,
    "ieee80211n": 1,
    "wmm_enabled": 1,
    "wpa": 2,
    "wpa_key_mgmt": "WPA-PSK",
    "rsn_pairwise": "CCMP",
    "wpa_passphrase": PASSPHRASE,
    "bss_load_update_period": 50,
}
"""An access point's settings unless it is told others: WPA2-PSK on channel 6."""


class Radios:
    """The virtual radios: wlanN, whose address is 02:00:00:00:0N:00."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.insert()

    def insert(self) -> None:
        """Loads the driver: all radios are there, in this namespace."""
        run("modprobe", "mac80211_hwsim", f"radios={self.number}")
        until(Path(f"/sys/class/net/wlan{self.number - 1}").exists, lambda: "the radios")

    def remove(self) -> None:
        """Unloads the driver: no radio is there any more."""
        run("rmmod", "mac80211_hwsim")

    @staticmethod
    def move(number: int, namespace: Namespace) -> str:
        """Puts a radio into a namespace; its interface's name there."""
        name = f"wlan{number}"
        phy = Path(f"/sys/class/net/{name}/phy80211/name").read_text("ascii").strip()
        run("iw", "phy", phy, "set", "netns", "name", namespace.name)
        return name


class AccessPoint:
    """hostapd on one radio; `start` and `stop` as often as wanted."""

    def __init__(self, namespace: Namespace, interface: str, ssid: str, **options: object) -> None:
        """Options are hostapd.conf's; None leaves a default out."""
        self.namespace, self.interface, self.ssid = namespace, interface, ssid
        self.options = {"interface": interface, "ssid": ssid} | dict(ACCESS_POINT) | options
        self.log_file = HELD / f"hostapd-{interface}.log"
        self._control = HELD / f"hostapd-{interface}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bssid(self) -> str:
        """Its hardware address."""
        return self.namespace.run("cat", f"/sys/class/net/{self.interface}/address").strip()

    def start(self, *others: "AccessPoint") -> None:
        """Starts it; returns once it sends beacons.

        Args:
            others: Of the same namespace, to be run by this one's hostapd: it carries keys from one to another.
        """
        configs = [str(each.write()) for each in (self, *others)]
        with self.log_file.open("wb") as log:
            self._process = self.namespace.popen(["hostapd", "-t", *configs], stdout=log, stderr=log)
        there = len(configs)
        until(lambda: self.log.count("AP-ENABLED") == there, lambda: f"{self.ssid} to be on the air\n{self.log}")

    def write(self) -> Path:
        """Its file."""
        options = {"ctrl_interface": self._control} | self.options
        config = HELD / f"{self.interface}.conf"
        config.write_text("".join(f"{key}={value}\n" for key, value in options.items() if value is not None))
        return config

    @property
    def log(self) -> str:
        """What hostapd has said since its start."""
        return self.log_file.read_text("utf-8", "replace")

    def command(self, *words: str) -> str:
        """What `hostapd_cli` answers: `deauthenticate`, `disassociate`, `all_sta` …"""
        return run("hostapd_cli", "-p", str(self._control), "-i", self.interface, *words)

    def power(self, mbm: int) -> None:
        """The transmitter's power, in hundredths of a dBm."""
        self.namespace.run("iw", "dev", self.interface, "set", "txpower", "fixed", str(mbm))

    def fall_silent(self) -> None:
        """Takes it off the air as a power cut does: nobody is told."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None
        self.namespace.run("ip", "link", "set", self.interface, "down")

    def stop(self) -> None:
        """Takes it off the air; its stations are told so."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None


class Dhcp:
    """dnsmasq on an access point's side: leases of `network`.50 to .99 and names, every name being the host itself."""

    def __init__(self, namespace: Namespace, interface: str, network: str = "10.77.0", **options: object) -> None:
        """Options are dnsmasq's long ones; None leaves a default out, True is one without a value."""
        self.namespace, self.interface, self.host = namespace, interface, f"{network}.1"
        self.options: dict[str, object] = {
            "interface": interface,
            "bind-interfaces": True,
            "dhcp-range": f"{network}.50,{network}.99,255.255.255.0,1h",
            "dhcp-authoritative": True,
            "no-ping": True,
            "address": f"/#/{self.host}",
            "no-resolv": True,
            "no-hosts": True,
            "conf-file": "/dev/null",
            "dhcp-leasefile": HELD / f"leases-{interface}",
            "log-facility": HELD / f"dnsmasq-{interface}.log",
            "user": "root",
        } | {name.replace("_", "-"): value for name, value in options.items()}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Gives the interface its address and serves."""
        self.namespace.run("ip", "addr", "replace", f"{self.host}/24", "dev", self.interface)
        words = [f"--{name}" + ("" if value is True else f"={value}") for name, value in self.options.items() if value]
        self._process = self.namespace.popen(["dnsmasq", "--keep-in-foreground", *words])

    def stop(self) -> None:
        """Nobody answers any more."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None


class Station:
    """wpa_supplicant on one radio of the machine's own namespace, or of another."""

    def __init__(self, interface: str, namespace: Namespace | None = None) -> None:
        self.interface, self.namespace = interface, namespace
        self.log_file = HELD / f"wpa_supplicant-{interface}.log"
        self._control = HELD / f"wpa_supplicant-{interface}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, ssid: str, more: str = "", **network: object) -> None:
        """Starts it with one network; options are those of a network block, with quotes where it wants them.

        `scan_freq="2437"` spares the time of a scan of all channels.
        """
        block: dict[str, object] = {"ssid": f'"{ssid}"', "psk": f'"{PASSPHRASE}"', "scan_ssid": 1} | network
        lines = "".join(f" {key}={value}\n" for key, value in block.items() if value is not None)
        config = HELD / f"supplicant-{self.interface}.conf"
        config.write_text(f"ctrl_interface={self._control}\ncountry=FR\n{more}\nnetwork={{\n{lines}}}\n")
        argv = ["wpa_supplicant", "-t", "-i", self.interface, "-D", "nl80211", "-c", str(config)]
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(self._exec(*argv), stdout=log, stderr=log)

    def _exec(self, *argv: str) -> list[str]:
        return list(argv) if self.namespace is None else self.namespace.exec(*argv)

    def command(self, *words: str) -> str:
        """What `wpa_cli` answers: `status`, `roam BSSID`, `disconnect`, `scan_results` …"""
        return run("wpa_cli", "-p", str(self._control), "-i", self.interface, *words)

    def status(self) -> dict[str, str]:
        """wpa_supplicant's state, `wpa_state`, `bssid` and so on; empty before it listens."""
        if not (self._control / self.interface).exists():
            return {}
        return dict(line.split("=", 1) for line in self.command("status").splitlines() if "=" in line)

    def connected(self, bssid: str | None = None, timeout_s: float = 60) -> None:
        """Returns once it is connected, to that access point if one is named."""

        def there() -> bool:
            if not self.connections:
                return False  # a look at the log costs no process
            status = self.status()
            return status.get("wpa_state") == "COMPLETED" and bssid in (None, status.get("bssid"))

        until(there, lambda: f"{self.interface} to be connected {bssid or ''}\n{self.log}", timeout_s)

    @property
    def log(self) -> str:
        """What wpa_supplicant has said since its start."""
        return self.log_file.read_text("utf-8", "replace")

    @property
    def connections(self) -> int:
        """How often it has been connected since its start."""
        return self.log.count("CTRL-EVENT-CONNECTED")

    def connected_times(self, number: int) -> None:
        """Returns once it has been connected so often: a new connection may come faster than a look at the status."""
        until(lambda: self.connections >= number, lambda: f"{self.interface} to be connected again\n{self.log}")

    def stop(self) -> None:
        """Ends it; the link goes with it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None


class Heard:
    """What the agent has published, as it arrived at a collector that acknowledges it."""

    def __init__(self, port: int) -> None:
        self._stub = CollectorStub(port)
        self._taken = 0
        self._seen: set[tuple[str, int]] = set()
        self._measurements: list[AnyMeasurement] = []
        threading.Thread(target=lambda: asyncio.run(self._stub.run()), daemon=True).start()
        until(self._stub.ready.is_set, lambda: "the collector to listen")

    def all(self) -> list[AnyMeasurement]:
        """All measurements so far, oldest first, each once."""
        batches = self._stub.batches
        while self._taken < len(batches):
            batch, self._taken = batches[self._taken], self._taken + 1
            for number, raw in enumerate(batch.measurements, batch.first):
                if (batch.stream, number) not in self._seen:
                    self._seen.add((batch.stream, number))
                    self._measurements.append(wire.decode_measurement(raw))
        return self._measurements

    def of(self, test: str) -> list[AnyMeasurement]:
        """A test's measurements."""
        return [each for each in self.all() if each.test == test]

    def between(self, since: float, last: AnyMeasurement) -> list[AnyMeasurement]:
        """A test's measurements from a time on, up to that one."""
        return [m for m in self.of(last.test) if since <= m.started_at.timestamp() and m.started_at <= last.started_at]

    def next(
        self, test: str, fits: Callable[[AnyMeasurement], bool] = lambda m: True, timeout_s: float = 60
    ) -> AnyMeasurement:
        """The first one of a test that began after this call and fits."""
        asked, found = time.time(), list[AnyMeasurement]()

        def arrived() -> bool:
            found[:] = [m for m in self.of(test) if m.started_at.timestamp() >= asked and fits(m)]
            return bool(found)

        until(arrived, lambda: f"a measurement of {test}; the last: {self.of(test)[-1:]}", timeout_s)
        return found[0]


class World:
    """All of it, taken down in the end by the machine itself."""

    def __init__(self, radios: int = 3) -> None:
        HELD.mkdir(exist_ok=True)
        self.radios = Radios(radios)
        self._stack = ExitStack()

    def namespace(self, label: str) -> Namespace:
        """A new one."""
        return Namespace(label)

    def access_point(self, radio: int, ssid: str, namespace: Namespace | None = None, **options: object) -> AccessPoint:
        """One that is on the air, in a namespace of its own unless told."""
        inside = namespace or Namespace(f"ap{radio}")
        found = AccessPoint(inside, self.radios.move(radio, inside), ssid, **options)
        self._stack.callback(found.stop)
        found.start()
        return found

    def dhcp(self, point: AccessPoint, network: str = "10.77.0", **options: object) -> Dhcp:
        """Leases and names behind an access point."""
        found = Dhcp(point.namespace, str(point.options.get("bridge", point.interface)), network, **options)
        self._stack.callback(found.stop)
        found.start()
        return found

    def station(self, radio: int = 0, namespace: Namespace | None = None) -> Station:
        """One that is not started yet."""
        found = Station(f"wlan{radio}", namespace)
        self._stack.callback(found.stop)
        return found

    @contextmanager
    def box(self, tests: str, log_level: str = "info", user: int | None = None) -> Iterator[tuple[Box, Heard]]:
        """The installed agent under way with these tables of its config, a Mosquitto, and what it publishes there.

        Args:
            user: Its number there; it has no privilege then.
        """
        program = shutil.which("fibrewatch-agent", path=str(ROOT / ".venv/bin"))
        with Mosquitto(HELD) as broker:
            box, heard = Box(HELD, broker.port, _as_user(user)), Heard(broker.port)
            try:
                box.program, box.log_level = (str(program),), log_level
                box.write(tests)
                box.start()
                yield box, heard
            finally:
                if box.process is not None and box.process.poll() is None:
                    box.end()

    def close(self) -> None:
        """Ends what was started."""
        self._stack.close()


def _as_user(user: int | None) -> tuple[str, ...]:
    """The words before a command that somebody without privileges runs, and can reach."""
    if user is None:
        return ()
    HELD.chmod(0o777)
    for file in (ROOT, Path(sys.executable), Path(sys.executable).resolve()):
        for folder in file.parents:
            folder.chmod(folder.stat().st_mode | 0o011)  # this machine's only: the host's are read-only
    return ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")


def until(met: Callable[[], bool], what: Callable[[], str], timeout_s: float = 60) -> None:
    """Returns once `met()`; raises TimeoutError with how things stand then.

    It looks ten times a second: in here each look costs what it does not elsewhere.
    """
    deadline = time.monotonic() + timeout_s
    while not met():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited for {what()}")
        time.sleep(0.1)


def iw(*words: str) -> str:
    """What `iw` prints: the tests' oracle, nothing of the product reads it."""
    return run("iw", *words)
