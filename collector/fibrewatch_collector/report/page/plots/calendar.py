"""A month as people hang it on a wall: each local day's minutes without service."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from itertools import groupby

from markupsafe import Markup

from fibrewatch_collector.report.model import Day, Uplink
from fibrewatch_collector.report.page import svg
from fibrewatch_collector.report.page.words import Words

CELL, ROW, TOP, GAP = 46.0, 34.0, 44.0, 54.0
_LISTED = 31
_UNKNOWN_FROM = 0.10
_BAD_FROM = 0.01


def calendar(words: Words, name: str, uplink: Uplink) -> Markup:
    """All months of an uplink, two beside each other; one alone stands beside its legend."""
    months = [list(days) for _, days in groupby(uplink.days, key=lambda day: (day.date.year, day.date.month))]
    parts = [svg.hatch(f"{name}-bad", svg.VERMILLION), svg.dots(f"{name}-dots", svg.MUTED, svg.PALE)]
    y, left = 0.0, 7 * CELL + GAP
    for first in range(0, len(months), 2):
        pair = months[first : first + 2]
        for column, days in enumerate(pair):
            parts.append(_month(words, name, days, column * left, y))
        y += TOP + max(_weeks(days) for days in pair) * ROW + 14
    if len(months) == 1:
        parts += _legend(words, name, left, TOP + 8)
        y = max(y, TOP + 6 * 24)
    else:
        parts += _legend(words, name, 0.0, y + 8)
        y += 5 * 24 + 8
    return svg.drawing(name, words.text("calendar.title", uplink=uplink.id), _told(words, uplink.days), y, parts)


def _told(words: Words, days: Sequence[Day]) -> str:
    """What a screen reader says of it."""
    length = words.count("calendar.days", len(days))
    bad = [day for day in days if day.unavailable]
    if not bad:
        return words.text("calendar.desc_clean", days=length)
    worst = sorted(sorted(bad, key=lambda day: -day.unavailable)[:_LISTED], key=lambda day: day.date)
    told = [
        words.text("calendar.day", date=words.day(day.date), duration=words.minutes(day.unavailable)) for day in worst
    ]
    return words.text("calendar.desc", days=length, list=words.listed(told))


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _weeks(days: Sequence[Day]) -> int:
    first = days[0].date.replace(day=1)
    return (_monday(days[-1].date) - _monday(first)).days // 7 + 1


def _month(words: Words, name: str, days: Sequence[Day], x: float, y: float) -> str:
    label = words.month(f"{days[0].date:%Y-%m}")
    parts = [svg.text(x, y + 15, label[:1].upper() + label[1:], font_size=13, font_weight=700)]
    for column, weekday in enumerate(words.weekdays()):
        parts.append(
            svg.text(x + (column + 0.5) * CELL, y + 36, weekday, font_size=9.5, fill=svg.MUTED, text_anchor="middle")
        )
    start = _monday(days[0].date.replace(day=1))
    for day in days:
        week, weekday_number = divmod((day.date - start).days, 7)
        parts.append(_cell(words, name, day, x + weekday_number * CELL, y + TOP + week * ROW))
    return "".join(parts)


def _look(name: str, day: Day) -> tuple[str, str]:
    """Fill and the colour of its words."""
    total = day.available + day.unavailable + day.not_measured
    if not total:
        return (svg.PALE, svg.MUTED)
    if day.unavailable >= _BAD_FROM * total:
        return (f"url(#{name}-bad)", svg.INK)
    if day.unavailable:
        return ("#f8dcc4", svg.INK)
    if day.not_measured >= _UNKNOWN_FROM * total:
        return (f"url(#{name}-dots)", svg.INK)
    return (svg.SKY, svg.INK)


def _cell(words: Words, name: str, day: Day, x: float, y: float) -> str:
    fill, ink = _look(name, day)
    width, height = CELL - 3, ROW - 3
    parts = [
        svg.element("rect", x=x, y=y, width=width, height=height, rx=2, fill=fill, stroke="#9aa7b2", stroke_width=0.6)
    ]
    if day.unavailable:
        parts.append(svg.element("rect", x=x + 3, y=y + 14.5, width=width - 6, height=13, rx=2, fill="#ffffff"))
        label = words.minutes(day.unavailable) if day.unavailable < 1440 else words.minutes(1440)
        size = 9.5 if len(label) < 8 else 7.6
        parts.append(
            svg.text(x + width / 2, y + 24.5, label, font_size=size, font_weight=700, fill=ink, text_anchor="middle")
        )
    if fill.startswith("url"):
        parts.append(svg.element("rect", x=x + 1.5, y=y + 2, width=14, height=11, rx=2, fill="#ffffff"))
    parts.append(svg.text(x + 4, y + 11, str(day.date.day), font_size=8.5, fill=ink))
    if day.maintenance:
        parts.append(_flag(x + width - 9, y + 3))
    return "".join(parts)


def _flag(x: float, y: float) -> str:
    return svg.element("path", d=f"M{x:g},{y:g} h6 v7 l-3,-2.4 l-3,2.4 z", fill=svg.PURPLE)


def _legend(words: Words, name: str, x: float, y: float) -> Iterable[str]:
    entries = (
        (svg.SKY, "legend_full"),
        ("#f8dcc4", "legend_some"),
        (f"url(#{name}-bad)", "legend_more"),
        (f"url(#{name}-dots)", "legend_unknown"),
    )
    yield svg.text(x, y - 14, words.text("calendar.legend_label"), font_size=10.5, fill=svg.MUTED)
    for row, (fill, key) in enumerate(entries):
        top = y + row * 24
        yield svg.element("rect", x=x, y=top, width=22, height=16, rx=2, fill=fill, stroke="#9aa7b2", stroke_width=0.6)
        yield svg.text(x + 30, top + 12, words.text(f"calendar.{key}"))
    yield _flag(x + 8, y + 4 * 24 + 4)
    yield svg.text(x + 30, y + 4 * 24 + 12, words.text("calendar.legend_maintenance"))
