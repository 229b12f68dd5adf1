"""What the SQLite store keeps, refuses and gives back."""

import json
import random
import sqlite3
import string
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fibrewatch import sketch
from fibrewatch.errors import StoreError
from fibrewatch.measurement import Conditions, Target
from fibrewatch.results.ping import Result as PingResult
from fibrewatch.wire import AgentId
from fibrewatch_collector.store import Bin, Filter, WindowCount, codec, schema
from fibrewatch_collector.store.catalogue import MAX_SERIES
from fibrewatch_collector.store.quarantine import Limits
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.support.measurements import AGENT, NOON, RECEIVED, STREAM, bad, delivery, good, raw_window, result

EVERYTHING = Filter()
OTHER_STREAM = "00000000000000bb"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db", Limits(agent_rows=5, agent_bytes=4000, rows=12, size_bytes=10_000))
    yield opened
    opened.close()


def raws(store: SqliteStore, where: Filter = EVERYTHING) -> list[bytes]:
    return [each.raw for each in store.measurements(where, 0, 1000)]


# ---- byte for byte


def test_every_byte_comes_back_unknown_fields_and_spaces_too(store: SqliteStore) -> None:
    odd = raw_window().replace(b'{"probe"', b'{ "future":{"x":[1,2.50]},\t"probe"')
    unknown = b'{"result":{"a":"\xc3\xa9"},' + raw_window()[1:].replace(b'"ping"', b'"from_next_year"')
    store.commit([delivery(good(1, odd), good(2, unknown), good(3))])
    assert raws(store) == [odd, unknown, good(3).raw]
    first = store.measurements(EVERYTHING, 0, 1)[0]
    assert (first.agent, first.stream, first.seq, first.received_at) == (AGENT, STREAM, 1, RECEIVED)


def test_series_learns_a_dictionary_from_its_first_good_result(store: SqliteStore, tmp_path: Path) -> None:
    failed = raw_window(outcome="failed", error="timeout", result=None)
    store.commit([delivery(good(1, failed), *(good(seq) for seq in range(2, 12)))])
    with sqlite3.connect(tmp_path / "store.db") as db:
        used = [row[0] for row in db.execute("SELECT dictionary FROM measurement ORDER BY seq")]
        sizes = [row[0] for row in db.execute("SELECT length(body) FROM measurement ORDER BY seq")]
    assert used[:2] == [1, 1]
    assert set(used[2:]) == {2}
    assert max(sizes[2:]) < min(sizes[:2])


def test_series_whose_results_changed_learns_again(store: SqliteStore, tmp_path: Path) -> None:
    store.commit([delivery(good(1), good(2))])
    words = "".join(random.Random(1).choices(string.ascii_letters, k=480))
    strange = [raw_window(NOON + at, detail=words, result=None) for at in (300, 360)]
    store.commit([delivery(good(3, strange[0]), good(4, strange[1]))])
    with sqlite3.connect(tmp_path / "store.db") as db:
        sizes = [row[0] for row in db.execute("SELECT length(body) FROM measurement ORDER BY seq")]
    assert sizes[3] < sizes[2] / 3
    assert raws(store)[2:] == strange


# ---- duplicates, conflicts, refusals


def test_same_key_other_content_is_a_conflict_and_settled(store: SqliteStore) -> None:
    other = raw_window(test="forged")
    store.commit([delivery(good(1))])
    done = store.commit([delivery(good(1, other), good(2))])
    assert (done.conflicts, done.duplicates, done.refused, len(done.stored)) == (1, 0, 0, 1)
    assert done.conflicting == {AGENT}
    assert done.through == {(AGENT, STREAM): 2}
    assert raws(store) == [good(1).raw, good(2).raw]
    (kept,) = store.refusals(EVERYTHING, 10)
    assert (kept.reason, kept.seq, kept.raw) == ("conflict", 1, other)


def test_conflict_sent_again_counts_as_a_duplicate(store: SqliteStore) -> None:
    store.commit([delivery(good(1))])
    clone = delivery(good(1, raw_window(test="forged")))
    assert store.commit([clone]).conflicts == 1
    again = store.commit([clone])
    assert (again.conflicts, again.duplicates) == (0, 1)


def test_conflict_within_one_transaction_is_noticed(store: SqliteStore) -> None:
    done = store.commit([delivery(good(1)), delivery(good(1, raw_window(test="forged"))), delivery(good(1))])
    assert (len(done.stored), done.conflicts, done.duplicates) == (1, 1, 1)


