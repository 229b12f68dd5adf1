"""What ingest counts of itself: plain numbers, changed on the event loop only."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from fibrewatch.results import PROBES
from fibrewatch_collector.store import Committed

State = Literal["online", "degraded", "offline"]


@dataclass(slots=True)
class RemoteStats:
    """Of remote write, since the start.

    Attributes:
        measurements: Those that were taken; `samples` are theirs.
        dropped: By reason, those that will not be sent.
        retries: Requests that were, or will be, sent again.
        up: Whether the last request was taken; None before the first.
        behind_seconds: How long the oldest that waits has been in the store; None where nothing goes this way.
    """

    measurements: int = 0
    samples: int = 0
    retries: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    up: bool | None = None
    behind_seconds: float | None = None


@dataclass(slots=True)
class Stats:
    """Since the start.

    Attributes:
        payloads: Messages of known agents on the channel results.
        received: Measurements in them.
        refused: By reason, measurements kept in quarantine; conflicts not among them.
        bad_payloads: By reason, messages of which nothing could be used.
        dropped: Measurements not taken for want of room: not acknowledged, they come again.
        gave_up: Measurements that the store can't take while it takes others.
        unknown_probes: Stored, but this program doesn't know the probe.
        store_failures: Transactions that failed.
        connected: Subscribed at the broker.
        store_problem: Why the store refuses what it is given; None while it works. `state` is then "degraded", or
            "offline" without a broker.
    """

    payloads: int = 0
    received: int = 0
    stored: int = 0
    duplicates: int = 0
    conflicts: int = 0
    lost: int = 0
    untaken: int = 0
    dropped: int = 0
    gave_up: int = 0
    unknown_agents: int = 0
    twins: int = 0
    shut_out: int = 0
    unknown_probes: int = 0
    acks: int = 0
    commits: int = 0
    store_failures: int = 0
    commit_seconds: float = 0.0
    refused: Counter[str] = field(default_factory=Counter)
    bad_payloads: Counter[str] = field(default_factory=Counter)
    connected: bool = False
    broker_certificate_until: float | None = None
    store_problem: str | None = None
    state: State = "offline"

    def add(self, done: Committed, seconds: float) -> None:
        """Counts one transaction."""
        self.commits += 1
        self.commit_seconds += seconds
        self.stored += len(done.stored)
        self.unknown_probes += sum(measurement.probe not in PROBES for _, measurement in done.stored)
        self.duplicates += done.duplicates
        self.conflicts += done.conflicts
        self.lost += done.lost
        self.untaken += done.untaken
        self.refused.update(done.reasons)
