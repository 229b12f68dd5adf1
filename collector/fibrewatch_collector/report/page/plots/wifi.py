"""Each floor's share of minutes with good Wi-Fi, as a bar with its figure."""

from collections.abc import Sequence

from markupsafe import Markup

from fibrewatch_collector.report.model import FloorWifi
from fibrewatch_collector.report.page import svg
from fibrewatch_collector.report.page.svg import Scale
from fibrewatch_collector.report.page.words import Words

ROW, LEFT, RIGHT = 26.0, 130.0, 520.0
_LABEL = 22


def wifi(words: Words, name: str, floors: Sequence[FloorWifi]) -> Markup:
    """One bar a floor, in the order given."""
    scale, parts, said = Scale(0.0, 1.0, LEFT, RIGHT), [], []
    for row, floor in enumerate(floors):
        y = row * ROW + 4
        share = words.percent(floor.good / floor.measured, 1) if floor.measured else words.text("wifi.unmeasured")
        said.append(words.text("wifi.floor", floor=floor.floor, share=share))
        parts.append(svg.text(LEFT - 8, y + 13, svg.shortened(floor.floor, _LABEL), text_anchor="end"))
        parts.append(svg.element("rect", x=LEFT, y=y, width=RIGHT - LEFT, height=17, fill=svg.PALE))
        if floor.measured:
            width = scale(floor.good / floor.measured) - LEFT
            parts.append(svg.element("rect", x=LEFT, y=y, width=width, height=17, fill=svg.BLUE))
        label = words.text("wifi.of", share=share, duration=words.minutes(floor.measured)) if floor.measured else share
        parts.append(svg.text(RIGHT + 8, y + 13, label, fill=svg.INK))
    told = words.text("wifi.desc", list=words.listed(said))
    return svg.drawing(name, words.text("wifi.plot"), told, max(ROW * len(floors) + 8, ROW), parts)
