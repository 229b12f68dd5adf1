"""Findings in words: what was promised, what was found, how surely. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fibrewatch_collector.report.model import Bounds, Finding, Report
from fibrewatch_collector.report.page.words import Words
from fibrewatch_collector.sla.proportions import Answer

ANSWERS: tuple[Answer, ...] = ("fail", "insufficient", "undecided", "pass")
"""The worst first."""
NONE = "none"


class Row(NamedTuple):
    """One finding, each cell as text."""

    name: str
    notes: tuple[str, ...]
    subject: str
    promised: str
    found: str
    range: str
    tests: str
    open: str
    answer: Answer
    source: str


def verdict(findings: Iterable[Finding]) -> str:
    """The worst answer of all; "none" where nothing was promised."""
    there = {each.answer for each in findings}
    return next((answer for answer in ANSWERS if answer in there), NONE)


def counted(words: Words, findings: Iterable[Finding]) -> str:
    """How many of each answer, the kept ones first."""
    counts = Counter(each.answer for each in findings)
    return words.listed(
        words.count(f"verdict.counted_{answer}", counts[answer]) for answer in reversed(ANSWERS) if counts[answer]
    )


def worst_first(report: Report) -> list[Finding]:
    """By answer; within one as the contract has them."""
    return sorted(report.findings, key=lambda each: ANSWERS.index(each.answer))


def rows(words: Words, findings: Sequence[Finding]) -> list[Row]:
    """All of them, in their order."""
    return [_row(words, each) for each in findings]


def _row(words: Words, finding: Finding) -> Row:
    return Row(
        name=name(words, finding),
        notes=tuple(_notes(words, finding)),
        subject=finding.subject,
        promised=promised(words, finding),
        found=_value(words, finding, finding.value),
        range=_range(words, finding.interval, finding),
        tests=_tests(words, finding),
        open=words.text("objective.open", count=words.number(finding.open))
        if finding.open and finding.kind != "availability"
        else "",
        answer=finding.answer,
        source=finding.source,
    )


def name(words: Words, finding: Finding) -> str:
    """What is promised, in a few words."""
    metric, _, detail = finding.metric.partition(" ")
    told = words.named("metric", metric)
    if finding.kind == "percentile":
        quantile = words.text("objective.quantile", n=words.ordinal(detail.removeprefix("p")))
        return words.text("objective.percentile", quantile=quantile, metric=told)
    if finding.kind in ("loss", "success"):
        return words.text(f"objective.{finding.kind}", metric=told)
    if finding.kind == "compliance" and detail in ("download", "upload"):
        return words.text(f"objective.compliance_{detail}")
    return words.text(f"objective.{finding.kind}")


def promised(words: Words, finding: Finding) -> str:
    """The ratio or limit, and which way it holds."""
    if finding.unit == "seconds":
        return words.text("objective.at_most", value=words.limit(finding.asked))
    way = "at_most" if finding.kind == "loss" else "at_least"
    return words.text(f"objective.{way}", value=words.asked(finding.asked))


def _notes(words: Words, finding: Finding) -> Iterable[str]:
    if finding.limit is not None and finding.limit_unit == "bytes_per_second":
        yield words.text("objective.each_reaches", rate=words.rate(finding.limit))
    if finding.target:
        yield words.text("objective.to_target", target=finding.target)
    if finding.floor is not None:
        yield words.text("objective.above_floor", floor=words.delay(finding.floor))
    if finding.hours:
        yield words.named("objective", finding.hours)


def _value(words: Words, finding: Finding, value: float | None) -> str:
    if value is None:
        return "–"
    if finding.unit == "seconds":
        return words.delay(value, beside=finding.asked)
    return words.percent(value, beside=finding.asked)


def _range(words: Words, interval: Bounds | None, finding: Finding) -> str:
    if interval is None:
        return "–"
    low, high = (_value(words, finding, end) for end in (interval.low, interval.high))
    return low if low == high else words.text("objective.low_high", low=low, high=high)


def _tests(words: Words, finding: Finding) -> str:
    if finding.kind == "availability":
        return words.count("objective.minutes", finding.n)
    if finding.kind == "percentile":
        return words.number(finding.n)
    return words.text("objective.of", met=words.number(finding.met), n=words.number(finding.n))
