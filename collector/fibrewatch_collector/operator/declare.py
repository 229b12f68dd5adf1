"""`fibrewatch maintenance` and `fibrewatch rollout`: what people declare, through a collector's API."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from fibrewatch_collector.answers import Declared
from fibrewatch_collector.ledger import certificates, maintenance, rollout
from fibrewatch_collector.operator.api import Api
from fibrewatch_collector.operator.door import Door, opened

T = TypeVar("T")
PIPE_WIDTH = 200


class Place:
    """TERRITORY or TERRITORY/SITE, as written."""

    def __init__(self, text: str) -> None:
        self.territory, _, site = text.partition("/")
        self.site = site or None


def add(door: Door, wish: maintenance.Wish) -> int:
    """Declares work and says whether it came in time; returns the exit status.

    Raises:
        ApiError: The collector does not answer, or refuses.
    """
    made = _ask(door, lambda api: api.declare(wish))
    said = made.declaration
    print(f"maintenance {said.id} of {said.where}: {_shown(said.begin)} to {_shown(said.end)}")
    if not made.in_time:
        print("it had begun already: it is listed in reports, and leaves no figure")
    return 0


def cancel(door: Door, number: int, wish: maintenance.Cancel) -> int:
    """Cancels a declaration; returns the exit status.

    Raises:
        ApiError: The collector does not answer, or refuses.
    """
    said = _ask(door, lambda api: api.cancel(number, wish)).declaration
    print(f"maintenance {said.id} of {said.where} is cancelled as of {_shown(said.cancelled_at)}")
    return 0


def show(door: Door, place: Place | None) -> int:
    """Prints declared work; returns the exit status.

    Raises:
        ApiError: The collector does not answer.
    """
    found = _ask(door, lambda api: api.declarations(*_where(place)))
    _print(_declarations_table(found), "no maintenance is declared")
    return 0


def step(door: Door, wish: rollout.Wish) -> int:
    """Records a state reached; returns the exit status.

    Raises:
        ApiError: The collector does not answer, or refuses.
    """
    made = _ask(door, lambda api: api.take_step(wish))
    floor = f" floor {made.floor}" if made.floor else ""
    print(f"{made.territory}/{made.site}{floor}: {made.state} since {made.on}")
    return 0


def accept(door: Door, wish: certificates.Wish) -> int:
    """Has a place accepted by its tests, and says under which number the certificate is kept; returns the exit status.

    Raises:
        ApiError: The collector does not answer, or refuses: a test did not pass, say.
    """
    made = _ask(door, lambda api: api.accept(wish))
    floor = f" floor {made.floor}" if made.floor else ""
    how = " with reservations" if wish.reservations else ""
    print(f"{made.territory}/{made.site}{floor}: accepted{how} on {made.on}; certificate {made.id}")
    return 0


def certificate(door: Door, number: int, words: Mapping[str, str], out: Path | None) -> int:
    """Fetches a certificate; returns the exit status.

    Raises:
        ApiError: The collector does not answer, or there is none.
    """
    body = _ask(door, lambda api: api.certificate(number, words))
    if out is not None:
        out.write_bytes(body)
    else:
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
    return 0


def show_rollout(door: Door, place: Place | None) -> int:
    """Prints how far sites and floors have come, and how they got there; returns the exit status.

    Raises:
        ApiError: The collector does not answer.
    """
    found = _ask(door, lambda api: api.steps(*_where(place)))
    _print(_rollout_table(found), "no rollout is kept")
    return 0


def _where(place: Place | None) -> tuple[str | None, str | None]:
    return (place.territory, place.site) if place is not None else (None, None)


def _ask(door: Door, question: Callable[[Api], Awaitable[T]]) -> T:
    async def ask() -> T:
        async with opened(door) as api:
            return await question(api)

    return asyncio.run(ask())


def _print(table: Table, nothing: str) -> None:
    console = Console(soft_wrap=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    console.print(table if table.rows else nothing)


def _declarations_table(found: Iterable[Declared]) -> Table:
    table = Table("id", "where", "begin", "end", "declared", "counts", "who", "why", box=None)
    for each in found:
        said = each.declaration
        counts = "yes" if each.in_time else "no: had begun"
        if said.cancelled_at is not None:
            counts = f"cancelled {_shown(said.cancelled_at)} by {said.cancelled_by}"
        row = (_shown(said.begin), _shown(said.end), _shown(said.declared_at), counts, said.who, said.why)
        table.add_row(str(said.id), said.where, *row)
    return table


def _rollout_table(found: Iterable[rollout.Step]) -> Table:
    table = Table("site", "floor", "state", "since", "who", "note", "recorded", "certificate", box=None)
    for each in sorted(found, key=lambda each: (each.territory, each.site, each.floor or "", each.id)):
        where = f"{each.territory}/{each.site}"
        kept = str(each.id) if each.certificate else "-"
        said = (each.floor or "-", each.state, str(each.on), each.who, each.note, _shown(each.recorded_at))
        table.add_row(where, *said, kept)
    return table


def _shown(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ") if at is not None else "-"
