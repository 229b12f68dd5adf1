"""Reports as pages: languages, numbers, times, what is shown, and the HTML's own rules."""

import itertools
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from string import Formatter
from typing import get_args

import html5lib
import pytest
from jinja2 import Environment
from msgspec.structs import replace

from fibrewatch.measurement import ERRORS, Role
from fibrewatch.results import PROBES
from fibrewatch_collector.report import figures, model
from fibrewatch_collector.report.output import AUDIENCES, LANGUAGES, Audience, Language
from fibrewatch_collector.report.page import findings, render, svg
from fibrewatch_collector.report.page.plots import throughput
from fibrewatch_collector.report.page.shown import Shown
from fibrewatch_collector.report.page.words import Words, catalogue
from fibrewatch_collector.sla import bins, periods
from fibrewatch_collector.sla.proportions import Answer
from fibrewatch_collector.store import hour
from tests.support import report as made

NARROW, HARD = "\u202f", "\u00a0"
PAGES = files("fibrewatch_collector.report.page")
TEMPLATES = [each for each in PAGES.joinpath("templates").iterdir() if each.name.endswith(".html")]


def forms(message: object) -> Iterator[str]:
    yield from message.values() if isinstance(message, dict) else [str(message)]


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_languages_have_the_same_messages_with_the_same_values() -> None:
    english, french = catalogue("en"), catalogue("fr")
    assert english.keys() == french.keys()
    for name, message in english.items():
        assert isinstance(message, str) == isinstance(french[name], str), name
        both = [set().union(*map(fields, forms(each))) for each in (message, french[name])]
        assert both[0] == both[1], name


def test_every_word_of_the_contract_has_a_name() -> None:
    wanted = {
        "answer": get_args(Answer),
        "verdict": (*get_args(Answer), "none"),
        "cause": (*get_args(bins.Cause), *get_args(model.OutageCause)),
        "role": get_args(Role),
        "error": ERRORS,
        "rollout": get_args(model.RolloutState),
    }
    missing = [f"{s}.{n}" for s, names in wanted.items() for n in names if f"{s}.{n}" not in catalogue("en")]
    assert missing == []
    kinds = [kind for kind in get_args(model.ObjectiveKind) if f"objective.{kind}" not in catalogue("en")]
    assert kinds == []


def test_every_figure_that_is_shown_has_a_name_in_each_language() -> None:
    shown = [
        f"metric.{name}.{field}"
        for name, probe in PROBES.items()
        for field, metric in probe.fields
        if metric.kind == "histogram" or field in hour.samples(probe)
    ]
    assert len(shown) > 60
    assert [each for each in shown if each not in catalogue("fr")] == []
    assert [f"formula.{name}" for name in figures.formulas() if f"formula.{name}" not in catalogue("fr")] == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda each: each.name)
def test_templates_hold_no_sentence_of_their_own(template: object) -> None:
    """Outside the catalogues only markup, and the zone of the balance's date, may stand."""
    source = template.read_text("utf-8")  # type: ignore[attr-defined]
    text = "".join(value if kind == "data" else "§" for _, kind, value in Environment(autoescape=True).lex(source))
    literal = re.sub(r"<[^>]*>", " ", text)
    assert set(re.findall(r"[A-Za-zÀ-ÿ]{2,}", literal)) <= {"UTC"}
    spoken = re.findall(r'(?:title|alt|aria-label|placeholder)="([^"§]*)"', text)
    assert spoken == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda each: each.name)
def test_templates_name_only_messages_that_there_are(template: object) -> None:
    source = template.read_text("utf-8")  # type: ignore[attr-defined]
    for kind, name in re.findall(r'\b([tn])\("([a-z_.]+)"(?! ~)', source):
        assert isinstance(catalogue("en")[name], str) == (kind == "t"), name


