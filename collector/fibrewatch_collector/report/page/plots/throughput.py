"""Transfers against the contract; a censored one is an arrow up from its bound."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median

from markupsafe import Markup

from fibrewatch_collector.report.model import Transfer
from fibrewatch_collector.report.page import svg
from fibrewatch_collector.report.page.plots import axes
from fibrewatch_collector.report.page.svg import Scale
from fibrewatch_collector.report.page.words import Words
from fibrewatch_collector.sla.periods import Period

TOP, BOTTOM = 24.0, 196.0
_DRAWN = 1200
_ORDER = ("invalid", "censored", "valid")


def throughput(
    words: Words, name: str, title: str, period: Period, *, transfers: Sequence[Transfer], contract: float | None
) -> Markup:
    """One direction of one uplink."""
    levels = svg.steps(max([each.goodput for each in transfers] + [contract or 0.0]) * 8 * 1.02)
    scale, time = Scale(0.0, levels[-1] / 8, BOTTOM, TOP), axes.time_scale(period)
    parts = [*axes.days(words, period, TOP, BOTTOM), *axes.levels(_levels(words, levels), scale)]
    if contract:
        parts += _contract(words, contract, scale)
    for verdict in _ORDER:
        mine = thinned([one for one in transfers if one.verdict == verdict], time)
        if mine:
            parts.append(marks(verdict, [(axes.at(each.at, time), scale(each.goodput)) for each in mine]))
    legend, height = svg.legend(_legend(words, transfers), BOTTOM + 40, axes.LEFT)
    parts.append(legend)
    return svg.drawing(name, title, told(words, transfers, contract), height, parts)


def thinned(transfers: Sequence[Transfer], time: Scale) -> list[Transfer]:
    """All of them; of very many the lowest and highest of each place that the eye can tell from the next."""
    if len(transfers) <= _DRAWN:
        return list(transfers)
    columns: dict[int, list[Transfer]] = {}
    for each in transfers:
        columns.setdefault(int(axes.at(each.at, time) / 1.5), []).append(each)
    ends = [pick(column, key=lambda one: one.goodput) for column in columns.values() for pick in (min, max)]
    return list(dict.fromkeys(ends))


def is_thinned(transfers: Sequence[Transfer]) -> bool:
    """Whether a plot of these leaves some out."""
    return any(sum(each.verdict == verdict for each in transfers) > _DRAWN for verdict in _ORDER)


def told(words: Words, transfers: Sequence[Transfer], contract: float | None) -> str:
    """What a screen reader says of it."""
    used = [each for each in transfers if each.verdict != "invalid"]
    said = []
    if used:
        rates = [each.goodput for each in used]
        said.append(
            words.text(
                "throughput.desc",
                n=words.count("throughput.tests", len(rates)),
                low=words.rate(min(rates)),
                high=words.rate(max(rates)),
                median=words.rate(median(rates)),
            )
        )
    if censored := sum(each.verdict == "censored" for each in used):
        said.append(words.text("throughput.desc_censored", censored=words.number(censored)))
    if contract:
        said.append(words.text("throughput.desc_contract", rate=words.rate(contract)))
    return " ".join(said)


def _levels(words: Words, bits: Sequence[float]) -> Iterator[tuple[float, str]]:
    for each in bits:
        yield each / 8, words.rate(each / 8) if each else "0"


def _contract(words: Words, contract: float, scale: Scale) -> Iterator[str]:
    y = scale(contract)
    yield svg.element(
        "line", x1=axes.LEFT, x2=axes.RIGHT, y1=y, y2=y, stroke=svg.INK, stroke_width=1.4, stroke_dasharray="7 4"
    )
    label = words.text("throughput.contract", rate=words.rate(contract))
    yield svg.text(axes.RIGHT, TOP - 9, label, font_size=10.5, font_weight=700, text_anchor="end")


_SHAPES: Mapping[str, str] = {
    "valid": "h.01",
    "censored": "m-3.6,0h7.2m-3.6,0v-8m-2.6,3l2.6,-3.4l2.6,3.4",
    "invalid": "m-3,-3l6,6m-6,0l6,-6",
}
_PENS: Mapping[str, Mapping[str, object]] = {
    "valid": {"stroke": svg.BLUE, "stroke_width": 5.2, "stroke_linecap": "round", "stroke_opacity": 0.75},
    "censored": {"stroke": svg.VERMILLION, "stroke_width": 1.3},
    "invalid": {"stroke": svg.MUTED, "stroke_width": 1.1},
}


def marks(verdict: str, places: Iterable[tuple[float, float]]) -> str:
    """All transfers of a verdict as one path: a thousand elements would cost the PDF's maker a second."""
    path = "".join(f"M{x:.1f},{y:.1f}{_SHAPES[verdict]}" for x, y in places)
    return svg.element("path", d=path, fill="none", **_PENS[verdict])


def _legend(words: Words, transfers: Sequence[Transfer]) -> Iterator[tuple[str, str]]:
    there = {each.verdict for each in transfers}
    for verdict in reversed(_ORDER):
        if verdict in there:
            yield marks(verdict, [(0.0, 0.0)]), words.text(f"throughput.{verdict}")
