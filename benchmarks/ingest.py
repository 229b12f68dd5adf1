"""`python -m benchmarks.ingest`: CPU a measurement of the collector, beside Debian's prometheus-mqtt-exporter.

The collector stores each one durably and acknowledges it (simulate ends only then); the exporter keeps the newest ones.
Both are fed over a Mosquitto of their own at the same rate, in turn, `--rounds` times; the medians are shown.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.peer_publisher import exporter_config
from benchmarks.support import Process, get, need, options, python, save, table, wait_until_ready
from fibrewatch_collector.operator.files import collector_toml, sites_toml
from fibrewatch_collector.operator.generate import fleet
from tests.support.mosquitto import Mosquitto, free_port

SITES, AGENTS = 50, 4
EXPORTER = "/usr/bin/prometheus-mqtt-exporter"
FLAT_OUT = 100_000.0


@dataclass(frozen=True, slots=True)
class Run:
    """One feeding: `measurements` in `seconds`, for `cpu_s` of the receiver's processor time."""

    name: str
    offered: float
    measurements: int
    seconds: float
    cpu_s: float

    @property
    def cpu_us_each(self) -> float:
        """Microseconds of CPU a measurement."""
        return self.cpu_s / self.measurements * 1e6

    @property
    def rate(self) -> float:
        """Measurements a second."""
        return self.measurements / self.seconds


def run_collector(name: str, rate: float, duration_s: float, batch: int) -> Run:
    """Simulated boxes → Mosquitto → collector, until everything is acknowledged."""
    with TemporaryDirectory(prefix="fibrewatch-bench-") as made, Mosquitto(Path(made)) as broker:
        folder, http = Path(made), free_port()
        (folder / "sites.toml").write_text(sites_toml(fleet(SITES, AGENTS)), "utf-8")
        (folder / "collector.toml").write_text(collector_toml(broker.port, http), "utf-8")
        argv = python("-m", "fibrewatch_collector", "run", "--config", str(folder / "collector.toml"))
        with Process(argv, folder / "collector.log") as collector:
            wait_until_ready(f"http://127.0.0.1:{http}/readyz")
            before, begun = collector.cpu_s(), time.monotonic()
            with Process(_simulate(broker.port, rate, duration_s, batch), folder / "simulate.log") as boxes:
                boxes.wait(duration_s * 20 + 120)
                seconds = _seconds(boxes.log.read_text("utf-8"), time.monotonic() - begun)
            return Run(name, rate, round(rate * duration_s), seconds, collector.cpu_s() - before)


def _simulate(port: int, rate: float, duration_s: float, batch: int) -> list[str]:
    load = f"--sites {SITES} --agents {AGENTS} --rate {rate} --duration {duration_s} --batch {batch}"
    return python("-m", "fibrewatch_collector.operator.cli", "simulate", "--broker", f"127.0.0.1:{port}", *load.split())


def _seconds(summary: str, otherwise: float) -> float:
    """From the first measurement to the last acknowledgement, as simulate tells."""
    told = [word.partition("=")[2] for word in summary.split() if word.startswith("seconds=")]
    return float(told[0]) if told else otherwise


def run_exporter(rate: float, duration_s: float) -> Run:
    """The same number of messages → Mosquitto → exporter, until it has counted them all."""
    count = round(rate * duration_s)
    with TemporaryDirectory(prefix="fibrewatch-bench-") as made, Mosquitto(Path(made)) as broker:
        folder, http = Path(made), free_port()
        (folder / "exporter.yaml").write_text(exporter_config(broker.port), "utf-8")
        listen = ["-listen-address", "127.0.0.1", "-listen-port", str(http)]
        argv = [EXPORTER, "-config", str(folder / "exporter.yaml"), *listen]
        with Process(argv, folder / "exporter.log") as exporter:
            metrics = f"http://127.0.0.1:{http}/metrics"
            _wait_for_subscription(exporter)
            before, begun = exporter.cpu_s(), time.monotonic()
            feed = ["--port", broker.port, "--devices", SITES * AGENTS, "--count", count, "--rate", rate]
            with Process(python("-m", "benchmarks.peer_publisher", *map(str, feed)), folder / "feed.log") as publisher:
                publisher.wait(duration_s * 20 + 120)
                seconds = _seconds(publisher.log.read_text("utf-8"), time.monotonic() - begun)
            cpu_s, counted = _settle(exporter, metrics, count)
            return Run("prometheus-mqtt-exporter", rate, counted, seconds, cpu_s - before)


