"""`python -m benchmarks.footprint`: memory and CPU of the agent, beside two exporters that ping the same targets.

All three send one echo request a second to each of six addresses across a veth pair, at the same time, in a network
namespace of their own. The agent stores and delivers what it measures; the exporters are scraped every 15 s, and
blackbox_exporter, which pings when it is asked, is asked each second.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from benchmarks.support import ROOT, Process, get, hold, need, options, python, save, table, wait_until_ready
from fibrewatch.wire import AgentId
from fibrewatch_collector.operator.files import collector_toml, sites_toml
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.netns import Link, Namespace

TARGETS = tuple(f"10.99.0.{host}" for host in range(2, 8))
AGENT = AgentId("bench", "footprint", "box-01")
SMOKEPING, BLACKBOX = "/usr/bin/prometheus-smokeping-prober", "/usr/bin/prometheus-blackbox-exporter"
WARM_UP_S = 5.0
SCRAPE_S = 15.0
MIB = 2**20
MOST_MIB, MOST_PERCENT = 32, 1


@dataclass(frozen=True, slots=True)
class Footprint:
    """Of one process: the most resident memory seen, and CPU as a share of one core."""

    name: str
    rss_bytes: int
    cpu_share: float


def main() -> None:
    """Makes the namespaces and measures inside; prints the table and keeps the figures."""
    parser = options(__doc__ or "")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        sys.stdout.write(msgspec.json.encode([asdict(each) for each in _measure(given.seconds)]).decode())
        return
    need("prometheus-smokeping-prober", "prometheus-blackbox-exporter", programs=[SMOKEPING, BLACKBOX])
    need("mosquitto", "iproute2", programs=["mosquitto", "ip"])
    if os.geteuid() != 0:
        print("making network namespaces needs root: sudo, or unshare --map-root-user --net --mount", file=sys.stderr)
        raise SystemExit(2)
    found = _in_namespaces(given.seconds)
    heads = ("Agent, 6 targets at 1 Hz", "RSS MiB", "CPU % of a core")
    rows = [(each.name, f"{each.rss_bytes / MIB:.1f}", f"{each.cpu_share * 100:.2f}") for each in found]
    print(table(heads, rows))
    figures = [asdict(each) for each in found]
    save(given.results, "footprint", {"heads": heads, "rows": rows, "runs": figures, "seconds": given.seconds})
    (ours,) = [each for each in found if each.name == "fibrewatch-agent"]
    hold([("RSS, MiB", ours.rss_bytes / MIB, MOST_MIB), ("CPU, % of a core", ours.cpu_share * 100, MOST_PERCENT)])


def _in_namespaces(seconds: float) -> list[Footprint]:
    with ExitStack() as stack:
        box, far = Namespace("box"), Namespace("far")
        stack.callback(box.close)
        stack.callback(far.close)
        Link(box, far)
        for address in TARGETS[1:]:
            far.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
        argv = box.exec(*python("-m", "benchmarks.footprint", "--inside", "--seconds", str(seconds)))
        done = subprocess.run(argv, check=False, cwd=ROOT, stdout=subprocess.PIPE, timeout=seconds + 120)
    if done.returncode != 0:
        raise SystemExit(done.returncode)
    return msgspec.json.decode(done.stdout, type=list[Footprint])


def _measure(seconds: float) -> list[Footprint]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="fibrewatch-bench-")))
        broker = stack.enter_context(Mosquitto(folder))
        _start_collector(stack, folder, broker.port)
        processes = {
            "fibrewatch-agent": _start_agent(stack, folder, broker.port),
            "prometheus-smokeping-prober": _start_smokeping(stack, folder),
            "prometheus-blackbox-exporter": _start_blackbox(stack, folder),
        }
        time.sleep(WARM_UP_S)
        before = {name: process.cpu_s() for name, process in processes.items()}
        most = dict.fromkeys(processes, 0)
        begun = time.monotonic()
        while (elapsed := time.monotonic() - begun) < seconds:
            most = {name: max(most[name], process.rss_bytes()) for name, process in processes.items()}
            time.sleep(0.25)
        return [
            Footprint(name, most[name], (process.cpu_s() - before[name]) / elapsed)
            for name, process in processes.items()
        ]


def _start_collector(stack: ExitStack, folder: Path, broker: int) -> None:
    http = free_port()
    (folder / "sites.toml").write_text(sites_toml([AGENT]), "utf-8")
    (folder / "collector.toml").write_text(collector_toml(broker, http), "utf-8")
    argv = python("-m", "fibrewatch_collector", "run", "--config", str(folder / "collector.toml"))
    stack.enter_context(Process(argv, folder / "collector.log"))
    wait_until_ready(f"http://127.0.0.1:{http}/readyz")


def _start_agent(stack: ExitStack, folder: Path, broker: int) -> Process:
    targets = "".join(
        f'[targets.t{number}]\naddress = "{address}"\nrole = "neutral"\n' for number, address in enumerate(TARGETS)
    )
    names = ", ".join(f'"t{number}"' for number in range(len(TARGETS)))
    (folder / "agent.toml").write_text(
        f'[agent]\nterritory = "{AGENT.territory}"\nsite = "{AGENT.site}"\nname = "{AGENT.agent}"\n'
        f'state_dir = "{folder}/agent"\n[clock]\ntrusted = true\n[broker]\nhost = "127.0.0.1"\nport = {broker}\n'
        f'{targets}[tests.ping]\nprobe = "ping"\ntargets = [{names}]\n',
        "utf-8",
    )
    argv = python("-m", "fibrewatch_agent", "run", "--config", str(folder / "agent.toml"))
    return stack.enter_context(Process(argv, folder / "agent.log"))


def _start_smokeping(stack: ExitStack, folder: Path) -> Process:
    http = free_port()
    listen = f"--web.listen-address=127.0.0.1:{http}"
    argv = [SMOKEPING, listen, "--privileged", "--ping.interval=1s", *TARGETS]
    prober = stack.enter_context(Process(argv, folder / "smokeping.log"))
    wait_until_ready(f"http://127.0.0.1:{http}/metrics")
    _every(stack, SCRAPE_S, [f"http://127.0.0.1:{http}/metrics"])
    return prober


def _start_blackbox(stack: ExitStack, folder: Path) -> Process:
    http = free_port()
    (folder / "blackbox.yml").write_text("modules:\n  icmp:\n    prober: icmp\n    timeout: 2s\n", "utf-8")
    argv = [BLACKBOX, f"--web.listen-address=127.0.0.1:{http}", f"--config.file={folder}/blackbox.yml"]
    exporter = stack.enter_context(Process(argv, folder / "blackbox.log"))
    wait_until_ready(f"http://127.0.0.1:{http}/metrics")
    _every(stack, 1.0, [f"http://127.0.0.1:{http}/probe?module=icmp&target={address}" for address in TARGETS])
    _every(stack, SCRAPE_S, [f"http://127.0.0.1:{http}/metrics"])
    return exporter


def _every(stack: ExitStack, period_s: float, urls: list[str]) -> None:
    """Asks for these pages once a period, from a thread that ends with the stack."""
    ending = threading.Event()

    def ask() -> None:
        while not ending.wait(period_s):
            for url in urls:
                get(url, 10.0)

    thread = threading.Thread(target=ask, name="scraper", daemon=True)
    thread.start()
    stack.callback(thread.join, 15.0)
    stack.callback(ending.set)


if __name__ == "__main__":
    main()
