"""`fibrewatch report` and its API: what may be asked, what is answered, each error one clear line."""

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from fibrewatch.wire import Inventory as Schedule
from fibrewatch.wire import ScheduledTest, encode
from fibrewatch_collector.inventory import load_inventory
from fibrewatch_collector.operator import cli
from fibrewatch_collector.report import asked, figures, output
from fibrewatch_collector.report.asked import AskError
from fibrewatch_collector.sla import periods
from fibrewatch_collector.store import Bin
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.support import report as made
from tests.support.measurements import AGENT, delivery, good, raw_window

SITES = Path(__file__).parents[3] / "deploy" / "sites.example.toml"
BEGIN = datetime(2026, 1, 31, 23, tzinfo=UTC).timestamp()
NOW = datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "store.db"
    store = SqliteStore(path)
    store.save_schedule(
        AGENT,
        BEGIN,
        encode(
            Schedule(
                version="9.9",
                schedule=(
                    ScheduledTest(
                        test="latency", probe="ping", mode="window", every_s=60.0, target="operator-1", interface="eth0"
                    ),
                    ScheduledTest(test="web", probe="http", mode="burst", every_s=300.0, target="page"),
                ),
            )
        ),
    )
    store.commit([delivery(*(good(n + 1, raw_window(BEGIN + 60 * n)) for n in range(300)), at=BEGIN + 10**6)])
    store.save_bins([Bin("paris", "cargo", "fibre", int(BEGIN) + 60 * n, "A", None, 1) for n in range(300)])
    store.close()
    return path


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({"month": "2026-02"}, "say one of site, territory, all"),
        ({"all": "1"}, "say one of month, from, year"),
        ({"all": "1", "site": "cargo", "month": "2026-02"}, "site and all exclude each other"),
        ({"all": "1", "month": "2026-02", "year": "2026"}, "month and year exclude each other"),
        ({"all": "1", "month": "2026-2x"}, "month: '2026-2x' is not a month such as \"2026-10\""),
        (
            {"all": "1", "from": "2026-02-01"},
            "from and to go together, each a day such as 2026-10-01; the last one is in the period",
        ),
        (
            {"all": "1", "month": "2026-02", "to": "2026-02-01"},
            "from and to go together, each a day such as 2026-10-01; the last one is in the period",
        ),
        ({"all": "1", "from": "2026-02-30", "to": "2026-03-01"}, 'from: "2026-02-30" is no day such as 2026-10-01'),
        ({"all": "1", "from": "2026-03-02", "to": "2026-03-01"}, "from: 2026-03-01 is before 2026-03-02"),
        ({"all": "1", "year": "26"}, 'year: "26" is no year such as 2026'),
        ({"all": "1", "year": "9999"}, 'year: "9999" is no year such as 2026'),
        ({"all": "1", "from": "0001-01-01", "to": "0001-01-01"}, "from: 0001-01-01/0001-01-01 is not between 1970 and"),
        ({"all": "1", "month": "0001-01"}, "month: 0001-01 is not between 1970 and 9990"),
        ({"all": "1", "from": "9998-12-31", "to": "9998-12-31"}, "from: 9998-12-31/9998-12-31 is not between"),
        ({"all": "1", "from": "2026-01-01", "to": "2027-01-02"}, "to: 367 days are more than a report holds, 366"),
        ({"all": "1", "from": "1970-01-01", "to": "9989-12-30"}, "to: 2929"),
        ({"all": "1", "month": "2026-02", "format": "cvs"}, 'format: no "cvs" (did you mean csv?); one of '),
        ({"all": "1", "mounth": "2026-02"}, "mounth: no such parameter (did you mean month?)"),
    ],
)
def test_a_question_that_is_none_is_told_why(words: dict[str, str], problem: str) -> None:
    with pytest.raises(AskError) as caught:
        asked.question(words)
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({"site": "cargoo", "month": "2026-02"}, 'site: no "cargoo" in the inventory (did you mean cargo?)'),
        ({"territory": "pari", "month": "2026-02"}, 'territory: no "pari" in the inventory (did you mean paris?)'),
        ({"site": "cargo", "month": "2026-05"}, "2026-05: the period has not begun"),
    ],
)
def test_what_the_inventory_does_not_have_is_told(path: Path, words: dict[str, str], problem: str) -> None:
    store = SqliteStore(path)
    with pytest.raises(AskError) as caught:
        asked.answer(store, load_inventory(SITES), asked.question(words), NOW)
    store.close()
    assert str(caught.value) == problem


