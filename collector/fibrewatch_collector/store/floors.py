"""Probe-minutes of floors in SQLite: a day of a box is 1,440 bytes, deflated to some dozens."""

import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from itertools import groupby

from fibrewatch_collector.store import Filter, FloorBox, FloorMinute
from fibrewatch_collector.store.conditions import conditions

DAY_MINUTES = 1440
_BOX = {"territory": "b.territory = ?", "site": "b.site = ?", "agent": "b.agent = ?"}


def save(db: sqlite3.Connection, minutes: Sequence[FloorMinute]) -> None:
    """Writes or restates minutes."""
    for box, mine in groupby(sorted(minutes), key=lambda each: each[:4]):
        db.execute(
            "INSERT INTO floor_box(territory, site, floor, agent) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", box
        )
        query = "SELECT id FROM floor_box WHERE territory=? AND site=? AND floor=? AND agent=?"
        (row,) = db.execute(query, box).fetchone()
        for day, those in groupby(mine, key=lambda each: each.minute // 60 // DAY_MINUTES):
            _save_day(db, row, day, list(those))


def _save_day(db: sqlite3.Connection, box: int, day: int, minutes: Sequence[FloorMinute]) -> None:
    found = db.execute("SELECT codes FROM floor_day WHERE box=? AND day=?", (box, day)).fetchone()
    codes = bytearray(zlib.decompress(found[0]) if found else bytes(DAY_MINUTES))
    for each in minutes:
        codes[each.minute // 60 % DAY_MINUTES] = each.state
    values = (box, day, zlib.compress(bytes(codes), 6), minutes[-1].version)
    db.execute("INSERT OR REPLACE INTO floor_day VALUES (?, ?, ?, ?)", values)


def minutes(db: sqlite3.Connection, where: Filter, first: int, last: int) -> Mapping[FloorBox, bytes]:
    """See Store.floors; minutes since 1970."""
    wanted, values = conditions(where, _BOX)
    query = f"""SELECT b.territory, b.site, b.floor, b.agent, d.day, d.codes
        FROM floor_box b JOIN floor_day d ON d.box = b.id
        WHERE {wanted} AND d.day >= ? AND d.day < ? ORDER BY b.id, d.day"""  # noqa: S608 only ? from outside
    days = (first // DAY_MINUTES, -(-last // DAY_MINUTES))
    found: dict[FloorBox, bytearray] = {}
    for *box, day, packed in db.execute(query, [*values, *days]):
        codes, start = zlib.decompress(packed), day * DAY_MINUTES
        begin, end = max(first, start), min(last, start + DAY_MINUTES)
        mine = found.setdefault(FloorBox(*box), bytearray(last - first))
        mine[begin - first : end - first] = codes[begin - start : end - start]
    return {box: bytes(codes) for box, codes in found.items()}
