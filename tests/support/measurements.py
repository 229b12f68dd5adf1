"""Measurements, arrivals and batches for tests of what the collector does with them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from fibrewatch import sketch
from fibrewatch.measurement import Conditions, Measurement, Target
from fibrewatch.results.ping import Result
from fibrewatch.wire import AgentId, Batch, decode_measurement, encode
from fibrewatch_collector.store import Arrival, Delivery

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
RECEIVED = NOON + 61.0
AGENT = AgentId("paris", "cargo", "box-01")
STREAM = "00000000000000aa"


def result(sent: int = 60, lost: int = 0, rtt: float = 0.0123) -> Result:
    """A ping window in which each reply took equally long."""
    replies = sketch.of([rtt] * (sent - lost)) if sent > lost else None
    return Result(sent=sent, lost=lost, deadline=2.0, rtt_p50=rtt, rtt_max=rtt, rtt=replies, stamps="kernel")


def window(at: float = NOON, **changes: Any) -> Measurement[Result]:
    """A good ping window that started at `at`; `changes` replace its fields."""
    whole: dict[str, Any] = {
        "probe": "ping",
        "test": "latency",
        "target": Target(name="operator-1", role="operator", address="192.0.2.1"),
        "interface": "eth0",
        "family": 4,
        "started_at": datetime.fromtimestamp(at, UTC),
        "boottime_s": 1000.0,
        "boot": "0123abcd",
        "duration_s": 60.0,
        "outcome": "ok",
        "conditions": Conditions(clock_synchronised=True, cpu_busy=0.05),
        "result": result(),
    }
    return Measurement(**whole | changes)


def raw_window(at: float = NOON, **changes: Any) -> bytes:
    """The bytes of `window`."""
    return encode(window(at, **changes))


def good(seq: int, raw: bytes | None = None) -> Arrival:
    """An arrival that admission let through; by default the `seq`-th minute after noon."""
    raw = raw if raw is not None else raw_window(NOON + 60 * (seq - 1))
    return Arrival(seq, raw, decode_measurement(raw))


def bad(seq: int, raw: bytes = b'{"probe":', reason: str = "malformed") -> Arrival:
    """An arrival that admission refused."""
    return Arrival(seq, raw, None, reason)


def delivery(
    *arrivals: Arrival, oldest: int = 1, agent: AgentId = AGENT, stream: str = STREAM, at: float = RECEIVED
) -> Delivery:
    """A batch of them."""
    return Delivery(agent, stream, oldest, at, arrivals, sum(len(arrival.raw) for arrival in arrivals))


def batch(raws: Sequence[bytes], first: int = 1, oldest: int = 1, stream: str = STREAM) -> bytes:
    """The payload of a batch, whatever the measurements are."""
    head = f'{{"stream":"{stream}","first":{first},"oldest":{oldest},"measurements":['
    return head.encode() + b",".join(raws) + b"]}"


def proper_batch(raws: Sequence[bytes], first: int = 1, oldest: int = 1, stream: str = STREAM) -> bytes:
    """The same as a box encodes it."""
    return encode(Batch(stream=stream, first=first, oldest=oldest, measurements=[msgspec.Raw(raw) for raw in raws]))