@pytest.mark.parametrize(
    ("count", "english", "french"),
    [
        (0, "0 interruptions", "0 interruption"),
        (1, "1 interruption", "1 interruption"),
        (2, "2 interruptions", "2 interruptions"),
        (1234, "1,234 interruptions", f"1{NARROW}234 interruptions"),
        (1_000_000, "1,000,000 interruptions", f"1{NARROW}000{NARROW}000 d’interruptions"),
    ],
)
def test_plural_forms(count: int, english: str, french: str) -> None:
    assert Words("en", "UTC").count("outages.count", count) == english
    assert Words("fr", "UTC").count("outages.count", count) == french


@pytest.mark.parametrize(
    ("ratio", "beside", "english", "french"),
    [
        (0.9995, None, "99.95%", f"99,95{NARROW}%"),
        (1.0, None, "100.00%", f"100,00{NARROW}%"),
        (0.99999, None, "99.999%", f"99,999{NARROW}%"),
        (0.99949, 0.9995, "99.949%", f"99,949{NARROW}%"),
        (0.00001, None, "0.001%", f"0,001{NARROW}%"),
        (0.0, None, "0.00%", f"0,00{NARROW}%"),
    ],
)
def test_rounding_never_makes_a_ratio_whole_or_kept(
    ratio: float, beside: float | None, english: str, french: str
) -> None:
    assert Words("en", "UTC").percent(ratio, beside=beside) == english
    assert Words("fr", "UTC").percent(ratio, beside=beside) == french


def test_a_delay_over_its_limit_is_not_rounded_onto_it() -> None:
    assert Words("en", "UTC").delay(0.10004, beside=0.1) == f"100.04{HARD}ms"
    assert Words("fr", "UTC").delay(0.0061) == f"6,10{HARD}ms"
    assert Words("fr", "UTC").limit(0.1) == f"100{HARD}ms"


@pytest.mark.parametrize(
    ("bits", "english", "french"),
    [
        (941e6, "941 Mbit/s", "941 Mbit/s"),
        (1e9, "1 Gbit/s", "1 Gbit/s"),
        (2.345e9, "2.34 Gbit/s", "2,34 Gbit/s"),
        (12.34e6, "12.3 Mbit/s", "12,3 Mbit/s"),
        (500, "500 bit/s", "500 bit/s"),
    ],
)
def test_rates(bits: float, english: str, french: str) -> None:
    assert Words("en", "UTC").rate(bits / 8) == english.replace(" ", HARD)
    assert Words("fr", "UTC").rate(bits / 8) == french.replace(" ", HARD)


@pytest.mark.parametrize(
    ("minutes", "english", "french"),
    [
        (0, "0 min", "0 min"),
        (59, "59 min", "59 min"),
        (125, "2 h 05 min", "2 h 05 min"),
        (1440, "1 d", "1 j"),
        (3 * 1440 + 245, "3 d 4 h 05 min", "3 j 4 h 05 min"),
    ],
)
def test_durations(minutes: int, english: str, french: str) -> None:
    assert Words("en", "UTC").minutes(minutes) == english.replace(" ", HARD)
    assert Words("fr", "UTC").minutes(minutes) == french.replace(" ", HARD)


def test_an_interruption_is_told_to_the_second_while_it_is_short() -> None:
    begin = datetime(2026, 10, 1, tzinfo=UTC)
    words = Words("en", "UTC")
    assert words.between(begin, begin + timedelta(seconds=42)) == f"42{HARD}s"
    assert words.between(begin, begin + timedelta(seconds=201)) == f"3{HARD}min{HARD}21{HARD}s"
    assert words.between(begin, begin + timedelta(seconds=7499)) == f"2{HARD}h{HARD}05{HARD}min"


def test_dates_are_the_sites_own() -> None:
    at = datetime(2026, 9, 30, 22, 5, tzinfo=UTC)
    assert Words("fr", "Europe/Paris").moment(at) == "1er octobre 2026, 00:05"
    assert Words("en", "America/Los_Angeles").moment(at) == "30 September 2026, 15:05"
    assert Words("fr", "UTC").day(date(2026, 8, 11)) == "11 août 2026"


