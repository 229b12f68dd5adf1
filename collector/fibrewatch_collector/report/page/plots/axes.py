"""Frames that plots over time or hours share."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from fibrewatch_collector.report.page import svg
from fibrewatch_collector.report.page.svg import Scale
from fibrewatch_collector.report.page.words import Words
from fibrewatch_collector.sla.periods import Period, midnight

LEFT, RIGHT = 64.0, svg.WIDTH - 12.0
_MOST_LABELS = 9


def time_scale(period: Period) -> Scale:
    """Moments as seconds, over the plot's width."""
    return Scale(period.begin.timestamp(), period.end.timestamp(), LEFT, RIGHT)


def days(words: Words, period: Period, top: float, bottom: float) -> Iterator[str]:
    """Lines at local midnights, dated, as many as there is room for."""
    scale, zone = time_scale(period), ZoneInfo(period.time_zone)
    first, last = period.begin.astimezone(zone).date(), period.end.astimezone(zone).date()
    count = max(1, (last - first).days)
    step = next((each for each in (1, 2, 5, 7, 14, 31, 61, 92) if count / each < _MOST_LABELS), 92)
    for number in range(0, count + (count % step == 0), step):
        day = first + timedelta(days=number)
        x = scale(midnight(day, period.time_zone).timestamp())
        if not LEFT - 1 <= x <= RIGHT + 1:
            continue
        yield svg.element("line", x1=x, x2=x, y1=top, y2=bottom, stroke=svg.RULE, stroke_width=0.7)
        anchor = "middle" if x < RIGHT - 24 else "end"
        yield svg.text(x, bottom + 15, words.short_date(day), font_size=10, fill=svg.MUTED, text_anchor=anchor)


def levels(values: Iterator[tuple[float, str]], scale: Scale) -> Iterator[str]:
    """Horizontal lines, each with what it stands for."""
    for value, label in values:
        y = scale(value)
        yield svg.element("line", x1=LEFT, x2=RIGHT, y1=y, y2=y, stroke=svg.RULE, stroke_width=0.7)
        yield svg.text(LEFT - 6, y + 3.5, label, font_size=10, fill=svg.MUTED, text_anchor="end")


def at(moment: datetime, scale: Scale) -> float:
    """Where a moment is, kept within the plot."""
    return min(max(scale(moment.timestamp()), scale.begin), scale.end)
