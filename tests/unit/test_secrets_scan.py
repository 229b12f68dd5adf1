"""The scan of the whole run finds what it is there for."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.secrets_scan import PLANTED, Scan

SECRET = "planted-" + "secret"  # in two parts: this file is no finding
ROOT = Path(__file__).parents[2]


@pytest.fixture
def scan() -> Iterator[Scan]:
    made = Scan()
    made.register(SECRET, "the planted one")
    yield made
    made.stop()


def child(argument: str, **env: str) -> "subprocess.Popen[bytes]":
    """A process whose own child shows what it was given."""
    inner = [sys.executable, "-c", "import sys; sys.stdin.read()", argument]
    outer = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    return subprocess.Popen([sys.executable, "-c", outer, *inner], stdin=subprocess.PIPE, env=dict(os.environ) | env)


@pytest.mark.parametrize(("argument", "env"), [(f"--token={SECRET}", {}), ("-", {"A_TOKEN": SECRET})])
def test_a_secret_of_a_child_of_a_child_is_found(
    tmp_path: Path, scan: Scan, argument: str, env: dict[str, str]
) -> None:
    scan.start()
    with child(argument, **env) as process:
        kinds = "the environment of" if env else "the command line of"
        until = time.monotonic() + 120
        while not any(kinds in where and SECRET.encode() in word for word, where in list(scan._seen.items())):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.01)
        assert process.stdin is not None
        process.stdin.close()
    found = scan.end(tmp_path)
    assert any(each.startswith(f"the planted one is in {kinds} python") for each in found)
    assert not any(SECRET in each for each in found)


def test_secrets_in_logs_and_answers_are_found_and_keys_are_known_by_themselves(tmp_path: Path, scan: Scan) -> None:
    folder = tmp_path / PLANTED
    line = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgabcdefghijklmnop"
    key = folder / "box" / "box.pem"
    key.parent.mkdir(parents=True)
    key.write_text(f"-----BEGIN PRIVATE KEY-----\n{line}\nAAAA\n-----END PRIVATE KEY-----\n")
    (folder / "box" / "agent.log").write_text(f"INFO token={SECRET}\nDEBUG {line}\n")
    (folder / "clean.log").write_text("nothing")
    (folder / "token").write_text(SECRET)
    scan.answered(f"a_metric{{token={SECRET!r}}} 1".encode(), "/metrics")
    assert scan.end(folder) == sorted(
        [
            f"a key of box.pem is in {folder}/box/agent.log",
            f"the planted one is in {folder}/box/agent.log",
            "the planted one is in /metrics",
        ]
    )


@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_a_run_in_which_a_secret_got_out_fails(tmp_path: Path, workers: tuple[str, ...]) -> None:
    (tmp_path / "test_planted.py").write_text(
        "from tests.support import secrets_scan\n\ndef test_passes(tmp_path):\n"
        f"    (tmp_path / 'a.log').write_text(secrets_scan.register({SECRET!r}, 'the planted one'))\n"
    )
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.secrets_scan", *workers]
    argv += ["-p", "no:cacheprovider", f"--basetemp={tmp_path}/base", "--rootdir", str(tmp_path), str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, "1 passed" in done.stdout) == (1, True), done.stdout + done.stderr
    assert "secret: the planted one is in " in done.stdout
