"""A report as JSON, as CSV (tables one after another, an empty line between them, each with its head), or as a page.

Pure but for PDF, which a process of its own makes.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple, get_args

import msgspec

from fibrewatch_collector.report.model import Balance, Fleet, Report

Answer = Report | Fleet | Balance
Row = Sequence[object]

PLACE = ("territory", "site", "begin", "end", "time_zone")
FINDING = (
    *(
        "subject",
        "id",
        "kind",
        "metric",
        "target",
        "hours",
        "asked",
        "unit",
        "value",
        "low",
        "high",
        "n",
        "met",
        "open",
    ),
    *("limit", "limit_unit", "floor", "answer", "source"),
)
MINUTES = ("available", "unavailable", "not_measured", "maintenance", "total", "ratio", "coverage")
SERIES = ("uplink", "probe", "test", "target", "role")
COUNTS = ("valid", "censored", "invalid", "failed", "skipped", "undated", "missing", "late")
QUANTILES = ("n", "p5", "p50", "p95", "p99", "relative_error")
MONTH = ("territory", "city", "month", "sites", "uplinks", *MINUTES)
ANSWERS = ("pass", "fail", "undecided", "insufficient")
_FORMULA = frozenset("=+-@＝＋－＠")
"""What a spreadsheet takes for a formula's begin, also after space."""


Language = Literal["en", "fr"]
Audience = Literal["full", "manager"]
"""full: all that a dispute needs. manager: one page in plain words."""
LANGUAGES: tuple[Language, ...] = get_args(Language)
AUDIENCES: tuple[Audience, ...] = get_args(Audience)


class Manner(NamedTuple):
    """How a page speaks, and to whom; data has no manner."""

    language: Language = "en"
    audience: Audience = "full"


class Format(NamedTuple):
    """How an answer is written.

    Attributes:
        write: May raise FibrewatchError where a tool is missing; blocks.
    """

    content_type: str
    suffix: str
    write: Callable[[Answer, Manner], bytes]


def _html(answer: Answer, manner: Manner) -> bytes:
    """Templates and Babel's tables take long to load, and who asks for data does without them."""
    from fibrewatch_collector.report.page import render

    return render.html(answer, manner.language, manner.audience).encode()


def _pdf(answer: Answer, manner: Manner) -> bytes:
    from fibrewatch_collector.report.page import pdf, render

    return pdf.pdf(render.html(answer, manner.language, manner.audience))


def _json(answer: Answer, _: Manner) -> bytes:
    return msgspec.json.encode(answer) + b"\n"


def _csv(answer: Answer, _: Manner) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for number, table in enumerate(_tables(answer)):
        if number:
            text.write("\n")
        writer.writerows([[_cell(value) for value in row] for row in table])
    return text.getvalue().encode()


def _tables(answer: Answer) -> list[list[Row]]:
    if isinstance(answer, Balance):
        return [[[*MONTH, *ANSWERS], *(_month(answer, each) for each in range(len(answer.months)))]]
    reports = answer.sites if isinstance(answer, Fleet) else (answer,)
    return [_findings(reports), _uplinks(reports), _series(reports)]


def _place(report: Report) -> Row:
    period = report.period
    return [report.site.territory, report.site.site, period.begin, period.end, period.time_zone]


def _findings(reports: Iterable[Report]) -> list[Row]:
    rows: list[Row] = [[*PLACE, *FINDING]]
    for report in reports:
        for each in report.findings:
            ends = {"low": each.interval and each.interval.low, "high": each.interval and each.interval.high}
            rows.append([*_place(report), *(ends[name] if name in ends else getattr(each, name) for name in FINDING)])
    return rows


def _uplinks(reports: Iterable[Report]) -> list[Row]:
    rows: list[Row] = [[*PLACE, "uplink", "sla", "figure", *MINUTES, "low", "high"]]
    for report in reports:
        for uplink in report.uplinks:
            for name in ("net", "gross"):
                found = getattr(uplink, name)
                minutes = [getattr(found, word) for word in MINUTES]
                rows.append(
                    [*_place(report), uplink.id, uplink.sla, name, *minutes, found.bounds.low, found.bounds.high]
                )
    return rows


def _series(reports: Iterable[Report]) -> list[Row]:
    rows: list[Row] = [[*PLACE, *SERIES, *COUNTS, "sent", "lost", "field", *QUANTILES]]
    for report in reports:
        for each in report.series:
            whose = [getattr(each, name) for name in SERIES]
            counts = [*(getattr(each.counts, name) for name in COUNTS), each.sent, each.lost]
            for field in each.fields or ("",):
                quantiles = [getattr(each.fields.get(field), name, None) for name in QUANTILES]
                rows.append([*_place(report), *whose, *counts, field, *quantiles])
    return rows


def _month(balance: Balance, number: int) -> Row:
    found = balance.months[number]
    return [*(getattr(found, name) for name in MONTH), *(found.answers.get(each, 0) for each in ANSWERS)]


def _cell(value: object) -> object:
    """None is empty, a text one line; one that a spreadsheet would take for a formula is marked as text."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, str):
        line = " ".join(value.splitlines())
        return f"'{line}" if line.strip()[:1] in _FORMULA else line
    return "" if value is None else value


FORMATS: Mapping[str, Format] = {
    "json": Format("application/json", "json", _json),
    "csv": Format("text/csv", "csv", _csv),
    "html": Format("text/html", "html", _html),
    "pdf": Format("application/pdf", "pdf", _pdf),
}
