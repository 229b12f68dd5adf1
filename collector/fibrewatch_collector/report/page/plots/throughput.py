"""Transfers against the contract; a censored one is an arrow up from its bound."""

from collections.abc import Iterator, Sequence
from statistics import median

from markupsafe import Markup

from fibrewatch_collector.report.model import Transfer
from fibrewatch_collector.report.page import svg
from fibrewatch_collector.report.page.plots import axes
from fibrewatch_collector.report.page.svg import Scale
from fibrewatch_collector.report.page.words import Words
from fibrewatch_collector.sla.periods import Period

TOP, BOTTOM, HEIGHT = 24.0, 196.0, 244.0
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
        for each in thinned([one for one in transfers if one.verdict == verdict], time):
            mark = MARKS[verdict]
            place = f"translate({axes.at(each.at, time):.1f},{scale(each.goodput):.1f})"
            parts.append(svg.element("g", mark, transform=place))
    parts.append(svg.legend(_legend(words, transfers), BOTTOM + 40, axes.LEFT))
    return svg.drawing(name, title, told(words, transfers, contract), HEIGHT, parts)


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


_ROUND = svg.element("circle", r=2.6, fill=svg.BLUE, fill_opacity=0.75)
_ARROW = svg.element(
    "path", d="M-3.6,0 h7.2 M0,0 v-8 M-2.6,-5 l2.6,-3.4 l2.6,3.4", fill="none", stroke=svg.VERMILLION, stroke_width=1.3
)
_CROSS = svg.element("path", d="M-3,-3 l6,6 M-3,3 l6,-6", stroke=svg.MUTED, stroke_width=1.1)
MARKS = {"valid": _ROUND, "censored": _ARROW, "invalid": _CROSS}


def _legend(words: Words, transfers: Sequence[Transfer]) -> Iterator[tuple[str, str]]:
    there = {each.verdict for each in transfers}
    for verdict in reversed(_ORDER):
        if verdict in there:
            yield MARKS[verdict], words.text(f"throughput.{verdict}")
