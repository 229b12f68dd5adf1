"""`fibrewatch verify`: is a pack whole, whose is it, does its report follow from its measurements? Needs no network."""

from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from fibrewatch import __version__
from fibrewatch.errors import FibrewatchError, StoreError
from fibrewatch_collector.evidence import EvidenceError, PackError, archive, contents, keys, lines, minutes, recompute
from fibrewatch_collector.evidence.contents import Context, Line, Manifest, Span, States, View
from fibrewatch_collector.evidence.recompute import Bare
from fibrewatch_collector.evidence.replay import Replay
from fibrewatch_collector.evidence.software import software
from fibrewatch_collector.inventory import Inventory, Site, inventory_of
from fibrewatch_collector.ledger import former
from fibrewatch_collector.report import figures, output
from fibrewatch_collector.report.model import Report
from fibrewatch_collector.report.output import LANGUAGES, Manner

T = TypeVar("T")
_MOST_SMALL = 64 << 20
"""Of a file that is read whole."""
_NEEDED = frozenset(
    {
        *(contents.REPORT, contents.INVENTORY, contents.OBJECTIVES, contents.CONTEXT, contents.PUBLIC),
        *(contents.MEASUREMENTS, contents.NEIGHBOURS, contents.BINS, contents.VIEWS, contents.STATES),
        *(contents.HISTORY, contents.SCHEDULES, contents.RECORDS, contents.EDITIONS, contents.GAPS, contents.README),
        *(f"report.{language}.{form}" for language in LANGUAGES for form in ("html", "pdf")),
    }
)


STEPS = (
    *("container", "signature", "manifest", "formulas", "inventory"),
    *("measurements", "minutes", "figures", "pages"),
)
_SENSELESS = (
    *(ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError),
    msgspec.MsgspecError,
)
"""What whoever signs a pack can cause by values of the right type that no collector writes."""


class Step(NamedTuple):
    """One thing that holds, in a line."""

    name: str
    said: str


def verify(pack: Path, key: str | None, scratch: Path | None = None) -> Iterator[Step]:
    """Step after step, each told once it holds.

    Args:
        key: The fingerprint that is trusted; None: whoever signed.
        scratch: Where to unpack; None: the system's temporary folder.

    Raises:
        PackError: A step that does not hold.
        EvidenceError: The file can't be read.
    """
    with TemporaryDirectory(dir=scratch) as name:
        done = 0
        try:
            for done, step in enumerate(_Verifier(Path(name)).steps(pack, key), 1):  # noqa: B007 told below
                yield step
        except (*_SENSELESS, StoreError) as e:
            cause = e.__cause__ if isinstance(e, StoreError) else e  # a number that SQLite can't hold, say
            if not isinstance(cause, _SENSELESS):
                raise
            problem = f"its values can't be reckoned with ({type(cause).__name__}: {_short(cause)})"
            raise PackError(STEPS[done], problem) from e


