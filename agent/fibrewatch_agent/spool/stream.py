"""What the backlog knows of each stream, and its bounds."""

from collections.abc import Callable
from dataclasses import dataclass

from fibrewatch_agent.spool.file import COMMIT_BYTES, OVERHEAD_BYTES
from fibrewatch_agent.spool.rows import Row


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may be held: bytes on the disk, all files together; seconds since a measurement's start.

    Attributes:
        sync_s: How long rows may wait in memory for their acknowledgement before they are written; 0: not at all.
    """

    max_bytes: int
    max_age_s: float
    sync_s: float = 0.0

    @property
    def rows_bytes(self) -> int:
        """What rows may take of `max_bytes`."""
        return max(self.max_bytes - OVERHEAD_BYTES, COMMIT_BYTES)


@dataclass(slots=True)
class Stream:
    """A stream and how far it is.

    Attributes:
        place: Its number in the file; a higher one is younger.
        last: Highest number given.
        sent: Highest number that may have been sent.
        handed: Highest number handed to the uplink.
        acked: Highest number acknowledged.
        buried: Highest number deleted from the file: behind `acked` while the disk refuses.
        rewrite: What is still to be done to its undated rows.
    """

    place: int
    id: str
    boot: str
    last: int = 0
    sent: int = 0
    handed: int = 0
    acked: int = 0
    buried: int = 0
    rewrite: Callable[[Row], Row] | None = None
