"""A certificate of acceptance as a page, in the words of the reports."""

from collections.abc import Mapping
from typing import NamedTuple, cast

import msgspec

from fibrewatch_collector.ledger import LedgerError
from fibrewatch_collector.ledger.certificates import Sealed
from fibrewatch_collector.report.output import LANGUAGES, Language
from fibrewatch_collector.report.page import findings, pdf, render
from fibrewatch_collector.report.page.words import Words

TYPES = {"json": "application/json", "html": "text/html", "pdf": "application/pdf"}


class Form(NamedTuple):
    """How a certificate is written."""

    format: str
    language: Language

    @property
    def content_type(self) -> str:
        """Of HTTP."""
        return TYPES[self.format]


def manner(words: Mapping[str, str]) -> Form:
    """What the parameters ask.

    Raises:
        LedgerError: There is no such format, language or parameter.
    """
    asked = {"format": "html", "lang": "en"} | dict(words)
    if more := sorted(asked.keys() - {"format", "lang"}):
        raise LedgerError("wrong", f"{more[0][:60]}: no such parameter; format and lang are")
    for name, known in (("format", [*TYPES]), ("lang", [*LANGUAGES])):
        if asked[name] not in known:
            raise LedgerError("wrong", f'{name}: no "{asked[name][:60]}"; one of {", ".join(known)}')
    return Form(asked["format"], cast("Language", asked["lang"]))


def write(sealed: Sealed, form: Form) -> bytes:
    """The sealed text itself, or a page of what it says. Blocks.

    Raises:
        PdfError: The PDF can't be made here.
    """
    if form.format == "json":
        return msgspec.json.encode(sealed, order="deterministic") + b"\n"
    page = html(sealed, form.language)
    return pdf.pdf(page) if form.format == "pdf" else page.encode()


def html(sealed: Sealed, language: Language) -> str:
    """The whole page; it loads nothing from elsewhere."""
    made = sealed.certificate
    words = Words(language, made.time_zone)
    return render.page(
        "certificate.html",
        words,
        made=made,
        sealed=sealed,
        rows=findings.rows(words, made.tests),
        place=words.text("rollout.floor", floor=made.floor) if made.floor else words.text("rollout.whole"),
        formulas=", ".join(_formula(words, *each) for each in sorted(made.formulas.items())),
        print=" ".join(sealed.sha256[at : at + 8] for at in range(0, 64, 8)),
    )


def _formula(words: Words, name: str, version: int) -> str:
    return words.text("methods.formula", name=words.named("formula", name), version=str(version))