class _Verifier:
    """Of one pack, unpacked into a folder."""

    manifest: Manifest
    inventory: Inventory
    site: Site
    context: Context

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "files"
        self.folder.mkdir()
        self.scratch = folder

    def steps(self, pack: Path, key: str | None) -> Iterator[Step]:
        """All, in their order: nothing of what is in a file is believed before its hash and its signature are known."""
        digests = self._unpacked(pack)
        size = pack.stat().st_size
        yield Step("container", f"{len(digests)} files, {size} bytes, not one more")
        yield Step("signature", self._signature(digests, key))
        yield Step("manifest", self._manifest(digests))
        yield Step("formulas", self._formulas())
        yield Step("inventory", self._inventory())
        with recompute.open_replay(self.scratch, self.site, self.context) as replay:
            yield Step("measurements", self._measurements(replay))
            yield Step("minutes", self._minutes(replay))
            report = self._report(replay)
        yield Step("figures", "recomputed from the measurements: report.json is the same, byte for byte")
        yield Step("pages", self._pages(report))

    def _unpacked(self, pack: Path) -> dict[str, str]:
        try:
            with pack.open("rb") as file:
                return archive.unpack(file, self.folder)
        except OSError as e:
            raise EvidenceError(f"{pack}: {e.strerror}") from e

    def _signature(self, digests: dict[str, str], wanted: str | None) -> str:
        for name in (contents.MANIFEST, contents.SIGNATURE, contents.PUBLIC):
            if name not in digests:
                raise PackError("signature", f"{name} is missing")
        try:
            public = keys.read_public(self._small(contents.PUBLIC))
        except EvidenceError as e:
            raise PackError("signature", f"{contents.PUBLIC} {e}") from e
        found = keys.fingerprint(public)
        if wanted is not None and found != wanted:
            raise PackError("signature", f"it is signed with another key: {found}, not {wanted}")
        if not keys.signed(public, self._small(contents.MANIFEST), self._small(contents.SIGNATURE)):
            raise PackError("signature", f"the manifest is not what the key {found} signed")
        if wanted is None:
            return f"by the key in the pack, {found}: compare that with what the signer told you, or give --key"
        return f"by {found}, the key that was asked for"

    def _manifest(self, digests: dict[str, str]) -> str:
        (version,) = self._decoded("manifest", contents.MANIFEST, dict[str, Any], lambda found: (found.get("format"),))
        if version != contents.FORMAT:
            raise PackError("manifest", f"the pack's format is {version}, this program reads {contents.FORMAT}")
        self.manifest = self._decoded("manifest", contents.MANIFEST, Manifest, lambda found: found)
        listed, there = self.manifest.files, digests.keys() - contents.UNLISTED
        for name in sorted(listed.keys() ^ there):
            raise PackError("manifest", f"{name} is {'missing' if name in listed else 'in the pack, but not listed'}")
        for name in sorted(_NEEDED ^ there):
            raise PackError("manifest", f"{name} is {'missing' if name in _NEEDED else 'no file of this format'}")
        for name, packed in sorted(listed.items()):
            if digests[name] != packed.sha256 or (self.folder / name).stat().st_size != packed.bytes:
                raise PackError("manifest", f"{name} is not what was signed: its SHA-256 is another")
        if self.manifest.key != keys.fingerprint(keys.read_public(self._small(contents.PUBLIC))):
            raise PackError("manifest", "it names another key than the one that signed it")
        return f"all {len(listed)} files are as signed"

    def _formulas(self) -> str:
        mine, theirs, made_by = figures.formulas(), self.manifest.formulas, self.manifest.software.fibrewatch
        for name in sorted(mine.keys() | theirs.keys()):
            if mine.get(name) != theirs.get(name):
                raise PackError(
                    "formulas",
                    f"{name}: the pack's figures come from version {theirs.get(name, 'none')}, this program has "
                    f"{mine.get(name, 'none')}: verify it with fibrewatch {made_by}",
                )
        return ", ".join(f"{name} {version}" for name, version in sorted(mine.items()))

    def _inventory(self) -> str:
        try:
            written = msgspec.json.decode(self._small(contents.INVENTORY), type=dict[str, Any])
            self.inventory = inventory_of(written, contents.INVENTORY)
        except (msgspec.MsgspecError, FibrewatchError, UnicodeDecodeError, RecursionError) as e:
            raise PackError("inventory", str(e)) from e
        site = self.inventory.sites.get((self.manifest.territory, self.manifest.site))
        if site is None:
            raise PackError("inventory", f"{self.manifest.territory}/{self.manifest.site} is not in it")
        self.site = site
        self._period()
        self.context = self._decoded("inventory", contents.CONTEXT, Context, lambda found: found)
        if not self.context.fits(self.manifest.period):
            raise PackError(
                "inventory", f"{contents.CONTEXT} names minutes outside the period, or the period is too long"
            )
        if recompute.objectives(self.inventory, site) != self._small(contents.OBJECTIVES):
            raise PackError("inventory", f"{contents.OBJECTIVES} is not what the inventory promises")
        promised = sum(len(p.objectives) for e in site.uplinks if (p := self.inventory.promise(site, e.id)))
        return f"{promised} objectives of {'/'.join(site.key)}, as resolved from it"

    def _period(self) -> None:
        """It says what a day is: that of the site, and moments without a zone say nothing."""
        period, made = self.manifest.period, self.manifest.made_at
        moments = (period.begin, period.end, made)
        whole = all(each.utcoffset() is not None for each in moments) and not any(e.second for e in moments[:2])
        if not whole or period.begin >= period.end or period.time_zone != self.site.time_zone:
            raise PackError("inventory", f"{contents.MANIFEST}: its period is none of {'/'.join(self.site.key)}")

    def _measurements(self, replay: Replay) -> str:
        count = 0

        def counted() -> Iterator[Line]:
            nonlocal count
            for count, line in enumerate(self._read(contents.MEASUREMENTS, Line), 1):  # noqa: B007 told below
                yield line

        replay.fill(counted())
        Bare(self._read).ledger(replay)
        ends = self.manifest.period.begin.timestamp(), self.manifest.period.end.timestamp()
        self.inventory = former.remembered(replay, self.inventory, *ends)
        return f"{count} read"

    def _minutes(self, replay: Replay) -> str:
        bench = minutes.Bench(
            self.inventory, self.site, self.context, minutes.Intervals(replay.schedules(_everything()))
        )
        self._views(bench, replay)
        count = 0
        made = recompute.judge(bench, replay, self._read(contents.VIEWS, View))
        for mine, theirs in zip_longest(made, self._read(contents.BINS, Span)):
            if mine != theirs:
                at = (mine or theirs).begin
                raise PackError("minutes", f"from {_shown(at)} on, verdicts do not follow from the measurements")
            count += (mine.end - mine.begin) // 60
        self._states(bench, replay)
        return f"{count} judged anew, with what others saw: verdicts are the same"

    def _views(self, bench: minutes.Bench, replay: Replay) -> None:
        """What others saw is the signer's word; but it must not contradict what is here of their measurements."""
        replay.fill(self._read(contents.NEIGHBOURS, Line))
        for view, flow in minutes.contradictions(bench, replay, self._read(contents.VIEWS, View)):
            who = "/".join(flow.agent)
            raise PackError("minutes", f"views from {_shown(view.begin)} on: {who} did not see {flow.target} so")

    def _states(self, bench: minutes.Bench, replay: Replay) -> None:
        """Other sites' minutes follow from what their boxes saw."""
        said = list(self._read(contents.STATES, States))
        wanted = {int(each.begin) for each in said}
        if said != list(minutes.states(bench, replay, self._read(contents.VIEWS, View), wanted)):
            raise PackError("minutes", f"{contents.STATES} does not follow from the views")
        replay.set_states(said)

    def _report(self, replay: Replay) -> Report:
        manifest = self.manifest
        made = recompute.report(replay, self.inventory, self.site, manifest.period, manifest.made_at)
        software_then = replace(made.methods, collector_version=manifest.software.fibrewatch)
        made = replace(made, methods=software_then)
        if recompute.encoded(made) != self._small(contents.REPORT):
            raise PackError("figures", f"report.json is not what follows from the measurements{self._where(made)}")
        return made

    def _where(self, made: Report) -> str:
        from fibrewatch_collector.ledger import revisions

        try:
            found = revisions.changes(self._small(contents.REPORT), recompute.encoded(made))
        except (msgspec.MsgspecError, LookupError, TypeError, AttributeError):
            return ""
        return "".join(f"; {each.figure}: {each.before}, not {each.after}" for each in found[:1])

    def _pages(self, report: Report) -> str:
        """HTML is made anew where the same libraries are here; a PDF's bytes also depend on fonts."""
        here, then = software(), self.manifest.software
        if (here.fibrewatch, here.libraries) != (then.fibrewatch, then.libraries):
            made_by = f"fibrewatch {then.fibrewatch}, not {__version__}"
            return f"as signed; not made anew: of other templates or libraries ({made_by})"
        for language in LANGUAGES:
            name = f"report.{language}.html"
            if output.FORMATS["html"].write(report, Manner(language)) != self._small(name):
                raise PackError("pages", f"{name} does not show what report.json says")
        return "HTML made anew is the same; PDF as signed"

    # ---- files

    def _small(self, name: str) -> bytes:
        path = self.folder / name
        if path.stat().st_size > _MOST_SMALL:
            raise PackError("contents", f"{name}: longer than {_MOST_SMALL} bytes")
        return path.read_bytes()

    def _decoded(self, step: str, name: str, kind: type[T], then: Callable[[T], Any]) -> Any:
        try:
            return then(msgspec.json.decode(self._small(name), type=kind))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
            raise PackError(step, f"{name}: {e}") from e

    def _read(self, name: str, kind: Any) -> Iterator[Any]:
        return lines.read(self.folder / name, kind, self.manifest.files[name].unpacked)


def _short(problem: Exception) -> str:
    return " ".join(str(problem).split())[:200]


def _everything() -> Any:
    from fibrewatch_collector.store import Filter

    return Filter()


def _shown(at: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%MZ")
