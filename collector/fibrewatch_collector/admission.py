"""What may be stored: pure checks of a payload from a known agent; every refusal has a reason of a fixed list."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any

from fibrewatch import sketch
from fibrewatch.errors import WireError
from fibrewatch.measurement import UNDATED, AnyMeasurement
from fibrewatch.results import PROBES, ProbeType
from fibrewatch.wire import AgentId, Batch, decode_batch, decode_measurement
from fibrewatch_collector.store import Arrival, Delivery

DAY_S = 86_400.0
FUTURE_S = 3_600.0
"""So far may a box's clock be ahead of ours."""
MAX_DURATION_S = 2 * DAY_S
LARGEST = 1e15
SET_ASIDE_BYTES = 64 * 1024
"""So much is kept of a payload of which nothing could be read."""
REASONS = (
    "malformed",
    "oversized",
    "time_future",
    "time_past",
    "duration",
    "number_range",
    "counts",
    "histogram",
    "too_many_series",
)
"""Why measurements are refused: the values of a counter's label."""

_condition_numbers = attrgetter(
    "clock_offset_bound_s", "cpu_busy", "temperature_celsius", "link_speed", "cross_traffic"
)


Getter = Callable[[Any], tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class _Fields:
    """How to get at the described fields of a probe's result; `counted` when it has sent and lost."""

    numbers: Getter
    histograms: Getter
    counted: bool


def _fields_of(probe: ProbeType) -> _Fields:
    histograms = [name for name, metric in probe.fields if metric.kind == "histogram"]
    numbers = [name for name, metric in probe.fields if metric.kind != "histogram"]
    return _Fields(_getter(numbers), _getter(histograms), {"sent", "lost"} <= set(numbers))


def _getter(names: Sequence[str]) -> Getter:
    if len(names) > 1:
        return attrgetter(*names)
    only = attrgetter(*names) if names else None  # of one name it gives no tuple
    return lambda result: (only(result),) if only else ()


_FIELDS: Mapping[str, _Fields] = {name: _fields_of(probe) for name, probe in PROBES.items()}


def delivery(agent: AgentId, payload: bytes, received_at: float, retention_s: float) -> Delivery:
    """The batch in a payload, each measurement decoded or refused once it is looked at.

    Raises:
        WireError: Not even its stream and numbers can be read, see `set_aside`.
    """
    batch = decode_batch(payload)
    arrivals = _Arrivals(batch, received_at, retention_s)
    return Delivery(agent, batch.stream, min(batch.oldest, batch.first), received_at, arrivals, len(payload))


def set_aside(agent: AgentId, payload: bytes, received_at: float, reason: str) -> Delivery:
    """A payload that can't be read, as something to keep (its beginning, at least) but never to acknowledge."""
    kept = payload[:SET_ASIDE_BYTES]
    return Delivery(agent, "", 0, received_at, (Arrival(0, kept, None, reason),), len(kept))


class _Arrivals(Sequence[Arrival]):
    """A batch's measurements, decoded when the first is asked for: by the writer, some hundred in a row.

    A process that wakes for each batch has cold caches: decoding then costs twice as much.
    """

    def __init__(self, batch: Batch, received_at: float, retention_s: float) -> None:
        self._batch, self._received_at, self._retention_s = batch, received_at, retention_s

    def __len__(self) -> int:
        return len(self._batch.measurements)

    def __getitem__(self, at: Any) -> Any:
        return self._decoded[at]

    def __iter__(self) -> Iterator[Arrival]:
        return iter(self._decoded)

    @cached_property
    def _decoded(self) -> Sequence[Arrival]:
        numbered = enumerate(self._batch.measurements, self._batch.first)
        return [_arrival(seq, bytes(raw), self._received_at, self._retention_s) for seq, raw in numbered]


def _arrival(seq: int, raw: bytes, received_at: float, retention_s: float) -> Arrival:
    try:
        measurement = decode_measurement(raw)
    except WireError as e:
        return Arrival(seq, raw, None, e.reason)
    reason = refusal(measurement, received_at, retention_s)
    return Arrival(seq, raw, None if reason else measurement, reason)


def refusal(measurement: AnyMeasurement, received_at: float, retention_s: float) -> str | None:
    """Why a measurement can't be stored; None when it can."""
    if UNDATED not in measurement.reasons:
        age_s = received_at - measurement.started_at.timestamp()
        if age_s < -FUTURE_S:
            return "time_future"
        if age_s > retention_s:
            return "time_past"
    if not 0 <= measurement.duration_s <= MAX_DURATION_S:
        return "duration"
    if not abs(measurement.boottime_s) <= LARGEST or not _in_range(_condition_numbers(measurement.conditions)):
        return "number_range"
    return _result_refusal(measurement)


def _result_refusal(measurement: AnyMeasurement) -> str | None:
    fields, result = _FIELDS.get(measurement.probe), measurement.result
    if fields is None or result is None:
        return None
    most = LARGEST
    if fields.counted and result.sent is not None and result.lost is not None:
        most = result.sent - result.lost
        if most < 0:
            return "counts"
    if not _in_range(fields.numbers(result)):
        return "number_range"
    for buckets in fields.histograms(result):
        if not _is_histogram(buckets, most):
            return "histogram"
    return None


def _in_range(values: Sequence[Any]) -> bool:
    """Whether all that are there are: described fields and conditions are numbers."""
    return max(map(abs, filter(None, values)), default=0) <= LARGEST


def _is_histogram(buckets: sketch.Buckets | None, most: float) -> bool:
    """Whether it can be one: indices of the mapping, no negative counts, no more samples than replies."""
    if not buckets:
        return True
    if min(buckets) < sketch.MIN_INDEX or max(buckets) > sketch.MAX_INDEX or min(buckets.values()) < 0:
        return False
    return sum(buckets.values()) <= most
