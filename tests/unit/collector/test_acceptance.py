"""Acceptance goes by tests of a stretch; where they fail it is refused, or reserved with a reason that is kept."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import html5lib
import pytest
from msgspec.structs import replace

from fibrewatch_collector.evidence import keys
from fibrewatch_collector.ledger import LedgerError, books, certificates, rollout
from fibrewatch_collector.ledger.certificates import Sealed
from fibrewatch_collector.operator import cli
from fibrewatch_collector.report import acceptance, figures, known
from fibrewatch_collector.report.page import certificate
from tests.support import evidence_world as world

NOW = world.MADE.timestamp()
FINE = {"begin": "2026-10-25T00:30Z", "end": "2026-10-25T00:50Z"}
"""Before anything broke."""
BROKEN = {"begin": "2026-10-25T00:30Z", "end": "2026-10-25T02:00Z"}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[world.Collector]:
    with world.collector(tmp_path_factory.mktemp("acceptance")) as made:
        yield made


@pytest.fixture
def site(lived: world.Collector) -> world.Collector:
    """All tests share the measurements; each takes a floorless or a floor's path of its own."""
    return lived


def wire(made: world.Collector, name: str, floor: str | None = None) -> None:
    """Once: tests share the site, in any order."""
    if any((each.site, each.floor) == (name, floor) for each in books.steps(made.store)):
        return
    for state in ("planned", "wired"):
        wish = rollout.Wish(territory="paris", site=name, floor=floor, state=state, who="Ann", on="2026-10-20")
        books.take_step(made.store, made.inventory, wish, NOW)


def wish(name: str = "cargo", **more: Any) -> certificates.Wish:
    usual: dict[str, Any] = {"territory": "paris", "site": name, "who": "Ann", "floor": None}
    return certificates.Wish(**(usual | FINE | more))


def evaluate(made: world.Collector, asked: certificates.Wish, key: Path | None = None) -> Sealed:
    return acceptance.evaluate(made.store, made.inventory, asked, NOW, acceptance.sealer(key))


def refusal(made: world.Collector, asked: certificates.Wish) -> str:
    with pytest.raises(LedgerError) as e:
        evaluate(made, asked)
    return str(e.value)


def test_what_did_not_pass_is_refused_and_named(site: world.Collector) -> None:
    wire(site, "cargo")
    told = refusal(site, wish(**BROKEN))
    assert told.startswith("not all tests passed: ")
    assert "loss (fibre) fail" in told
    assert "down (fibre) undecided, n=9" in told
    assert told.endswith("; to accept nevertheless, give reservations: why")
    with pytest.raises(LedgerError, match="rollout accept"):
        books.take_step(
            site.store,
            site.inventory,
            rollout.Wish(territory="paris", site="cargo", state="accepted", who="Ann"),
            NOW,
        )
    assert [each.state for each in books.steps(site.store) if (each.site, each.floor) == ("cargo", None)] == [
        "planned",
        "wired",
    ]


