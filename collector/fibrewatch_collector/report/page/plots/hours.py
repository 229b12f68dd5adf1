"""Delays by the hour of the local day: a band, its median, and the 99th percentile as points."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from fibrewatch_collector.report.model import Hour
from fibrewatch_collector.report.page import svg
from fibrewatch_collector.report.page.plots import axes
from fibrewatch_collector.report.page.svg import Scale
from fibrewatch_collector.report.page.words import Words

TOP, BOTTOM = 14.0, 156.0
_BAND = "#b9d4ea"


def hours(words: Words, name: str, title: str, figures: Sequence[Hour]) -> Markup:
    """One group of targets over one uplink."""
    known = [each for each in figures if each.delay.p50 is not None]
    levels = svg.steps(max([each.delay.p99 or each.delay.p95 or 0.0 for each in known] + [1e-5]))
    scale, across = Scale(0.0, levels[-1], BOTTOM, TOP), Scale(0, 24, axes.LEFT, axes.RIGHT)
    parts = [*_hours(words, across), *axes.levels(_levels(words, levels), scale)]
    parts += _bands(known, scale, across)
    legend, height = svg.legend(_legend(words), BOTTOM + 40, axes.LEFT)
    parts.append(legend)
    return svg.drawing(name, title, told(words, known), height, parts)


def told(words: Words, known: Sequence[Hour]) -> str:
    """What a screen reader says of it."""
    if not known:
        return words.text("latency.none")
    medians = [each.delay.p50 or 0.0 for each in known]
    worst = max(known, key=lambda each: each.delay.p99 or 0.0)
    return words.text(
        "latency.desc",
        low=words.delay(min(medians)),
        high=words.delay(max(medians)),
        worst=words.delay(worst.delay.p99 or 0.0),
        hour=hour_label(words, worst.hour),
    )


def hour_label(words: Words, hour: int) -> str:
    """14:00; in French 14 h."""
    return f"{hour}\u00a0h" if words.language == "fr" else f"{hour:02d}:00"


def _hours(words: Words, across: Scale) -> Iterator[str]:
    for hour in range(0, 25, 3):
        x = across(hour)
        yield svg.element("line", x1=x, x2=x, y1=TOP, y2=BOTTOM, stroke=svg.RULE, stroke_width=0.7)
        anchor = "end" if hour == 24 else "middle"
        yield svg.text(x, BOTTOM + 15, hour_label(words, hour), font_size=10, fill=svg.MUTED, text_anchor=anchor)


def _levels(words: Words, seconds: Sequence[float]) -> Iterator[tuple[float, str]]:
    for each in seconds:
        yield each, words.limit(each) if each else "0"


def _bands(known: Sequence[Hour], scale: Scale, across: Scale) -> Iterator[str]:
    """Each kind of mark as one path: of single elements the PDF's maker would need far longer."""
    width = across(1) - across(0) - 6
    bands, medians, tails = [], [], []
    for each in known:
        delay, left = each.delay, across(each.hour) + 3
        if delay.p5 is not None and delay.p95 is not None:
            top = scale(delay.p95)
            bands.append(f"M{left:.1f},{top:.1f}h{width:.1f}v{max(scale(delay.p5) - top, 1.0):.1f}h{-width:.1f}z")
        if delay.p50 is not None:
            medians.append(f"M{left:.1f},{scale(delay.p50):.1f}h{width:.1f}")
        if delay.p99 is not None:
            tails.append(_diamond(left + width / 2, scale(delay.p99)))
    yield from _path(bands, fill=_BAND, stroke=svg.BLUE, stroke_width=0.5)
    yield from _path(medians, stroke=svg.BLUE, stroke_width=2.4)
    yield from _path(tails, fill=svg.VERMILLION)


def _path(pieces: Sequence[str], **look: object) -> Iterator[str]:
    if pieces:
        yield svg.element("path", d="".join(pieces), **look)


def _diamond(x: float, y: float) -> str:
    return f"M{x:.1f},{y - 3.6:.1f} l3.6,3.6 l-3.6,3.6 l-3.6,-3.6 z"


def _legend(words: Words) -> Iterator[tuple[str, str]]:
    line = svg.element("line", x1=-7, x2=7, y1=0, y2=0, stroke=svg.BLUE, stroke_width=2.4)
    band = svg.element("rect", x=-7, y=-5, width=14, height=10, fill=_BAND, stroke=svg.BLUE, stroke_width=0.5)
    yield line, words.text("latency.median")
    yield band, words.text("latency.band")
    yield svg.element("path", d=_diamond(0, 0), fill=svg.VERMILLION), words.text("latency.p99")