def _wait_for_subscription(exporter: Process) -> None:
    deadline = time.monotonic() + 30
    while "Will subscribe to topic" not in exporter.log.read_text("utf-8"):
        if time.monotonic() > deadline:
            raise SystemExit(f"the exporter did not subscribe: {exporter.log.read_text('utf-8')}")
        time.sleep(0.1)
    time.sleep(0.5)  # what it says it will do


def _settle(exporter: Process, metrics: str, count: int) -> tuple[float, int]:
    """CPU when the exporter has counted all, its own scrapes not charged to it; and how many it counted.

    Now and then it misses one: then it is charged for those that it counted, which must be nearly all.
    """
    charged, counted, unchanged = 0.0, 0, 0
    while counted < count and unchanged < 6:
        time.sleep(0.5)
        cpu_s = exporter.cpu_s() - charged
        page = get(metrics).decode()
        charged += exporter.cpu_s() - charged - cpu_s
        lines = [line for line in page.splitlines() if line.startswith("received_messages{")]
        now = round(sum(float(line.split()[-1]) for line in lines if 'status="success"' in line))
        counted, unchanged = now, unchanged + 1 if now == counted else 0
    if counted < 0.99 * count:
        raise SystemExit(f"the exporter counted {counted} of {count} messages")
    return cpu_s, counted


def _median(runs: list[Run]) -> Run:
    return sorted(runs, key=lambda run: run.cpu_us_each)[len(runs) // 2]


def measure(rate: float, duration_s: float, rounds: int) -> list[Run]:
    """Each in turn, `rounds` times; the median of each."""
    kinds: list[Callable[[], Run]] = [
        lambda: run_exporter(rate, duration_s),
        lambda: run_collector("fibrewatch, batches of 1", rate, duration_s, 1),
        lambda: run_collector("fibrewatch, batches of 20", rate, duration_s, 20),
    ]
    taken = [[kind() for kind in kinds] for _ in range(rounds)]
    return [_median([each[i] for each in taken]) for i in range(len(kinds))]


def main() -> None:
    """Prints the table and keeps the figures."""
    parser = options(__doc__ or "")
    parser.add_argument("--rate", type=float, default=2000.0, help="measurements offered a second")
    parser.add_argument("--duration", type=float, default=25.0, help="seconds of each feeding")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    need("mosquitto", "prometheus-mqtt-exporter", programs=["mosquitto", "prometheus-mqtt-exporter"])
    runs = measure(given.rate, given.duration, given.rounds)
    most = [
        run_collector(f"fibrewatch, batches of {batch}, flat out", FLAT_OUT, each / FLAT_OUT, batch)
        for batch, each in ((1, 20_000), (20, 100_000))
    ]
    peer = runs[0].cpu_us_each
    rows = [
        (run.name, f"{run.rate:,.0f}", f"{run.cpu_us_each:.0f}", f"{run.cpu_us_each / peer:.2f}") for run in runs + most
    ]
    heads = ("Ingest, 200 agents, 12 fields", "measurements/s", "CPU µs each", "of the exporter's")
    print(table(heads, rows))
    figures = [asdict(run) | {"cpu_us_each": run.cpu_us_each, "ratio": run.cpu_us_each / peer} for run in runs + most]
    save(given.results, "ingest", {"heads": heads, "rows": rows, "runs": figures, "rounds": given.rounds})


if __name__ == "__main__":
    main()
