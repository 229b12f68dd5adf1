"""Which format of metrics a reader would rather have, by its Accept header (RFC 9110 §12.5.1). Pure."""

from typing import NamedTuple

_OPENMETRICS = ("application/openmetrics-text", "application/*", "*/*")
_TEXT = ("text/plain", "text/*", "*/*")
_VERSIONS = ("", "1.0.0", "0.0.1")


class _Range(NamedTuple):
    kind: str
    version: str
    weight: float


def wants_openmetrics(header: str) -> bool:
    """Whether OpenMetrics is named, and wanted at least as much as the text format."""
    ranges = [_range(each) for each in header.lower().split(",")]
    named = any(each.kind == _OPENMETRICS[0] and each.version in _VERSIONS for each in ranges)
    ours = _weight([each for each in ranges if each.version in _VERSIONS or each.kind != _OPENMETRICS[0]], _OPENMETRICS)
    return named and 0 < ours >= _weight(ranges, _TEXT)


def _range(text: str) -> _Range:
    kind, *parameters = (part.strip() for part in text.split(";"))
    named = dict(each.partition("=")[::2] for each in parameters)
    try:
        weight = float(named.get("q", "1"))
    except ValueError:
        weight = 0.0
    return _Range(kind, named.get("version", "").strip('"'), weight if 0 <= weight <= 1 else 0.0)


def _weight(ranges: list[_Range], kinds: tuple[str, ...]) -> float:
    """Of the most specific range that is there; 0: not wanted."""
    for kind in kinds:
        if weights := [each.weight for each in ranges if each.kind == kind]:
            return max(weights)
    return 0.0