def test_an_acceptance_with_reservations_prints_the_reason_and_is_kept(site: world.Collector, tmp_path: Path) -> None:
    wire(site, "cargo", "1")
    key = tmp_path / "evidence.key"
    keys.make(key)
    asked = wish(floor="1", **BROKEN, reservations="Sous réserve de <b>reprise</b> avant le 30", on="2026-11-02")
    sealed = evaluate(site, asked, key)
    step = acceptance.accept(site.store, site.inventory, asked, sealed, NOW)
    kept = acceptance.of_step(site.store, step.id)
    assert kept == sealed
    assert (step.state, str(step.on), step.certificate) == ("accepted", "2026-11-02", sealed)
    assert keys.broken(kept, kept.key) is None
    made = kept.certificate
    assert (made.floor, made.companies, made.begin) == ("1", 2, datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    assert {each.id: each.answer for each in made.tests} == {"rtt": "pass", "loss": "fail", "down": "undecided"}
    for language, said in (("en", "Accepted with reservations"), ("fr", "Réception avec réserves")):
        page = certificate.html(kept, language)  # type: ignore[arg-type]
        html5lib.HTMLParser(strict=True).parse(page)
        assert said in page
        assert "Sous réserve de &lt;b&gt;reprise&lt;/b&gt; avant le 30" in page
        assert made.contract in page
        assert kept.key in page
    report = figures.report(
        site.store, site.inventory, site.inventory.sites["paris", "cargo"], world.PERIOD, world.MADE
    )
    assert report.uplinks[0].net.total == 0, "accepted is not live: the clock has not started"
    assert known.Books.of(site.store).steps[-1].certificate == sealed


def test_a_place_whose_tests_pass_is_accepted_and_needs_no_reservation(site: world.Collector) -> None:
    wire(site, "soma", "1")
    asked = wish("soma", floor="1", on="2026-10-26")
    assert "nothing to reserve" in refusal(site, wish("soma", floor="1", reservations="why"))
    step = acceptance.accept(site.store, site.inventory, asked, evaluate(site, asked), NOW)
    made = acceptance.of_step(site.store, step.id).certificate
    assert [(each.id, each.answer) for each in made.tests] == [("rtt", "pass"), ("loss", "pass"), ("wifi", "pass")]
    assert (made.tests[2].subject, made.tests[2].n) == ("1", 20), "of its floor, in the stretch"
    assert made.tests[0].n == 20 * 2 * 60, "two targets beyond the gateway measured delays, once a second"
    assert "All tests passed." in certificate.html(step.certificate, "en")  # type: ignore[arg-type]
    live = rollout.Wish(territory="paris", site="soma", floor="1", state="live", who="Ann", on="2026-10-26")
    assert books.take_step(site.store, site.inventory, live, NOW).state == "live"
    with pytest.raises(LedgerError, match="nothing follows"):
        evaluate(site, asked)


def test_a_site_without_promises_needs_a_reason(site: world.Collector) -> None:
    wire(site, "tank")
    assert refusal(site, wish("tank")).startswith("no objective on throughput, latency, loss or Wi-Fi is promised")
    sealed = evaluate(site, wish("tank", reservations="no contract yet"))
    assert (sealed.certificate.tests, sealed.key) == ((), "")
    assert "no contract yet" in certificate.html(sealed, "en")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"begin": "2026-10-25 02:30"}, 'begin: "2026-10-25 02:30" is there twice in Europe/Paris'),
        ({"begin": "2026-10-25T00:50Z"}, "end: the tests end before they begin"),
        ({"end": "2026-12-25T00:50Z"}, "end: the tests are not over"),
        ({"begin": "2026-10-01T00:00Z", "end": "2026-11-10T00:00Z"}, "end: 40 d are more than 31 days of tests"),
        ({"begin": "2026-10-19T00:00Z"}, "begin: it was wired 2026-10-20 only"),
        ({"on": "2026-10-24"}, "on: 2026-10-24 is before the tests were over"),
        ({"on": "2027-01-01"}, "on: 2027-01-01 is still to come"),
        ({"floor": "9"}, 'floor: paris/halle has no "9"'),
        ({"floor": "1"}, "state: paris/halle, floor 1, begins with planned, not accepted"),
    ],
)
def test_a_stretch_that_proves_nothing_is_refused(site: world.Collector, changed: dict[str, str], told: str) -> None:
    wire(site, "halle")
    assert refusal(site, wish("halle", **changed)).startswith(told)


def test_a_forged_certificate_is_found(
    site: world.Collector, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wire(site, "soma")
    key = tmp_path / "evidence.key"
    keys.make(key)
    sealed = evaluate(site, wish("soma"), key)
    file = tmp_path / "certificate.json"
    file.write_bytes(certificate.write(sealed, certificate.manner({"format": "json"})))
    assert cli.main(["verify", str(file), "--key", sealed.key]) == 0
    assert cli.main(["verify", str(file), "--key", "SHA256:" + "0" * 64]) == 1
    forged = json.loads(file.read_text())
    forged["text"] = forged["text"].replace("Ann", "Bob")
    file.write_text(json.dumps(forged))
    assert cli.main(["verify", str(file)]) == 1
    resealed = certificates.seal(replace(sealed.certificate, who="Bob"))
    file.write_text(json.dumps(forged | {"text": resealed.text, "sha256": resealed.sha256}))
    assert cli.main(["verify", str(file)]) == 1
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "certificate   FAIL  its text is not what was hashed",
        "certificate   FAIL  its text is not what was signed",
    ]


def test_the_pdf_is_one(site: world.Collector) -> None:
    wire(site, "cargo")
    sealed = evaluate(site, wish("cargo", reservations="as it is"))
    assert certificate.write(sealed, certificate.manner({"format": "pdf", "lang": "fr"})).startswith(b"%PDF-")
    for words in ({"format": "odt"}, {"lang": "de"}, {"colour": "red"}):
        with pytest.raises(LedgerError):
            certificate.manner(words)
