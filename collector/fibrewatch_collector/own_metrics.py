"""The collector's metrics about itself, by prometheus-client in a registry of their own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics_format

from fibrewatch_collector.stats import RemoteStats, Stats

PREFIX = "fibrewatch_collector"
COMMIT_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_COUNTERS = {
    "payloads": "Messages of known boxes with results.",
    "received": "Measurements that came in batches, resent ones too.",
    "stored": "Measurements that were new and are durably stored.",
    "duplicates": "Measurements that were stored already: resent ones.",
    "conflicts": "Measurements whose number another one has in the store (a cloned card, say): kept apart.",
    "lost": "Measurements that can never come any more.",
    "untaken": "Measurements too far ahead of their stream, to be sent again.",
    "dropped": "Measurements not taken for want of room, to be sent again.",
    "gave_up": "Measurements that the store can't take while it takes others.",
    "unknown_agents": "Messages of boxes that are not in the inventory.",
    "twins": "Times that a machine came back under an id which another had taken since: two boxes with one id.",
    "shut_out": "Messages of boxes whose certificates were revoked.",
    "unknown_probes": "Measurements of probes that this collector does not know: stored, not shown.",
    "acks": "Acknowledgements published.",
    "store_failures": "Transactions that the store refused.",
}
_BY_REASON = {
    "refused": "Measurements kept raw and settled, but not taken.",
    "bad_payloads": "Messages that are not of the contract.",
}
_HTTP_REFUSED = f"{PREFIX}_http_refused"
_CERTIFICATE = f"{PREFIX}_certificate_until_timestamp_seconds"
_REMOTE = {
    "measurements": "Measurements that the server of remote write took.",
    "samples": "Samples of these measurements.",
    "retries": "Requests of remote write that failed for a time and are sent again.",
}
_REMOTE_DROPPED = f"{PREFIX}_remote_write_dropped"
_REMOTE_LEVELS = {
    "up": "1 when the last request of remote write was taken.",
    "behind_seconds": "How long the oldest measurement that waits for remote write has been in the store.",
}
_LEVELS = {
    "queue_depth": "Measurements that wait for the store.",
    "store_up": "1 while the store takes what it is given.",
    "broker_up": "1 while the collector is connected to the broker.",
    "series": "Series of the boxes that are known.",
    "sites": "Sites in the inventory.",
    "agents": "Boxes in the inventory.",
    "clock_behind_seconds": "How far this machine's clock is behind the newest data; nothing is taken meanwhile.",
    "reload_failed": "1 when the last reload of the inventory was refused.",
    "bins_behind_seconds": "Age of the newest minute that was judged, from its end.",
}
_TALLIES = {
    "expired_series": "Times that a silent series' values were taken away.",
    "reports_written": "Files of monthly reports that were written.",
    "report_failures": "Monthly reports that could not be written, to be tried again.",
    "refused_series": "Results of series beyond what one box may have.",
}


def labels_of(name: str) -> tuple[str, ...]:
    """The labels of one of these metrics."""
    short = name.removeprefix(f"{PREFIX}_").removesuffix("_total")
    if short == "info":
        return ("version",)
    if name == _CERTIFICATE:
        return ("certificate",)
    return ("reason",) if short in _BY_REASON or name.startswith((_REMOTE_DROPPED, _HTTP_REFUSED)) else ()


@dataclass(slots=True)
class Levels:
    """What the hub knows; None is not shown."""

    store_up: float = 0
    broker_up: float = 0
    series: float = 0
    sites: float = 0
    agents: float = 0
    clock_behind_seconds: float = 0
    reload_failed: float = 0
    bins_behind_seconds: float | None = None
    expired_series: int = 0
    refused_series: int = 0
    reports_written: int = 0
    report_failures: int = 0


class OwnMetrics:
    """A `prometheus_client` collector over what ingest counts and the hub knows."""

    def __init__(self, version: str) -> None:
        self.levels = Levels()
        self.stats = Stats()
        self.remote = RemoteStats()
        self.http_refused: dict[str, int] = {}
        self.certificates: dict[str, float] = {}
        self.depth: Callable[[], int] = lambda: 0
        self.registry = CollectorRegistry()
        self.commit_seconds = Histogram(
            f"{PREFIX}_commit_seconds",
            "Time that one durable transaction took.",
            buckets=COMMIT_BOUNDS,
            registry=self.registry,
        )
        self._version = version
        self.registry.register(self)

    def watch(self, stats: Stats, depth: Callable[[], int]) -> None:
        """Shows these numbers from now on."""
        self.stats, self.depth = stats, depth

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client.registry.Collector."""
        yield InfoMetricFamily(PREFIX, "The collector's version.", value={"version": self._version})
        for name, text in _COUNTERS.items():
            yield CounterMetricFamily(f"{PREFIX}_{name}", text, value=getattr(self.stats, name))
        for name, text in _BY_REASON.items():
            family = CounterMetricFamily(f"{PREFIX}_{name}", text, labels=["reason"])
            for reason, count in sorted(getattr(self.stats, name).items()):
                family.add_metric([reason], count)
            yield family
        for name, text in _TALLIES.items():
            yield CounterMetricFamily(f"{PREFIX}_{name}", text, value=getattr(self.levels, name))
        for name, text in _LEVELS.items():
            value = self.depth() if name == "queue_depth" else getattr(self.levels, name)
            if value is not None:
                yield GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value)
        text = "When a certificate expires that boxes or users need: the broker's, the authority's, the collector's."
        expiry = GaugeMetricFamily(_CERTIFICATE, text, labels=["certificate"])
        for name, until in sorted(self.certificates.items()):
            expiry.add_metric([name], until)
        yield expiry
        yield from self._remote()
        family = CounterMetricFamily(
            _HTTP_REFUSED, "Requests that were not let through: no token, no scope, too many.", labels=["reason"]
        )
        for reason, count in sorted(self.http_refused.items()):
            family.add_metric([reason], count)
        yield family

    def _remote(self) -> Iterator[Metric]:
        for name, text in _REMOTE.items():
            yield CounterMetricFamily(f"{PREFIX}_remote_write_{name}", text, value=getattr(self.remote, name))
        family = CounterMetricFamily(
            _REMOTE_DROPPED, "Measurements that remote write leaves out; the store has them.", labels=["reason"]
        )
        for reason, count in sorted(self.remote.dropped.items()):
            family.add_metric([reason], count)
        yield family
        for name, text in _REMOTE_LEVELS.items():
            if (value := getattr(self.remote, name)) is not None:
                yield GaugeMetricFamily(f"{PREFIX}_remote_write_{name}", text, value=value)

    def text(self, *, openmetrics: bool = False) -> bytes:
        """In the text format, or in OpenMetrics with the mark of its end."""
        write: Callable[[CollectorRegistry], bytes] = (
            openmetrics_format.generate_latest if openmetrics else generate_latest
        )
        return write(self.registry)
