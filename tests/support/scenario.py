"""A report held against the expected answer of its scenario, figure by figure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from fibrewatch_collector.inventory import Inventory
from fibrewatch_collector.report import asked, model
from fibrewatch_collector.store.sqlite import SqliteStore

Expected = Mapping[str, Any]
MINUTES = ("available", "unavailable", "not_measured", "maintenance", "total", "ratio", "coverage")
COUNTS = ("valid", "censored", "invalid", "failed", "undated", "late", "missing")
QUANTILES = ("p5", "p50", "p95", "p99")
SKETCH = 0.0101
INTERVAL_S = 3.0
"""Between two samples: so near can an outage's edges be known."""


def reported(store: SqliteStore, inventory: Inventory, site: str, wanted: Expected, now: datetime) -> model.Report:
    """The report that an expected one stands for."""
    words = {name: wanted[name] for name in ("month", "from", "to") if wanted[name] is not None}
    answer = asked.answer(store, inventory, asked.question({"site": site} | words), now)
    assert isinstance(answer, model.Report)
    return answer


def hold(report: model.Report, expected: Expected, *, raw: bool = True) -> None:
    """Every figure; without `raw` the measurements are pruned, and edges are known to the minute."""
    assert {uplink.id for uplink in report.uplinks} == set(expected["uplinks"])
    for uplink in report.uplinks:
        _minutes(uplink, expected["uplinks"][uplink.id])
    _outages(report, expected["outages"], raw=raw)
    _series(report, expected["series"])
    _hours(report, expected["hours"])
    _transfers(report, expected["transfers"])
    _findings(report, expected["findings"])
    _declared(report, expected["maintenance"])
    assert (report.revision.number, report.revision.final) == (expected["revision"], expected["final"])
    lost: dict[str, int] = {}
    for gap in report.gaps:
        box = f"{report.site.territory}/{report.site.site}/{gap.agent}"
        lost[box] = lost.get(box, 0) + gap.last - gap.first + 1
    assert lost == expected["lost"]


def _minutes(uplink: model.Uplink, expected: Expected) -> None:
    for found, wanted in ((uplink.net, expected["net"]), (uplink.gross, expected["gross"])):
        assert {name: getattr(found, name) for name in MINUTES} == {name: wanted[name] for name in MINUTES}
        assert (found.bounds.low, found.bounds.high) == (wanted["low"], wanted["high"])
        assert dict(found.unavailable_by) == wanted["unavailable_by"]
        assert dict(found.not_measured_by) == wanted["not_measured_by"]
        assert found.available + found.unavailable + found.not_measured == found.total
        assert found.ratio is None or found.bounds.low <= found.ratio <= found.bounds.high
    assert uplink.net.total + uplink.net.maintenance == uplink.gross.total
    days = {
        each.date.isoformat(): {
            name: getattr(each, name) for name in ("available", "unavailable", "not_measured", "maintenance")
        }
        for each in uplink.days
    }
    assert days == expected["days"]


def _outages(report: model.Report, expected: list[Expected], *, raw: bool) -> None:
    found = sorted(report.outages, key=lambda each: (each.begin.timestamp() // 60, each.uplink))
    names = ("uplink", "minutes", "cause", "counts", "companies", "open")
    assert [tuple(getattr(each, name) for name in names) for each in found] == [
        tuple(each[name] for name in names) for each in expected
    ]
    for outage, wanted in zip(found, expected, strict=True):
        assert (outage.maintenance is not None) == wanted["maintenance"]
        first, last = wanted["first_minute"], wanted["first_minute"] + 60 * wanted["minutes"]
        begin, end = outage.begin.timestamp(), outage.end.timestamp()
        assert first <= begin < first + 60
        assert last - 60 < end <= last
        if raw and wanted["begin"] is not None:
            assert begin == pytest.approx(wanted["begin"], abs=INTERVAL_S)
        if raw and wanted["end"] is not None:
            assert end == pytest.approx(wanted["end"], abs=INTERVAL_S)


def _series(report: model.Report, expected: list[Expected]) -> None:
    found = {(each.uplink, each.probe, each.test, each.target or ""): each for each in report.series}
    assert len(found) == len(report.series) == len(expected)
    for wanted in expected:
        series = found[wanted["uplink"], wanted["probe"], wanted["test"], wanted["target"]]
        assert {name: getattr(series.counts, name) for name in COUNTS} == {name: wanted[name] for name in COUNTS}
        assert dict(series.counts.invalid_by) == wanted["invalid_by"]
        assert dict(series.counts.failed_by) == wanted["failed_by"]
        assert (series.sent, series.lost) == (wanted["sent"], wanted["lost"])
        assert set(series.fields) == set(wanted["fields"])
        for name, percentiles in wanted["fields"].items():
            _percentiles(series.fields[name], percentiles)


def _percentiles(found: model.Percentiles, wanted: Expected) -> None:
    assert found.n == wanted["n"]
    assert found.relative_error <= 0.01
    for name in QUANTILES:
        error = SKETCH if found.relative_error else 1e-12
        assert getattr(found, name) == pytest.approx(wanted[name], rel=error)


def _hours(report: model.Report, expected: list[Expected]) -> None:
    found = {(each.uplink, each.role, each.hour): each.delay for each in report.hours}
    assert len(found) == len(expected)
    for wanted in expected:
        _percentiles(found[wanted["uplink"], wanted["role"], wanted["hour"]], wanted)


def _transfers(report: model.Report, expected: list[Expected]) -> None:
    assert [
        (each.uplink, each.at.timestamp(), each.direction, each.goodput, each.verdict) for each in report.transfers
    ] == [(each["uplink"], each["at"], each["direction"], each["goodput"], each["verdict"]) for each in expected]


def _findings(report: model.Report, expected: list[Expected]) -> None:
    found = {(each.id, each.subject): each for each in report.findings}
    assert len(found) == len(report.findings) == len(expected)
    for wanted in expected:
        finding = found[wanted["id"], wanted["subject"]]
        answers = (wanted["answer"], "undecided") if wanted.get("near") else (wanted["answer"],)
        assert finding.answer in answers, wanted
        assert finding.n == wanted["n"], wanted
        if wanted["value"] is None:
            assert finding.value is None
        else:
            assert finding.value == pytest.approx(
                wanted["value"], rel=SKETCH if finding.kind == "percentile" else 1e-12
            )
        for name in ("met", "open", "limit"):
            assert getattr(finding, name) == wanted.get(name, getattr(finding, name)), wanted
        if "low" in wanted:
            assert finding.interval is not None
            assert finding.interval.low == pytest.approx(wanted["low"], abs=1e-12)
            assert finding.interval.high == pytest.approx(wanted["high"], abs=1e-12)


def _declared(report: model.Report, expected: list[Expected]) -> None:
    found = [(each.uplink, _utc(each.begin), _utc(each.end), each.who, each.in_time) for each in report.maintenance]
    assert found == [(each["uplink"], each["begin"], each["end"], each["who"], each["in_time"]) for each in expected]
    cancelled = [each.cancelled_at is not None for each in report.maintenance]
    assert cancelled == [each["cancelled"] for each in expected]


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
