"""Metrics kept rendered: a family is its head, in either format, and one finished piece of text for each series."""

from collections.abc import Iterable, Mapping
from itertools import accumulate

from fibrewatch import sketch
from fibrewatch.metric import Kind

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
UNITS = ("bytes_per_second", "seconds", "bytes", "ratio", "celsius", "packets", "segments", "dbm")
"""What a name may end in, the longest first: of these OpenMetrics is told."""
BOX_LABELS = ("territory", "site", "agent")
SERIES_LABELS = (*BOX_LABELS, "interface", "target", "test")
SITE_LABELS = ("territory", "site")

SECONDS_BOUNDS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0),
)
"""Round trips from a switch away to a satellite; dense where a city's and an ocean's fibre lie."""
OTHER_BOUNDS = tuple(round(digit * 10.0**power, 6) for power in range(-3, 7) for digit in (1, 2, 5))


def labels_text(labels: Mapping[str, str]) -> str:
    """`{a="…",b="…"}` with backslash, quote and line feed escaped as the text format asks."""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _openmetrics_head(name: str, kind: Kind, escaped: str) -> str:
    """A counter's family is called without `_total`, an info's without `_info` (OpenMetrics 1.0 §5.1)."""
    told = "info" if kind == "gauge" and name.endswith("_info") else str(kind)
    base = name.removesuffix("_info") if told == "info" else name.removesuffix("_total") if kind == "counter" else name
    unit = unit_of(base) if told != "info" else ""
    unit_line = f"# UNIT {base} {unit}\n" if unit else ""
    quoted = escaped.replace('"', '\\"')
    return f"# TYPE {base} {told}\n{unit_line}# HELP {base} {quoted}\n"


def _number(bound: float) -> str:
    """As Go writes it: OpenMetrics holds `le` to one spelling of each bound (1e+06, not 1000000.0)."""
    short = f"{bound:e}".replace(".000000", "")
    return short if bound >= 1e6 and float(short) == bound else repr(bound)


def unit_of(name: str) -> str:
    """The unit that ends a metric's name; "" where it has none."""
    return next((unit for unit in UNITS if name.removesuffix("_total").endswith(f"_{unit}")), "")


class Family:
    """One metric family; `lines` maps the text of a series' labels to its finished line, and hot paths write it.

    Attributes:
        labels: The names of its series' labels.
    """

    __slots__ = ("_heads", "help", "kind", "labels", "lines", "name")

    def __init__(self, name: str, kind: Kind, text: str, labels: tuple[str, ...] = SERIES_LABELS) -> None:
        self.name, self.kind, self.help, self.labels = name, kind, text, labels
        self.lines: dict[str, str] = {}
        escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
        self._heads = (f"# HELP {name} {escaped}\n# TYPE {name} {kind}\n", _openmetrics_head(name, kind, escaped))

    def set(self, labels: str, value: float | bool | None) -> None:
        """Shows a value; None takes the series away."""
        if value is None:
            self.lines.pop(labels, None)
        else:
            self.lines[labels] = f"{self.name}{labels} {value + 0!r}\n"

    def drop(self, labels: str) -> None:
        """Takes the series away."""
        self.lines.pop(labels, None)

    def replace(self, values: Mapping[str, float | bool]) -> None:
        """Shows these series and no others."""
        self.lines = {labels: f"{self.name}{labels} {value + 0!r}\n" for labels, value in values.items()}

    def text(self, *, openmetrics: bool = False) -> str:
        """Head and series; nothing when there are none. Only the head differs between the formats."""
        return self._heads[openmetrics] + "".join(self.lines.values()) if self.lines else ""


class Histogram:
    """Cumulative counts of one series over fixed bounds, fed from sketches."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: "Bounds") -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds.upper) + 1)
        self.sum = 0.0

    def add(self, buckets: Mapping[int, int]) -> None:
        """Adds a sketch's samples, each taken as its bucket's middle (1 % off at most)."""
        places, values, counts, total = self._bounds.places, self._bounds.values, self.counts, self.sum
        for bucket, count in buckets.items():  # admission has refused indices that are none, and negative counts
            counts[places[bucket]] += count
            total += values[bucket] * count
        self.sum = total


class Bounds:
    """The upper bounds of a histogram, and for each bucket of the sketch which of them it falls under.

    Attributes:
        ends: How a line of each bound ends before its count, +Inf's the last.
    """

    def __init__(self, upper: Iterable[float]) -> None:
        self.upper = tuple(upper)
        self.ends = tuple(f'"{end}"}} ' for end in (*map(_number, self.upper), "+Inf"))
        self.values = {i: sketch.value(i) for i in range(sketch.MIN_INDEX, sketch.MAX_INDEX + 1)}
        self.places = {i: sum(bound < value for bound in self.upper) for i, value in self.values.items()}


class HistogramFamily(Family):
    """A family of histograms, rendered when it is asked for and only where something came in."""

    __slots__ = ("_dirty", "bounds")

    def __init__(self, name: str, text: str, bounds: Bounds) -> None:
        super().__init__(name, "histogram", text)
        self.bounds = bounds
        self._dirty: dict[str, Histogram] = {}

    def show(self, labels: str, histogram: Histogram) -> None:
        """To be rendered at the next scrape."""
        self._dirty[labels] = histogram

    def drop(self, labels: str) -> None:
        """Takes the series away."""
        super().drop(labels)
        self._dirty.pop(labels, None)

    def text(self, *, openmetrics: bool = False) -> str:
        """Head and series; nothing when there are none."""
        for labels, histogram in self._dirty.items():
            self.lines[labels] = self._render(labels, histogram)
        self._dirty.clear()
        return super().text(openmetrics=openmetrics)

    def _render(self, labels: str, histogram: Histogram) -> str:
        opened = f"{self.name}_bucket{labels[:-1]},le="
        counts = accumulate(histogram.counts)
        lines = "".join([f"{opened}{end}{seen}\n" for end, seen in zip(self.bounds.ends, counts, strict=True)])
        total = sum(histogram.counts)
        return f"{lines}{self.name}_sum{labels} {histogram.sum!r}\n{self.name}_count{labels} {total}\n"
