"""Monthly reports as files: when they are due, written once and whole, failures counted."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fibrewatch_collector.config import Reports
from fibrewatch_collector.inventory import Inventory, load_inventory
from fibrewatch_collector.report import monthly, output
from fibrewatch_collector.report.page.pdf import PdfError
from fibrewatch_collector.store import Store
from fibrewatch_collector.store.sqlite import SqliteStore

SITES = Path(__file__).parents[3] / "deploy" / "sites.example.toml"
NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return SqliteStore(tmp_path / "store.db")


@pytest.fixture
def inventory() -> Inventory:
    return load_inventory(SITES)


def never() -> bool:
    return False


@pytest.mark.parametrize(
    ("now", "zone", "months"),
    [
        ("2026-11-01T04:59:00Z", "Europe/Paris", ["2026-09"]),
        ("2026-11-01T05:00:00Z", "Europe/Paris", ["2026-10", "2026-09"]),
        ("2026-11-01T05:00:00Z", "America/Los_Angeles", ["2026-09", "2026-08"]),
        ("2027-01-31T23:00:00Z", "UTC", ["2026-12", "2026-11"]),
        ("2027-02-01T06:00:00Z", "UTC", ["2027-01", "2026-12"]),
    ],
)
def test_a_month_is_due_by_the_sites_own_clock(now: str, zone: str, months: list[str]) -> None:
    assert monthly.due(Reports(), zone, datetime.fromisoformat(now)) == months


def test_a_later_day_waits(tmp_path: Path) -> None:
    settings = Reports(day=10, time="23:30")
    assert monthly.due(settings, "UTC", datetime(2026, 11, 10, 23, 29, tzinfo=UTC)) == ["2026-09"]
    assert monthly.due(settings, "UTC", datetime(2026, 11, 10, 23, 30, tzinfo=UTC)) == ["2026-10", "2026-09"]


def test_sites_and_territories_are_written_once(tmp_path: Path, store: Store, inventory: Inventory) -> None:
    settings = Reports(folder=tmp_path / "out", formats=("html",))
    done = monthly.write_due(settings, store, inventory, NOW, never)
    found = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert (done.written, done.failed) == (len(found), 0)
    assert len(found) == (len(inventory.sites) + len(inventory.territories)) * 2 * len(settings.languages)
    assert all("-r1" in path.name and path.suffix == ".html" for path in found)
    assert monthly.write_due(settings, store, inventory, NOW, never) == (0, 0)
    assert found == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}


def test_what_is_provisional_says_so_in_its_name(tmp_path: Path, store: Store, inventory: Inventory) -> None:
    settings = Reports(folder=tmp_path / "out", formats=("html",), languages=("fr",))
    monthly.write_due(settings, store, inventory, NOW, never)
    for path in (tmp_path / "out" / "2026-10").rglob("*.html"):
        assert ("-provisional" in path.name) == ("provisoire" in path.read_text("utf-8"))


def test_a_stop_ends_a_round(tmp_path: Path, store: Store, inventory: Inventory) -> None:
    assert monthly.write_due(Reports(folder=tmp_path / "out"), store, inventory, NOW, lambda: True) == (0, 0)


def test_a_folder_that_cannot_be_written_is_counted(tmp_path: Path, store: Store, inventory: Inventory) -> None:
    (tmp_path / "out").write_text("a file")
    settings = Reports(folder=tmp_path / "out", formats=("html",))
    done = monthly.write_due(settings, store, inventory, NOW, never)
    assert done.written == 0
    assert done.failed == (len(inventory.sites) + len(inventory.territories)) * 2


def test_a_report_that_fails_leaves_no_part_of_itself(
    tmp_path: Path, store: Store, inventory: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "weasyprint.py").write_text("raise OSError('no pango')")
    settings = Reports(folder=tmp_path / "out", formats=("pdf",), languages=("en",))
    done = monthly.write_due(settings, store, inventory, NOW, never)
    assert done.written == 0
    assert done.failed > 0
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_a_missing_library_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fibrewatch_collector.report.page.pdf import pdf

    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "weasyprint.py").write_text("raise OSError('no pango')")
    with pytest.raises(PdfError, match=r"^the PDF was not made: WeasyPrint needs Pango .*: no pango$"):
        pdf("<p>")
    assert set(output.FORMATS) == {"json", "csv", "html", "pdf"}
