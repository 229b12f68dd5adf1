"""Runs of wifi_link and wifi_onboarding, as a box on a floor brings them."""

from datetime import UTC, datetime
from typing import Any

from fibrewatch.measurement import AnyMeasurement, Measurement
from fibrewatch.results import wifi_link, wifi_onboarding


def run_of(probe: str, at: float, **changes: Any) -> AnyMeasurement:
    whole: dict[str, Any] = {
        "probe": probe,
        "test": probe.replace("_", "-"),
        "started_at": datetime.fromtimestamp(at, UTC),
        "boottime_s": at % 86400.0,
        "boot": "0123abcd",
        "duration_s": 0.1,
        "outcome": "ok",
    }
    return Measurement(**whole | changes)


def link(at: float, signal: float | None = -50.0, *, connected: bool = True, **changes: Any) -> AnyMeasurement:
    return run_of("wifi_link", at, **{"result": wifi_link.Result(connected=connected, signal=signal)} | changes)


def onboarding(at: float, total: float | None = 4.0, **changes: Any) -> AnyMeasurement:
    return run_of("wifi_onboarding", at, **{"duration_s": 6.0, "result": wifi_onboarding.Result(total=total)} | changes)
