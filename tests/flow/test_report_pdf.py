"""PDFs of reports, read back by poppler: pages, tags, figures, and pictures of them in both languages."""

import subprocess
from pathlib import Path

import pytest

from fibrewatch_collector.report.model import Report
from fibrewatch_collector.report.output import LANGUAGES, Language
from fibrewatch_collector.report.page import render
from fibrewatch_collector.report.page.pdf import pdf
from fibrewatch_collector.report.page.shown import Shown
from fibrewatch_collector.report.page.words import Words
from tests.support import report as made


def poppler(tool: str, *arguments: str | Path) -> str:
    done = subprocess.run([tool, *arguments], check=True, capture_output=True, timeout=60)
    return done.stdout.decode()


def info(path: Path) -> dict[str, str]:
    rows = (line.partition(":") for line in poppler("pdfinfo", path).splitlines())
    return {name: value.strip() for name, _, value in rows}


def squeezed(text: str) -> str:
    return "".join(text.split()).replace("\u00ad", "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_full_report_holds_every_figure_of_its_tables_and_its_plots(tmp_path: Path, language: Language) -> None:
    report, path = made.report(outages=40), tmp_path / "full.pdf"
    path.write_bytes(pdf(render.html(report, language)))
    holds_every_figure(report, path, language)
    has_ink(path)


def holds_every_figure(report: Report, path: Path, language: Language) -> None:
    about, text = info(path), squeezed(poppler("pdftotext", "-layout", path, "-"))
    assert about["Tagged"] == "yes"
    assert int(about["Pages"]) >= 6
    words = Words(language, report.period.time_zone)
    shown = Shown(report, words)
    for row in shown.objectives:
        assert squeezed(row.found) in text, row
        assert squeezed(row.range) in text, row
    for uplink in report.uplinks:
        for found in (uplink.net, uplink.gross):
            assert squeezed(words.number(found.available)) in text
            assert squeezed(shown.bounds(found)) in text
    for outage in report.outages:
        assert squeezed(words.short_moment(outage.begin)) in text
    for figure in shown.figures:
        assert all(squeezed(each) in text for each in figure.quantiles)


def has_ink(path: Path) -> None:
    """Drawn by poppler; a plot that is not drawn leaves its page without the palette's colours."""
    poppler("pdftoppm", "-r", "40", path, path.with_name("page"))
    seen: set[tuple[int, int, int]] = set()
    for picture in sorted(path.parent.glob("page*.ppm")):
        body = picture.read_bytes().split(b"\n255\n", 1)[1]
        seen |= set(zip(body[0::3], body[1::3], body[2::3], strict=True))
    for colour in ((0xDB, 0xE9, 0xF4), (0xB9, 0xD4, 0xEA), (0x0B, 0x3D, 0x63)):
        assert any(all(abs(a - b) < 12 for a, b in zip(colour, each, strict=True)) for each in seen), colour


@pytest.mark.parametrize(("outages", "language"), [(0, "fr"), (100, "fr"), (100, "en")])
def test_the_managers_page_is_one_page(tmp_path: Path, outages: int, language: Language) -> None:
    path = tmp_path / "manager.pdf"
    path.write_bytes(pdf(render.html(made.report(outages=outages), language, "manager")))
    assert info(path)["Pages"] == "1"
    fonts = poppler("pdffonts", path)
    assert "Lato" in fonts


def test_a_page_loads_nothing_from_anywhere(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"\x89PNG")
    made_of = pdf(f'<html lang="en"><title>x</title><img alt="x" src="{secret.as_uri()}"><p>kept</p>')
    path = tmp_path / "x.pdf"
    path.write_bytes(made_of)
    assert poppler("pdfimages", "-list", path).strip().count("\n") == 1
    assert "kept" in poppler("pdftotext", path, "-")