def test_the_hour_that_is_there_twice_says_which() -> None:
    words = Words("en", "Europe/Paris")
    first, second = (words.clock(datetime(2026, 10, 25, hour, 30, tzinfo=UTC)) for hour in (0, 1))
    assert (first, second) == (f"02:30{HARD}(+0200)", f"02:30{HARD}(+0100)")
    assert words.clock(datetime(2026, 10, 25, 2, 30, tzinfo=UTC)) == "03:30"


def test_periods_have_names() -> None:
    words = Words("fr", "Europe/Paris")
    assert words.period(periods.month("2026-08", "Europe/Paris")) == "août 2026"
    some = periods.between(date(2026, 10, 1), date(2026, 10, 15), "Europe/Paris")
    assert words.period(some) == "du 1er octobre 2026 au 15 octobre 2026"
    assert words.period(periods.year(2026, "UTC")) == "2026"


def test_a_period_of_one_day_is_that_day() -> None:
    one = periods.between(date(2026, 10, 25), date(2026, 10, 25), "Europe/Paris")
    assert [Words(each, "Europe/Paris").period(one) for each in LANGUAGES] == ["25 October 2026", "25 octobre 2026"]


def test_series_of_two_lines_are_told_apart_and_have_names() -> None:
    report = made.report()
    ping, others = report.series[0], report.series[1:]
    report = replace(report, series=(ping, replace(ping, uplink="4g"), *others))
    shown = Shown(report, Words("fr", "Europe/Paris")).figures
    assert [(each.uplink, each.field) for each in shown] == [
        ("fibre", "aller-retour"),
        ("4g", "aller-retour"),
        ("fibre", "débit utile"),
        ("fibre", "shine"),
    ]


def test_a_line_with_one_contracted_direction_shows_it() -> None:
    report = made.report()
    mobile = replace(report.uplinks[0], id="4g", operator="Mobile", download=150e6 / 8, upload=None)
    page = text_of(render.html(replace(report, uplinks=(mobile,)), "en", "full"))
    assert f"4g (fibre), Mobile: 150{HARD}Mbit/s down" in page


def test_a_fact_that_nobody_gave_a_sentence_is_shown_as_it_is() -> None:
    words = Words("en", "UTC")
    assert words.fact("boxes_silent", {"minutes": 65}) == "no result of the line's boxes for 1\u00a0h\u00a005\u00a0min"
    assert words.fact("uplink_up", {}) == "uplink up"
    assert words.fact("moon_phase", {"share": 0.5}) == "moon phase (share 0.50)"
    assert Words("fr", "UTC").fact("sites_fine", {"operator": "X", "count": 1}) == "1 autre site de X allait bien"


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        (("pass", "pass"), "pass"),
        (("pass", "fail", "insufficient"), "fail"),
        (("pass", "undecided"), "undecided"),
        (("insufficient", "undecided"), "insufficient"),
        ((), "none"),
    ],
)
def test_the_verdict_is_the_worst_answer(answers: tuple[Answer, ...], verdict: str) -> None:
    found = [replace(made.findings()[0], answer=answer) for answer in answers]
    assert findings.verdict(found) == verdict


def text_of(page: str) -> str:
    body = re.sub(r"<(style|desc|title)\b.*?</\1>", "", page, flags=re.S)
    return re.sub(r"[ \n]+", " ", re.sub(r"<[^>]+>", " ", body))


def whole(language: Language, audience: Audience = "full") -> dict[str, str]:
    answers = {
        "rich": made.report(),
        "kept": made.kept(),
        "many": made.report(outages=100, transfers=3000),
        "unsure": made.report(coverage=0.42, final=False),
        "no line": replace(made.kept(), uplinks=(), findings=(), series=(), hours=(), transfers=(), wifi=()),
        "fleet": made.fleet(),
        "nobody": model.Fleet(period=made.OCTOBER, territory=None, sites=()),
        "year": made.balance(),
        "no year": replace(made.balance(), months=()),
    }
    return {name: render.html(answer, language, audience) for name, answer in answers.items()}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("audience", AUDIENCES)