def report(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    status = cli.main(["report", *argv])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_json_of_a_store(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = report(
        capsys, "--store", str(path), "--sites", str(SITES), "--site", "cargo", "--month", "2026-02"
    )
    found = json.loads(out)
    assert (status, found["site"]["site"], found["period"]["label"]) == (0, "cargo", "2026-02")
    assert found["uplinks"][0]["net"]["available"] == 300
    assert found["methods"]["agent_versions"] == ["9.9"]


def test_csv_has_a_finding_a_line_and_the_series(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.csv"
    where = ("--store", str(path), "--sites", str(SITES), "--output", str(out))
    assert report(
        capsys, *where, "--site", "paris/cargo", "--from", "2026-02-01", "--to", "2026-02-01", "--format", "csv"
    ) == (0, "", "")
    tables = [list(csv.DictReader(io.StringIO(each))) for each in out.read_text().split("\n\n")]
    inventory = load_inventory(SITES)
    promised = [each for uplink in ("fibre", "4g") for each in inventory.promises["paris", "cargo", uplink].objectives]
    assert len(promised) - 1 <= len(tables[0]) <= len(promised) + 20
    assert {each["id"] for each in tables[0]} == {each.id for each in promised if each.kind != "coverage"} | {
        "label-wifi"
    }
    latency = [each for each in tables[2] if each["test"] == "latency"]
    assert (latency[0]["valid"], latency[0]["missing"], latency[0]["sent"]) == ("300", "1140", "18000")
    web = [each for each in tables[2] if each["test"] == "web"]
    assert (web[0]["valid"], web[0]["missing"]) == ("0", "288")


def test_year_compares_cities_month_by_month(path: Path) -> None:
    store = SqliteStore(path)
    found = asked.answer(store, load_inventory(SITES), asked.question({"all": "1", "year": "2026"}), NOW)
    store.close()
    rows = {(each.city, each.month): each for each in found.months}  # type: ignore[union-attr]
    assert sorted({month for _, month in rows}) == ["2026-01", "2026-02", "2026-03", "2026-04"]
    assert {month for city, month in rows if city == "San Francisco"} == {"2026-01", "2026-02", "2026-03"}
    february = rows["Paris", "2026-02"]
    assert (february.available, february.total, february.ratio, february.sites) == (300, 2 * 28 * 1440, None, 50)


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "none.db"
    status, out, err = report(capsys, "--store", str(missing), "--sites", str(SITES), "--all", "--month", "2026-02")
    assert (status, out, err) == (2, "", f"fibrewatch: {missing}: there is no store\n")
    assert not missing.exists()


@pytest.mark.parametrize(("body", "problem"), [(b"", "it is no store"), (b"hello" * 999, "file is not a database")])
def test_a_file_that_is_no_store_is_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], body: bytes, problem: str
) -> None:
    other = tmp_path / "other.db"
    other.write_bytes(body)
    where = ("--store", str(other), "--sites", str(SITES))
    assert report(capsys, *where, "--all", "--month", "2026-02") == (2, "", f"fibrewatch: {other}: {problem}\n")
    assert other.read_bytes() == body
    assert list(tmp_path.iterdir()) == [other]


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t=", "\r\n-", "＝"])
def test_no_name_is_a_spreadsheets_formula(sign: str) -> None:
    full = made.report()
    named = replace(full, findings=(replace(full.findings[0], source=f"{sign}1+1"),))
    (row,) = csv.DictReader(io.StringIO(output.FORMATS["csv"].write(named, output.Manner()).decode().split("\n\n")[0]))
    assert row["source"].startswith("'")


def test_store_and_sites_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = report(capsys, "--store", str(tmp_path), "--all", "--month", "2026-02")
    assert (status, err) == (2, "fibrewatch: --store and --sites go together: a store and the inventory of its boxes\n")


def test_late_are_those_that_came_after_the_first_report(path: Path) -> None:
    from fibrewatch_collector.report.known import Known

    store, inventory = SqliteStore(path), load_inventory(SITES)
    period = periods.month("2026-02", "Europe/Paris")
    for at, late in ((BEGIN + 10**6 - 7200, 300), (BEGIN + 10**6 + 7200, 0)):
        knows = Known(live=period.begin, reported_at=datetime.fromtimestamp(at, UTC))
        found = figures.report(store, inventory, inventory.sites["paris", "cargo"], period, NOW, knows=knows)
        assert [each.counts.late for each in found.series if each.test == "latency"] == [late]
    store.close()
