"""The SQLite schema as a list of steps; each step and its record are one transaction."""

import sqlite3
import time
from collections.abc import Callable

from fibrewatch.errors import StoreError
from fibrewatch_collector.store.codec import FIRST_DICTIONARY

Step = Callable[[sqlite3.Connection], None]
STEPS: list[tuple[str, Step]] = []
"""In order; a database's version is how many of them it has had."""


def step(function: Step) -> Step:
    """Registers a step. A released one is never changed, moved or taken out."""
    STEPS.append((function.__name__, function))
    return function


@step
def measurements(db: sqlite3.Connection) -> None:
    """Measurements: small integers for whatever repeats, because there will be hundreds of millions of rows."""
    db.execute("CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID")
    db.execute(
        "CREATE TABLE agent(id INTEGER PRIMARY KEY, territory TEXT NOT NULL, site TEXT NOT NULL, agent TEXT NOT NULL,"
        " UNIQUE(territory, site, agent))"
    )
    db.execute("CREATE TABLE dictionary(id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)")
    db.execute("INSERT INTO dictionary(id, bytes) VALUES (1, ?)", (FIRST_DICTIONARY,))
    # No NULLs in series: SQLite's UNIQUE takes two NULLs for different. '' and 0 stand for None.
    db.execute(
        "CREATE TABLE series(id INTEGER PRIMARY KEY, agent INTEGER NOT NULL, probe TEXT NOT NULL, test TEXT NOT NULL,"
        " target TEXT NOT NULL, role TEXT NOT NULL, interface TEXT NOT NULL, family INTEGER NOT NULL,"
        " dictionary INTEGER NOT NULL DEFAULT 1, dictionaries INTEGER NOT NULL DEFAULT 0,"
        " UNIQUE(agent, probe, test, target, role, interface, family))"
    )
    db.execute(
        "CREATE TABLE measurement(id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, seq INTEGER NOT NULL,"
        " series INTEGER NOT NULL, started_us INTEGER NOT NULL, lag_us INTEGER NOT NULL, sent INTEGER, lost INTEGER,"
        " flags INTEGER NOT NULL, digest BLOB NOT NULL, dictionary INTEGER NOT NULL, body BLOB NOT NULL)"
    )
    db.execute("CREATE UNIQUE INDEX measurement_key ON measurement(stream, seq)")
    db.execute("CREATE INDEX measurement_time ON measurement(series, started_us)")


@step
def delivery(db: sqlite3.Connection) -> None:
    """Streams, what is settled of them, what is lost, and what was refused."""
    db.execute(
        "CREATE TABLE stream(id INTEGER PRIMARY KEY, agent INTEGER NOT NULL, name TEXT NOT NULL,"
        " through INTEGER NOT NULL, ahead TEXT NOT NULL, UNIQUE(agent, name))"
    )
    db.execute(
        "CREATE TABLE gap(id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, first INTEGER NOT NULL,"
        " last INTEGER NOT NULL, recorded_us INTEGER NOT NULL)"
    )
    db.execute("CREATE INDEX gap_stream ON gap(stream, first)")
    db.execute(
        "CREATE TABLE quarantine(id INTEGER PRIMARY KEY, agent INTEGER NOT NULL, stream TEXT NOT NULL,"
        " seq INTEGER NOT NULL, digest BLOB NOT NULL, reason TEXT NOT NULL, received_us INTEGER NOT NULL,"
        " raw BLOB NOT NULL)"
    )
    db.execute("CREATE UNIQUE INDEX quarantine_key ON quarantine(agent, stream, seq, digest)")
    db.execute("CREATE INDEX quarantine_agent ON quarantine(agent)")


@step
def roll_ups(db: sqlite3.Connection) -> None:
    """Hours of a series, and which of them are still to be made from the measurements."""
    db.execute(
        "CREATE TABLE rollup(series INTEGER NOT NULL, hour INTEGER NOT NULL, version INTEGER NOT NULL,"
        " n INTEGER NOT NULL, ok INTEGER NOT NULL, failed INTEGER NOT NULL, skipped INTEGER NOT NULL,"
        " valid INTEGER NOT NULL, censored INTEGER NOT NULL, invalid INTEGER NOT NULL,"
        " sent INTEGER NOT NULL, lost INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY(series, hour)) WITHOUT ROWID"
    )
    db.execute("CREATE TABLE dirty(hour INTEGER, series INTEGER, PRIMARY KEY(hour, series)) WITHOUT ROWID")


@step
def bins(db: sqlite3.Connection) -> None:
    """One-minute availability bins; minutes are counted since 1970."""
    db.execute(
        "CREATE TABLE uplink(id INTEGER PRIMARY KEY, territory TEXT NOT NULL, site TEXT NOT NULL,"
        " uplink TEXT NOT NULL, UNIQUE(territory, site, uplink))"
    )
    db.execute(
        "CREATE TABLE bin(uplink INTEGER NOT NULL, minute INTEGER NOT NULL, state TEXT NOT NULL, cause TEXT,"
        " version INTEGER NOT NULL, PRIMARY KEY(uplink, minute)) WITHOUT ROWID"
    )


