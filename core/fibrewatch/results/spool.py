"""spool: written by the agent itself when its spool had to drop measurements; how many, and from when to when."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Struct

from fibrewatch.measurement import Count
from fibrewatch.metric import Metric

MODE = "event"

Cause = Literal["bytes", "age", "disk_full", "damaged", "unacknowledged"]
"""Why: the spool's bounds; the disk refused and memory was full; the file was damaged; sent alone again and again,
a measurement was never acknowledged while those behind it got through."""


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """spool has no settings: it is never scheduled."""


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Measurements that were dropped, oldest first.

    Attributes:
        stream: The stream that they belonged to.
        first: Lowest sequence number dropped.
        last: Highest sequence number dropped.
        oldest_at: started_at of the first one, newest_at of the last.
    """

    dropped: Annotated[Count, Metric("measurements", "Measurements the spool had to drop.", "lower", "counter")]
    cause: Cause
    stream: str
    first: int
    last: int
    oldest_at: datetime | None = None
    newest_at: datetime | None = None
