"""A running collector: a pack over its API, with its own key, checked where there is no collector."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fibrewatch_collector.evidence import keys, verifying
from tests.support import evidence_world as world
from tests.support.collector import CollectorProcess
from tests.support.mosquitto import Mosquitto

ASKED = "/api/v1/evidence?site=paris/cargo&from=2026-10-25&to=2026-10-25"


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[CollectorProcess]:
    with world.collector(tmp_path):
        pass
    with Mosquitto(tmp_path) as broker:
        made = CollectorProcess(tmp_path, broker.port)
        made.sites.write_text(world.sites_toml(), "utf-8")
        with made as started:
            yield started


def fibrewatch(*argv: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "fibrewatch_collector.operator.cli", *argv]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_a_pack_over_the_api_verifies_without_the_collector(collector: CollectorProcess, tmp_path: Path) -> None:
    status, body = collector.get(ASKED)
    assert (status, b"has no key" in body) == (409, True)
    collector.end()
    key = keys.make(tmp_path / "evidence.key")
    collector.config.write_text(collector.config.read_text() + '[evidence]\nkey = "evidence.key"\n')
    collector.start()
    here = tmp_path / "elsewhere"
    here.mkdir()
    api = ["--api", f"http://127.0.0.1:{collector.http}", "--site", "cargo", "--from", "2026-10-25"]
    made = fibrewatch("evidence", *api, "--to", "2026-10-25", folder=here)
    assert (made.returncode, made.stderr) == (0, "")
    for words, told in (("from=2026-10-25", "to go together"), ("month=2026-08", "measured nothing")):
        status, body = collector.get(f"/api/v1/evidence?site=paris/cargo&{words}")
        assert (status in (400, 409), told in body.decode()) == (True, True)
    (tmp_path / "evidence.key").chmod(0o644)
    status, body = collector.get(ASKED)
    assert (status, b"chmod 600" in body) == (409, True)
    _accept(collector, here)
    collector.end()
    assert [each.name for each in tmp_path.glob("evidence-*")] == []
    pack = here / "evidence-paris-cargo-2026-10-25-to-2026-10-25.tar"
    fingerprint = keys.fingerprint(key.public_key())
    checked = fibrewatch("verify", pack.name, "--key", fingerprint, folder=here)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert [each.name for each in verifying.verify(pack, fingerprint)][-2:] == ["figures", "pages"]


def _accept(collector: CollectorProcess, folder: Path) -> None:
    """By its tests, over the API; the paper can be had again."""
    where = ["--api", f"http://127.0.0.1:{collector.http}"]
    place, tests = ["--site", "paris/soma", "--who", "Ann"], ["--from", "2026-10-25T00:30Z", "--to"]
    (folder.parent / "evidence.key").chmod(0o600)
    for state in ("planned", "wired"):
        step = ["rollout", "set", *where, *place, "--state", state, "--on", "2026-10-20"]
        assert fibrewatch(*step, folder=folder).returncode == 0
    refused = fibrewatch("rollout", "set", *where, *place, "--state", "accepted", folder=folder)
    assert (refused.returncode, "rollout accept" in refused.stderr) == (2, True)
    broken = fibrewatch("rollout", "accept", *where, *place, *tests, "2026-10-25T02:00Z", folder=folder)
    assert (broken.returncode, "HTTP status 409: not all tests passed: loss (fibre) fail" in broken.stderr) == (2, True)
    done = fibrewatch("rollout", "accept", *where, *place, *tests, "2026-10-25T00:50Z", folder=folder)
    assert (done.returncode, "paris/soma: accepted on " in done.stdout) == (0, True), done.stderr
    number = done.stdout.split()[-1]
    assert collector.get(f"/api/v1/rollout/{int(number) - 1}/certificate")[0] == 404
    page = collector.get("/sites/paris/soma/certificate?lang=fr")[1].decode()
    assert "Procès-verbal de réception" in page
    paper = ["rollout", "certificate", number, *where, "--output", "paper"]
    assert fibrewatch(*paper, folder=folder).returncode == 0
    assert (folder / "paper").read_bytes().startswith(b"%PDF-")
    assert fibrewatch(*paper, "--format", "json", folder=folder).returncode == 0
    assert "; signed by SHA256:" in fibrewatch("verify", "paper", folder=folder).stdout
