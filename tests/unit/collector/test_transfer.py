"""Export and import: byte for byte, as often as one likes, and errors with the number of their line."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fibrewatch.errors import FibrewatchError
from fibrewatch.wire import AgentId
from fibrewatch_collector.store import Filter
from fibrewatch_collector.store.sqlite import SqliteStore
from fibrewatch_collector.transfer import Imported, export_lines, import_lines
from tests.support.measurements import AGENT, NOON, RECEIVED, STREAM, delivery, good, raw_window

RETENTION_S = 400 * 86_400.0
FAR = AgentId("california", "sf", "box-09")


@pytest.fixture
def source(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "source.db")
    store.commit([delivery(*(good(seq) for seq in range(1, 8))), delivery(good(1), good(2), agent=FAR)])
    yield store
    store.close()


@pytest.fixture
def destination(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "destination.db")
    yield store
    store.close()


def exported(store: SqliteStore) -> bytes:
    return b"".join(export_lines(store, NOON - 86_400, NOON + 86_400))


def load(store: SqliteStore, text: bytes) -> Imported:
    return import_lines(store, io.BytesIO(text), "results.ndjson", RECEIVED, RETENTION_S)


def content(store: SqliteStore) -> list[tuple[AgentId, str, int, bytes]]:
    return sorted((each.agent, each.stream, each.seq, each.raw) for each in store.measurements(Filter(), 0, 10_000))


def test_line_is_what_the_contract_says(source: SqliteStore) -> None:
    lines = exported(source).splitlines()
    assert len(lines) == 9
    found = json.loads(next(line for line in lines if b'"box-01"' in line))
    assert {key: found[key] for key in found if key != "measurement"} == {
        "territory": "paris",
        "site": "cargo",
        "agent": "box-01",
        "stream": STREAM,
        "sequence": 1,
    }
    assert found["measurement"] == json.loads(good(1).raw)


def test_import_of_an_export_gives_the_same_store(source: SqliteStore, destination: SqliteStore) -> None:
    text = exported(source)
    assert load(destination, text) == Imported(lines=9, stored=9)
    assert content(destination) == content(source)
    assert exported(destination) == text


def test_import_again_changes_nothing(source: SqliteStore, destination: SqliteStore) -> None:
    text = exported(source)
    load(destination, text)
    assert load(destination, text) == Imported(lines=9, duplicates=9)
    assert load(source, text) == Imported(lines=9, duplicates=9)


def test_import_of_a_part_invents_no_gaps_and_the_box_may_still_send_all(
    source: SqliteStore, destination: SqliteStore
) -> None:
    part = b"".join(line for line in exported(source).splitlines(True) if b'"sequence":5' in line)
    assert load(destination, part).stored == 1
    assert destination.gaps(Filter(), 10) == []
    done = destination.commit([delivery(*(good(seq) for seq in range(1, 8)))])
    assert (len(done.stored), done.duplicates, done.through) == (6, 1, {(AGENT, STREAM): 7})
    assert destination.gaps(Filter(), 10) == []


def test_import_fills_a_recorded_gap(source: SqliteStore, destination: SqliteStore) -> None:
    destination.commit([delivery(good(8), oldest=8)])
    load(destination, exported(source))
    assert destination.gaps(Filter(), 10) == []


def test_measurement_written_over_several_lines_is_exported_on_one(destination: SqliteStore) -> None:
    pretty = json.dumps(json.loads(raw_window()), indent=2).encode()
    destination.commit([delivery(good(1, pretty))])
    text = exported(destination)
    assert text.count(b"\n") == 1
    assert load(destination, text).duplicates == 1


def test_other_content_under_the_same_number_is_a_conflict(source: SqliteStore) -> None:
    forged = exported(source).replace(b'"test":"latency"', b'"test":"forgery"', 1)
    assert load(source, forged) == Imported(lines=9, duplicates=8, conflicts=1)


def test_empty_lines_are_passed_over(source: SqliteStore, destination: SqliteStore) -> None:
    text = exported(source).replace(b"\n", b"\n\n")
    assert load(destination, text).stored == 9
    assert load(destination, b"") == Imported()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"sequence":3', b'"sequence":0', "Expected `int` >= 1 - at `$.sequence`"),
        (b'"sequence":3,', b"", "Object missing required field `sequence`"),
        (b'"site":"cargo"', b'"site":"Cargo"', "'paris/Cargo/box-01' is not TERRITORY/SITE/AGENT"),
        (b'"outcome":"ok"', b'"outcome":"fine"', "malformed: Invalid enum value 'fine' - at `$.outcome`"),
        (b"2026-03-01", b"2029-03-01", "measurement refused: time_future"),
        (b"2026-03-01", b"2020-03-01", "measurement refused: time_past"),
        (b'{"territory"', b'{territory"', "JSON is malformed"),
        (b'"paris"', b'"\xff"', "utf-8"),
        (b'"latency"', b'"' + b"x" * 40_000 + b'"', "longer than 33792 bytes"),
    ],
)
def test_bad_line_is_named_and_those_before_it_are_imported(
    source: SqliteStore, destination: SqliteStore, old: bytes, new: bytes, message: str
) -> None:
    lines = [line for line in exported(source).splitlines(True) if b'"box-01"' in line]
    assert old in lines[2]
    lines[2] = lines[2].replace(old, new, 1)
    with pytest.raises(FibrewatchError) as caught:
        load(destination, b"".join(lines))
    assert str(caught.value).startswith("results.ndjson:3: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [seq for _, _, seq, _ in content(destination)] == [1, 2]


def test_import_of_more_than_one_transaction(destination: SqliteStore, tmp_path: Path) -> None:
    big = SqliteStore(tmp_path / "big.db")
    for first in range(1, 1202, 400):
        big.commit([delivery(*(good(seq, raw_window(NOON, boottime_s=seq)) for seq in range(first, first + 400)))])
    assert load(destination, exported(big)) == Imported(lines=1600, stored=1600)
    assert content(destination) == content(big)
    big.close()
