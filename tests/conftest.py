"""Nothing is skipped unnoticed: in CI a skip fails the run. Property tests know no deadline: machines are busy."""

import os

import pytest
from hypothesis import settings

settings.register_profile("fibrewatch", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("fibrewatch")

_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remembers what was skipped."""
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skipped test proves nothing, and CI can install what it lacks."""
    if _skipped and os.environ.get("CI"):
        print(f"\nskipped in CI: {', '.join(_skipped)}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