def test_same_number_of_another_agent_or_stream_is_no_conflict(store: SqliteStore) -> None:
    other = AgentId("paris", "cargo", "box-02")
    done = store.commit([delivery(good(1)), delivery(good(1), agent=other), delivery(good(1), stream=OTHER_STREAM)])
    assert (len(done.stored), done.conflicts) == (3, 0)
    assert done.batches == {(AGENT, STREAM): 1, (other, STREAM): 1, (AGENT, OTHER_STREAM): 1}


def test_refused_is_settled_and_a_good_one_later_is_stored(store: SqliteStore) -> None:
    refused = store.commit([delivery(bad(1), good(2))])
    assert (refused.refused, refused.reasons, refused.through) == (1, {"malformed": 1}, {(AGENT, STREAM): 2})
    assert store.commit([delivery(bad(1))]).duplicates == 1
    later = store.commit([delivery(good(1))])
    assert (len(later.stored), later.refused) == (1, 0)
    assert sorted(raws(store)) == sorted([good(1).raw, good(2).raw])


def test_payload_without_stream_is_kept_and_acknowledges_nothing(store: SqliteStore) -> None:
    done = store.commit([delivery(bad(0, b"\xff\xfe"), stream="", oldest=0)])
    assert (done.refused, done.through, done.stored) == (1, {}, [])
    assert store.refusals(EVERYTHING, 10)[0].raw == b"\xff\xfe"


def test_quarantine_lets_the_oldest_of_an_agent_out(store: SqliteStore) -> None:
    for seq in range(1, 9):
        store.commit([delivery(bad(seq, b"x%d" % seq))])
    assert [each.raw for each in store.refusals(EVERYTHING, 100)] == [b"x8", b"x7", b"x6", b"x5", b"x4"]


def test_quarantine_is_bounded_in_bytes(store: SqliteStore) -> None:
    for seq in range(1, 5):
        store.commit([delivery(bad(seq, bytes([seq]) * 1500))])
    assert [each.seq for each in store.refusals(EVERYTHING, 100)] == [4, 3]
    store.commit([delivery(bad(5, b"y" * 5000))])
    assert store.refusals(EVERYTHING, 100) == []


def test_quarantine_is_bounded_over_all_agents(store: SqliteStore) -> None:
    for number in range(40):
        store.commit([delivery(bad(1, b"x%d" % number), agent=AgentId("p", "s", f"box-{number}"))])
        assert len(store.refusals(EVERYTHING, 100)) <= 12
    assert store.refusals(EVERYTHING, 1)[0].raw == b"x39"


def test_agent_gone_wild_gets_no_more_series_than_allowed(store: SqliteStore) -> None:
    arrivals = [good(seq, raw_window(test=f"test-{seq}")) for seq in range(1, MAX_SERIES + 3)]
    done = store.commit([delivery(*arrivals), delivery(good(1), agent=AgentId("paris", "cargo", "box-02"))])
    assert done.reasons == {"too_many_series": 2}
    assert done.through[AGENT, STREAM] == MAX_SERIES + 2
    assert len(done.stored) == MAX_SERIES + 1
    known = store.commit([delivery(good(1000, raw_window(test="test-1")), oldest=1000)])
    assert len(known.stored) == 1


# ---- numbering


def test_gap_is_recorded_exactly_without_what_came_or_was_refused(store: SqliteStore) -> None:
    store.commit([delivery(good(1)), delivery(good(4)), delivery(bad(6))])
    done = store.commit([delivery(good(10), oldest=10)])
    assert done.lost == 6
    assert done.through == {(AGENT, STREAM): 10}
    assert sorted((gap.first, gap.last) for gap in store.gaps(EVERYTHING, 10)) == [(2, 3), (5, 5), (7, 9)]
    assert {gap.recorded_at for gap in store.gaps(EVERYTHING, 10)} == {RECEIVED}


def test_late_number_is_stored_and_its_gap_shrinks(store: SqliteStore) -> None:
    store.commit([delivery(good(10), oldest=10)])
    done = store.commit([delivery(good(5), bad(6), oldest=5)])
    assert len(done.stored) == 1
    assert sorted((gap.first, gap.last) for gap in store.gaps(EVERYTHING, 10)) == [(1, 4), (7, 9)]


def test_empty_batch_closes_a_gap(store: SqliteStore) -> None:
    done = store.commit([delivery(oldest=4)])
    assert (done.lost, done.through) == (3, {(AGENT, STREAM): 3})


