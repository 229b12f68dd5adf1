"""Vector graphics as text: elements with escaped attributes, and what plots share. Pure.

Attributes only, no style sheet: a PDF's maker does not apply a page's styles within a drawing.
"""

import math
from collections.abc import Iterable
from html import escape
from typing import NamedTuple

from markupsafe import Markup

BLUE, VERMILLION, ORANGE, PURPLE = "#0b5d97", "#c8490b", "#e69f00", "#7b3f8c"
"""After Okabe and Ito, darkened until they stand out on white: they differ in lightness too, and never stand alone."""
INK, MUTED, RULE, PALE, SKY = "#1b1f24", "#59626c", "#c9d0d6", "#eef1f4", "#dbe9f4"
WIDTH = 720.0
FONT = "Lato, 'Helvetica Neue', Arial, sans-serif"


class Scale(NamedTuple):
    """From values to places."""

    low: float
    high: float
    begin: float
    end: float

    def __call__(self, value: float) -> float:
        span = (self.high - self.low) or 1.0
        return self.begin + (value - self.low) / span * (self.end - self.begin)


def element(name: str, *inner: str, **attributes: object) -> str:
    """One element; `inner` is markup already. `stroke_width` is spelt stroke-width."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{''.join(inner)}</{name}>" if inner else f"<{name}{written}/>"


def text(x: float, y: float, words: str, **attributes: object) -> str:
    """Words at a place."""
    shared: dict[str, object] = {"x": x, "y": y, "font_size": 11, "fill": INK, "font_family": FONT}
    return element("text", escape(words), **shared | attributes)


def drawing(name: str, title: str, description: str, height: float, parts: Iterable[str]) -> Markup:
    """A whole picture: its title and description are what a screen reader says.

    Args:
        name: Unique in the page.
    """
    head = element("title", escape(title), id=f"{name}-title") + element("desc", escape(description), id=f"{name}-desc")
    whole = element(
        "svg",
        head,
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH:g} {_number(height)}",
        width=WIDTH,
        height=height,
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )
    return Markup(whole)  # noqa: S704 every text within was escaped above


def hatch(name: str, colour: str, background: str = "#ffffff") -> str:
    """A pattern of slanted lines; fill with `url(#name)`."""
    lines = element("path", d="M-2,2 l4,-4 M0,8 l8,-8 M6,10 l4,-4", stroke=colour, stroke_width=1.6)
    ground = element("rect", width=8, height=8, fill=background)
    return element("defs", element("pattern", ground, lines, id=name, width=8, height=8, patternUnits="userSpaceOnUse"))


def dots(name: str, colour: str, background: str = "#ffffff") -> str:
    """A pattern of dots."""
    ground = element("rect", width=6, height=6, fill=background)
    dot = element("circle", cx=3, cy=3, r=1.1, fill=colour)
    return element("defs", element("pattern", ground, dot, id=name, width=6, height=6, patternUnits="userSpaceOnUse"))


def shortened(words: str, most: int) -> str:
    """What there is room for; a drawing's description has it whole."""
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"


def steps(highest: float, count: int = 4) -> list[float]:
    """Places of an axis from 0 on, a round number apart; the last is at or above the highest value."""
    step = _round_up(highest / count) if highest > 0 else 1.0
    return [step * number for number in range(math.ceil(round(highest / step, 9)) + 1)] if highest > 0 else [0.0, 1.0]


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 3, 4, 5 × 10ⁿ."""
    size = 10.0 ** math.floor(math.log10(value))
    return next(size * step for step in (1, 2, 2.5, 3, 4, 5, 10) if size * step >= value * (1 - 1e-9))


def legend(entries: Iterable[tuple[str, str]], y: float, x: float = 0.0) -> tuple[str, float]:
    """Marks with what they mean, in one row or more, and where these end; a mark is drawn round 0,0 within ±7."""
    found, left = [], x
    for mark, words in entries:
        width = 24 + 5.6 * len(words) + 14
        if left > x and left + width > WIDTH:
            left, y = x, y + 18
        found.append(element("g", mark, transform=f"translate({_number(left + 8)},{_number(y - 4)})"))
        found.append(text(left + 21, y, words, font_size=10.5, fill=MUTED))
        left += width
    return "".join(found), y + 8


def _attribute(value: object) -> str:
    return _number(value) if isinstance(value, float) else escape(str(value))


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
