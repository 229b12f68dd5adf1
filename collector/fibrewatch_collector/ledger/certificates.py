"""Acceptance: what was tested, when, by whom, with which result; sealed by a hash and, with a key, a signature. Pure.

The certificate is kept as the very text that was sealed.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from fibrewatch_collector.inventory import Site
from fibrewatch_collector.ledger import LedgerError, moments
from fibrewatch_collector.ledger.maintenance import Line
from fibrewatch_collector.report.model import Finding
from fibrewatch_collector.sla import periods
from fibrewatch_collector.sla.periods import Period

KINDS = ("compliance", "percentile", "loss", "coverage")
"""Throughput, latency, loss, Wi-Fi: what an acceptance tests, as far as it was promised."""
LONGEST = timedelta(days=31)
MOST_NAMED = 5


class Wish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /api/v1/rollout/accept.

    Attributes:
        floor: None: the site as a whole.
        begin: Of the tests: a moment by the clock of the place, or with an offset; `end` too.
        on: The day of acceptance; None: today.
        reservations: Why it is accepted though tests failed or told nothing; "": only if all passed.
    """

    territory: str
    site: str
    begin: str
    end: str
    who: Line
    floor: str | None = None
    on: str | None = None
    reservations: Line | None = None


class Certificate(Struct, frozen=True, kw_only=True):
    """What is sealed.

    Attributes:
        reservations: "" where all tests passed.
        tests: Findings over the stretch alone, before the SLA's clock starts.
        transfers: Throughput tests that ran, whether or not an objective counts them.
    """

    territory: str
    site: str
    name: str
    city: str
    floor: str | None
    companies: int
    time_zone: str
    begin: datetime
    end: datetime
    on: date
    who: str
    reservations: str
    contract: str
    tests: tuple[Finding, ...]
    formulas: dict[str, int]
    responders: tuple[str, ...]
    software: str
    made_at: datetime


class Sealed(Struct, frozen=True, kw_only=True):
    """A certificate as it is kept.

    Attributes:
        text: A `Certificate` as JSON; `sha256` is of these bytes.
        key: Fingerprint of the key that signed; "" where the collector has none.
    """

    text: str
    sha256: str
    key: str = ""
    public: str = ""
    signature: str = ""

    @property
    def certificate(self) -> Certificate:
        """What it says."""
        return msgspec.json.decode(self.text, type=Certificate)


def seal(certificate: Certificate, **signed: str) -> Sealed:
    """With its hash; `signed`: of a signature, by `sign`."""
    text = encode(certificate)
    return Sealed(text=text.decode(), sha256=hashlib.sha256(text).hexdigest(), **signed)


def encode(certificate: Certificate) -> bytes:
    """What is hashed and signed."""
    return msgspec.json.encode(certificate, order="deterministic")


def window(wish: Wish, site: Site, wired: date | None, now: datetime) -> Period:
    """The stretch in which the tests ran.

    Raises:
        LedgerError: It is none, is not over, or begins before the place was wired.
    """
    begin = moments.moment(wish.begin, "begin", site.time_zone)
    end = moments.moment(wish.end, "end", site.time_zone)
    if end <= begin:
        raise LedgerError("wrong", "end: the tests end before they begin")
    if end > now:
        raise LedgerError("wrong", "end: the tests are not over")
    if end - begin > LONGEST:
        raise LedgerError("wrong", f"end: {moments.length(end - begin)} are more than {LONGEST.days} days of tests")
    if wired is not None and begin < periods.midnight(wired, site.time_zone):
        raise LedgerError("wrong", f"begin: it was wired {wired} only: what was measured before tells nothing of it")
    local_end = (end - timedelta(minutes=1)).astimezone(ZoneInfo(site.time_zone)).date()
    if wish.on is not None and moments.day(wish.on, "on") < local_end:
        raise LedgerError("wrong", f"on: {wish.on} is before the tests were over")
    return Period(begin=begin, end=end, time_zone=site.time_zone, label="acceptance")


def tests(findings: Iterable[Finding], site: Site, floor: str | None) -> tuple[Finding, ...]:
    """What an acceptance goes by: of a floor only what its lines and its Wi-Fi did."""
    lines = {each.id for each in site.uplinks if floor is None or not each.floors or floor in each.floors}
    return tuple(
        each
        for each in findings
        if each.kind in KINDS and (each.subject in lines if each.kind != "coverage" else _is_of(each, site, floor))
    )


def _is_of(finding: Finding, site: Site, floor: str | None) -> bool:
    """A coverage nobody measured is of the line's name, not of a floor's."""
    return floor is None or finding.subject == floor or finding.subject not in {each.id for each in site.floors}


def check(found: Sequence[Finding], reservations: str | None) -> None:
    """Whether the place may be accepted.

    Raises:
        LedgerError: A test failed or told too little, or none was promised, and nobody gives a reason.
    """
    open_ = [each for each in found if each.answer != "pass"]
    if found and not open_:
        if reservations is not None:
            raise LedgerError("conflict", "reservations: all tests passed: there is nothing to reserve")
        return
    if reservations is not None:
        return
    if not found:
        raise LedgerError("conflict", f"no objective on throughput, latency, loss or Wi-Fi is promised{_HOW}")
    named = [f"{each.id} ({each.subject}) {each.answer}, n={each.n}" for each in open_[:MOST_NAMED]]
    more = [f"and {len(open_) - MOST_NAMED} more"] if len(open_) > MOST_NAMED else []
    raise LedgerError("conflict", f"not all tests passed: {'; '.join([*named, *more])}{_HOW}")


_HOW = "; to accept nevertheless, give reservations: why"


def decode(text: bytes | str) -> Sealed:
    """A sealed certificate of a file.

    Raises:
        LedgerError: It is none.
    """
    try:
        found = msgspec.json.decode(text, type=Sealed)
        msgspec.json.decode(found.text, type=Certificate)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise LedgerError("wrong", f"no certificate: {e}") from e
    return found