def test_number_far_ahead_is_not_taken_nor_settled(store: SqliteStore) -> None:
    done = store.commit([delivery(good(200_000), oldest=1)])
    assert (done.untaken, done.stored, done.through) == (1, [], {(AGENT, STREAM): 0})
    covered = store.commit([delivery(good(200_000), oldest=200_000)])
    assert (len(covered.stored), covered.lost) == (1, 199_999)


def test_out_of_order_batches_are_acknowledged_once_the_hole_is_filled(store: SqliteStore) -> None:
    assert store.commit([delivery(good(3), good(4))]).through == {(AGENT, STREAM): 0}
    assert store.commit([delivery(good(1), good(2))]).through == {(AGENT, STREAM): 4}


def test_imported_rows_claim_nothing_about_the_stream(store: SqliteStore) -> None:
    imported = store.commit([delivery(good(7), good(3), oldest=0)])
    assert (len(imported.stored), imported.through, imported.lost) == (2, {}, 0)
    live = store.commit([delivery(*(good(seq) for seq in range(1, 6)))])
    assert (len(live.stored), live.duplicates, live.through) == (4, 1, {(AGENT, STREAM): 5})
    closed = store.commit([delivery(good(9), oldest=9)])
    assert closed.lost == 2
    assert sorted((gap.first, gap.last) for gap in store.gaps(EVERYTHING, 10)) == [(6, 6), (8, 8)]


def test_another_process_that_writes_is_noticed(store: SqliteStore, tmp_path: Path) -> None:
    store.commit([delivery(good(1))])
    other = SqliteStore(tmp_path / "store.db")
    other.commit([delivery(good(2), good(3))])
    other.close()
    done = store.commit([delivery(good(3), good(4))])
    assert (len(done.stored), done.duplicates, done.through) == (1, 1, {(AGENT, STREAM): 4})


def test_another_process_that_went_on_with_a_stream_is_noticed(store: SqliteStore, tmp_path: Path) -> None:
    store.commit([delivery(good(1))])
    other = SqliteStore(tmp_path / "store.db")
    other.commit([delivery(good(2), good(3))])
    other.close()
    assert store.commit([delivery(good(4))]).through == {(AGENT, STREAM): 4}


# ---- questions


def test_measurements_are_filtered_and_paged_in_order_of_arrival(store: SqliteStore) -> None:
    far = AgentId("california", "sf", "box-09")
    store.commit([delivery(*(good(seq) for seq in range(1, 6)))])
    store.commit([delivery(good(1, raw_window(test="other")), good(2), agent=far)])
    assert len(raws(store, Filter(territory="california"))) == 2
    assert raws(store, Filter(site="sf", test="other")) == [raw_window(test="other")]
    assert raws(store, Filter(agent="box-01", begin=NOON + 60, end=NOON + 180)) == [good(2).raw, good(3).raw]
    assert raws(store, Filter(probe="throughput")) == []
    assert len(raws(store, Filter(target="operator-1"))) == 7
    pages: list[int] = []
    while page := store.measurements(Filter(agent="box-01"), pages[-1] if pages else 0, 2):
        pages += [each.row for each in page]
    assert pages == [1, 2, 3, 4, 5]


def test_measurements_are_found_by_the_box_or_site_at_the_other_end(store: SqliteStore) -> None:
    def to(peer: str) -> bytes:
        return raw_window(target=Target(name="there", role="responder", peer=peer))

    first, second, third = to("paris/cargo/box-01"), to("paris/cargo/box-02"), to("paris/cargo-2/box-01")
    store.commit([delivery(good(1), good(2, first), good(3, second), good(4, third))])
    assert raws(store, Filter(peer="paris/cargo")) == [first, second]
    assert raws(store, Filter(peer="paris/cargo/box-01", site="cargo")) == [first]
    assert raws(store, Filter(peer="paris/cargo/box")) == []


def test_series_from_before_peers_were_known_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name for name, _ in schema.STEPS]
    with monkeypatch.context() as patch:
        patch.setattr(schema, "STEPS", schema.STEPS[: names.index("peers")])
        with sqlite3.connect(tmp_path / "store.db", isolation_level=None) as db:
            schema.migrate(db)
            db.execute("INSERT INTO agent VALUES (1, ?, ?, ?)", AGENT)
            series = (7, 1, "ping", "latency", "operator-1", "operator", "eth0", 4, 1, 3)
            db.execute("INSERT INTO series VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", series)
    store = SqliteStore(tmp_path / "store.db")
    store.commit([delivery(good(1))])
    store.close()
    with sqlite3.connect(tmp_path / "store.db") as db:
        assert db.execute("SELECT id, dictionaries, peer FROM series").fetchall() == [(7, 4, "")]
        assert db.execute("SELECT series FROM measurement").fetchall() == [(7,)]


