"""`fibrewatch-collector backup` and `restore`: a collector under load, damaged archives, full disks, taken places."""

import asyncio
import hashlib
import io
import json
import resource
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from fibrewatch_collector.backup import BackupError, making, restoring
from fibrewatch_collector.backup.parts import parts
from fibrewatch_collector.config import load_config
from fibrewatch_collector.identity import authority
from fibrewatch_collector.store import Filter
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.support.collector import MODULE, CollectorProcess, run_cli, site
from tests.support.ingest_rig import ScriptedBox, scripted_box
from tests.support.measurements import delivery, good, raw_window
from tests.support.mosquitto import Mosquitto
from tests.support.small_disk import small_disk

BATCH = 50


def stored(path: Path) -> dict[int, bytes]:
    """Number → bytes."""
    store = SqliteStore(path)
    try:
        return {each.seq: each.raw for each in store.measurements(Filter(), 0, 1_000_000)}
    finally:
        store.close()


class Load:
    """A box that sends batch after batch, and when each number was acknowledged."""

    def __init__(self, box: ScriptedBox) -> None:
        self._box, self._begin = box, time.time() // 60 * 60 - 86_400 * 20
        self.acknowledged: dict[int, float] = {}

    def raw(self, number: int) -> bytes:
        return raw_window(self._begin + 60 * number)

    async def send(self, first: int) -> None:
        await self._box.send([self.raw(number) for number in range(first, first + BATCH)], first=first)
        await self._box.acknowledged(first + BATCH - 1)
        self.acknowledged |= dict.fromkeys(range(first, first + BATCH), time.time())

    async def until_done(self, process: asyncio.subprocess.Process) -> None:
        while process.returncode is None:
            await self.send(len(self.acknowledged) + 1)


async def test_backup_under_load_holds_what_was_acknowledged_before_its_moment(tmp_path: Path) -> None:
    pack, there = tmp_path / "backup.tar", tmp_path / "restored"
    there.mkdir()
    with (
        Mosquitto(tmp_path) as broker,
        CollectorProcess(tmp_path, broker.port, site("cargo", "box-01")) as collector,
    ):
        async with scripted_box(broker.port) as box:
            load = Load(box)
            for batch in range(4):
                await load.send(1 + batch * BATCH)
            argv = [*MODULE, "backup", str(pack), "--config", str(collector.config)]
            process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
            await load.until_done(process)
            assert process.returncode == 0
            await load.send(len(load.acknowledged) + 1)
        restored = restore(pack, there)
        assert restored.returncode == 0, restored.stderr
        through = manifest(pack)["through"]
        found = stored(there / "collector.db")
        before = [
            number for number, at in load.acknowledged.items() if at < datetime.fromisoformat(through).timestamp()
        ]
        assert len(before) >= 4 * BATCH
        assert set(before) <= found.keys()
        assert found == {number: load.raw(number) for number in range(1, len(found) + 1)}, "a moment, nothing torn"
        assert len(found) < len(load.acknowledged)
        assert f"before {through[:23]}Z" in restored.stdout
        collector.end()
        await _goes_on(there, broker, load)


async def _goes_on(folder: Path, broker: Mosquitto, load: Load) -> None:
    """What was restored is a collector that takes what came afterwards, and what it has, again."""
    count = len(load.acknowledged)
    with CollectorProcess(folder, broker.port, site("cargo", "box-01")):
        async with scripted_box(broker.port) as box:
            for first in range(1, count, BATCH):
                raws = [load.raw(number) for number in range(first, first + BATCH)]
                await box.send(raws, first=first)
            await box.acknowledged(count)
    assert stored(folder / "collector.db") == {number: load.raw(number) for number in range(1, count + 1)}