@step
def peers(db: sqlite3.Connection) -> None:
    """A series also knows the box at its target; SQLite can't widen a UNIQUE, so the table is made anew."""
    db.execute(
        "CREATE TABLE series_with_peer(id INTEGER PRIMARY KEY, agent INTEGER NOT NULL, probe TEXT NOT NULL,"
        " test TEXT NOT NULL, target TEXT NOT NULL, role TEXT NOT NULL, interface TEXT NOT NULL,"
        " family INTEGER NOT NULL, dictionary INTEGER NOT NULL DEFAULT 1, dictionaries INTEGER NOT NULL DEFAULT 0,"
        " peer TEXT NOT NULL DEFAULT '', UNIQUE(agent, probe, test, target, role, interface, family, peer))"
    )
    columns = "id, agent, probe, test, target, role, interface, family, dictionary, dictionaries"
    db.execute(f"INSERT INTO series_with_peer({columns}) SELECT {columns} FROM series")  # noqa: S608 ours
    db.execute("DROP TABLE series")
    db.execute("ALTER TABLE series_with_peer RENAME TO series")


@step
def days(db: sqlite3.Connection) -> None:
    """Days of series and of uplinks, which of them are still to be made, and what boxes were told to do.

    All that can be made anew is: hours whose measurements are there gain what a day needs.
    """
    db.execute(
        "CREATE TABLE day(series INTEGER NOT NULL, day INTEGER NOT NULL, version INTEGER NOT NULL,"
        " total BLOB NOT NULL, hours BLOB NOT NULL, PRIMARY KEY(series, day)) WITHOUT ROWID"
    )
    db.execute("CREATE TABLE dirty_day(day INTEGER, series INTEGER, PRIMARY KEY(day, series)) WITHOUT ROWID")
    db.execute(
        "CREATE TABLE minutes(uplink INTEGER NOT NULL, day INTEGER NOT NULL, codes BLOB NOT NULL,"
        " legend BLOB NOT NULL, PRIMARY KEY(uplink, day)) WITHOUT ROWID"
    )
    db.execute("CREATE TABLE dirty_minutes(day INTEGER, uplink INTEGER, PRIMARY KEY(day, uplink)) WITHOUT ROWID")
    db.execute(
        "CREATE TABLE schedule(agent INTEGER NOT NULL, since_us INTEGER NOT NULL, raw BLOB NOT NULL,"
        " PRIMARY KEY(agent, since_us)) WITHOUT ROWID"
    )
    db.execute("INSERT OR IGNORE INTO dirty SELECT DISTINCT started_us / 3600000000, series FROM measurement")
    db.execute("INSERT OR IGNORE INTO dirty_day SELECT DISTINCT hour / 24, series FROM rollup")
    db.execute("INSERT OR IGNORE INTO dirty_minutes SELECT DISTINCT minute / 1440, uplink FROM bin")


@step
def ledger(db: sqlite3.Connection) -> None:
    """What people declared, and reports as they were given out: only ever added to, by the database's own word."""
    db.execute(
        "CREATE TABLE record(id INTEGER PRIMARY KEY, kind TEXT NOT NULL, territory TEXT NOT NULL, site TEXT NOT NULL,"
        " at_us INTEGER NOT NULL, begin_us INTEGER, end_us INTEGER, number INTEGER, body BLOB NOT NULL)"
    )
    for change in ("UPDATE", "DELETE"):
        db.execute(
            f"CREATE TRIGGER record_{change} BEFORE {change} ON record"
            " BEGIN SELECT RAISE(ABORT, 'a record is kept as it is'); END"
        )


@step
def floors(db: sqlite3.Connection) -> None:
    """Minutes of Wi-Fi, by box and the floor where it stood; a day is a byte a minute."""
    db.execute(
        "CREATE TABLE floor_box(id INTEGER PRIMARY KEY, territory TEXT NOT NULL, site TEXT NOT NULL,"
        " floor TEXT NOT NULL, agent TEXT NOT NULL, UNIQUE(territory, site, floor, agent))"
    )
    db.execute(
        "CREATE TABLE floor_day(box INTEGER NOT NULL, day INTEGER NOT NULL, codes BLOB NOT NULL,"
        " version INTEGER NOT NULL, PRIMARY KEY(box, day)) WITHOUT ROWID"
    )


@step
def digests(db: sqlite3.Connection) -> None:
    """What came twice is compared with the body itself: nine bytes of each row less, and it seldom happens."""
    db.execute("ALTER TABLE measurement DROP COLUMN digest")


def migrate(db: sqlite3.Connection) -> None:
    """Brings a database to this program's schema.

    Raises:
        StoreError: It was written by a newer program.
    """
    db.execute("CREATE TABLE IF NOT EXISTS schema(version INTEGER PRIMARY KEY, name TEXT, applied_at INTEGER)")
    while _version(db) < len(STEPS):
        db.execute("BEGIN IMMEDIATE")
        try:
            _next_step(db)
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("SELECT coalesce(max(version), 0) FROM schema").fetchone()[0]
    if version > len(STEPS):
        raise StoreError(f"schema {version} is newer than this program's {len(STEPS)}: install the newer fibrewatch")
    return version


def _next_step(db: sqlite3.Connection) -> None:
    version = _version(db)  # asked again inside the transaction: another process may have been faster
    if version < len(STEPS):
        name, function = STEPS[version]
        function(db)
        db.execute("INSERT INTO schema VALUES (?, ?, ?)", (version + 1, name, int(time.time())))
