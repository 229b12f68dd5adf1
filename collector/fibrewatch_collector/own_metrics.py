"""The collector's metrics about itself, by prometheus-client in a registry of their own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

COMMIT_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class OwnMetrics:
    """One instance for each collector; every method is cheap enough for the event loop."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        self.received = self._counter("received", "Measurements that came in batches, resent ones too.")
        self.stored = self._counter("stored", "Measurements that were new and are durably stored.")
        self.duplicates = self._counter("duplicates", "Measurements that were stored already: resent ones.")
        self.conflicts = self._counter(
            "conflicts", "Measurements whose number another one has in the store: a cloned card, say. Kept apart."
        )
        self.refused = self._counter("refused", "Measurements kept raw and settled, but not taken.", "reason")
        self.lost = self._counter("lost", "Measurements that can never come any more.")
        self.untaken = self._counter("untaken", "Measurements too far ahead of their stream, to be sent again.")
        self.unknown_agents = self._counter("unknown_agents", "Messages of boxes that are not in the inventory.")
        self.bad_payloads = self._counter("bad_payloads", "Messages that are not of the contract.", "reason")
        self.queue = self._gauge("queue_depth", "Batches that wait for the writer.")
        self.store_up = self._gauge("store_up", "1 while the store takes what it is given.")
        self.broker_up = self._gauge("broker_up", "1 while the collector is connected to the broker.")
        self.series = self._gauge("series", "Series of the boxes that are known.")
        self.sites = self._gauge("sites", "Sites in the inventory.")
        self.agents = self._gauge("agents", "Boxes in the inventory.")
        self.expired = self._counter("expired_series", "Times that a silent series' values were taken away.")
        self.refused_series = self._counter("refused_series", "Results of series beyond what one box may have.")
        self.bins_behind = self._gauge("bins_behind_seconds", "Age of the end of the newest minute that was judged.")
        self.reload_failed = self._gauge("reload_failed", "1 when the last reload of the inventory was refused.")
        self.commit_seconds = Histogram(
            "fibrewatch_collector_commit_seconds",
            "Time that one durable transaction took.",
            buckets=COMMIT_BOUNDS,
            registry=self.registry,
        )
        info = self._gauge("info", "The collector's version.", "version")
        info.labels(version).set(1)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"fibrewatch_collector_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"fibrewatch_collector_{name}", text, labels, registry=self.registry)

    def text(self) -> bytes:
        """In the text format."""
        return generate_latest(self.registry)
