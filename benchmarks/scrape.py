"""`python -m benchmarks.scrape`: a scrape of the collector over HTTP, beside prometheus_client's generate_latest.

The largest is that of ten thousand boxes with six windows a minute each.

Before each scrape every test of every box delivers a new window, the most that can be new; prometheus_client renders
as many series, of as many labels, without HTTP. Medians of `--scrapes`.
"""

import signal
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from benchmarks.support import Process, get, options, python, save, stopwatch, table, wait_until_ready
from tests.support.mosquitto import free_port

SIZES = (30_000, 120_000, 600_000, 2_870_000)
FAMILIES = 20
LABELS = ("territory", "site", "agent", "interface", "target", "test")
FILL_TIMEOUT_S = 300.0


def ours(series: int, scrapes: int) -> tuple[int, int, float]:
    """Boxes, samples on the page, and the median seconds of a scrape."""
    port = free_port()
    with TemporaryDirectory(prefix="fibrewatch-bench-") as folder:
        argv = python("-m", "benchmarks.scrape_server", "--series", str(series), "--port", str(port))
        with Process(argv, Path(folder) / "server.log") as server:
            _wait_for_round(server, 1)
            url = f"http://127.0.0.1:{port}/metrics"
            wait_until_ready(f"http://127.0.0.1:{port}/healthz")
            taken, page = [], b""
            for number in range(scrapes):
                with stopwatch() as seconds:
                    page = get(url)
                taken += seconds
                server.signal(signal.SIGUSR1)
                _wait_for_round(server, number + 2)
            boxes = int(server.log.read_text("utf-8").split("boxes ")[1].split()[0])
    samples = sum(1 for line in page.splitlines() if line and not line.startswith(b"#"))
    return boxes, samples, statistics.median(taken)


def _wait_for_round(server: Process, number: int) -> None:
    deadline = time.monotonic() + FILL_TIMEOUT_S
    while f"round {number} " not in server.log.read_text("utf-8"):
        if time.monotonic() > deadline or server.ended:
            raise SystemExit(f"the server did not fill up:\n{server.log.read_text('utf-8')[-2000:]}")
        time.sleep(0.05)


def theirs(series: int, scrapes: int) -> float:
    """Median seconds of prometheus_client's generate_latest."""
    registry = CollectorRegistry()
    per_family = series // FAMILIES
    for family in range(FAMILIES):
        gauge = Gauge(f"fibrewatch_bench_{family}_seconds", "As many series.", LABELS, registry=registry)
        for number in range(per_family):
            labels = (
                "sim",
                f"site-{number // 24:04d}",
                f"box-{number // 6 % 4:02d}",
                "eth0",
                f"target-{number % 6}",
                "ping",
            )
            gauge.labels(*labels).set(0.0041 + number * 1e-9)
    taken = []
    for _ in range(scrapes):
        with stopwatch() as seconds:
            generate_latest(registry)
        taken += seconds
    return statistics.median(taken)


def main() -> None:
    """Prints the table and keeps the figures."""
    parser = options(__doc__ or "")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--scrapes", type=int, default=5)
    given = parser.parse_args()
    rows, runs = [], []
    for size in given.sizes:
        boxes, samples, our_s = ours(size, given.scrapes)
        their_s = theirs(samples, max(1, given.scrapes * 30_000 // size))
        rows.append((f"{boxes:,}", f"{samples:,}", f"{our_s:.3f}", f"{their_s:.2f}", f"{our_s / their_s:.3f}"))
        runs.append(
            {
                "boxes": boxes,
                "series": samples,
                "seconds": our_s,
                "generate_latest_seconds": their_s,
                "ratio": our_s / their_s,
            }
        )
    heads = ("Scrape, boxes", "series", "fibrewatch over HTTP, s", "generate_latest, s", "ratio")
    print(table(heads, rows))
    save(given.results, "scrape", {"heads": heads, "rows": rows, "runs": runs, "scrapes": given.scrapes})


if __name__ == "__main__":
    main()