def test_export_is_by_series_and_time_and_takes_its_bounds_exactly(store: SqliteStore) -> None:
    store.commit([delivery(*(good(seq) for seq in (3, 1, 2, 4)))])
    store.commit([delivery(good(1, raw_window(test="a")), stream=OTHER_STREAM)])
    found = [(each.stream, each.seq) for each in store.export(NOON, NOON + 180)]
    assert found == [(OTHER_STREAM, 1), (STREAM, 1), (STREAM, 2), (STREAM, 3)]


def test_export_pages_through_more_than_one_page(store: SqliteStore) -> None:
    for first in range(1, 2502, 500):
        numbers = range(first, first + 500)
        store.commit([delivery(*(good(seq, raw_window(NOON + seq // 2, boottime_s=seq)) for seq in numbers))])
    assert [each.seq for each in store.export(NOON, NOON + 10_000)] == list(range(1, 3001))


def test_window_counts_sum_what_tells_about_the_line(store: SqliteStore) -> None:
    other = Target(name="neutral-1", role="neutral")
    changes = [
        {"result": result(60, 6)},
        {"result": result(45, 0)},
        {"result": result(60, 60), "outcome": "failed", "error": "timeout"},
        {"result": result(60, 30), "reasons": ("undated",)},
        {"result": result(60, 30), "verdict": "invalid", "reasons": ("cpu",)},
        {"result": None, "outcome": "failed", "error": "permission"},
        {"result": result(60, 1), "target": other, "family": 6, "interface": "wwan0"},
        {"result": result(60, 1), "target": None},
    ]
    arrivals = [good(seq, raw_window(NOON + seq, **change)) for seq, change in enumerate(changes, 1)]
    store.commit([delivery(*arrivals), delivery(good(1, raw_window(NOON + 100)), stream=OTHER_STREAM)])
    assert store.window_counts("paris", "cargo", NOON, NOON + 60) == [
        WindowCount(AGENT, "latency", "operator-1", "operator", "eth0", 4, 165, 66, 3),
        WindowCount(AGENT, "latency", "neutral-1", "neutral", "wwan0", 6, 60, 1, 1),
    ]
    assert store.window_counts("paris", "elsewhere", NOON, NOON + 60) == []


def test_bins_are_restated_and_totalled(store: SqliteStore) -> None:
    minute = int(NOON)
    first = [Bin("paris", "cargo", "fibre", minute + 60 * n, "A", None, 1) for n in range(3)]
    store.save_bins(first)
    store.save_bins([Bin("paris", "cargo", "fibre", minute + 60, "U", "access", 2)])
    store.save_bins([Bin("paris", "other", "4g", minute, "N", "probe", 1)])
    assert store.bins("paris", "cargo", NOON, NOON + 120) == [
        first[0],
        Bin("paris", "cargo", "fibre", minute + 60, "U", "access", 2),
    ]
    assert store.bin_totals(NOON, NOON + 180) == {
        ("paris", "cargo", "fibre"): {"A": 2, "U": 1},
        ("paris", "other", "4g"): {"N": 1},
    }
    assert store.bin_totals(NOON + 61, NOON + 180) == {("paris", "cargo", "fibre"): {"A": 1}}


def test_readers_in_other_threads_see_what_is_committed(store: SqliteStore) -> None:
    store.commit([delivery(good(1))])
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(raws(store)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1, 1, 1, 1]


# ---- failures


def test_full_disk_is_told_apart_nothing_is_done_and_it_recovers(store: SqliteStore) -> None:
    store.commit([delivery(good(1))])
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count={pages}")
    many = delivery(*(good(seq, raw_window(test=f"t{seq}")) for seq in range(2, 200)))
    with pytest.raises(StoreError, match="database or disk is full") as caught:
        store.commit([many])
    assert caught.value.full
    assert len(raws(store)) == 1
    store._db.execute("PRAGMA max_page_count=1000000")
    done = store.commit([many])
    assert (len(done.stored), done.duplicates, done.through) == (198, 0, {(AGENT, STREAM): 199})
    assert len(raws(store, Filter(probe="ping"))) == 199  # also by their series, which had to be made again


def test_value_that_the_store_cannot_hold_is_a_store_error_of_one_line(store: SqliteStore) -> None:
    with pytest.raises(StoreError) as caught:
        store.commit([delivery(good(2**70, raw_window()), oldest=2**70)])
    assert not caught.value.full
    assert "\n" not in str(caught.value)
    assert len(store.commit([delivery(good(1))]).stored) == 1


def test_schema_that_is_not_text_is_a_store_error(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    SqliteStore(file).close()
    file.write_bytes(file.read_bytes().replace(b"CREATE TABLE measurement", b"CREATE T\xff\xfeLE measurement"))
    with pytest.raises(StoreError, match=r"store\.db: "):
        SqliteStore(file)


def test_damaged_file_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"this is no database, but long enough to be taken for one" * 100)
    with pytest.raises(StoreError, match=r"store\.db: file is not a database"):
        SqliteStore(tmp_path / "store.db")


def packed(raw: bytes) -> str:
    """What inflates well, with whatever dictionary, but to this."""
    return f"x'{codec.pack(raw, b'').hex()}'"


@pytest.mark.parametrize(
    "body", ["x'ff'", "x''", "zeroblob(200)", packed(b"no JSON"), packed(b'{"probe":"\xff"}'), packed(b'{"probe":1}}')]
)
def test_measurement_damaged_on_the_disk_is_left_out_and_stops_nothing(
    store: SqliteStore, tmp_path: Path, caplog: pytest.LogCaptureFixture, body: str
) -> None:
    store.commit([delivery(*(good(seq) for seq in range(1, 11)))])
    with sqlite3.connect(tmp_path / "store.db") as db:
        db.execute(f"UPDATE measurement SET body = {body} WHERE seq IN (3, 4)")
    left = [good(seq).raw for seq in (1, 2, *range(5, 11))]
    assert raws(store) == left
    assert [each.seq for each in store.measurements(EVERYTHING, 0, 4)] == [1, 2, 5, 6]
    assert [each.seq for each in store.measurements(Filter(site="cargo"), 2, 3)] == [5, 6, 7]
    assert [each.raw for each in store.export(NOON, NOON + 3600)] == left
    while store.roll_up(100, NOON + 3 * 86400):
        pass
    assert [(hour.n, hour.fields.sums["rtt_max"].count) for hour in store.rollups(EVERYTHING)] == [(10, 8)]
    assert "can't be read any more and is left out: row 3" in caplog.text
    done = store.commit([delivery(good(3), good(5))])  # what the box sends again is kept, beside what is there
    assert (done.conflicts, done.duplicates) == (1, 1)
    assert store.refusals(EVERYTHING, 10)[0].raw == good(3).raw


def test_folder_that_is_missing_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open database file"):
        SqliteStore(tmp_path / "missing" / "store.db")


def test_newer_schema_is_refused(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "store.db").close()
    with sqlite3.connect(tmp_path / "store.db") as db:
        db.execute("INSERT INTO schema VALUES (99, 'from_the_future', 0)")
    with pytest.raises(StoreError, match="schema 99 is newer"):
        SqliteStore(tmp_path / "store.db")


def test_migration_step_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE half(done)")
        db.execute("SELECT no_such_function()")

    with monkeypatch.context() as patch:
        patch.setattr(schema, "STEPS", [*schema.STEPS, ("broken", broken)])
        with pytest.raises(StoreError, match="no_such_function"):
            SqliteStore(tmp_path / "store.db")
    store = SqliteStore(tmp_path / "store.db")
    with sqlite3.connect(tmp_path / "store.db") as db:
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)
        steps = [name for (name,) in db.execute("SELECT name FROM schema ORDER BY version")]
    assert steps == [name for name, _ in schema.STEPS]
    assert len(store.commit([delivery(good(1))]).stored) == 1
    store.close()


def test_older_database_is_migrated_with_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(tmp_path / "store.db")
    store.commit([delivery(good(1))])
    store.close()
    added = ("more", lambda db: db.execute("CREATE TABLE more(id)"))
    monkeypatch.setattr(schema, "STEPS", [*schema.STEPS, added])
    migrated = SqliteStore(tmp_path / "store.db")
    assert raws(migrated) == [good(1).raw]
    assert list(migrated.commit([delivery(good(2))]).through.values()) == [2]
    migrated.close()


def test_database_with_digests_still_knows_what_came_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name for name, _ in schema.STEPS]
    with monkeypatch.context() as patched:
        patched.setattr(schema, "STEPS", schema.STEPS[: names.index("digests")])
        with sqlite3.connect(tmp_path / "store.db") as db:
            schema.migrate(db)
            old, raw = good(1), codec.pack(good(1).raw, codec.FIRST_DICTIONARY)
            db.execute("INSERT INTO agent VALUES (1, 'paris', 'cargo', 'box-01')")
            db.execute("INSERT INTO stream VALUES (1, 1, ?, 1, '[]')", (STREAM,))
            db.execute(
                "INSERT INTO series(id, agent, probe, test, target, role, interface, family)"
                " VALUES (1, 1, 'ping', 'latency', 'operator-1', 'operator', 'eth0', 4)"
            )
            at = round(NOON * 1e6)
            db.execute("INSERT INTO measurement VALUES (1, 1, 1, 1, ?, 61000000, 60, 0, 0, x'00', 1, ?)", (at, raw))
        db.close()
    migrated = SqliteStore(tmp_path / "store.db")
    assert raws(migrated) == [old.raw]
    done = migrated.commit([delivery(good(1), good(2))])
    assert (done.duplicates, len(done.stored), done.conflicts) == (1, 1, 0)
    assert migrated.commit([delivery(good(1, raw_window(NOON + 7)))]).conflicts == 1
    migrated.close()


def test_writer_waits_for_the_disk_at_each_commit(store: SqliteStore) -> None:
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_ahead_ranges_survive_in_the_file(store: SqliteStore, tmp_path: Path) -> None:
    store.commit([delivery(good(3)), delivery(good(6), good(7))])
    with sqlite3.connect(tmp_path / "store.db") as db:
        ((ahead,),) = db.execute("SELECT ahead FROM stream").fetchall()
    assert json.loads(ahead) == [[3, 3], [6, 7]]


def test_measurement_takes_235_bytes_at_most_all_in(tmp_path: Path) -> None:
    """Realistic windows of 60 samples; indices, dictionaries and roll-ups included."""
    store, rng = SqliteStore(tmp_path / "big.db"), random.Random(20261122)
    agents = [AgentId("paris", f"site-{number}", "box-01") for number in range(10)]
    seq = count = 0
    for minute in range(240):
        deliveries = []
        for agent in agents:
            noisy = [good(seq + number, noisy_window(rng, minute, number)) for number in range(1, 7)]
            deliveries.append(delivery(*noisy, agent=agent, at=NOON + 60 * minute + 61))
            count += len(noisy)
        store.commit(deliveries)
        seq += 6
    while store.roll_up(100, NOON + 86_400):
        pass
    store.close()  # the last connection to close moves the log into the file
    assert count == 14_400
    assert (tmp_path / "big.db").stat().st_size / count <= 235


def noisy_window(rng: random.Random, minute: int, target: int) -> bytes:
    """Each RTT lies up to some 30 % above the least, so that the histogram has a dozen buckets and more."""
    rtts = [round(0.004 * target * (1 + rng.lognormvariate(-2.5, 1)), 9) for _ in range(60)]
    ordered = sorted(rtts)
    ping = PingResult(
        sent=60,
        lost=0,
        deadline=2.0,
        loss_ratio=0.0,
        rtt_min=ordered[0],
        rtt_p50=ordered[29],
        rtt_p95=ordered[56],
        rtt_p99=ordered[59],
        rtt_max=ordered[59],
        ipdv_p50=round(ordered[30] - ordered[29], 9),
        ipdv_p95=round(ordered[56] - ordered[29], 9),
        rtt=sketch.of(rtts),
        stamps="kernel",
    )
    where = Target(name=f"operator-{target}", role="operator", address=f"192.0.2.{target}")
    conditions = Conditions(
        clock_synchronised=True,
        clock_offset_bound_s=round(rng.random() * 0.01, 6),
        cpu_busy=round(rng.random() * 0.2, 4),
        temperature_celsius=round(45 + rng.random() * 5, 1),
        throttled=(),
        link_speed=125e6,
    )
    boottime_s = round(1000 + 60 * minute + rng.random() * 1e-3, 6)
    at = NOON + 60 * minute
    return raw_window(
        at, test=f"latency-{target}", target=where, result=ping, conditions=conditions, boottime_s=boottime_s
    )
