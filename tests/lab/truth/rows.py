"""A row of the table of truth: what is true, what was measured, and whether the difference is allowed."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from tests.lab.truth import chance

P50_S, P99_S = 20e-6, 100e-6
"""By how much a delay may be wrong at the median, and at the 99th percentile."""


class Row(NamedTuple):
    """One comparison, written for people."""

    what: str
    true: str
    measured: str
    error: str
    criterion: str
    passed: bool


class Section(NamedTuple):
    """Rows of one kind, and where their truth comes from."""

    title: str
    text: str
    rows: list[Row]


def delay(what: str, true_s: float, measured_s: float | None, *, within_s: float = P50_S) -> Row:
    """A time that has to be right."""
    if measured_s is None:
        return Row(what, ms(true_s), "not measured", "–", f"≤ {us(within_s)}", passed=False)
    off = measured_s - true_s
    return Row(what, ms(true_s), ms(measured_s), us(off, sign=True), f"≤ {us(within_s)}", abs(off) <= within_s)


def errors(what: str, true_s: float, off: Sequence[float]) -> Row:
    """Each packet's own difference from what the wire shows of it."""
    p50, p99 = quantile(off, 0.5), quantile(off, 0.99)
    measured = f"{len(off)} packets"
    error = f"p50 {us(p50)}, p99 {us(p99)}"
    limits = f"p50 ≤ {us(P50_S)}, p99 ≤ {us(P99_S)}"
    return Row(what, f"{ms(true_s)}, each by its capture", measured, error, limits, p50 <= P50_S and p99 <= P99_S)


def expected(what: str, wire_s: float, measured_s: float | None, line_s: float, bounds_s: tuple[float, float]) -> Row:
    """A figure that has to be the wire's, and the wire's has to be where the line lets expect it."""
    low, high = bounds_s
    true = f"{ms(wire_s)}; line {ms(line_s)}"
    criterion = f"≤ {us(P50_S)}; {ms(low)} – {ms(high)}"
    if measured_s is None:
        return Row(what, true, "not measured", "–", criterion, passed=False)
    off = measured_s - wire_s
    passed = abs(off) <= P50_S and low <= wire_s <= high
    return Row(what, true, ms(measured_s), us(off, sign=True), criterion, passed)


def count(what: str, true: int, measured: int | None, *, within: int = 0) -> Row:
    """A number that has to be exact, or nearly so."""
    criterion = f"≤ {within}" if within else "exact"
    if measured is None:
        return Row(what, f"{true:,}", "not measured", "–", criterion, passed=False)
    return Row(what, f"{true:,}", f"{measured:,}", f"{measured - true:+d}", criterion, abs(measured - true) <= within)


def same(what: str, true: object, measured: object) -> Row:
    """Something that is no number."""
    return Row(what, str(true), str(measured), "–", "the same", true == measured)


def near(what: str, true: float, measured: float, within: float) -> Row:
    """A figure without a unit."""
    off = measured - true
    return Row(what, f"{true:.3f}", f"{measured:.3f}", f"{off:+.3f}", f"≤ {within}", abs(off) <= within)


def ratio(what: str, true: float, measured: float, within: float, unit: str) -> Row:
    """A figure that may be wrong by a share of itself."""
    off = measured / true - 1
    return Row(
        what, f"{true:.2f} {unit}", f"{measured:.2f} {unit}", f"{off:+.2%}", f"≤ {within:.1%}", abs(off) <= within
    )


def loss(what: str, p: float, sent: int, on_the_wire: int, measured: int | None) -> Row:
    """Exactly what the wire lost; and so many out of so many is what the line's ratio lets expect."""
    low, high = chance.bounds(on_the_wire / sent, sent)
    true, criterion = f"{on_the_wire:,} of {sent:,}; line {p:.1%}", f"exact; {low:.3%} ≤ line ≤ {high:.3%}"
    if measured is None:
        return Row(what, true, "not measured", "–", criterion, passed=False)
    from_, to = chance.wilson(measured, sent)
    shown = f"{measured:,} = {measured / sent:.3%}, 95 %: {from_:.3%} – {to:.3%}"
    passed = measured == on_the_wire and low <= p <= high
    return Row(what, true, shown, f"{measured - on_the_wire:+d}", criterion, passed)


def quantile(values: Sequence[float], q: float) -> float:
    """The q-quantile of some values: the smallest v with F(v) ≥ q."""
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)]


def ms(value_s: float) -> str:
    """Milliseconds to the microsecond."""
    return f"{value_s * 1e3:.3f} ms"


def us(value_s: float, *, sign: bool = False) -> str:
    """Microseconds to a tenth, where that says something."""
    micro = value_s * 1e6
    digits = 0 if abs(micro) >= 100 or micro == round(micro) else 1
    return f"{micro:{'+' if sign else ''}.{digits}f} µs"


_HEAD = ("| what | true | measured | error | criterion | |", "|---|---|---|---|---|---|")


def markdown(section: Section) -> str:
    """Heading, text and table."""
    lines = [f"## {section.title}", "", section.text, "", *_HEAD]
    for row in section.rows:
        lines.append(f"| {' | '.join(row[:5])} | {'pass' if row.passed else '**FAIL**'} |")
    return "\n".join(lines) + "\n"
