"""How far a floor, or a site as a whole, has come: planned → wired → accepted → live. Pure.

Nothing is skipped and nothing goes back; who said so and when is kept. The SLA's clock starts at `live`.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Annotated, get_args
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from fibrewatch.config import nearest
from fibrewatch_collector.inventory import Site
from fibrewatch_collector.ledger import LedgerError, moments
from fibrewatch_collector.ledger.certificates import Sealed
from fibrewatch_collector.ledger.maintenance import Line
from fibrewatch_collector.report.model import Rollout, RolloutState
from fibrewatch_collector.sla import periods
from fibrewatch_collector.store import Record

KIND = "rollout"
STATES: tuple[RolloutState, ...] = get_args(RolloutState)
Note = Annotated[str, Meta(max_length=300, pattern=r"\A[^\x00-\x1f\x7f]*\Z")]


class Wish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /api/v1/rollout.

    Attributes:
        floor: None: the site as a whole.
        on: The day, by the calendar of the place; None: today.
    """

    territory: str
    site: str
    state: str
    who: Line
    floor: str | None = None
    on: str | None = None
    note: Note = ""


class Step(Struct, frozen=True, kw_only=True):
    """One state reached.

    Attributes:
        certificate: Of an acceptance.
    """

    id: int = 0
    territory: str
    site: str
    floor: str | None
    state: RolloutState
    on: date
    who: str
    note: str
    recorded_at: datetime
    certificate: Sealed | None = None


def take(wish: Wish, site: Site, before: Iterable[Step], now: datetime) -> Step:
    """What is to be recorded.

    Raises:
        LedgerError: It can't be: an unknown floor or state, out of order, a day that does not fit.
    """
    floors = [each.id for each in site.floors]
    if wish.floor is not None and wish.floor not in floors:
        hint = nearest(wish.floor, floors)
        raise LedgerError("unknown", f'floor: {"/".join(site.key)} has no "{wish.floor[:60]}"{hint}')
    state = next((each for each in STATES if each == wish.state), None)
    if state is None:
        raise LedgerError("wrong", f'state: "{wish.state[:60]}" is none of {", ".join(STATES)}')
    today = now.astimezone(ZoneInfo(site.time_zone)).date()
    on = moments.day(wish.on, "on") if wish.on is not None else today
    last = newest(before, site, wish.floor)
    _in_order(state, last, _where(site, wish.floor))
    if last is not None and on < last.on:
        raise LedgerError("conflict", f"on: {on} is before {last.on}, when it was {last.state}")
    if state != "planned" and on > today:
        raise LedgerError("wrong", f"on: {on} is still to come: only planned may be said ahead")
    return Step(
        territory=site.territory,
        site=site.id,
        floor=wish.floor,
        state=state,
        on=on,
        who=wish.who.strip(),
        note=wish.note.strip(),
        recorded_at=now,
    )


def _in_order(state: RolloutState, last: Step | None, where: str) -> None:
    done = STATES.index(last.state) + 1 if last is not None else 0
    due = STATES[done] if done < len(STATES) else None
    if state == due:
        return
    if last is None:
        raise LedgerError("conflict", f"state: {where} begins with planned, not {state}")
    follows = f"what follows is {due}" if due is not None else "nothing follows"
    raise LedgerError("conflict", f"state: {where} is {last.state} since {last.on}: {follows}")


def encode(step: Step) -> bytes:
    """The body of its record."""
    return msgspec.json.encode(step)


def read(records: Iterable[Record]) -> list[Step]:
    """All steps, in the order in which they were recorded."""
    return [replace(msgspec.json.decode(each.body, type=Step), id=each.row) for each in records if each.kind == KIND]


def newest(steps: Iterable[Step], site: Site, floor: str | None, until: date | None = None) -> Step | None:
    """The last step of a floor, or of the site as a whole; `until`: of those on earlier days."""
    found = None
    for each in steps:
        if (each.territory, each.site, each.floor) == (*site.key, floor) and (until is None or each.on < until):
            found = each
    return found


def of_site(steps: Sequence[Step], site: Site, end: datetime) -> tuple[Rollout, ...]:
    """The site as a whole, if it is kept, then its floors in their order: as it stood at a period's end."""
    until = _day_after(end, site)
    places = [None, *(each.id for each in site.floors)]
    found = [(floor, newest(steps, site, floor, until), newest(steps, site, floor)) for floor in places]
    return tuple(
        Rollout(floor=floor, state=last.state if last else "planned", since=last.on if last else None)
        for floor, last, ever in found
        if ever is not None
    )


def live_from(steps: Sequence[Step], site: Site, first_measured: datetime | None) -> datetime | None:
    """When the SLA's clock starts; None: not yet.

    The site's own word goes first, then that of its first floor; where nobody keeps any, it is the first measurement.
    """
    mine = [each for each in steps if (each.territory, each.site) == site.key]
    own = [each for each in mine if each.floor is None] or mine
    if not own:
        return first_measured
    days = [each.on for each in own if each.state == "live"]
    return periods.midnight(min(days), site.time_zone) if days else None


def _day_after(end: datetime, site: Site) -> date:
    """The first local day that does not begin before a moment."""
    day = end.astimezone(ZoneInfo(site.time_zone)).date()
    return day if periods.midnight(day, site.time_zone) >= end else date.fromordinal(day.toordinal() + 1)


def _where(site: Site, floor: str | None) -> str:
    return "/".join(site.key) + (f", floor {floor}," if floor is not None else "")
