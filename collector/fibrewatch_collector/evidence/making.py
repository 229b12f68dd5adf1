"""A pack from a collector's store. Blocks for as long as a report of the period takes, and more; memory stays bounded.

First all that is needed is written down; then the figures are made of what was written, and of nothing else.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import msgspec

from fibrewatch_collector.evidence import EvidenceError, archive, contents, lines, minutes, recompute
from fibrewatch_collector.evidence.contents import (
    Context,
    EditionLine,
    GapLine,
    Line,
    Manifest,
    Packed,
    RecordLine,
    ScheduleLine,
    Span,
    StoodLine,
)
from fibrewatch_collector.evidence.listener import Listener
from fibrewatch_collector.evidence.outline import reduced
from fibrewatch_collector.evidence.recompute import Bare
from fibrewatch_collector.evidence.replay import Replay
from fibrewatch_collector.evidence.software import software
from fibrewatch_collector.inventory import Inventory, Site, inventory_of
from fibrewatch_collector.ledger import former, inventories, maintenance, revisions, rollout
from fibrewatch_collector.report import figures, judging, known, output
from fibrewatch_collector.report.output import LANGUAGES, Manner
from fibrewatch_collector.sla.periods import Period
from fibrewatch_collector.store import Filter, Store, Stored
from fibrewatch_collector.store.codec import one_line

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

DAY_S, HOUR_S = 86400, 3600
_MOST_GAPS = 1000
_SHOWN = 200
README = """Evidence pack of fibrewatch: what {site} measured over {period} ({zone}), and the report made of it.

Check it with:  fibrewatch verify THIS-ARCHIVE --key FINGERPRINT-OR-PUBLIC-KEY
That needs no network and no collector. It checks the signature and every file, judges every minute anew and recomputes
every figure from the raw measurements; the result must be report.json, byte for byte. A fingerprint is worth what you
know of where it came from: get it from whoever signed by another way than this pack.
Signed by {key}

measurements.ndjson.gz       each measurement as its box sent it, and when it came (received_us)
neighbours.ndjson.gz         other sites' measurements that figures or an outage's evidence rest on
views.ndjson.gz              what other sites' boxes saw in the minutes in which something was lost here (the
                             signer's word, held against neighbours.ndjson.gz where that has the minute)
states.ndjson.gz             other sites' minutes, where an outage's evidence compares with them (recomputed)
bins.ndjson.gz               each minute's verdict, as stretches
inventory.json               the inventory the figures are made with; of other sites only what attribution needs
inventory_history.ndjson.gz  the inventories that were in force over the period, as they were recorded
objectives.json              what was promised, presets and replacements resolved, with their sources
schedules.ndjson.gz          what each box was told to run, and since when
records.ndjson.gz            maintenance, cancellations, rollout: who, why, when it was said
editions.ndjson.gz           reports of this period that were given out before
gaps.ndjson.gz               results that are lost for good
context.json                 since when lines were judged, and which minutes were
report.*                     the report; the PDF is covered by hash and signature, not made anew
manifest.json, manifest.sig  sizes and SHA-256 of all files; Ed25519 (RFC 8032) over the manifest, see docs/evidence.md
key.pem                      the public key
"""


class Wanted(NamedTuple):
    """Of whom, over which period, seen from when."""

    site: Site
    period: Period
    now: datetime

    @property
    def edges(self) -> tuple[float, float]:
        """All of the UTC days that the period touches, and an hour around: an outage's evidence looks beyond."""
        begin, end = self.period.begin.timestamp(), self.period.end.timestamp()
        return begin // DAY_S * DAY_S - HOUR_S, -(-end // DAY_S) * DAY_S + HOUR_S


def make(
    store: Store, inventory: Inventory, wanted: Wanted, key: "Ed25519PrivateKey", out: BinaryIO, *, scratch: Path
) -> Manifest:
    """Writes a pack. The same store, inventory and moment give the same bytes.

    Args:
        scratch: A folder with room for several times the pack.

    Raises:
        EvidenceError: It can't be made: the measurements are gone, say.
        StoreError: The store can't be read.
    """
    _check(store, inventory, wanted)
    with TemporaryDirectory(dir=scratch) as name:
        return _Pack(store, inventory, wanted, Path(name)).write(key, out)