def test_pages_are_valid_accessible_and_whole(language: Language, audience: Audience) -> None:
    for name, page in whole(language, audience).items():
        tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)
        assert tree.get("lang") == language
        check_accessible(tree, name)
        assert not re.search(r'(src|href)="(?!#)|url\((?!#)|@import', page), name


def check_accessible(tree: object, name: str) -> None:
    levels = [int(each.tag[1]) for each in tree.iter() if re.fullmatch(r"h[1-6]", str(each.tag))]  # type: ignore[attr-defined]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels)), (name, levels)
    found = list(tree.iter())  # type: ignore[attr-defined]
    ids = [each.get("id") for each in found if each.get("id")]
    assert len(ids) == len(set(ids)), name
    for table in (each for each in found if each.tag == "table"):
        assert (table.find("caption").text or "").strip(), name
        assert all(head.get("scope") in ("col", "row") for head in table.iter("th")), name
    for drawing in (each for each in found if str(each.tag).endswith("svg")):
        labels = (drawing.get("aria-labelledby") or "").split()
        assert drawing.get("aria-hidden") == "true" or (len(labels) == 2 and set(labels) <= set(ids)), name


def test_the_rich_report_tells_its_figures_in_french() -> None:
    told = text_of(render.html(made.report(), "fr"))
    for words in (
        "La ligne n’a pas tenu ses engagements.",
        f"au moins 99,95{NARROW}%",
        f"99,71{NARROW}%",
        "4 interruptions.",
        f"2{HARD}h{HARD}05{HARD}min",
        "48 entreprises",
        f"2{NARROW}651{NARROW}040",
        "processeur du boîtier saturé",
        "&lt;b&gt;reprise d’un câble&lt;/b&gt;",
        "Édition 2, définitive, établie le 8 novembre 2026, 07:30",
        "pas de réponse de 2 cibles",
        "1 autre site de Réseau IDF allait bien",
        "tardive" + NARROW + ": non déduite",
    ):
        assert words in told, words
    assert "0.99871" in told


def test_names_from_outside_are_text_and_nothing_else() -> None:
    full, evil = made.report(), '</title></svg><script>alert("1")</script>'
    report = replace(
        full,
        site=replace(full.site, name=evil, city=evil, territory_name=evil),
        findings=tuple(replace(each, subject=evil, source=evil) for each in full.findings),
        wifi=tuple(replace(each, floor=evil) for each in full.wifi),
        uplinks=tuple(replace(each, operator=evil) for each in full.uplinks),
        methods=replace(full.methods, contract=evil, responders=(evil,)),
    )
    for page in (
        *(render.html(report, "fr", audience) for audience in AUDIENCES),
        render.html(model.Fleet(period=made.OCTOBER, territory="paris", sites=(report,)), "fr"),
    ):
        tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)
        assert not any(each.tag in ("script", "img") for each in tree.iter())
        assert "<script" not in page


def test_what_a_plot_has_no_room_for_is_in_its_description() -> None:
    name = "salle-des-conférences-du-rez-de-chaussée-nord"
    floor = model.FloorWifi(floor=name, good=9, measured=10)
    page = render.html(replace(made.report(), wifi=(floor, replace(floor, good=0, measured=0))), "fr")
    assert f">{name[:21]}…</text>" in page
    assert f"étage {name}{NARROW}: 90,0{NARROW}%" in page
    assert "non mesuré</text>" in page


def heights(page: str) -> Iterator[tuple[float, float]]:
    """Each drawing's height, and where its lowest text stands."""
    for size, inner in re.findall(r'viewBox="0 0 720 ([0-9.]+)"(.*?)</svg>', page, re.S):
        yield float(size), max(float(y) for y in re.findall(r'<text x="[^"]+" y="([^"]+)"', inner))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_drawing_cuts_its_legend(language: Language) -> None:
    found = list(heights(render.html(made.report(), language)))
    assert len(found) >= 6
    assert all(lowest + 2 <= height for height, lowest in found), found


