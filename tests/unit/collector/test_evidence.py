"""Packs: the same bytes for the same store, verified without it, and refused with a reason for any change at all."""

import gzip
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fibrewatch import wire
from fibrewatch_collector.evidence import (
    EvidenceError,
    PackError,
    archive,
    contents,
    keys,
    lines,
    making,
    software,
    verifying,
)
from fibrewatch_collector.operator import cli
from fibrewatch_collector.report import figures, output
from fibrewatch_collector.sla import bins, periods
from tests.support import evidence_world as world
from tests.unit.collector.runs import window

Files = dict[str, bytes]


class Made:
    """A pack, and what it is made of."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.pack = folder, folder / "pack.tar"
        self.key = keys.make(folder / "evidence.key")
        with world.collector(folder) as collector:
            site = collector.inventory.sites["paris", "cargo"]
            wanted = making.Wanted(site, world.PERIOD, world.MADE)
            with self.pack.open("wb") as out:
                self.manifest = making.make(collector.store, collector.inventory, wanted, self.key, out, scratch=folder)
            self.live = figures.report(collector.store, collector.inventory, site, world.PERIOD, world.MADE)
        self.fingerprint = keys.fingerprint(self.key.public_key())
        self.files = unpacked(self.pack)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("evidence"))


def unpacked(pack: Path) -> Files:
    with tarfile.open(pack) as tar:
        return {each.name.removeprefix(archive.FOLDER): tar.extractfile(each).read() for each in tar}  # type: ignore[union-attr]


def repacked(folder: Path, files: Mapping[str, bytes]) -> Path:
    """As `archive.write` would, in the order given."""
    paths = []
    for name, body in files.items():
        (folder / name).write_bytes(body)
        paths.append(folder / name)
    pack = folder / "forged.tar.x"
    with pack.open("wb") as out:
        archive.write(out, paths)
    return pack


def relisted(files: Files, **changed: Any) -> Files:
    """With a manifest that fits, unsigned."""
    manifest = json.loads(files[contents.MANIFEST]) | changed
    manifest["files"] = {name: listed(body) for name, body in files.items() if name not in contents.UNLISTED}
    return files | {contents.MANIFEST: json.dumps(manifest).encode()}


def listed(body: bytes) -> dict[str, object]:
    size = len(gzip.decompress(body)) if body[:2] == b"\x1f\x8b" else len(body)
    return {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest(), "unpacked": size}


def signed(made: Made, files: Files, **changed: Any) -> Files:
    """Whoever holds the key may sign what he likes: then the figures must tell."""
    found = relisted(files, **changed)
    return found | {contents.SIGNATURE: keys.sign(made.key, found[contents.MANIFEST])}


def fault(pack: Path, key: str | None, folder: Path) -> PackError:
    with pytest.raises(PackError) as e:
        list(verifying.verify(pack, key, folder))
    return e.value


def test_a_pack_is_verified_step_by_step(made: Made, tmp_path: Path) -> None:
    steps = list(verifying.verify(made.pack, made.fingerprint, tmp_path))
    assert [each.name for each in steps] == [
        *("container", "signature", "manifest", "formulas", "inventory"),
        *("measurements", "minutes", "figures", "pages"),
    ]
    assert list(tmp_path.iterdir()) == []


def test_the_packs_report_is_the_collectors_own(made: Made) -> None:
    assert made.manifest.collector_differs == ()
    assert json.loads(made.files["report.json"]) == json.loads(msgspec.json.encode(made.live))
    causes = [(each.cause, each.counts, each.minutes) for each in made.live.outages]
    assert causes == [("access", True, 6), ("operator", True, 4), ("access", False, 5)]


def test_a_pack_tells_nothing_of_other_sites_contracts_and_tenants(made: Made) -> None:
    everything = b"".join(gzip.decompress(b) if b[:2] == b"\x1f\x8b" else b for b in made.files.values())
    assert b"cargo & Cie" in everything
    for secret in (b"halle & Cie", b"what another site pays"):
        assert secret not in everything


def test_measurements_are_the_boxes_own_bytes_with_the_time_they_came(made: Made) -> None:
    found = [json.loads(line) for line in gzip.decompress(made.files[contents.MEASUREMENTS]).splitlines()]
    assert len(found) == 4 * world.MINUTES + 9 + 10
    late = [each for each in found if each["received_us"] / 1e6 - _at(each) > 120 and each["measurement"]["probe"]]
    assert len(late) >= 4 * (len(world.DARK) - 1)


def _at(line: dict[str, Any]) -> float:
    from datetime import datetime

    return datetime.fromisoformat(line["measurement"]["started_at"]).timestamp()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), ends=st.booleans())
def test_any_flipped_bit_is_found(made: Made, tmp_path: Path, place: float, bit: int, ends: bool) -> None:
    raw = bytearray(made.pack.read_bytes())
    at = int(place * 3 * 512) if ends else int(place * len(raw))
    raw[at] ^= 1 << bit
    forged = tmp_path / "flipped.tar"
    forged.write_bytes(raw)
    assert fault(forged, made.fingerprint, tmp_path).step in ("container", "signature", "manifest")


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.floats(0, 1, exclude_max=True), st.binary(max_size=600))
def test_a_cut_or_longer_pack_is_refused(made: Made, tmp_path: Path, place: float, more: bytes) -> None:
    raw = made.pack.read_bytes()
    forged = tmp_path / "cut.tar"
    forged.write_bytes(raw + more if more else raw[: int(place * len(raw))])
    assert fault(forged, made.fingerprint, tmp_path).step == "container"


def dropped(body: bytes, number: int = 100) -> bytes:
    """Without one line."""
    found = gzip.decompress(body).splitlines(keepends=True)
    return gzip.compress(b"".join(found[:number] + found[number + 1 :]), mtime=0)


def test_a_dropped_line_fails_even_where_the_manifest_is_made_to_fit(made: Made, tmp_path: Path) -> None:
    files = made.files | {contents.MEASUREMENTS: dropped(made.files[contents.MEASUREMENTS])}
    assert fault(repacked(tmp_path, files), None, tmp_path).step == "manifest"
    assert fault(repacked(tmp_path, relisted(files)), None, tmp_path).step == "signature"


@pytest.mark.parametrize(
    ("name", "old", "new", "step"),
    [
        (contents.INVENTORY, b'"asked":0.99', b'"asked":0.80', "inventory"),
        (contents.REPORT, b'"available":75', b'"available":76', "figures"),
        (contents.CONTEXT, b"[[1792888200,", b"[[1792888260,", "minutes"),
        (contents.CONTEXT, b",1792893600]]", b",9999999999960]]", "inventory"),
        (contents.CONTEXT, b'{"fibre":1', b'{"fibre":9999999999991', "inventory"),
        ("report.fr.html", b"Zo\xc3\xa9", b"Zoe", "pages"),
    ],
)
def test_a_change_fails_even_where_the_owner_of_the_key_signs_it(
    made: Made, tmp_path: Path, name: str, old: bytes, new: bytes, step: str
) -> None:
    body = made.files[name]
    assert old in body or name.endswith(".html")
    changed = body.replace(old, new) if old in body else body + b"<!-- -->"
    files = signed(made, made.files | {name: changed})
    assert fault(repacked(tmp_path, files), made.fingerprint, tmp_path).step == step


def edited(body: bytes, change: Callable[[bytes], bytes]) -> bytes:
    return gzip.compress(change(gzip.decompress(body)), mtime=0)


@pytest.mark.parametrize(
    ("name", "change", "step"),
    [
        (contents.MEASUREMENTS, lambda text: text.replace(b'"lost":60', b'"lost":0', 1), "minutes"),
        (contents.MEASUREMENTS, lambda text: text.replace(b'"lost":1,', b'"lost":0,', 1), "figures"),
        (contents.MEASUREMENTS, lambda text: text + text.splitlines(keepends=True)[0], "contents"),
        (contents.MEASUREMENTS, lambda text: text.splitlines(keepends=True)[0][:-9] + b"\n", "contents"),
        (contents.BINS, lambda text: text.replace(b'"state":"U"', b'"state":"A"', 1), "minutes"),
        (contents.VIEWS, lambda text: text.replace(b"true", b"false"), "minutes"),
        (contents.STATES, lambda text: text.replace(b'"A":1', b'"U":1'), "minutes"),
        (contents.STATES, lambda text: b"", "figures"),
        (contents.NEIGHBOURS, lambda text: text.replace(b'"ready":true', b'"ready":false'), "figures"),
        (contents.RECORDS, lambda text: b"", "figures"),
        (contents.SCHEDULES, lambda text: b"", "figures"),
    ],
)
def test_figures_follow_from_every_file(
    made: Made, tmp_path: Path, name: str, change: Callable[[bytes], bytes], step: str
) -> None:
    body = edited(made.files[name], change)
    assert gzip.decompress(body) != gzip.decompress(made.files[name])
    files = signed(made, made.files | {name: body})
    assert fault(repacked(tmp_path, files), made.fingerprint, tmp_path).step == step


@pytest.mark.parametrize(("seen", "fits"), [("dns", True), ("-dns", False)])
def test_views_may_not_contradict_another_sites_measurements(made: Made, tmp_path: Path, seen: str, fits: bool) -> None:
    """Of the minute in which cargo was cut and halle heard its resolver."""
    minute = world.T0 + 60 * (world.CUT.start + 1)
    head = f'{{"territory":"paris","site":"halle","agent":"box","stream":"{9:016x}","sequence":1,'
    line = head + f'"received_us":{(minute + 62) * 10**6},"measurement":'
    body = edited(
        made.files[contents.NEIGHBOURS],
        lambda text: text + line.encode() + wire.encode(window(seen, float(minute))) + b"}\n",
    )
    pack = repacked(tmp_path, signed(made, made.files | {contents.NEIGHBOURS: body}))
    if fits:
        assert [each.name for each in verifying.verify(pack, made.fingerprint, tmp_path)][-1] == "pages"
    else:
        told = fault(pack, made.fingerprint, tmp_path)
        assert (told.step, "paris/halle/box did not see dns so" in told.problem) == ("minutes", True)


def first_line(**changed: Any) -> Callable[[bytes], bytes]:
    """The first line of a list, with some of its fields otherwise."""

    def change(text: bytes) -> bytes:
        line, *others = text.splitlines(keepends=True)
        return b"".join([json.dumps(json.loads(line) | changed).encode() + b"\n", *others])

    return change


HUGE, RANGE = 10**30, (-(2**62), 2**62)


@pytest.mark.parametrize(
    ("name", "change", "step"),
    [
        (contents.HISTORY, first_line(inventory={"site": None}), "measurements"),
        (contents.HISTORY, first_line(inventory={"site": [{"territory": [], "id": "x"}]}), "measurements"),
        (contents.MEASUREMENTS, first_line(sequence=HUGE), "measurements"),
        (contents.RECORDS, first_line(body={}), "figures"),
        (contents.SCHEDULES, first_line(since=1e300), "measurements"),
        (contents.VIEWS, first_line(begin=RANGE[0], end=RANGE[1]), "minutes"),
        (contents.VIEWS, first_line(saw=[["box", "far", "responder", True, "no/box"]]), "minutes"),
    ],
)
def test_values_that_no_collector_writes_are_told_in_a_line(
    made: Made, tmp_path: Path, name: str, change: Callable[[bytes], bytes], step: str
) -> None:
    """By whoever signs with a key of his own: nothing that he writes may end `verify` otherwise, or keep it busy."""
    files = signed(made, made.files | {name: edited(made.files[name], change)})
    told = fault(repacked(tmp_path, files), None, tmp_path)
    assert (told.step, "\n" in str(told), len(str(told)) < 600) == (step, False, True), told


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("begin", "2026-10-25T00:00:00"),
        ("end", "2026-10-24T00:00:00Z"),
        ("time_zone", "../../etc/passwd"),
        ("time_zone", "UTC"),
    ],
)
def test_a_period_must_be_one_of_the_site(made: Made, tmp_path: Path, field: str, value: str) -> None:
    period = json.loads(made.files[contents.MANIFEST])["period"] | {field: value}
    assert fault(repacked(tmp_path, signed(made, made.files, period=period)), None, tmp_path).step == "inventory"


def test_files_added_and_removed_are_told(made: Made, tmp_path: Path) -> None:
    more = made.files | {"more.txt": b"x"}
    assert "more.txt is in the pack, but not listed" in str(fault(repacked(tmp_path, more), None, tmp_path))
    assert "more.txt is no file of this format" in str(fault(repacked(tmp_path, signed(made, more)), None, tmp_path))
    fewer = {name: body for name, body in made.files.items() if name != contents.GAPS}
    assert f"{contents.GAPS} is missing" in str(fault(repacked(tmp_path, fewer), None, tmp_path))
    assert f"{contents.GAPS} is missing" in str(fault(repacked(tmp_path, signed(made, fewer)), None, tmp_path))


def test_another_key_is_told_apart(made: Made, tmp_path: Path) -> None:
    other = keys.make(tmp_path / "other.key")
    files = relisted(
        made.files | {contents.PUBLIC: keys.public_pem(other.public_key())}, key=keys.fingerprint(other.public_key())
    )
    files |= {contents.SIGNATURE: keys.sign(other, files[contents.MANIFEST])}
    forged = repacked(tmp_path, files)
    told = fault(forged, made.fingerprint, tmp_path)
    assert told.step == "signature"
    assert "signed with another key" in told.problem
    assert made.fingerprint in told.problem
    second = next(each for each in verifying.verify(forged, None, tmp_path) if each.name == "signature")
    assert keys.fingerprint(other.public_key()) in second.said
    assert "compare" in second.said


def test_a_signature_for_something_else_does_not_fit(made: Made, tmp_path: Path) -> None:
    bare = made.key.sign(made.files[contents.MANIFEST]).hex().encode() + b"\n"
    forged = repacked(tmp_path, made.files | {contents.SIGNATURE: bare})
    assert fault(forged, made.fingerprint, tmp_path).step == "signature"


def test_another_version_of_a_formula_is_named(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bins, "VERSION", bins.VERSION + 1)
    told = fault(made.pack, made.fingerprint, tmp_path)
    assert told.step == "formulas"
    assert told.problem.startswith(f"bins: the pack's figures come from version {bins.VERSION - 1}, this program has")


def test_a_later_program_of_the_same_formulas_finds_the_same(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "__version__", "99.0.0")
    monkeypatch.setattr(software, "__version__", "99.0.0")
    steps = list(verifying.verify(made.pack, made.fingerprint, tmp_path))
    assert steps[-1].said.startswith("as signed; not made anew")


def hostile(kind: str) -> bytes:
    """Archives that a careless reader would follow out of its folder, or into nowhere."""
    out = io.BytesIO()
    name, size, body = "evidence/manifest.json", 0, b""
    info = tarfile.TarInfo(name)
    match kind:
        case "traversal":
            info.name = "evidence/../../escaped.json"
        case "absolute":
            info.name = "/tmp/escaped.json"
        case "link":
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        case "hard link":
            info.type, info.linkname = tarfile.LNKTYPE, "evidence/key.pem"
        case "folder":
            info.type = tarfile.DIRTYPE
        case "device":
            info.type = tarfile.CHRTYPE
        case "long":
            info.name = "evidence/" * 9 + "a" * 80 + "/manifest.json"
        case "pax":
            return _pax()
        case "huge":
            size = 8**11 - 1
        case "executable":
            info.mode = 0o755
    info.size = size
    out.write(info.tobuf(tarfile.USTAR_FORMAT) + body + archive.END)
    return out.getvalue()


def _pax() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("evidence/manifest.json")
        info.pax_headers = {"path": "../../escaped"}
        tar.addfile(info)
    return out.getvalue()


@pytest.mark.parametrize(
    "kind", "traversal absolute link|hard link|folder|device|long|pax|huge|executable".replace(" ", "|", 2).split("|")
)
def test_hostile_archives_are_refused_and_write_nowhere(tmp_path: Path, kind: str) -> None:
    forged, inside = tmp_path / "forged.tar", tmp_path / "a" / "b" / "c"
    inside.mkdir(parents=True)
    forged.write_bytes(hostile(kind))
    assert fault(forged, None, inside).step == "container"
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == [forged]


def test_what_unpacks_out_of_proportion_is_refused_before_it_does(made: Made, tmp_path: Path) -> None:
    out = io.BytesIO()
    with gzip.GzipFile("", "wb", 9, out, mtime=0) as packed:
        for _ in range(100):
            packed.write(bytes(1 << 20))
    bomb = out.getvalue()
    files = signed(made, made.files | {contents.GAPS: bomb})
    assert "out of proportion" in str(fault(repacked(tmp_path, files), made.fingerprint, tmp_path))
    manifest = json.loads(files[contents.MANIFEST])
    manifest["files"][contents.GAPS]["unpacked"] = 10
    body = json.dumps(manifest).encode()
    files |= {contents.MANIFEST: body, contents.SIGNATURE: keys.sign(made.key, body)}
    told = fault(repacked(tmp_path, files), made.fingerprint, tmp_path)
    assert (told.step, "more unpacks" in told.problem) == ("contents", True)


def test_two_files_of_one_name_and_too_many_are_refused(made: Made, tmp_path: Path) -> None:
    raw = made.pack.read_bytes()
    twice = raw[: -len(archive.END)] + raw
    forged = tmp_path / "twice.tar"
    forged.write_bytes(twice)
    assert "in it twice" in str(fault(forged, None, tmp_path))
    many = {f"a{number}.txt": b"" for number in range(archive.MAX_FILES + 1)}
    assert "more than" in str(fault(repacked(tmp_path, many), None, tmp_path))


# ---- keys


def test_a_key_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "evidence.key"
    key = keys.make(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert keys.fingerprint(keys.read(path).public_key()) == keys.fingerprint(key.public_key())
    with pytest.raises(EvidenceError, match="never overwritten"):
        keys.make(path)
    for mode in (0o640, 0o604, 0o660, 0o601):
        path.chmod(mode)
        with pytest.raises(EvidenceError, match=f"mode 0{mode:o}"):
            keys.read(path)


@pytest.mark.parametrize("text", ["", "SHA256:12", "/nowhere/key.pem"])
def test_what_is_no_key_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(EvidenceError):
        keys.wanted(text)
    other = tmp_path / "key"
    other.write_text("no key")
    other.chmod(0o600)
    with pytest.raises(EvidenceError):
        keys.wanted(str(other))
    with pytest.raises(EvidenceError):
        keys.read(other)


# ---- what can't be made


def test_a_pack_of_what_is_gone_or_not_yet_there_is_refused(made: Made, tmp_path: Path) -> None:
    with world.collector(tmp_path) as collector:
        site = collector.inventory.sites["paris", "cargo"]

        def refused(period: periods.Period) -> str:
            with pytest.raises(EvidenceError) as e:
                making.make(
                    collector.store,
                    collector.inventory,
                    making.Wanted(site, period, world.MADE),
                    made.key,
                    io.BytesIO(),
                    scratch=tmp_path,
                )
            return str(e.value)

        assert "a year at most" in refused(periods.between(date(2025, 1, 1), date(2026, 10, 25), world.ZONE))
        assert refused(periods.month("2027-01", world.ZONE)) == "2027-01: the period has not begun"
        assert "measured nothing before the end" in refused(periods.month("2026-08", world.ZONE))
        collector.store.prune(world.T0 + 3600.0)
        assert "are deleted: nothing can be recomputed" in refused(world.PERIOD)


# ---- on the command line


def test_commands_make_the_same_bytes_show_and_verify(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fibrewatch_collector.operator.evidence.time.time", world.MADE.timestamp)
    pack, store = tmp_path / "pack.tar", made.folder / "collector.db"
    files = ["--store", str(store), "--sites", str(made.folder / "sites.toml")]
    key = str(made.folder / "evidence.key")
    asked = ["evidence", "--site", "cargo", "--from", "2026-10-25", "--to", "2026-10-25", "--out", str(pack)]
    assert cli.main([*asked, *files, "--key", key]) == 0
    assert pack.read_bytes() == made.pack.read_bytes(), "the same store and moment give the same pack"
    assert made.fingerprint in capsys.readouterr().out
    assert cli.main(["evidence-key", key, "--show"]) == 0
    public = capsys.readouterr().out
    assert re.search(r"^SHA256:[0-9a-f]{64}$", public, re.MULTILINE)
    (tmp_path / "key.pem").write_text(public.split("SHA256")[0])
    for said in (made.fingerprint, str(tmp_path / "key.pem")):
        assert cli.main(["verify", str(pack), "--key", said]) == 0
    assert capsys.readouterr().out.count(" ok ") == 18
    assert cli.main(["verify", str(pack), "--key", "SHA256:" + "0" * 64]) == 1
    assert re.search(r"^signature +FAIL +it is signed with another key", capsys.readouterr().out, re.MULTILINE)
    assert cli.main(["verify", str(tmp_path / "none.tar")]) == 2
    assert cli.main([*asked, *files]) == 2
    assert "go together" in capsys.readouterr().err


def test_long_lists_are_read_in_bounded_pieces(tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson.gz"
    size = lines.write(path, (b'{"a":%d}\n' % number for number in range(10_000)))
    assert sum(each["a"] for each in lines.read(path, dict, size)) == 49_995_000
    with pytest.raises(PackError, match="unpacks to"):
        list(lines.read(path, dict, size + 1))


def test_the_pdf_is_in_both_languages(made: Made) -> None:
    for language in output.LANGUAGES:
        assert made.files[f"report.{language}.pdf"].startswith(b"%PDF-")
