"""`python -m benchmarks.rules`: how long Prometheus takes to evaluate all rules, by the number of sites.

The page is the collector's own, of made-up sites with two promises each. Prometheus scrapes it each second for
`--seconds`: 120 are as many samples as ten minutes have at 5 s, which is what alerts hold. By Prometheus' own count.
"""

import http.server
import math
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.support import options, save, table
from fibrewatch.results import PROBES
from fibrewatch.wire import AgentId
from fibrewatch_collector.families import CONTENT_TYPE
from fibrewatch_collector.hub import Hub
from fibrewatch_collector.inventory import load_inventory
from fibrewatch_collector.operator import files, generate
from fibrewatch_collector.own_metrics import OwnMetrics
from fibrewatch_collector.store import Bin
from tests.support.alerting import RULES
from tests.support.prometheus import Prometheus

SIZES = (50, 1000)
PROMISES = """
[[sla]]
id = "gold"

[[sla.objective]]
id = "net"
kind = "availability"
asked = 0.999

[[sla.objective]]
id = "loss"
kind = "loss"
metric = "ping"
asked = 0.001
"""
LAST = "prometheus_rule_group_last_duration_seconds"


def page(sites: int, folder: Path) -> bytes:
    """What the collector shows of so many sites, one of them cut off."""
    fleet = generate.fleet(sites, 1)
    text = files.sites_toml(fleet).replace('kind = "fibre"\n', 'kind = "fibre"\nsla = "gold"\n')
    (folder / "sites.toml").write_text(text + PROMISES, "utf-8")
    now = time.time()
    hub = Hub(load_inventory(folder / "sites.toml"), PROBES, OwnMetrics("bench"), lambda: now)
    hub.set_broker(True)
    hub.set_store(None)
    plan = generate.Plan(seed="1", begin=now - 62)
    for box in fleet:
        _heard(hub, generate.Source(plan, box), box, now)
    minute = int(now // 60) * 60
    hub.add_bins([Bin(box.territory, box.site, "fibre", minute, "A", None, 2) for box in fleet])
    return b"".join(hub.metrics())


def _heard(hub: Hub, source: generate.Source, box: AgentId, now: float) -> None:
    for number in range(len(generate.TARGETS)):
        hub.recall(box, source.measurement(number), now)
    hub.status(box, generate.status(source, "online", now, 0), now)


class Server(http.server.ThreadingHTTPServer):
    """The page at any path, on loopback."""

    def __init__(self, content: bytes) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Nothing to say."""

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def measured(sites: int, seconds: float) -> tuple[int, dict[str, float]]:
    """Series of the page, and each group's median time."""
    with TemporaryDirectory(prefix="fibrewatch-bench-") as name:
        folder = Path(name)
        content = page(sites, folder)
        server = Server(content)
        port = server.server_address[1]
        prometheus = Prometheus(folder / "prometheus", port)
        (folder / "prometheus/prometheus.yaml").write_text(
            f"global: {{scrape_interval: 1s, evaluation_interval: 10s}}\nrule_files: ['{RULES}']\nscrape_configs:\n"
            f"- job_name: fibrewatch\n  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
            f"- job_name: prometheus\n  static_configs: [{{targets: ['127.0.0.1:{prometheus.port}']}}]\n"
        )
        with prometheus:
            time.sleep(seconds)
            took = prometheus.query(f"quantile_over_time(0.5, {LAST}[{seconds / 2:.0f}s])")
        server.shutdown()
        server.server_close()
    series = sum(1 for line in content.splitlines() if line and not line.startswith(b"#"))
    return series, {labels["rule_group"].rpartition(";")[2]: value for labels, value in took}


def main() -> None:
    """Prints the table and keeps the figures."""
    parser = options(__doc__ or "")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seconds", type=float, default=150.0)
    given = parser.parse_args()
    rows, runs = [], []
    for size in given.sizes:
        series, took = measured(size, given.seconds)
        now, slow = took["fibrewatch-now"], took["fibrewatch-slow"]
        recorded = math.fsum(value for name, value in took.items() if "recorded" in name)
        rows.append((f"{size:,}", f"{series:,}", f"{now:.3f}", f"{slow:.3f}", f"{recorded:.3f}", f"{now / 10:.4f}"))
        runs.append({"sites": size, "series": series, "groups": took})
    heads = ("Rules, sites", "series", "alerts each 10 s, s", "alerts each minute, s", "recorded, s", "of 10 s")
    print(table(heads, rows))
    save(given.results, "rules", {"heads": heads, "rows": rows, "runs": runs, "seconds": given.seconds})


if __name__ == "__main__":
    main()
