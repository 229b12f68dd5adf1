"""Metric: the descriptor of a measured field, from which names, help texts and objectives follow."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, get_args, get_origin, get_type_hints

Kind = Literal["gauge", "counter", "histogram"]
Better = Literal["lower", "higher"]


@dataclass(frozen=True, slots=True)
class Metric:
    """What a result's field means.

    Attributes:
        unit: Base unit as Prometheus writes it: seconds, bytes, bytes_per_second, ratio, packets ...
        help: One sentence.
        better: Which direction is good; None where neither is.
        kind: gauge (last value), counter (an amount of this one measurement, summed over time) or
            histogram (a `sketch.Buckets` of samples).
        resolution: Of a histogram's samples, that were rounded to multiples of it; in the unit.
        exposed: Whether Prometheus gets it: a histogram is some 25 series, and reports need more of them than alerts.
    """

    unit: str
    help: str
    better: Better | None = None
    kind: Kind = "gauge"
    exposed: bool = True
    resolution: float = 0.0


class Field(NamedTuple):
    """A described field of a result: its name in the struct and its descriptor."""

    name: str
    metric: Metric


_STATISTIC = re.compile(r"_(min|max|mean|p\d+)\Z")


def is_statistic(name: str) -> bool:
    """Whether a field is already a figure of several samples: no percentile is made of such figures."""
    return _STATISTIC.search(name) is not None


def fields_of(result: type) -> Iterator[Field]:
    """The described fields of a result type, in the order of their definition."""
    for name, hint in get_type_hints(result, include_extras=True).items():
        if get_origin(hint) is Annotated:
            yield from (Field(name, extra) for extra in get_args(hint)[1:] if isinstance(extra, Metric))


def prometheus_name(probe: str, field: Field) -> str:
    """`fibrewatch_<probe>_<field>_<unit>`, `_total` for counters; a unit that ends the field is not said twice."""
    base = f"fibrewatch_{probe}_{field.name}"
    if field.metric.unit and not base.endswith(f"_{field.metric.unit}"):
        base += f"_{field.metric.unit}"
    return f"{base}_total" if field.metric.kind == "counter" else base
