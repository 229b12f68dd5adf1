"""The records in the store, read and added to. Blocks; what adds runs where nobody else writes meanwhile."""

from datetime import UTC, datetime

from msgspec.structs import replace

from fibrewatch_collector.inventory import Inventory
from fibrewatch_collector.ledger import LedgerError, maintenance, places, rollout
from fibrewatch_collector.ledger.certificates import Sealed
from fibrewatch_collector.ledger.maintenance import Declaration
from fibrewatch_collector.ledger.rollout import Step
from fibrewatch_collector.store import Record, Store


def declarations(store: Store, territory: str | None = None) -> list[Declaration]:
    """All declared work, as it stands."""
    return maintenance.read(store.records(maintenance.KINDS, territory))


def steps(store: Store, territory: str | None = None) -> list[Step]:
    """All steps of the rollout."""
    return rollout.read(store.records((rollout.KIND,), territory))


def declare(store: Store, inventory: Inventory, wish: maintenance.Wish, now: float) -> Declaration:
    """Records a declaration and returns it.

    Raises:
        LedgerError: It can't be declared.
    """
    made = maintenance.declare(wish, inventory, declarations(store, wish.territory), _moment(now))
    body = maintenance.encode(made)
    number = store.append(Record(0, maintenance.DECLARED, made.territory, made.site or "", now, body))
    return _declaration(store, number)


def cancel(store: Store, number: int, wish: maintenance.Cancel, now: float) -> Declaration:
    """Records a cancellation and returns what it cancels.

    Raises:
        LedgerError: It can't be cancelled.
    """
    before = declarations(store)
    body = maintenance.cancel(number, wish, before, _moment(now))
    found = next(each for each in before if each.id == number)
    store.append(Record(0, maintenance.CANCELLED, found.territory, found.site or "", now, body))
    return _declaration(store, number)


def take_step(store: Store, inventory: Inventory, wish: rollout.Wish, now: float) -> Step:
    """Records a state reached and returns it.

    Raises:
        LedgerError: It can't be: out of order, say.
    """
    if wish.state == "accepted":
        raise LedgerError(
            "conflict", "state: accepted needs tests: fibrewatch rollout accept, or POST …/rollout/accept"
        )
    return record_step(store, inventory, wish, now, None)


def record_step(store: Store, inventory: Inventory, wish: rollout.Wish, now: float, certificate: Sealed | None) -> Step:
    """Records any state, an acceptance with its certificate, and returns it.

    Raises:
        LedgerError: It can't be: out of order, say.
    """
    site = places.find_site(inventory, wish.territory, wish.site)
    made = replace(rollout.take(wish, site, steps(store, wish.territory), _moment(now)), certificate=certificate)
    number = store.append(Record(0, rollout.KIND, *site.key, now, rollout.encode(made)))
    return next(each for each in steps(store, wish.territory) if each.id == number)


def _declaration(store: Store, number: int) -> Declaration:
    return next(each for each in declarations(store) if each.id == number)


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC)
