"""When an uplink was out, and what work was declared, over the period."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from markupsafe import Markup

from fibrewatch_collector.report.model import Maintenance, Outage
from fibrewatch_collector.report.page import svg
from fibrewatch_collector.report.page.plots import axes
from fibrewatch_collector.report.page.svg import Scale
from fibrewatch_collector.report.page.words import Words
from fibrewatch_collector.sla.periods import Period

TOP, BOTTOM = 8.0, 74.0
_LEAST_WIDTH = 2.4
_KEYS = ("plot_counted", "plot_not_counted", "plot_maintenance", "plot_late")


def timeline(
    words: Words, name: str, period: Period, uplink: str, *, outages: Sequence[Outage], works: Sequence[Maintenance]
) -> Markup:
    """One uplink: outages above, declared work below them."""
    time = axes.time_scale(period)
    parts = [
        svg.hatch(f"{name}-other", svg.MUTED),
        svg.hatch(f"{name}-late", svg.PURPLE),
        *axes.days(words, period, TOP, BOTTOM),
    ]
    for each in works:
        stretch = (each.begin, min(each.end, each.cancelled_at or each.end))
        parts.append(_bar(time, stretch, (52.0, 16.0), _work(name, each)))
    for outage in sorted(outages, key=lambda one: one.counts):
        parts.append(_bar(time, (outage.begin, outage.end), (16.0, 28.0), _fill(name, outage)))
    legend, height = svg.legend(_legend(words, name, outages, works), BOTTOM + 36, axes.LEFT)
    parts.append(legend)
    title = words.text("outages.plot", uplink=uplink)
    return svg.drawing(name, title, told(words, outages), height, parts)


def told(words: Words, outages: Sequence[Outage]) -> str:
    """What a screen reader says of it; each outage is in the table."""
    counting = sum(each.counts for each in outages)
    return words.text(
        "outages.plot_desc",
        n=words.count("outages.count", len(outages)),
        counting=words.count("outages.plot_counting", counting),
    )


def _fill(name: str, outage: Outage) -> str:
    return svg.VERMILLION if outage.counts else f"url(#{name}-other)"


def _work(name: str, work: Maintenance) -> str:
    return svg.PURPLE if work.in_time else f"url(#{name}-late)"


def _bar(time: Scale, stretch: tuple[datetime, datetime], rows: tuple[float, float], fill: str) -> str:
    left, right = (axes.at(end, time) for end in stretch)
    y, height = rows
    outline = svg.MUTED if fill.startswith("url") else None
    return svg.element(
        "rect",
        x=left,
        y=y,
        width=max(right - left, _LEAST_WIDTH),
        height=height,
        fill=fill,
        stroke=outline,
        stroke_width=0.6,
    )


def _legend(
    words: Words, name: str, outages: Sequence[Outage], works: Sequence[Maintenance]
) -> Iterator[tuple[str, str]]:
    seen: dict[str, str] = {}
    for outage in outages:
        seen.setdefault("plot_counted" if outage.counts else "plot_not_counted", _fill(name, outage))
    for work in works:
        seen.setdefault("plot_maintenance" if work.in_time else "plot_late", _work(name, work))
    for key, fill in sorted(seen.items(), key=lambda each: _KEYS.index(each[0])):
        mark = svg.element("rect", x=-7, y=-5, width=14, height=10, fill=fill, stroke=svg.MUTED, stroke_width=0.6)
        yield mark, words.text(f"outages.{key}")
