"""`python -m benchmarks.resident`: memory and CPU of the agent on the whole default schedule, against real targets.

A site in network namespaces: a gateway that gives addresses and answers names (dnsmasq), a second router as the first
hop, and beyond it two responders, a neutral host, and a server for HTTPS, TLS, DNS and NTP. The agent runs
`[schedule] preset = "site"`, delivers to a broker and a collector; voice and dhcp come once in 5 minutes instead of in
10 and 60, so that a run of 5 minutes holds all of it. Throughput is not of the preset: iperf3 is a child of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import psutil

from benchmarks.support import ROOT, Process, get, hold, need, options, python, save, table, wait_until_ready
from fibrewatch.wire import AgentId
from fibrewatch_collector.operator.files import collector_toml, sites_toml
from tests.support.certificates import Authority
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.routers import Chain

AGENT = AgentId("bench", "resident", "box-01")
RESPONDERS, NEUTRAL, SERVER = ("10.99.2.2", "10.99.2.3"), "10.99.2.4", "10.99.2.5"
MIB = 2**20
MOST_MIB, MOST_PERCENT = 40, 2
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_SAMPLE_S = 0.25
_SETTLE_S = 10.0
CONFIG = """
[agent]
territory = "{agent.territory}"
site = "{agent.site}"
name = "{agent.agent}"
state_dir = "{folder}/agent"
[clock]
trusted = true
[broker]
host = "127.0.0.1"
port = {port}
[schedule]
preset = "site"
[targets]
operator-dns = {{ address = "{server}", role = "operator", services = ["dns"] }}
neutral = {{ address = "{neutral}", role = "neutral" }}
responder-1 = {{ address = "{responders[0]}", role = "responder" }}
responder-2 = {{ address = "{responders[1]}", role = "responder" }}
www = {{ address = "www.example.net", role = "service", services = ["dns", "tcp", "http"] }}
time = {{ address = "ntp.example.net", role = "service", services = ["ntp"] }}
[tests]
tls = {{ probe = "tls", targets = ["www"], every = "1 min", params = {{ ca = "{ca}" }} }}
https = {{ probe = "http", targets = ["www"], every = "1 min", params = {{ scheme = "https", ca = "{ca}" }} }}
voice = {{ probe = "voice", targets = ["responder-1", "responder-2"], every = "5 min" }}
dhcp = {{ probe = "dhcp", every = "5 min" }}
"""


@dataclass(frozen=True, slots=True)
class Resident:
    """Of the agent: the most resident memory seen, the kernel's own peak, and CPU seconds a second.

    Attributes:
        child_rss_bytes: The most of all its children together.
        outcomes: How many measurements of each probe ended how.
    """

    rss_bytes: int
    peak_bytes: int
    cpu_share: float
    child_rss_bytes: int
    child_cpu_share: float
    seconds: float
    outcomes: dict[str, int]


def main() -> None:
    """Makes the site and measures inside; prints the tables and keeps the figures."""
    parser = options(__doc__ or "")
    parser.add_argument("--duration", type=float, default=330.0, metavar="SECONDS")
    parser.add_argument("--imports", action="store_true", help="only what each probe's import adds")
    parser.add_argument("--inside", metavar="FOLDER", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        sys.stdout.write(msgspec.json.encode(asdict(_measure(Path(given.inside), given.duration))).decode())
        return
    imports = [(name, f"{added / MIB:.2f}") for name, added in _imports()]
    print(table(("Importing", "adds RSS MiB"), imports))
    if given.imports:
        return
    need("mosquitto", "iproute2", "dnsmasq-base", programs=["mosquitto", "ip", "dnsmasq"])
    if os.geteuid() != 0:
        print("making network namespaces needs root: sudo, or unshare --map-root-user --net --mount", file=sys.stderr)
        raise SystemExit(2)
    found = _at_a_site(given.duration)
    heads = ("Agent, whole default schedule", "RSS MiB", "CPU % of a core")
    rows = [
        ("fibrewatch-agent", f"{found.rss_bytes / MIB:.1f}", f"{found.cpu_share * 100:.2f}"),
        ("its children, seconds at a time", f"{found.child_rss_bytes / MIB:.1f}", f"{found.child_cpu_share * 100:.2f}"),
    ]
    print(table(heads, rows))
    print(f"{found.seconds:.0f} s: " + ", ".join(f"{what} {count}" for what, count in sorted(found.outcomes.items())))
    save(given.results, "resident", {"heads": heads, "rows": rows, "runs": asdict(found), "imports": imports})
    hold([("RSS, MiB", found.rss_bytes / MIB, MOST_MIB), ("CPU, % of a core", found.cpu_share * 100, MOST_PERCENT)])


def _imports() -> Iterator[tuple[str, int]]:
    """Resident memory that each probe adds to an agent that is ready to run none, each in a process of its own."""
    from fibrewatch_agent.config import runnable

    base = "import fibrewatch_agent.app as _, fibrewatch_agent.cli, psutil, os, gc\n"
    told = "gc.collect(); print(int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE'))\n"
    (before,) = _printed(base + told)
    yield "the agent without probes", before
    for name in runnable():
        load = f"import fibrewatch_agent.probes.{name}\nfrom fibrewatch.results import PROBES\nPROBES[{name!r}]\n"
        before, after = _printed(base + told + load + told)
        yield name, after - before


def _printed(code: str) -> list[int]:
    done = subprocess.run(python("-c", code), check=True, capture_output=True, text=True, cwd=ROOT)
    return [int(line) for line in done.stdout.split()]


def _at_a_site(seconds: float) -> Resident:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="fibrewatch-bench-")))
        site = stack.enter_context(Chain(2))
        start_far_end(stack, folder, site)
        start_gateway(stack, folder, site)
        argv = python("-m", "benchmarks.resident", "--inside", str(folder), "--duration", str(seconds))
        argv = site.box.exec("unshare", "--mount", "sh", "-c", f'{mounts(folder)} exec "$@"', "sh", *argv)
        done = subprocess.run(argv, check=False, cwd=ROOT, stdout=subprocess.PIPE, timeout=seconds + 120)
    if done.returncode != 0:
        raise SystemExit(done.returncode)
    return msgspec.json.decode(done.stdout, type=Resident)


def mounts(folder: Path) -> str:
    """A command that gives the box its own resolver, before others."""
    (folder / "resolv.conf").write_text("nameserver 10.99.0.2\n", "ascii")
    return f"mount --bind {folder}/resolv.conf /etc/resolv.conf &&"


def start_far_end(stack: ExitStack, folder: Path, site: Chain) -> None:
    """What the box measures against."""
    for address in (*RESPONDERS[1:], NEUTRAL, SERVER):
        site.far.run("ip", "addr", "add", f"{address}/24", "dev", "in")
    authority = Authority(folder / "ca")
    certificate = authority.certificate("www", names="DNS:www.example.net")
    far = python("-m", "tests.support.far_end", SERVER, "--certificate", str(certificate))
    stack.enter_context(Process(site.far.exec(*far), folder / "far.log"))
    for address in RESPONDERS:
        argv = python("-m", "fibrewatch_agent", "responder", "--bind", address, "--reflector-port", "862")
        stack.enter_context(Process(site.far.exec(*argv), folder / f"responder-{address}.log"))


def start_gateway(stack: ExitStack, folder: Path, site: Chain) -> None:
    """Addresses and names for the box."""
    argv = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--interface=in", "--except-interface=lo"]
    argv += ["--bind-interfaces", "--no-resolv", "--no-hosts", "--no-ping", f"--dhcp-leasefile={folder}/leases"]
    argv += [
        "--dhcp-range=10.99.0.50,10.99.0.99,1h",
        f"--address=/example.net/{SERVER}",
        f"--pid-file={folder}/dnsmasq",
    ]
    argv += ["--user=root", "--group=root"]
    stack.enter_context(Process(site.routers[0].exec(*argv), folder / "dnsmasq.log"))


def _measure(folder: Path, seconds: float) -> Resident:
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(folder))
        http = start_collector(stack, folder, broker.port)
        agent = start_agent(stack, folder, broker.port)
        time.sleep(_SETTLE_S)
        rss = child_rss = 0
        cpu, begun = _cpu_s(agent.pid), time.monotonic()
        while (elapsed := time.monotonic() - begun) < seconds:
            if agent.ended:
                raise SystemExit((folder / "agent.log").read_text("utf-8")[-2000:])
            rss, child_rss = max(rss, agent.rss_bytes()), max(child_rss, sum(_children(agent.pid)))
            time.sleep(_SAMPLE_S)
        used = [after - before for before, after in zip(cpu, _cpu_s(agent.pid), strict=True)]
        peak = _status(agent.pid, "VmHWM:")
        outcomes = _outcomes(http)
    return Resident(rss, peak, used[0] / elapsed, child_rss, used[1] / elapsed, elapsed, outcomes)


def start_collector(stack: ExitStack, folder: Path, broker: int) -> int:
    """Its port for HTTP."""
    http = free_port()
    (folder / "sites.toml").write_text(sites_toml([AGENT]), "utf-8")
    (folder / "collector.toml").write_text(collector_toml(broker, http), "utf-8")
    argv = python("-m", "fibrewatch_collector", "run", "--config", str(folder / "collector.toml"))
    stack.enter_context(Process(argv, folder / "collector.log"))
    wait_until_ready(f"http://127.0.0.1:{http}/readyz")
    return http


def start_agent(stack: ExitStack, folder: Path, broker: int, more: str = "") -> Process:
    """With `more` tables in its config."""
    text = (CONFIG + more).format(
        agent=AGENT,
        folder=folder,
        port=broker,
        server=SERVER,
        neutral=NEUTRAL,
        responders=RESPONDERS,
        ca=folder / "ca/ca.pem",
    )
    (folder / "agent.toml").write_text(text, "utf-8")
    argv = python("-m", "fibrewatch_agent", "run", "--config", str(folder / "agent.toml"))
    return stack.enter_context(Process(argv, folder / "agent.log"))


def _outcomes(http: int) -> dict[str, int]:
    """What the collector has stored, by probe and outcome: the schedule has really run."""
    counts: Counter[str] = Counter()
    after: int | None = 0
    while after is not None:
        page = json.loads(get(f"http://127.0.0.1:{http}/api/v1/measurements?limit=1000&after={after}"))
        counts.update(
            f"{each['measurement']['probe']} {each['measurement']['outcome']}" for each in page["measurements"]
        )
        after = page["next"]
    return dict(counts)


def _cpu_s(pid: int) -> tuple[float, float]:
    """Of a process so far, and of its children that have ended (proc(5), /proc/PID/stat, fields 14 to 17)."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    own, children = (sum(map(int, fields[first : first + 2])) * _TICK_S for first in (11, 13))
    return own, children


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)


def _children(pid: int) -> Iterator[int]:
    """Resident memory of each child that runs now."""
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):
            yield child.memory_info().rss


if __name__ == "__main__":
    main()
