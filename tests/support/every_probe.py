"""A result of any probe of the registry, made up from its fields' types and units: also of probes to come."""

import types
from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Struct

from fibrewatch import sketch
from fibrewatch.measurement import Conditions, Measurement, Role, Target
from fibrewatch.metric import Metric
from fibrewatch.results import ProbeType

_VALUES: Mapping[str, float] = {
    "seconds": 0.012,
    "ratio": 0.02,
    "bytes_per_second": 95e6,
    "bytes": 250e6,
    "packets": 3.0,
    "celsius": 45.0,
    "dBm": -55.0,
    "dbm": -55.0,
}
"""What a field of a unit is like, but for one part in ten that chance adds or takes."""


def result_of(probe: ProbeType, rng: Random) -> Any:
    """A result with every measured field measured; what is no metric keeps its default where it has one."""
    hints = get_type_hints(probe.result, include_extras=True)
    metrics = {field.name: field.metric for field in probe.fields}
    given = {}
    for field in msgspec.structs.fields(probe.result):
        if field.name in metrics:
            given[field.name] = _measured(field.name, metrics[field.name], hints[field.name], rng)
        elif field.default is NODEFAULT and field.default_factory is NODEFAULT:
            given[field.name] = _any(hints[field.name])
    return probe.result(**given)


def _measured(name: str, metric: Metric, hint: Any, rng: Random) -> Any:
    usual = _VALUES.get(metric.unit, 2.0) * rng.uniform(0.9, 1.1)
    if metric.kind == "histogram":
        return sketch.of([usual * rng.uniform(0.8, 1.5) for _ in range(20)])
    kinds = _kinds(hint)
    if bool in kinds:
        return True
    if name in ("sent", "received"):
        return 60
    value = usual if float in kinds else round(usual)
    low, high = _bounds(hint)
    return type(value)(min(max(value, low), high))


def _bounds(hint: Any) -> tuple[float, float]:
    """What an annotation lets a number be."""
    low, high = float("-inf"), float("inf")
    for each in get_args(hint):
        if isinstance(each, msgspec.Meta):
            low, high = (
                max(low, each.ge if each.ge is not None else low),
                min(high, each.le if each.le is not None else high),
            )
        elif get_origin(each) is not None:
            inner = _bounds(each)
            low, high = max(low, inner[0]), min(high, inner[1])
    return low, high


def _kinds(hint: Any) -> set[Any]:
    """The plain types that an annotation comes down to."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _kinds(get_args(hint)[0])
    if origin in (Union, types.UnionType):
        return set().union(*(_kinds(each) for each in get_args(hint)))
    return {hint}


def _any(hint: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _any(args[0])
    if origin is Literal:
        return args[0]
    if origin in (Union, types.UnionType):
        return None if type(None) in args else _any(args[0])
    if origin in (tuple, dict, list):
        return origin()
    if isinstance(hint, type) and issubclass(hint, Struct):
        hints = get_type_hints(hint, include_extras=True)
        required = [each.name for each in msgspec.structs.fields(hint) if each.default is NODEFAULT]
        return hint(**{name: _any(hints[name]) for name in required})
    return {str: "x", int: 1, float: 1.0, bool: True, datetime: datetime(2026, 1, 1, tzinfo=UTC)}[hint]


def run_of(
    probe: ProbeType,
    at: float,
    rng: Random,
    *,
    target: str | None = "responder",
    role: Role = "responder",
    peer: str | None = None,
    interface: str = "eth0",
    test: str | None = None,
) -> Measurement[Any]:
    """An ok run of a minute that ended at `at`."""
    return Measurement(
        probe=probe.name,
        test=test or probe.name,
        target=Target(name=target, role=role, address="192.0.2.6", peer=peer) if target else None,
        interface=interface,
        family=4,
        started_at=datetime.fromtimestamp(at - 60, UTC),
        boottime_s=3600.0,
        boot="0123abcd",
        duration_s=60.0,
        outcome="ok",
        conditions=Conditions(clock_synchronised=True, clock_offset_bound_s=0.002, cpu_busy=0.05),
        result=result_of(probe, rng),
    )
