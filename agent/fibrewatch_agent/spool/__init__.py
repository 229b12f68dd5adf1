"""What was measured and is not yet acknowledged: numbered streams in a bounded SQLite file, see `spool`."""

from fibrewatch_agent.spool.rows import Chunk
from fibrewatch_agent.spool.spool import Spool

__all__ = ["Chunk", "Spool"]