def _check(store: Store, inventory: Inventory, wanted: Wanted) -> None:
    site, period = wanted.site, wanted.period
    if period.begin >= wanted.now:
        raise EvidenceError(f"{period.label}: the period has not begun")
    if (period.end - period.begin).total_seconds() > contents.LONGEST_S - DAY_S:
        raise EvidenceError(f"{period.label}: a pack holds a year at most")
    if inventory.written is None:
        raise EvidenceError("the inventory's own tables are not known")
    first = min((at for key, at in store.first_minutes().items() if key[:2] == site.key), default=None)
    if first is None or first >= period.end.timestamp():
        raise EvidenceError(f"{'/'.join(site.key)} measured nothing before the end of {period.label}")
    pruned = store.pruned_before()
    if pruned > max(first, wanted.edges[0] + HOUR_S):
        at = datetime.fromtimestamp(pruned, period.begin.tzinfo).strftime("%Y-%m-%d %H:%MZ")
        raise EvidenceError(f"{period.label}: raw measurements of before {at} are deleted: nothing can be recomputed")


class _Pack:
    """One in the making, in a folder of its own."""

    def __init__(self, store: Store, inventory: Inventory, wanted: Wanted, folder: Path) -> None:
        self.store, self.wanted, self.folder = store, wanted, folder
        self.site = wanted.site
        self.files: dict[str, int] = {}
        self.written = reduced(inventory.written or {}, self.site)
        ends = wanted.period.begin.timestamp(), wanted.period.end.timestamp()
        self.inventory = former.remembered(store, inventory_of(self.written, contents.INVENTORY), *ends)
        self.live_inventory = inventory

    def write(self, key: "Ed25519PrivateKey", out: BinaryIO) -> Manifest:
        """Everything, in the order of the archive."""
        context = self._context()
        self._put(contents.INVENTORY, msgspec.json.encode(self.written, order="sorted"))
        self._put(contents.CONTEXT, msgspec.json.encode(context, order="deterministic"))
        self._put(contents.OBJECTIVES, recompute.objectives(self.inventory, self.site))
        self._write_ledger()
        self._lines(contents.MEASUREMENTS, map(_line, self.store.arrivals(self._mine())))
        bench = self._bench(context)
        with recompute.open_replay(self.folder, self.site, context) as replay:
            replay.fill(self._read(contents.MEASUREMENTS, Line))
            self._lines(contents.VIEWS, map(lines.encode, minutes.around(bench, replay, self.store)))
            Bare(self._read).ledger(replay)
            self._lines(contents.BINS, map(lines.encode, self._judged(bench, replay)))
            self._write_neighbours(bench, replay)
            report = recompute.report(replay, self.inventory, self.site, self.wanted.period, self.wanted.now)
        self._put(contents.REPORT, recompute.encoded(report))
        for language in LANGUAGES:
            for name in ("html", "pdf"):
                self._put(f"report.{language}.{name}", output.FORMATS[name].write(report, Manner(language)))
        return self._sign(key, out, self._differences(recompute.encoded(report)))

    # ---- what is written down

    def _mine(self) -> Filter:
        begin, end = self.wanted.edges
        return Filter(*self.site.key, begin=begin, end=end)

    def _context(self) -> Context:
        begin, end = self.wanted.period.begin.timestamp(), self.wanted.period.end.timestamp() + 60
        firsts = {key[2]: at for key, at in sorted(self.store.first_minutes().items()) if key[:2] == self.site.key}
        return Context(
            first_minutes=firsts,
            judged=minutes.judged(self.store.timelines(Filter(*self.site.key, begin=begin, end=end))),
        )

    def _bench(self, context: Context) -> minutes.Bench:
        """Schedules of all: how often others sample says whether they saw enough."""
        everyone = minutes.Intervals(self.store.schedules(Filter(end=self.wanted.edges[1])))
        return minutes.Bench(self.inventory, self.site, context, everyone)

    def _write_ledger(self) -> None:
        site, period = self.site, self.wanted.period
        begin, end = period.begin.timestamp(), period.end.timestamp()
        schedules = self.store.schedules(Filter(*site.key, end=self.wanted.edges[1]))
        self._lines(
            contents.SCHEDULES,
            (
                lines.encode(ScheduleLine(agent=e.agent.agent, since=e.since, schedule=msgspec.Raw(e.raw)))
                for e in schedules
            ),
        )
        records = self.store.records((*maintenance.KINDS, rollout.KIND), site.territory)
        self._lines(
            contents.RECORDS,
            (
                lines.encode(
                    RecordLine(
                        row=e.row, kind=e.kind, territory=e.territory, site=e.site, at=e.at, body=msgspec.Raw(e.body)
                    )
                )
                for e in records
                if e.site in ("", site.id)
            ),
        )
        self._lines(
            contents.EDITIONS,
            (
                lines.encode(EditionLine(number=e.number, made_at=e.made_at, report=msgspec.Raw(e.report)))
                for e in self.store.editions(*site.key, begin, end)
            ),
        )
        self._lines(contents.GAPS, map(lines.encode, self._gaps()))
        self._lines(
            contents.HISTORY,
            (
                lines.encode(StoodLine(at=each.at, inventory=reduced(each.written, site)))
                for each in inventories.stood(self.store, begin, self.wanted.now.timestamp())
            ),
        )

    def _gaps(self) -> Iterator[GapLine]:
        begin, end = self.wanted.period.begin.timestamp(), self.wanted.period.end.timestamp()
        for each in self.store.gaps(Filter(*self.site.key, begin=begin, end=end), _MOST_GAPS):
            yield GapLine(
                agent=each.agent.agent,
                stream=each.stream,
                first=each.first,
                last=each.last,
                recorded_at=each.recorded_at,
            )

    def _judged(self, bench: minutes.Bench, replay: Replay) -> Iterator[Span]:
        return recompute.judge(bench, replay, self._read(contents.VIEWS, contents.View))

    def _write_neighbours(self, bench: minutes.Bench, replay: Replay) -> None:
        """What the figures ask of other sites: calls to this one, and what an outage's evidence looks at."""
        begin, end = self.wanted.edges
        calls = Filter(peer="/".join(self.site.key), probe=judging.CALLS, begin=begin, end=end)
        found = {each.row: each for each in self.store.arrivals(calls) if each.agent[:2] != self.site.key}
        listening = Listener(replay, self.store, self.site.key)
        known.known(listening, self.inventory, self.site, self.wanted.period, self.wanted.now)
        found |= listening.measured
        self._lines(contents.NEIGHBOURS, (_line(found[row]) for row in sorted(found)))
        views = self._read(contents.VIEWS, contents.View)
        self._lines(contents.STATES, map(lines.encode, minutes.states(bench, replay, views, listening.minutes)))
        replay.fill(self._read(contents.NEIGHBOURS, Line))
        replay.set_states(self._read(contents.STATES, contents.States))

    def _differences(self, made: bytes) -> tuple[str, ...]:
        """Figures that the collector itself would report otherwise now."""
        live = figures.report(self.store, self.live_inventory, self.site, self.wanted.period, self.wanted.now)
        return tuple(each.figure for each in revisions.changes(recompute.encoded(live), made)[:_SHOWN])

    # ---- files

    def _put(self, name: str, body: bytes) -> None:
        (self.folder / name).write_bytes(body)
        self.files[name] = len(body)

    def _lines(self, name: str, found: Iterable[bytes]) -> None:
        self.files[name] = lines.write(self.folder / name, found)

    def _read(self, name: str, kind: Any) -> Iterator[Any]:
        return lines.read(self.folder / name, kind, self.files[name])

    def _sign(self, key: "Ed25519PrivateKey", out: BinaryIO, differs: tuple[str, ...]) -> Manifest:
        from fibrewatch_collector.evidence import keys

        public = key.public_key()
        self._put(contents.PUBLIC, keys.public_pem(public))
        self._put(contents.README, self._readme(keys.fingerprint(public)).encode())
        manifest = Manifest(
            format=contents.FORMAT,
            territory=self.site.territory,
            site=self.site.id,
            period=self.wanted.period,
            made_at=self.wanted.now,
            software=software(),
            formulas=figures.formulas(),
            key=keys.fingerprint(public),
            files={name: self._packed(name) for name in sorted(self.files)},
            collector_differs=differs,
        )
        body = msgspec.json.encode(manifest, order="deterministic") + b"\n"
        self._put(contents.MANIFEST, body)
        self._put(contents.SIGNATURE, keys.sign(key, body))
        first = [contents.README, contents.MANIFEST, contents.SIGNATURE]
        archive.write(out, [self.folder / name for name in (*first, *sorted(self.files.keys() - {*first}))])
        return manifest

    def _readme(self, fingerprint: str) -> str:
        period = self.wanted.period
        return README.format(site="/".join(self.site.key), period=period.label, zone=period.time_zone, key=fingerprint)

    def _packed(self, name: str) -> Packed:
        path = self.folder / name
        return Packed(bytes=path.stat().st_size, sha256=recompute.sha256(path), unpacked=self.files[name])


def _line(stored: Stored) -> bytes:
    # Put together by hand: an encoder would write the measurement's bytes anew.
    territory, site, agent = stored.agent
    ids = f'"territory":"{territory}","site":"{site}","agent":"{agent}","stream":"{stored.stream}"'
    head = f'{{{ids},"sequence":{stored.seq},"received_us":{round(stored.received_at * 1e6)},"measurement":'
    return b"".join((head.encode(), one_line(stored.raw), b"}\n"))
