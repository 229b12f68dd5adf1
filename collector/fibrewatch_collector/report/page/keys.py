"""The few figures that stand out on the manager's page. Pure."""

from statistics import median
from typing import NamedTuple

from fibrewatch_collector.report.model import Availability, Report, Transfer, Uplink
from fibrewatch_collector.report.page.words import Words

ROLES = ("responder", "operator", "neutral", "access", "service", "gateway")
"""Whose delay tells most of the line, first."""


class Key(NamedTuple):
    """A figure that stands out on the manager's page."""

    label: str
    value: str
    note: str


def of(report: Report, main: Uplink | None, words: Words) -> list[Key]:
    """Of the main uplink; what was not measured has none."""
    if main is None:
        return []
    found = (_available(main, words), _down(main, words), _download(report, main, words), _delay(report, main, words))
    return [each for each in found if each is not None]


def down(found: Availability, words: Words) -> str:
    """Minutes that count against the operator: at least so many, where too little was measured."""
    if found.ratio is not None:
        return words.minutes(found.unavailable)
    return f"≥\u00a0{words.minutes(found.unavailable)}" if found.unavailable else "–"


def _available(uplink: Uplink, words: Words) -> Key:
    net = uplink.net
    ratio = "–" if net.ratio is None else words.percent(net.ratio)
    note = words.text("manager.measured", share=words.percent(net.coverage, 1))
    return Key(words.text("manager.available"), ratio, note)


def _down(uplink: Uplink, words: Words) -> Key:
    return Key(words.text("manager.down"), down(uplink.net, words), words.text("manager.down_by_operator"))


def _download(report: Report, uplink: Uplink, words: Words) -> Key | None:
    used = [each for each in report.transfers if _is_of(each, uplink)]
    if not used:
        return None
    middle = median([each.goodput for each in used])
    bound = any(each.verdict == "censored" and each.goodput <= middle for each in used)
    note = words.text("manager.of_contract", rate=words.rate(uplink.download)) if uplink.download else ""
    return Key(words.text("manager.download"), ("≥\u00a0" if bound else "") + words.rate(middle), note)


def _is_of(transfer: Transfer, uplink: Uplink) -> bool:
    return (transfer.uplink, transfer.direction) == (uplink.id, "download") and transfer.verdict != "invalid"


def _delay(report: Report, uplink: Uplink, words: Words) -> Key | None:
    known = [
        (ROLES.index(series.role), found.p50, series.role)
        for series in report.series
        if series.uplink == uplink.id and series.role in ROLES
        for field, found in series.fields.items()
        if field == "rtt" and found.p50 is not None
    ]
    if not known:
        return None
    _, delay, role = min(known)
    note = words.text("manager.to", role=words.named("role", role))
    return Key(words.text("manager.delay"), words.delay(delay), note)
