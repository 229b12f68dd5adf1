"""Results by Prometheus remote write 1.0, late ones too, at their own time.

The store is the queue: `feed` reads what it holds beyond a mark, so that nothing waits in memory, ingest never waits
for a server, and a restart goes on where the mark stands. `samples` makes a run's samples under the names that
`/metrics` gives them, `encoding` writes them down, `sender` asks the server once.
"""
