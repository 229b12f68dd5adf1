"""The tests of an acceptance, evaluated over their stretch, and the step that they allow. Blocks."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from fibrewatch import __version__
from fibrewatch_collector.inventory import Inventory, Site
from fibrewatch_collector.ledger import LedgerError, books, certificates, maintenance, places, rollout
from fibrewatch_collector.ledger.certificates import Certificate, Sealed, Wish
from fibrewatch_collector.ledger.rollout import Step
from fibrewatch_collector.report import figures, wifi
from fibrewatch_collector.report.known import Known
from fibrewatch_collector.report.model import Report
from fibrewatch_collector.sla.periods import Period
from fibrewatch_collector.store import Store

Sealer = Callable[[Certificate], Sealed]


def sealer(key: Path | None) -> Sealer:
    """With the collector's key, where it has one.

    Raises:
        EvidenceError: The key can't be used.
    """
    if key is None:
        return certificates.seal
    from fibrewatch_collector.evidence import keys

    return keys.sealer(key)


def evaluate(store: Store, inventory: Inventory, wish: Wish, now: float, seal: Sealer) -> Sealed:
    """The certificate, if there can be one.

    Raises:
        LedgerError: The tests did not pass, or the place is not one that can be accepted.
    """
    moment = datetime.fromtimestamp(now, UTC)
    site = places.find_site(inventory, wish.territory, wish.site)
    steps = books.steps(store, wish.territory)
    step = rollout.take(_step(wish), site, steps, moment)
    last = rollout.newest(steps, site, wish.floor)
    period = certificates.window(wish, site, last.on if last else None, moment)
    report = _report(store, inventory, site, period, moment)
    tests = certificates.tests(report.findings, site, wish.floor)
    certificates.check(tests, wish.reservations)
    return seal(
        Certificate(
            territory=site.territory,
            site=site.id,
            name=site.name,
            city=site.city,
            floor=wish.floor,
            companies=_companies(site, wish.floor),
            time_zone=site.time_zone,
            begin=period.begin,
            end=period.end,
            on=step.on,
            who=step.who,
            reservations=(wish.reservations or "").strip(),
            contract=report.methods.contract,
            tests=tests,
            formulas=dict(report.methods.formulas),
            responders=report.methods.responders,
            software=__version__,
            made_at=moment,
        )
    )


def accept(store: Store, inventory: Inventory, wish: Wish, sealed: Sealed, now: float) -> Step:
    """Records the step with its certificate; runs where nobody else writes.

    Raises:
        LedgerError: It can't be any more: another was faster.
    """
    return books.record_step(store, inventory, _step(wish), now, sealed)


def of_step(store: Store, number: int) -> Sealed:
    """The certificate of a step.

    Raises:
        LedgerError: There is no such step, or it has none.
    """
    found = next((each for each in books.steps(store) if each.id == number), None)
    if found is None or found.certificate is None:
        raise LedgerError("unknown", f"there is no certificate {number}")
    return found.certificate


def _step(wish: Wish) -> rollout.Wish:
    return rollout.Wish(
        territory=wish.territory, site=wish.site, floor=wish.floor, state="accepted", who=wish.who, on=wish.on
    )


def _report(store: Store, inventory: Inventory, site: Site, period: Period, now: datetime) -> Report:
    """As if the SLA's clock had started with the tests: it starts at live."""
    declared = maintenance.of_site(books.declarations(store), site, period.begin, period.end)
    floors = wifi.of_site(store, site, (period.begin, period.end), declared)
    knows = Known(maintenance=declared, live=period.begin, wifi=floors)
    return figures.report(store, inventory, site, period, now, knows=knows)


def _companies(site: Site, floor: str | None) -> int:
    if floor is None:
        return site.companies
    return next((len(set(each.companies)) for each in site.floors if each.id == floor), 0)
