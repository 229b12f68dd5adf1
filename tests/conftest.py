"""Nothing is skipped unnoticed: in CI a skip fails the run. Property tests know no deadline: machines are busy."""

import os

import pytest
from hypothesis import settings

settings.register_profile("fibrewatch", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("fibrewatch")

ELSEWHERE = ("alone", "calm")
_skipped: list[str] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`tests/run` finds the files with these marks by their text."""
    marked = {(item.path, mark) for item in items for mark in ELSEWHERE if item.get_closest_marker(mark)}
    for path, mark in marked:
        if f"pytest.mark.{mark}" not in path.read_text("utf-8"):
            raise pytest.UsageError(f"{path}: write pytest.mark.{mark} in the file itself")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remembers what was skipped."""
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skipped test proves nothing, and CI can install what it lacks."""
    if _skipped and os.environ.get("CI"):
        print(f"\nskipped in CI: {', '.join(_skipped)}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
