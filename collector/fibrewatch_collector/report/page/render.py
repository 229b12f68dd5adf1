"""A report, a fleet or a year's balance as one HTML file. Pure, but for the templates beside it."""

from collections.abc import Mapping, Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fibrewatch import __version__
from fibrewatch_collector.report.model import Balance, CityMonth, Fleet, Report
from fibrewatch_collector.report.output import Audience, Language
from fibrewatch_collector.report.page import findings
from fibrewatch_collector.report.page.plots.months import months, share
from fibrewatch_collector.report.page.shown import Shown
from fibrewatch_collector.report.page.words import Words
from fibrewatch_collector.sla.objectives import COVERAGE_FLOOR


def html(answer: Report | Fleet | Balance, language: Language, audience: Audience = "full") -> str:
    """The whole page; it loads nothing from elsewhere."""
    if isinstance(answer, Balance):
        return _balance(answer, language)
    if isinstance(answer, Fleet):
        return _fleet(answer, language, audience)
    words = Words(language, answer.period.time_zone)
    return page(f"{audience}.html", words, shown=Shown(answer, words))


@cache
def environment() -> Environment:
    """Templates; whatever is shown is escaped, and what is missing is an error."""
    return Environment(
        loader=PackageLoader("fibrewatch_collector.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(template: str, words: Words, **values: object) -> str:
    """A template in a language."""
    css, _, _ = environment().loader.get_source(environment(), "style.css")  # type: ignore[union-attr]
    shared = {"words": words, "t": words.text, "n": words.count, "css": Markup(css), "version": __version__}  # noqa: S704
    return environment().get_template(template).render(**shared, **values)


def _fleet(fleet: Fleet, language: Language, audience: Audience) -> str:
    zone = fleet.period.time_zone if fleet.sites else "UTC"
    shown = [Shown(report, Words(language, report.period.time_zone)) for report in ranked(fleet)]
    failed = sum(each.verdict == "fail" for each in shown)
    names = [report.site.territory_name for report in fleet.sites[:1]]
    return page(
        "fleet.html",
        Words(language, zone),
        fleet=fleet,
        sites=shown,
        failed=failed,
        full=audience == "full",
        territory=(names or [fleet.territory])[0] if fleet.territory else None,
    )


def ranked(fleet: Fleet) -> Sequence[Report]:
    """Worst first: by verdict, then by the minutes that count, then by name."""
    order = (*findings.ANSWERS[:3], findings.NONE, findings.ANSWERS[3])

    def place(report: Report) -> tuple[int, int, int, str, str]:
        failed = sum(each.answer == "fail" for each in report.findings)
        down = sum(each.net.unavailable for each in report.uplinks)
        verdict = order.index(findings.verdict(report.findings))
        return verdict, -failed, -down, report.site.territory, report.site.site

    return sorted(fleet.sites, key=place)


def _balance(balance: Balance, language: Language) -> str:
    words, cities = Words(language, "UTC"), dict[str, list[CityMonth]]()
    for each in balance.months:
        cities.setdefault(_city(each), []).append(each)
    plot = months(words, "months", balance.year, cities) if cities else None
    years = {city: _year(found) for city, found in cities.items()}
    return page("balance.html", words, balance=balance, cities=cities, years=years, plot=plot, share=share)


def _city(month: CityMonth) -> str:
    return month.city if month.city == month.territory_name else f"{month.city}, {month.territory_name}"


def _year(found: Sequence[CityMonth]) -> Mapping[str, float | None]:
    """All its months, minute by minute; no ratio below the coverage floor."""
    available, unavailable, total = (
        sum(getattr(each, word) for each in found) for word in ("available", "unavailable", "total")
    )
    known = available + unavailable
    coverage = known / total if total else 0.0
    ratio = available / known if known and coverage >= COVERAGE_FLOOR else None
    return {"ratio": ratio, "coverage": coverage, "unavailable": unavailable}