def luminance(colour: str) -> float:
    """Relative (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_all_text_stands_out_from_its_ground() -> None:
    """4.5 to 1 (WCAG 2.2, 1.4.3), on each ground that text is set on."""
    css = PAGES.joinpath("templates", "style.css").read_text("utf-8")
    written = {*re.findall(r"[{;] ?color: (#[0-9a-f]{6})", css), svg.INK, svg.MUTED, "#1b1f24"}
    assert len(written) >= 4
    for text in written:
        for ground in ("#ffffff", svg.PALE):
            light, dark = sorted((luminance(text), luminance(ground)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


def test_a_quiet_month_says_so() -> None:
    told = text_of(render.html(made.kept(), "en"))
    assert "No interruption in this period." in told
    assert "The line kept its promise." in told


def test_too_little_evidence_is_no_number() -> None:
    page = render.html(made.report(coverage=0.42, final=False), "en", "full")
    told = text_of(page)
    assert "insufficient evidence" in told
    assert "Provisional: results may still arrive" in told
    assert "Results are still expected from box-3 and box-4." in told


def test_the_day_of_25_hours_is_in_the_calendar() -> None:
    lost = tuple(
        replace(day, unavailable=day.available, available=0) if day.date.day == 25 else day
        for day in made.report(outages=0).uplinks[0].days
    )
    full = made.report(outages=0)
    page = render.html(replace(full, uplinks=(replace(full.uplinks[0], days=lost),)), "en")
    assert f"25 October 2026: 1{HARD}d{HARD}1{HARD}h" in page


def test_every_interruption_of_a_hundred_is_listed_and_every_test_of_a_few_drawn() -> None:
    many = made.report(outages=100)
    page = render.html(many, "en")
    words = Words("en", "Europe/Paris")
    assert all(words.short_moment(each.begin) in page for each in many.outages)
    drawn = list(Shown(many, words).throughputs)
    dots = sum(plot.count("h.01") - plot.count("M0.0,0.0h.01") for _, plot in drawn)
    assert dots == sum(each.verdict == "valid" for each in many.transfers)


def test_very_many_tests_keep_their_lowest_and_highest() -> None:
    many = made.report(transfers=8000).transfers
    down = [each for each in many if each.direction == "download" and each.verdict == "valid"]
    scale = throughput.axes.time_scale(made.OCTOBER)
    kept = throughput.thinned(down, scale)
    assert len(kept) < len(down)
    assert throughput.is_thinned(many)
    for pick in (min, max):
        assert pick(each.goodput for each in kept) == pick(each.goodput for each in down)


def test_a_typical_rate_that_rests_on_bounds_is_one_itself() -> None:
    full = made.report()
    bounds = tuple(replace(each, verdict="censored") for each in full.transfers)
    words = Words("en", "UTC")
    assert Shown(replace(full, transfers=bounds), words).keys[2].value.startswith("≥")
    fast = tuple(replace(each, verdict="valid") for each in full.transfers)
    assert not Shown(replace(full, transfers=fast), words).keys[2].value.startswith("≥")


def test_a_month_that_nobody_measured_is_not_one_without_interruption() -> None:
    full = made.report(outages=0)
    dark = replace(full.uplinks[0].net, available=0, not_measured=44700, ratio=None, coverage=0.0)
    unknown = replace(full, uplinks=(replace(full.uplinks[0], net=dark),))
    assert [each.value for each in Shown(unknown, Words("en", "UTC")).keys[:2]] == ["–", "–"]
    some = replace(full, uplinks=(replace(full.uplinks[0], net=replace(dark, unavailable=65)),))
    assert Shown(some, Words("en", "UTC")).keys[1].value == f"≥{HARD}1{HARD}h{HARD}05{HARD}min"


def test_a_fleet_has_its_worst_site_first() -> None:
    order = [report.site.site for report in render.ranked(made.fleet())]
    assert order[0] == "s2"
    assert order[1] == "s3"
    assert order[2:] == ["s0", "s1", "s4", "s5"]


def test_a_year_without_evidence_in_a_month_shows_a_dash() -> None:
    told = text_of(render.html(made.balance(), "en"))
    assert re.search(r"April 2026 50 50 – ", told)
    assert "San Francisco" in told
