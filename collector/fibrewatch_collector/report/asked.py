"""Which report somebody asks for, on the command line or over HTTP, and its answer. Blocks on the store."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import cast

from msgspec import Struct

from fibrewatch.config import nearest
from fibrewatch.errors import FibrewatchError
from fibrewatch_collector.inventory import Inventory, Site
from fibrewatch_collector.report import balance, editions, figures, model, output
from fibrewatch_collector.report.output import Audience, Language, Manner
from fibrewatch_collector.sla import periods
from fibrewatch_collector.sla.periods import Period
from fibrewatch_collector.store import Store

Answer = model.Report | model.Fleet | model.Balance
SCOPES, PERIODS = ("site", "territory", "all"), ("month", "from", "year")
PARAMETERS = (*SCOPES, *PERIODS, "to", "format", "lang", "audience", "revision")


EARLIEST, LATEST = 1970, 9990
LONGEST = timedelta(days=366)


class AskError(FibrewatchError):
    """A report that can't be made: the text names what is wrong."""


class Question(Struct, frozen=True, kw_only=True):
    """One scope and one period.

    Attributes:
        site: territory/site, or the site alone where there is one of this id.
        last: The last day, which is in the period.
        revision: As it was given out then; None: as it is now.
    """

    site: str | None = None
    territory: str | None = None
    month: str | None = None
    first: date | None = None
    last: date | None = None
    year: int | None = None
    format: str = "json"
    revision: int | None = None
    manner: Manner = Manner()

    def write(self, answer: Answer) -> bytes:
        """In the format that was asked for; blocks.

        Raises:
            FibrewatchError: It can't be made here.
        """
        return output.FORMATS[self.format].write(answer, self.manner)

    def zoned(self, zone: str) -> Period:
        """The period where the site is; of a year, all of it."""
        if self.month is not None:
            return periods.month(self.month, zone)
        if self.first is not None and self.last is not None:
            return periods.between(self.first, self.last, zone)
        return periods.year(self.year or 0, zone)


def question(words: Mapping[str, str]) -> Question:
    """What the parameters ask; names as in `PARAMETERS`.

    Raises:
        AskError: Something is missing, too much, or no such thing.
    """
    for name in words:
        if name not in PARAMETERS:
            raise AskError(f"{name[:60]}: no such parameter{nearest(name, PARAMETERS)}")
    _one_of(words, SCOPES)
    period = _one_of(words, PERIODS)
    if ("to" in words) != (period == "from"):
        raise AskError("from and to go together, each a day such as 2026-10-01; the last one is in the period")
    first, last = (_day(words[name], name) if name in words else None for name in ("from", "to"))
    asked = Question(
        site=words.get("site"),
        territory=words.get("territory"),
        month=words.get("month"),
        first=first,
        last=last,
        year=_year(words["year"]) if "year" in words else None,
        format=_known("format", words.get("format", "json"), output.FORMATS),
        manner=Manner(
            cast("Language", _known("lang", words.get("lang", "en"), output.LANGUAGES)),
            cast("Audience", _known("audience", words.get("audience", "full"), output.AUDIENCES)),
        ),
        revision=_revision(words) if "revision" in words else None,
    )
    try:
        _in_bounds(asked.zoned("UTC"), period)
    except (ValueError, OverflowError) as e:
        raise AskError(f"{period}: {e}") from e
    return asked


def _in_bounds(period: Period, name: str) -> None:
    """No zone's clock leaves the calendar there, and nobody makes the collector look through centuries.

    Raises:
        AskError: It is outside, or too long.
    """
    if not (period.begin.year >= EARLIEST and period.end.year <= LATEST):
        raise AskError(f"{name}: {period.label} is not between {EARLIEST} and {LATEST}")
    if period.end - period.begin > LONGEST:
        raise AskError(f"to: {(period.end - period.begin).days} days are more than a report holds, {LONGEST.days}")


def answer(store: Store, inventory: Inventory, asked: Question, now: datetime) -> Answer:
    """The report.

    Raises:
        AskError: No such site or territory, or the period has not begun.
    """
    found = sites(inventory, asked)
    if all(asked.zoned(site.time_zone).begin >= now for site in found):
        raise AskError(f"{asked.zoned('UTC').label}: the period has not begun")
    if asked.year is not None:
        return balance.balance(store, inventory, found, asked.year, now)
    if asked.site is not None and asked.revision is not None:
        return _kept(store, found[0], asked.zoned(found[0].time_zone), asked.revision)
    if asked.site is not None:
        return figures.report(store, inventory, found[0], asked.zoned(found[0].time_zone), now)
    return figures.fleet(store, inventory, found, asked.zoned, now, territory=asked.territory)


def _kept(store: Store, site: Site, period: Period, number: int) -> model.Report:
    found = editions.kept(store, site, period, number)
    if found is None:
        there = len(store.editions(*site.key, period.begin.timestamp(), period.end.timestamp()))
        raise AskError(f"revision: {period.label} has no {number}; {there or 'none'} of it made final so far")
    return found


def _revision(words: Mapping[str, str]) -> int:
    text = words["revision"]
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and int(text)):
        raise AskError(f'revision: "{text[:60]}" is no number from 1 on')
    if "site" not in words or "year" in words:
        raise AskError("revision: it is of one site and one month: site and month say which")
    return int(text)


def sites(inventory: Inventory, asked: Question) -> Sequence[Site]:
    """Those that are meant.

    Raises:
        AskError: There are none.
    """
    if asked.territory is not None and asked.territory not in inventory.territories:
        hint = nearest(asked.territory, inventory.territories)
        raise AskError(f'territory: no "{asked.territory[:60]}" in the inventory{hint}')
    found = [site for site in inventory.sites.values() if _meant(site, asked)]
    if asked.site is None:
        return found or _none("there is no site in it")
    names = [name for key in inventory.sites for name in ("/".join(key), key[1])]
    if not found:
        return _none(f'site: no "{asked.site[:60]}" in the inventory{nearest(asked.site, names)}')
    if len(found) > 1:
        return _none(f'site: "{asked.site}" is {" and ".join("/".join(site.key) for site in found)}: which one?')
    return found


def _none(problem: str) -> Sequence[Site]:
    raise AskError(problem)


def _meant(site: Site, asked: Question) -> bool:
    if asked.site is not None:
        return asked.site in (site.id, "/".join(site.key))
    return asked.territory in (None, site.territory)


def _one_of(words: Mapping[str, str], names: Iterable[str]) -> str:
    given = [name for name in names if name in words]
    if len(given) != 1:
        problem = f"{' and '.join(given)} exclude each other" if given else f"say one of {', '.join(names)}"
        raise AskError(problem)
    return given[0]


def _day(text: str, name: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError as e:
        raise AskError(f'{name}: "{text[:60]}" is no day such as 2026-10-01') from e


def _year(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) == 4 and f"{EARLIEST}" <= text < f"{LATEST}"):
        raise AskError(f'year: "{text[:60]}" is no year such as 2026')
    return int(text)


def _known(name: str, text: str, known: Iterable[str]) -> str:
    if text not in known:
        raise AskError(f'{name}: no "{text[:60]}"{nearest(text, known)}; one of {", ".join(known)}')
    return text