def restore(pack: Path, folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return run_cli("restore", str(pack), "--config", str(folder / "collector.toml"), *options)


def manifest(pack: Path) -> dict[str, str]:
    with tarfile.open(pack) as tar:
        file = tar.extractfile("manifest.json")
        assert file is not None
        found: dict[str, str] = json.load(file)
        return found


# ---- without a process


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a collector's state in it, key and all, and a backup of either kind."""
    folder = tmp_path_factory.mktemp("state")
    tables = '[store]\npath = "collector.db"\n[authority]\nfolder = "authority"\n[evidence]\nkey = "evidence.key"\n'
    (folder / "collector.toml").write_text(tables)
    (folder / "sites.toml").write_text('[[territory]]\nid = "paris"\nname = "Paris"\n' + site("cargo", "box-01"))
    (folder / "evidence.key").write_text("-----BEGIN PRIVATE KEY-----\n")
    authority.create(folder / "authority", "test", authority.utc_now())
    (folder / "authority" / "authority.toml").write_text('[broker]\nhost = "broker"\n')
    fill(folder / "collector.db")
    backup(folder, folder / "plain.tar")
    backup(folder, folder / "keys.tar", with_keys=True)
    return folder


def fill(path: Path, count: int = 300) -> None:
    store = SqliteStore(path)
    store.commit([delivery(*[good(number) for number in range(1, count + 1)])])
    store.close()


def backup(folder: Path, pack: Path, *, with_keys: bool = False) -> None:
    file = folder / "collector.toml"
    making.make(parts(file, load_config(file)), pack, with_keys=with_keys)


def test_keys_are_left_out_unless_asked_for(state: Path, tmp_path: Path) -> None:
    assert b"PRIVATE KEY" not in (state / "plain.tar").read_bytes()
    assert (state / "plain.tar").stat().st_mode & 0o777 == 0o600
    done = restoring.restore(state / "plain.tar", tmp_path / "plain" / "collector.toml", force=False)
    assert done.manifest.left_out == ("authority/ca.key", "evidence/key.pem")
    assert not (tmp_path / "plain" / "authority" / "ca.key").exists()
    restoring.restore(state / "keys.tar", tmp_path / "keys" / "collector.toml", force=False)
    key = tmp_path / "keys" / "authority" / "ca.key"
    assert key.stat().st_mode & 0o777 == 0o600
    opened = authority.Authority(key.parent)
    assert opened.register.issued() == []
    assert opened.pem == (state / "authority" / "ca.pem").read_text()


Change = Callable[[dict[str, bytes]], None]


def damaged(pack: Path, to: Path, change: Change) -> Path:
    """The archive with other contents; the manifest stays as it is unless that is changed."""
    with tarfile.open(pack) as tar:
        files = {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]
    change(files)
    with tarfile.open(to, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return to


def flipped(name: str) -> Change:
    def change(files: dict[str, bytes]) -> None:
        data = bytearray(files[name])
        data[len(data) // 2] ^= 1
        files[name] = bytes(data)

    return change


def told(**fields: object) -> Change:
    def change(files: dict[str, bytes]) -> None:
        files["manifest.json"] = json.dumps(json.loads(files["manifest.json"]) | fields).encode()

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (flipped("store.db"), "store.db is damaged: it is not what the manifest says"),
        (flipped("sites.toml"), "sites.toml is damaged: it is not what the manifest says"),
        (lambda files: files.pop("sites.toml"), "sites.toml: in the manifest, but not there"),
        (lambda files: files.pop("manifest.json"), "is cut short, or no backup: it ends without a manifest"),
        (lambda files: files.update({"../evil": b"x"}), "../evil is not in its manifest, or is there twice"),
        (told(format=2), "is of format 2, this program reads 1: use a newer one"),
        (told(files=[]), "collector.toml is not in its manifest, or is there twice"),
    ],
)
def test_a_bad_archive_is_refused_and_nothing_is_written(
    state: Path, tmp_path: Path, change: Change, message: str
) -> None:
    pack = damaged(state / "plain.tar", tmp_path / "bad.tar", change)
    with pytest.raises(BackupError) as raised:
        restoring.restore(pack, tmp_path / "new" / "collector.toml", force=True)
    assert str(raised.value) == f"{pack}: {message}"
    assert list(tmp_path.iterdir()) == [pack]


def test_an_archive_cut_anywhere_is_refused(state: Path, tmp_path: Path) -> None:
    whole = (state / "plain.tar").read_bytes()
    pack = tmp_path / "cut.tar"
    for size in (0, 100, 512, 4096, len(whole) // 2, len(whole) - 12_000):
        pack.write_bytes(whole[:size])
        with pytest.raises(BackupError, match=r"damaged|cut short"):
            restoring.restore(pack, tmp_path / "new" / "collector.toml", force=True)
    assert list(tmp_path.iterdir()) == [pack]


def test_a_link_in_an_archive_is_refused(state: Path, tmp_path: Path) -> None:
    pack = tmp_path / "link.tar"
    shutil.copy(state / "plain.tar", pack)
    with tarfile.open(pack, "a") as tar:
        info = tarfile.TarInfo("store.db")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(BackupError, match=r"'store.db' is not a plain file"):
        restoring.restore(pack, tmp_path / "new" / "collector.toml", force=True)


def test_a_store_of_a_newer_program_is_refused(state: Path, tmp_path: Path) -> None:
    """Its hashes are right: the archive was made of it."""
    there, pack = tmp_path / "there", tmp_path / "newer.tar"
    shutil.copytree(state, there)
    execute(there / "collector.db", "INSERT INTO schema VALUES (99, 'of tomorrow', 0)")

    def exchange(files: dict[str, bytes]) -> None:
        files["store.db"] = (there / "collector.db").read_bytes()
        found = json.loads(files["manifest.json"])
        digest = hashlib.sha256(files["store.db"]).hexdigest()
        (entry,) = [each for each in found["files"] if each["name"] == "store.db"]
        entry |= {"bytes": len(files["store.db"]), "sha256": digest}
        files["manifest.json"] = json.dumps(found).encode()

    damaged(state / "plain.tar", pack, exchange)
    with pytest.raises(BackupError, match=r"store.db: schema 99 is newer than this program's \d+: install the newer"):
        restoring.restore(pack, tmp_path / "new" / "collector.toml", force=False)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["newer.tar", "there"]


def test_what_is_no_store_is_not_backed_up(state: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    shutil.copytree(state, there)
    execute(there / "collector.db", "DROP TABLE measurement")
    with pytest.raises(BackupError, match="is no collector's store"):
        backup(there, tmp_path / "backup.tar")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["there"]


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        with db:
            db.execute(statement)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def test_a_damaged_store_is_found_when_it_is_backed_up(state: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    shutil.copytree(state, there)
    data = bytearray((there / "collector.db").read_bytes())
    data[4096 * 3 : 4096 * 12] = bytes(4096 * 9)
    (there / "collector.db").write_bytes(bytes(data))
    with pytest.raises(BackupError, match=r"collector.db: the store itself is damaged"):
        backup(there, tmp_path / "backup.tar")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["there"]


# ---- where something is already


def test_a_state_that_is_there_is_put_aside_only_when_told_so(state: Path, tmp_path: Path) -> None:
    file = tmp_path / "collector.toml"
    restoring.restore(state / "keys.tar", file, force=False)
    fill(tmp_path / "collector.db", 305)
    before = contents(tmp_path)
    with pytest.raises(BackupError, match=r"collector.db: holds a state already; --force puts it aside"):
        restoring.restore(state / "keys.tar", file, force=False)
    assert contents(tmp_path) == before
    done = restoring.restore(state / "keys.tar", file, force=True)
    assert len(stored(tmp_path / "collector.db")) == 300
    (aside,) = [path for path in done.aside if path.name.startswith("collector.db.before-")]
    assert len(stored(aside)) == 305
    assert len(done.aside) == len(done.files)


def contents(folder: Path) -> dict[Path, bytes]:
    """All files but those that SQLite has beside a database while it reads."""
    found = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm"))]
    return {path: path.read_bytes() for path in found}


def test_a_fresh_install_is_no_state(state: Path, tmp_path: Path) -> None:
    """The package's examples and a store that has seen nothing are replaced; the examples are kept beside."""
    (tmp_path / "collector.toml").write_text("# example\n")
    SqliteStore(tmp_path / "collector.db").close()
    done = restoring.restore(state / "plain.tar", tmp_path / "collector.toml", force=False)
    assert len(stored(tmp_path / "collector.db")) == 300
    (kept,) = [path for path in done.aside if path.name.startswith("collector.toml")]
    assert kept.read_text() == "# example\n"


def test_a_store_in_use_is_left_alone_even_by_force(state: Path, tmp_path: Path) -> None:
    held = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('PRAGMA journal_mode=WAL')"
    held += "; db.execute('SELECT 1 FROM schema').fetchall(); print('held', flush=True); sys.stdin.read()"
    restoring.restore(state / "plain.tar", tmp_path / "collector.toml", force=False)
    argv = [sys.executable, "-c", held, str(tmp_path / "collector.db")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        done = restore(state / "plain.tar", tmp_path, "--force")
        assert (done.returncode, "collector.db: is in use: stop the collector first" in done.stderr) == (2, True)
        assert not list(tmp_path.glob("*before*"))
    done = restore(state / "plain.tar", tmp_path, "--force")
    assert (done.returncode, "that were revoked after that moment are good again" in done.stdout) == (0, True)


def test_a_backup_is_never_overwritten_and_what_a_killed_one_left_is_cleared(state: Path, tmp_path: Path) -> None:
    pack = tmp_path / "backup.tar"
    left = tmp_path / ".backup.tar.making"
    left.mkdir()
    (left / "store.db").write_bytes(b"half")
    backup(state, pack)
    assert list(tmp_path.iterdir()) == [pack]
    with pytest.raises(BackupError, match="is there already; a backup is never overwritten"):
        backup(state, pack)


# ---- no room


@pytest.mark.parametrize("size", ["100k", "200k"])
def test_without_room_nothing_is_left(state: Path, tmp_path: Path, size: str) -> None:
    """Known beforehand on the one, and shown by the last file on the other."""
    with small_disk(tmp_path / "disk", size) as disk:
        with pytest.raises(BackupError, match=r"no room: about \d+ MiB are needed, \d+ MiB are free"):
            backup(state, disk / "backup.tar")
        known = size == "100k"
        with pytest.raises(BackupError if known else OSError, match="no room" if known else "No space left on device"):
            restoring.restore(state / "plain.tar", disk / "new" / "collector.toml", force=False)
        assert list(disk.iterdir()) == []


def test_a_write_that_fails_half_way_leaves_nothing(state: Path, tmp_path: Path) -> None:
    """The kernel's own limit of a file's size, which shows only when it is reached."""

    def limited(*argv: str) -> str:
        done = subprocess.run(
            [*MODULE, *argv],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        )
        assert done.returncode == 2, done.stdout
        return done.stderr

    assert "collector.db: can't be copied" in limited(
        "backup", str(tmp_path / "x.tar"), "--config", str(state / "collector.toml")
    )
    new = tmp_path / "new" / "collector.toml"
    assert "File too large" in limited("restore", str(state / "plain.tar"), "--config", str(new))
    assert list(tmp_path.iterdir()) == []
