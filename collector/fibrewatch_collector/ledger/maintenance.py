"""Declared work: who, why, when, and when it was said. Only what was declared before it began leaves the net figure.

Nothing is ever changed: a longer work is a second declaration, a cancellation is a record of its own. Pure.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from fibrewatch.config import nearest
from fibrewatch_collector.inventory import Inventory, Site
from fibrewatch_collector.ledger import LedgerError, moments, places
from fibrewatch_collector.report.model import Maintenance
from fibrewatch_collector.store import Record

DECLARED, CANCELLED = "maintenance", "maintenance_cancelled"
KINDS = (DECLARED, CANCELLED)
LONGEST, FARTHEST = timedelta(days=31), timedelta(days=731)
Line = Annotated[str, Meta(min_length=1, max_length=300, pattern=r"\A[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*\Z")]


class Wish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /api/v1/maintenance: moments with an offset, or by the clock of the place.

    Attributes:
        site: None: all sites of the territory.
        uplink: Of the site; None: all of them.
    """

    territory: str
    begin: str
    end: str
    who: Line
    why: Line
    site: str | None = None
    uplink: str | None = None


class Cancel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /api/v1/maintenance/ID/cancel."""

    who: Line
    why: Line


class Declaration(Struct, frozen=True, kw_only=True):
    """One declared stretch, begin ≤ t < end, and what became of it."""

    id: int = 0
    territory: str
    site: str | None
    uplink: str | None
    begin: datetime
    end: datetime
    who: str
    why: str
    declared_at: datetime
    cancelled_at: datetime | None = None
    cancelled_by: str | None = None
    cancelled_why: str | None = None

    @property
    def in_time(self) -> bool:
        """Whether it was declared before it began."""
        return self.declared_at < self.begin

    @property
    def until(self) -> datetime:
        """Its end, or its cancellation before that."""
        return max(self.begin, min(self.end, self.cancelled_at or self.end))

    @property
    def where(self) -> str:
        """Territory, site and uplink as far as they are named."""
        return "/".join(part for part in (self.territory, self.site, self.uplink) if part)

    def touches(self, site: Site) -> bool:
        """Whether it is about a site."""
        return self.territory == site.territory and self.site in (None, site.id)


class _Cancelled(Struct, frozen=True):
    declaration: int
    who: str
    why: str


def declare(wish: Wish, inventory: Inventory, before: Iterable[Declaration], now: datetime) -> Declaration:
    """What is to be recorded.

    Raises:
        LedgerError: It can't be declared.
    """
    zone = _zone(wish, inventory)
    begin, end = moments.moment(wish.begin, "begin", zone), moments.moment(wish.end, "end", zone)
    if end <= begin:
        raise LedgerError("wrong", f"end: {_shown(end)} is not after begin, {_shown(begin)}")
    if end - begin > LONGEST:
        raise LedgerError("wrong", f"end: {moments.length(end - begin)} are more than {LONGEST.days} days of work")
    if begin - now > FARTHEST:
        raise LedgerError("wrong", f"begin: {_shown(begin)} is more than two years ahead")
    made = Declaration(
        territory=wish.territory,
        site=wish.site,
        uplink=wish.uplink,
        begin=begin,
        end=end,
        who=wish.who.strip(),
        why=wish.why.strip(),
        declared_at=now,
    )
    for other in before:
        if _overlap(made, other):
            raise LedgerError(
                "conflict",
                f"it overlaps maintenance {other.id} of {other.where}, {_shown(other.begin)} to {_shown(other.until)}: "
                "declare only what goes beyond it, or cancel that one first",
            )
    return made


def cancel(number: int, wish: Cancel, before: Iterable[Declaration], now: datetime) -> bytes:
    """The body of the record that cancels a declaration.

    Raises:
        LedgerError: It can't be cancelled.
    """
    found = next((each for each in before if each.id == number), None)
    if found is None:
        raise LedgerError("unknown", f"there is no maintenance {number}")
    if found.cancelled_at is not None:
        raise LedgerError("conflict", f"maintenance {number} was cancelled {_shown(found.cancelled_at)}")
    if now >= found.end:
        raise LedgerError("conflict", f"maintenance {number} was over {_shown(found.end)}: it stays on record")
    return msgspec.json.encode(_Cancelled(number, wish.who.strip(), wish.why.strip()))


def encode(declaration: Declaration) -> bytes:
    """The body of its record."""
    return msgspec.json.encode(declaration)


def read(records: Iterable[Record]) -> list[Declaration]:
    """All declarations as they stand, oldest first."""
    found: dict[int, Declaration] = {}
    for record in records:
        if record.kind == DECLARED:
            found[record.row] = replace(msgspec.json.decode(record.body, type=Declaration), id=record.row)
        elif record.kind == CANCELLED:
            said = msgspec.json.decode(record.body, type=_Cancelled)
            if said.declaration in found:
                found[said.declaration] = replace(
                    found[said.declaration],
                    cancelled_at=datetime.fromtimestamp(record.at, UTC),
                    cancelled_by=said.who,
                    cancelled_why=said.why,
                )
    return list(found.values())


def of_site(declarations: Iterable[Declaration], site: Site, begin: datetime, end: datetime) -> tuple[Maintenance, ...]:
    """What a site's report lists, in order of time: what falls into the period, cancelled and late ones too."""
    found = [each for each in declarations if each.touches(site) and each.begin < end and each.end > begin]
    return tuple(_reported(each) for each in sorted(found, key=lambda each: (each.begin, each.id)))


def _reported(each: Declaration) -> Maintenance:
    return Maintenance(
        id=str(each.id),
        uplink=each.uplink,
        begin=each.begin,
        end=each.end,
        who=each.who,
        why=each.why,
        declared_at=each.declared_at,
        in_time=each.in_time,
        cancelled_at=each.cancelled_at,
    )


def _zone(wish: Wish, inventory: Inventory) -> str | None:
    """The time zone of what the work is about; None where there are several.

    Raises:
        LedgerError: There is no such place.
    """
    if wish.territory not in inventory.territories:
        hint = nearest(wish.territory, inventory.territories)
        raise LedgerError("unknown", f'territory: there is no "{wish.territory[:60]}"{hint}')
    if wish.site is None:
        if wish.uplink is not None:
            raise LedgerError("wrong", "uplink: of which site? name it too")
        zones = {each.time_zone for each in inventory.sites.values() if each.territory == wish.territory}
        return zones.pop() if len(zones) == 1 else None
    site = places.find_site(inventory, wish.territory, wish.site)
    names = [each.id for each in site.uplinks]
    if wish.uplink is not None and wish.uplink not in names:
        hint = nearest(wish.uplink, names)
        raise LedgerError("unknown", f'uplink: {"/".join(site.key)} has no "{wish.uplink[:60]}"{hint}')
    return site.time_zone


def _overlap(one: Declaration, other: Declaration) -> bool:
    """Whether both take a same minute of a same uplink out."""
    same_place = one.territory == other.territory and all(
        a is None or b is None or a == b for a, b in ((one.site, other.site), (one.uplink, other.uplink))
    )
    return same_place and one.begin < other.until and other.begin < one.end


def _shown(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ")
