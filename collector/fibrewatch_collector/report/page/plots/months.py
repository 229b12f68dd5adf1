"""Cities side by side over the months of a year: a dot for each, labelled where it fell short."""

from collections.abc import Iterator, Mapping, Sequence

from markupsafe import Markup

from fibrewatch_collector.report.model import CityMonth
from fibrewatch_collector.report.page import svg
from fibrewatch_collector.report.page.svg import Scale
from fibrewatch_collector.report.page.words import Words

LEFT, RIGHT, TOP, ROW = 150.0, svg.WIDTH - 8.0, 30.0, 40.0
_LABEL = 23
_BANDS = ((0.9999, "#bcd7ec"), (0.999, "#dbe9f4"), (0.99, "#f8dcc4"))


def months(words: Words, name: str, year: int, cities: Mapping[str, Sequence[CityMonth]]) -> Markup:
    """A row for each city, a cell for each month, darker and hatched where more was lost; the figure is in it."""
    across = Scale(0, 12, LEFT, RIGHT)
    parts = [svg.hatch(f"{name}-bad", svg.VERMILLION)]
    parts += [_head(words, across, f"{year:04d}-{number:02d}", number) for number in range(1, 13)]
    told = []
    for row, (city, found) in enumerate(cities.items()):
        y = TOP + row * ROW
        parts.append(svg.text(LEFT - 10, y + 22, svg.shortened(city, _LABEL), font_size=11.5, text_anchor="end"))
        parts += _cells(words, name, across, y, found)
        said = [
            words.text("balance.plot_point", month=words.month_alone(each.month), share=share(words, each.ratio))
            for each in found
        ]
        told.append(words.text("balance.plot_desc", city=city, list=words.listed(said)))
    height = TOP + len(cities) * ROW + 4
    return svg.drawing(name, words.text("balance.plot"), "; ".join(told), height, parts)


def share(words: Words, ratio: float | None) -> str:
    """A dash where there is not enough evidence."""
    return "–" if ratio is None else words.percent(ratio)


def _head(words: Words, across: Scale, month: str, number: int) -> str:
    x = (across(number - 1) + across(number)) / 2
    return svg.text(x, 18, words.month_alone(month), font_size=10, fill=svg.MUTED, text_anchor="middle")


def _cells(words: Words, name: str, across: Scale, y: float, found: Sequence[CityMonth]) -> Iterator[str]:
    for each in found:
        number = int(each.month[-2:])
        x, width = across(number - 1) + 1.5, across(1) - across(0) - 3
        yield svg.element(
            "rect",
            x=x,
            y=y,
            width=width,
            height=ROW - 5,
            rx=2,
            fill=_fill(name, each.ratio),
            stroke="#9aa7b2",
            stroke_width=0.6,
        )
        if each.ratio is not None and each.ratio < _BANDS[-1][0]:
            yield svg.element("rect", x=x + 1, y=y + 10, width=width - 2, height=15, rx=2, fill="#ffffff")
        yield svg.text(x + width / 2, y + 21, share(words, each.ratio), font_size=9, text_anchor="middle")


def _fill(name: str, ratio: float | None) -> str:
    if ratio is None:
        return svg.PALE
    return next((colour for least, colour in _BANDS if ratio >= least), f"url(#{name}-bad)")
